import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createAuthority,
  issueCertificate,
  type CertificateAuthority,
  type KeyPair,
} from './certificates.ts';

/** The files of a control plane, in its folder. Everything that another process needs to reach it is read from them. */

/** What attaching to a running control plane needs to know; `control-plane.json` in its folder. */
export interface Description {
  dir: string;
  /** Release name, `1.37`. */
  release: string;
  /** Tag of the API server, `v1.37.2`. */
  version: string;
  server: string;
  etcd: string;
  kubectl: string;
  kubeconfig: string;
  /** Absent when auditing is off. */
  auditLog?: string;
}

export const DESCRIPTION_FILE = 'control-plane.json';

/** Unix socket of the supervisor. */
export function controlSocket(dir: string): string {
  return join(dir, 'control.sock');
}

const LOCAL_HOSTS = ['127.0.0.1', 'localhost', '::1'];

/**
 * Writes keys and certificates. Two authorities: whoever may talk to the API server must not thereby be able to read
 * etcd, where every Secret lies.
 */
export function writePki(dir: string): void {
  const cluster = createAuthority('control-plane-ca');
  const etcd = createAuthority('etcd-ca');
  writePair(dir, 'ca', cluster);
  writePair(dir, 'etcd-ca', etcd);
  const hosts = [...LOCAL_HOSTS, 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  writePair(dir, 'apiserver', issueCertificate(cluster, { name: 'kube-apiserver', hosts }));
  writePair(dir, 'etcd', issueCertificate(etcd, { name: 'etcd', hosts: LOCAL_HOSTS }));
  writePair(dir, 'etcd-client', issueCertificate(etcd, { name: 'kube-apiserver' }));
  writePair(dir, 'admin', issueCertificate(cluster, { name: 'admin', groups: ['system:masters'] }));
  writePair(dir, 'controller-manager', issueCertificate(cluster, { name: 'system:kube-controller-manager' }));
  const tokens = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  write(dir, 'service-accounts.key', tokens.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  write(dir, 'service-accounts.pub', tokens.publicKey.export({ format: 'pem', type: 'spki' }).toString());
}

/** Certificate and key of one of the parties that `writePki` made. */
export function readPair(dir: string, name: string): KeyPair {
  return {
    cert: readFileSync(join(dir, `${name}.crt`), 'utf8'),
    key: readFileSync(join(dir, `${name}.key`), 'utf8'),
  };
}

/** The authority that the API server's certificate and its clients' are signed by. */
export function readAuthority(dir: string): CertificateAuthority {
  return { name: 'control-plane-ca', ...readPair(dir, 'ca') };
}

/** How a client says who it is. */
export type Identity = KeyPair | { token: string };

/**
 * Text of a kubeconfig with one context. JSON, which is YAML too.
 * @param ca PEM of the authority that signed the server's certificate
 */
export function kubeconfigText(
  server: string,
  ca: string,
  identity: Identity,
  namespace = 'default',
): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const user =
    'token' in identity
      ? { token: identity.token }
      : { 'client-certificate-data': base64(identity.cert), 'client-key-data': base64(identity.key) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'control-plane', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'default', context: { cluster: 'control-plane', user: 'user', namespace } }],
    'current-context': 'default',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Logs who did what to which object, without bodies: Secrets do not get into the log. */
export const AUDIT_POLICY = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
});

function writePair(dir: string, name: string, pair: KeyPair): void {
  write(dir, `${name}.crt`, pair.cert);
  write(dir, `${name}.key`, pair.key);
}

function write(dir: string, name: string, text: string): void {
  writeFileSync(join(dir, name), text, { mode: 0o600 });
}
