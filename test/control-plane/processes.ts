import { join } from 'node:path';
import { AUDIT_POLICY } from './files.ts';

/** The command lines of a control plane. Everything listens on loopback only. */

export interface Ports {
  etcd: number;
  etcdPeer: number;
  apiServer: number;
}

export const PROCESS_NAMES = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const;
export type ProcessName = (typeof PROCESS_NAMES)[number];

/** Files beside the PKI that the processes read, by name. */
export const PROCESS_FILES = { 'audit-policy.json': AUDIT_POLICY };

/** Arguments of one process of the control plane in `dir`. */
export function processArguments(name: ProcessName, dir: string, ports: Ports, audit: boolean): string[] {
  const file = (base: string) => join(dir, base);
  const flags = (values: Record<string, string | number | boolean>) =>
    Object.entries(values).map(([flag, value]) => `--${flag}=${value}`);
  switch (name) {
    case 'etcd': {
      const client = `https://127.0.0.1:${ports.etcd}`;
      const peer = `https://127.0.0.1:${ports.etcdPeer}`;
      return flags({
        name: 'default',
        'data-dir': file('etcd'),
        'listen-client-urls': client,
        'advertise-client-urls': client,
        'listen-peer-urls': peer,
        'initial-advertise-peer-urls': peer,
        'initial-cluster': `default=${peer}`,
        'cert-file': file('etcd.crt'),
        'key-file': file('etcd.key'),
        'trusted-ca-file': file('etcd-ca.crt'),
        'client-cert-auth': true,
        'peer-cert-file': file('etcd.crt'),
        'peer-key-file': file('etcd.key'),
        'peer-trusted-ca-file': file('etcd-ca.crt'),
        'peer-client-cert-auth': true,
        // The data is thrown away with the control plane: it need not survive a power cut.
        'unsafe-no-fsync': true,
        'log-level': 'warn',
      });
    }
    case 'kube-apiserver':
      return flags({
        'etcd-servers': `https://127.0.0.1:${ports.etcd}`,
        'etcd-cafile': file('etcd-ca.crt'),
        'etcd-certfile': file('etcd-client.crt'),
        'etcd-keyfile': file('etcd-client.key'),
        'bind-address': '127.0.0.1',
        'advertise-address': '127.0.0.1',
        'secure-port': ports.apiServer,
        // The reconciler refuses to publish a loopback address as the endpoint of the kubernetes Service.
        'endpoint-reconciler-type': 'none',
        'cert-dir': file('apiserver'),
        'tls-cert-file': file('apiserver.crt'),
        'tls-private-key-file': file('apiserver.key'),
        'client-ca-file': file('ca.crt'),
        'authorization-mode': 'Node,RBAC',
        'service-account-issuer': 'https://kubernetes.default.svc',
        'service-account-key-file': file('service-accounts.pub'),
        'service-account-signing-key-file': file('service-accounts.key'),
        'service-cluster-ip-range': '10.96.0.0/16',
        'shutdown-watch-termination-grace-period': '1s',
        ...(audit && {
          'audit-policy-file': file('audit-policy.json'),
          'audit-log-path': file('audit.log'),
          // Megabytes. Requests are counted from the one file, so it is never rotated.
          'audit-log-maxsize': 100_000,
        }),
      });
    case 'kube-controller-manager':
      return flags({
        kubeconfig: file('controller-manager.kubeconfig'),
        'service-account-private-key-file': file('service-accounts.key'),
        'root-ca-file': file('ca.crt'),
        'use-service-account-credentials': true,
        // It serves nothing that is needed here, and its default port would be taken by the one beside it.
        'secure-port': 0,
        'leader-elect': false,
        // At the default of 20 requests a second, collecting a thousand owned objects takes a minute.
        'kube-api-qps': 500,
        'kube-api-burst': 1000,
      });
  }
}
