import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { readAuditLog, type AuditEvent, type RequestFilter } from './audit.ts';
import { issueCertificate, type CertificateRequest, type KeyPair } from './certificates.ts';
import {
  controlSocket,
  DESCRIPTION_FILE,
  kubeconfigText,
  readAuthority,
  readPair,
  type Description,
} from './files.ts';
import type { ProcessName } from './processes.ts';

/** One process of the control plane. */
export interface ProcessHandle {
  /** Process id, undefined while it is stopped. */
  pid(): Promise<number | undefined>;
  /** Sends `signal` (default SIGTERM; SIGKILL after 30 s without effect) and resolves when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it on the same port with the same data; resolves when it is ready. Nothing if it runs. */
  start(): Promise<void>;
  restart(signal?: NodeJS.Signals): Promise<void>;
}

export interface ServiceAccountName {
  namespace: string;
  name: string;
}

export interface TokenOptions {
  /** Lifetime in seconds; the API server refuses less than 600. Default 3600. */
  expirationSeconds?: number;
}

export interface ApiResponse<T = unknown> {
  status: number;
  body: T;
}

/**
 * A real etcd, kube-apiserver and kube-controller-manager. Every function works from any process that can read `dir`.
 */
export interface ControlPlane extends Omit<Description, 'etcd'> {
  /** PEM of the authority that the API server's certificate is signed by. */
  ca: string;
  apiServer: ProcessHandle;
  controllerManager: ProcessHandle;
  etcd: ProcessHandle;
  /** Process id of the process that owns the three, for tests of what happens without it. */
  supervisorPid(): Promise<number>;
  /**
   * A request to the API server as cluster administrator. JSON both ways; answers of any status are returned.
   * @param contentType of the body, default application/json (a PATCH needs to say its kind)
   */
  api<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<ApiResponse<T>>;
  /** A certificate of the cluster's authority, for a server (`hosts`) or a client (name = user, groups). */
  issueCertificate(name: string, request?: Omit<CertificateRequest, 'name'>): KeyPair;
  /** Writes a kubeconfig of a client-certificate user. `server` replaces the address, for instance by a proxy's. */
  userKubeconfig(user: {
    name: string;
    groups?: readonly string[];
    path: string;
    server?: string;
    namespace?: string;
  }): string;
  /** A token by TokenRequest. */
  serviceAccountToken(account: ServiceAccountName, options?: TokenOptions): Promise<string>;
  /** Writes a kubeconfig with such a token; resolves with its path. */
  serviceAccountKubeconfig(
    account: ServiceAccountName & TokenOptions & { path: string; server?: string },
  ): Promise<string>;
  /**
   * Compacts etcd up to the present revision, which it returns: a watch or list from an older resourceVersion is
   * answered with 410. What the API server's watch cache still holds is served all the same; `restart()` empties that.
   */
  compact(): Promise<number>;
  /** Requests that the API server received, from the audit log. */
  requests(filter?: RequestFilter): Promise<AuditEvent[]>;
  countRequests(filter?: RequestFilter): Promise<number>;
  /** The API server's /metrics, in Prometheus text format. */
  metrics(): Promise<string>;
  /** Kills everything and removes `dir`. */
  stop(): Promise<void>;
}

