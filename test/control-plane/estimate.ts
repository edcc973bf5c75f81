import type { Binary } from './cache.mjs';

/** Measured on two cores that did nothing else, with an empty Go cache; etcd's with the modules of all. */
const SECONDS: Readonly<Record<Binary, number>> = {
  etcd: 65,
  'kube-apiserver': 235,
  'kube-controller-manager': 75,
  kubectl: 20,
};
/** Beside other load it took twice as long. */
const SLOWEST = 2;

export interface Estimate {
  /** A binary is built. */
  finished(binary: Binary): void;
  /** How long the rest takes, for a person: a range at first, then by the pace of what is finished. */
  left(): string;
}

/** Estimates what is left while binaries are built one after the other. */
export function createEstimate(
  binaries: readonly Binary[],
  now: () => number = () => performance.now() / 1000,
): Estimate {
  const start = now();
  // Most of what it is made of is compiled for the API server, which an archive may have brought.
  const manager = binaries.includes('kube-apiserver') ? 'kube-controller-manager' : 'kube-apiserver';
  const cost = { ...SECONDS, 'kube-controller-manager': SECONDS[manager] };
  const rest = new Set(binaries);
  let [done, doneAt] = [0, start];

  return {
    finished(binary) {
      rest.delete(binary);
      done += cost[binary];
      doneAt = now();
    },
    left() {
      const seconds = [...rest].reduce((sum, binary) => sum + cost[binary], 0);
      const spent = now() - doneAt;
      if (done > 0) return `about ${minutes((seconds * (doneAt - start)) / done - spent)} min left`;
      return `${minutes(seconds - spent)} to ${minutes(seconds * SLOWEST - spent)} min left`;
    },
  };
}

function minutes(seconds: number): number {
  return Math.max(1, Math.ceil(seconds / 60));
}
