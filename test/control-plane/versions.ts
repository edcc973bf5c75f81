/** A Kubernetes version that a control plane can be started with. */
export interface Release {
  /** Minor version, as a person names it: `1.37`. */
  name: string;
  /** Tag of k8s.io/kubernetes. */
  kubernetes: string;
  /** Version of go.etcd.io/etcd/server/v3, the one that this Kubernetes is released with. */
  etcd: string;
}

/** The oldest and the newest Kubernetes that the operator supports. */
export const RELEASES: readonly Release[] = [
  { name: '1.37', kubernetes: 'v1.37.2', etcd: 'v3.7.0' },
  { name: '1.34', kubernetes: 'v1.34.4', etcd: 'v3.6.4' },
];

export const DEFAULT_VERSION = '1.37';

/** Throws for a version that is not in `RELEASES`, naming those that are. */
export function findRelease(name: string): Release {
  const release = RELEASES.find(candidate => candidate.name === name);
  if (release) return release;
  throw new Error(`Kubernetes ${name} is not known here; known: ${RELEASES.map(r => r.name).join(', ')}`);
}
