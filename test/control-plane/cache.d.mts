export type Binary = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl';
export const BINARIES: readonly Binary[];
export function cacheRoot(env?: NodeJS.ProcessEnv): string;
export function binariesFolder(kubernetes: string, env?: NodeJS.ProcessEnv): string;
export function isInstalled(path: string): boolean;
export function withLock<T>(path: string, work: () => Promise<T>, onWait?: () => void): Promise<T>;
