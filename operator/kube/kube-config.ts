import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { isIPv6 } from 'node:net';
import type { ClusterEntry, KubeConfigSource, UserEntry } from './credentials.ts';
import { KubeError } from './errors.ts';

export interface KubeConfigOptions {
  /** Path of a kubeconfig; without it KUBECONFIG, then the pod's service account, then ~/.kube/config are tried. */
  path?: string | undefined;
  /** Context to use instead of the current one. */
  context?: string | undefined;
  env?: NodeJS.ProcessEnv;
  /** Where a pod finds its service account. */
  serviceAccountDir?: string;
}

export interface LoadedKubeConfig extends KubeConfigSource {
  /** Namespace of the context or of the pod, when it is told. */
  readonly namespace: string | undefined;
}

/**
 * Finds and reads a kubeconfig in the order of controller-runtime (flag, KUBECONFIG, in-cluster, home). What reads files
 * is loaded only where there is one: in a pod it would be memory for nothing.
 *
 * Throws a `KubeError` with code `KUBE_CREDENTIALS`.
 */
export async function loadKubeConfig(options: KubeConfigOptions = {}): Promise<LoadedKubeConfig> {
  const env = options.env ?? process.env;
  const serviceAccountDir = options.serviceAccountDir ?? '/var/run/secrets/kubernetes.io/serviceaccount';
  const files = kubeconfigFiles(options.path, env);
  if (files.length > 0) return (await import('./kubeconfig-files.ts')).fromFiles(files, options.context);
  const inCluster = fromServiceAccount(serviceAccountDir, env);
  if (inCluster !== undefined) return inCluster;
  const home = join(env['HOME'] ?? homedir(), '.kube', 'config');
  if (existsSync(home)) return (await import('./kubeconfig-files.ts')).fromFiles([home], options.context);
  throw new KubeError(
    'KUBE_CREDENTIALS',
    `no kubeconfig: none was named, this is not a pod, and ${home} does not exist`,
  );
}

function kubeconfigFiles(path: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (path !== undefined && path !== '') return [path];
  // As kubectl: what the list names and is not there is passed over; a file that was named alone by the flag is not.
  return (env['KUBECONFIG'] ?? '').split(delimiter).filter(file => file !== '' && existsSync(file));
}

function fromServiceAccount(dir: string, env: NodeJS.ProcessEnv): LoadedKubeConfig | undefined {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  const tokenFile = join(dir, 'token');
  if (!host || !port || !existsSync(tokenFile)) return undefined;
  const namespaceFile = join(dir, 'namespace');
  return source(
    {
      name: 'in-cluster',
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      caFile: join(dir, 'ca.crt'),
    },
    { name: 'in-cluster', authProvider: { name: 'tokenFile', config: { tokenFile } } },
    existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : undefined,
  );
}

function source(
  cluster: ClusterEntry,
  user: UserEntry | null,
  namespace: string | undefined,
): LoadedKubeConfig {
  return {
    namespace,
    getCurrentCluster: () => cluster,
    getCurrentUser: () => user,
    applyToHTTPSOptions: () => Promise.resolve(),
  };
}
