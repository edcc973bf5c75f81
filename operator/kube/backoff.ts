/**
 * Delay before try number `failures` + 1: `baseMs` doubling up to `maxMs`, of which the last half is random, so that
 * what failed together does not come back together.
 */
export function jitteredBackoff(
  failures: number,
  { baseMs, maxMs, random = Math.random }: { baseMs: number; maxMs: number; random?: () => number },
): number {
  // 2^30 is beyond any limit in use; more would be Infinity after a long outage.
  const delayMs = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
  return delayMs * (0.5 + random() / 2);
}

/** Resolves after `ms`, at once when the signal aborts; never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}

/** Resolves once the signal aborts; never rejects. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
}
