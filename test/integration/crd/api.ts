import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { Pool } from 'undici';
import type { CloudAccountStatus } from '../../../operator/api/cloudaccount.generated.ts';

/** What the API server answered. */
export interface Answer {
  status: number;
  body: Body;
  /** The texts of the Warning headers. */
  warnings: string[];
}

/** Those fields of the answers' objects that tests look at: of an account, a list, a Table and a Status. */
export interface Body {
  metadata: { name: string; generation: number; resourceVersion: string };
  spec: Record<string, unknown>;
  status: CloudAccountStatus & { allowed?: boolean };
  items: Body[];
  columnDefinitions: { name: string }[];
  rows: { cells: unknown[] }[];
  message?: string;
}

/** A connection to the API server with nothing between the test and the answer. */
export interface Api {
  request(
    method: string,
    path: string,
    options?: { body?: unknown; accept?: string; contentType?: string },
  ): Promise<Answer>;
  close(): Promise<void>;
}

interface KubeConfigFile {
  clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
  users: { user: { 'client-certificate-data': string; 'client-key-data': string } }[];
}

/** @param kubeconfig path of a kubeconfig with one cluster and one client certificate, both inline */
export function connect(kubeconfig: string): Api {
  const config = load(readFileSync(kubeconfig, 'utf8')) as KubeConfigFile;
  const cluster = config.clusters[0]?.cluster;
  const user = config.users[0]?.user;
  if (!cluster || !user) throw new Error(`${kubeconfig} has no cluster or no user`);
  const decode = (data: string) => Buffer.from(data, 'base64').toString();
  const pool = new Pool(cluster.server, {
    connections: 4,
    connect: {
      ca: decode(cluster['certificate-authority-data']),
      cert: decode(user['client-certificate-data']),
      key: decode(user['client-key-data']),
    },
  });
  return {
    async request(
      method,
      path,
      { body, accept = 'application/json', contentType = 'application/json' } = {},
    ) {
      const response = await pool.request({
        method,
        path,
        headers: { accept, 'content-type': contentType },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const warning = response.headers['warning'] ?? [];
      return {
        status: response.statusCode,
        body: (await response.body.json()) as Body,
        // Several come as one header or as several, and undici joins some of them.
        warnings: [warning]
          .flat()
          .flatMap(header => header.split(/(?<="), (?=299 - ")/))
          .map(text => text.replace(/^299 - "(.*)"$/s, '$1')),
      };
    },
    close: () => pool.close(),
  };
}

export const APPLY = 'application/apply-patch+yaml';

/** Path of the CloudAccounts of a namespace, of one of them, or of its subresource. */
export function accountsPath(namespace: string, ...rest: string[]): string {
  return ['/apis/strackt.io/v1alpha1/namespaces', namespace, 'cloudaccounts', ...rest].join('/');
}

/** A CloudAccount as a person would write it. */
export function account(name: string, spec: Record<string, unknown> = {}) {
  return {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name },
    spec: { provider: 'DigitalOcean', credentialsSecretRef: { name: 'do-token' }, ...spec },
  };
}
