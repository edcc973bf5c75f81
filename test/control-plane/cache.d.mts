/** A Kubernetes version that a control plane can be started with. */
export interface Release {
  /** Minor version, as a person names it: `1.37`. */
  name: string;
  /** Tag of k8s.io/kubernetes. */
  kubernetes: string;
  /** Version of go.etcd.io/etcd/server/v3. */
  etcd: string;
}

export type Binary = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl';
export const BINARIES: readonly Binary[];
export const SETUP_TIME: string;
export function cacheRoot(env?: NodeJS.ProcessEnv): string;
export function binariesFolder(kubernetes: string, env?: NodeJS.ProcessEnv): string;
export function isInstalled(path: string): boolean;
export function withLock<T>(
  path: string,
  work: () => Promise<T>,
  onWait?: () => void,
  abandonedMs?: number,
): Promise<T>;
export const RELEASES: readonly [Release, ...Release[]];
