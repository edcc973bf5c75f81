import { readFileSync } from 'node:fs';
import { CLOUD_PORTS } from './cloud-ports.ts';

/** Namespaces of the tests; every pod in them must pass the strictest of the Pod Security Standards. */
export const SYSTEM = 'cloud-account-operator-system';
export const CLOUDS = 'e2e-clouds';
export const ACCOUNTS = 'e2e-accounts';
/** Of accounts that are only there to be many. */
export const MANY = 'e2e-many';

export function namespaces(): object {
  return list(
    [SYSTEM, CLOUDS, ACCOUNTS, MANY].map(name => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    })),
  );
}

/**
 * The simulated clouds as a pod and a Service. They run on the operator's image, which has the Node.js that they need:
 * no other image must be brought to the cluster.
 * @param program bundle of clouds-pod.ts
 */
export function clouds(image: string, program: string): object {
  const labels = { 'app.kubernetes.io/name': 'clouds' };
  const ports = [...CLOUD_PORTS].map(([name, port]) => ({ name: name.toLowerCase(), port }));
  const metadata = { name: 'clouds', namespace: CLOUDS };
  const container = {
    name: 'clouds',
    image,
    imagePullPolicy: 'IfNotPresent',
    command: ['node', '/clouds/clouds.mjs'],
    ports: ports.map(({ name, port }) => ({ name, containerPort: port })),
    readinessProbe: { tcpSocket: { port: ports.at(-1)?.port }, periodSeconds: 1 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [{ name: 'program', mountPath: '/clouds' }],
  };
  return list([
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { 'clouds.mjs': readFileSync(program, 'utf8') },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            automountServiceAccountToken: false,
            securityContext: {
              runAsNonRoot: true,
              runAsUser: 65532,
              seccompProfile: { type: 'RuntimeDefault' },
            },
            containers: [container],
            volumes: [{ name: 'program', configMap: { name: 'clouds' } }],
          },
        },
      },
    },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports } },
  ]);
}

function list(items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items };
}
