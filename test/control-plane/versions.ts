import { RELEASES, type Release } from './cache.mjs';

/** The newest Kubernetes that is supported. */
export const DEFAULT_VERSION = RELEASES[0].name;

/** Throws for a version that is not in `RELEASES`, naming those that are. */
export function findRelease(name: string): Release {
  const release = RELEASES.find(candidate => candidate.name === name);
  if (release) return release;
  throw new Error(`Kubernetes ${name} is not known here; known: ${RELEASES.map(r => r.name).join(', ')}`);
}