/** The control plane in `dir`, started by this process or by another one. */
export function attachControlPlane(dir: string): ControlPlane {
  const description = JSON.parse(readFileSync(join(dir, DESCRIPTION_FILE), 'utf8')) as Description;
  const authority = readAuthority(dir);
  const { server } = description;
  const admin = new Agent({ connect: { ca: authority.cert, ...readPair(dir, 'admin') } });

  async function api<T>(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<ApiResponse<T>> {
    const response = await request(`${server}${path}`, {
      dispatcher: admin,
      method: method,
      ...(body !== undefined && {
        headers: { 'content-type': contentType },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    });
    const text = await response.body.text();
    const json = response.headers['content-type']?.includes('json');
    const answer: unknown = json ? JSON.parse(text) : text;
    return { status: response.statusCode, body: answer as T };
  }

  async function serviceAccountToken(
    { namespace, name }: ServiceAccountName,
    { expirationSeconds = 3600 }: TokenOptions = {},
  ): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const answer = await api<{ status: { token: string } }>('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds },
    });
    if (answer.status === 201) return answer.body.status.token;
    throw new Error(`No token for ${namespace}/${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  function requests(filter: RequestFilter = {}): Promise<AuditEvent[]> {
    if (description.auditLog) return readAuditLog(description.auditLog, filter);
    throw new Error('This control plane was started without an audit log');
  }

  return {
    ...description,
    ca: authority.cert,
    apiServer: processHandle(dir, 'kube-apiserver'),
    controllerManager: processHandle(dir, 'kube-controller-manager'),
    etcd: processHandle(dir, 'etcd'),
    supervisorPid: async () => (await control<{ supervisor: number }>(dir, 'GET', '/pids')).supervisor,
    api,
    issueCertificate: (name, options = {}) => issueCertificate(authority, { ...options, name }),
    userKubeconfig({ name, groups = [], path, server: address = server, namespace }) {
      const pair = issueCertificate(authority, { name, groups });
      return writeKubeconfig(path, kubeconfigText(address, authority.cert, pair, namespace));
    },
    serviceAccountToken,
    async serviceAccountKubeconfig({ path, server: address = server, ...account }) {
      const token = await serviceAccountToken(account, account);
      return writeKubeconfig(path, kubeconfigText(address, authority.cert, { token }, account.namespace));
    },
    compact: () => compact(dir, description.etcd),
    requests,
    countRequests: async filter => (await requests(filter)).length,
    metrics: async () => (await api<string>('GET', '/metrics')).body,
    async stop() {
      await control(dir, 'POST', '/stop');
      await admin.destroy();
    },
  };
}

function processHandle(dir: string, name: ProcessName): ProcessHandle {
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    await control(dir, 'POST', `/${name}/stop?signal=${signal}`);
  };
  const start = async () => {
    await control(dir, 'POST', `/${name}/start`);
  };
  return {
    pid: async () => (await control<Partial<Record<ProcessName, number>>>(dir, 'GET', '/pids'))[name],
    stop,
    start,
    async restart(signal) {
      await stop(signal);
      await start();
    },
  };
}

async function control<T>(dir: string, method: 'GET' | 'POST', path: string): Promise<T> {
  const dispatcher = new Agent({ connect: { socketPath: controlSocket(dir) }, headersTimeout: 0 });
  try {
    const response = await request(`http://supervisor${path}`, { dispatcher, method });
    const text = await response.body.text();
    if (response.statusCode !== 200) throw new Error(`Control plane, ${path}: ${text}`);
    return JSON.parse(text) as T;
  } finally {
    await dispatcher.destroy();
  }
}

/** Through etcd's JSON gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/). */
async function compact(dir: string, server: string): Promise<number> {
  const ca = readFileSync(join(dir, 'etcd-ca.crt'), 'utf8');
  const dispatcher = new Agent({ connect: { ca, ...readPair(dir, 'etcd-client') } });
  const call = async (path: string, body: unknown) => {
    const response = await request(`${server}${path}`, {
      dispatcher,
      method: 'POST',
      body: JSON.stringify(body),
    });
    const text = await response.body.text();
    if (response.statusCode !== 200) throw new Error(`etcd ${path}: ${response.statusCode} ${text}`);
    return JSON.parse(text) as { header: { revision: string } };
  };
  try {
    const { header } = await call('/v3/kv/range', { key: Buffer.from('/').toString('base64') });
    await call('/v3/kv/compaction', { revision: header.revision, physical: true });
    return Number(header.revision);
  } finally {
    await dispatcher.destroy();
  }
}

function writeKubeconfig(path: string, text: string): string {
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
