import { whenAborted } from './backoff.ts';
import { isRefusal } from './errors.ts';
import type { Reflector } from './reflector.ts';

/**
 * All watches of one namespace, or of all. What is decided about an object rests on every one of them, so nothing may be
 * decided before all are there, nor while one of them is refused.
 */
export interface Scope {
  /** Absent: all namespaces. */
  readonly namespace: string | undefined;
  readonly reflectors: readonly Reflector[];
  /** Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** Every watch has its first list, and no list was refused since it was last there. */
  isUsable(): boolean;
  /** The API server refuses one of the lists: the namespace is gone with its rights, or a right is missing. */
  isRefused(): boolean;
  /** Every watch lists once more. Does not wait for what the API server refuses. */
  catchUp(): Promise<void>;
}

/** @param rest what is kept of these depends on what the first one holds, so their lists come after its */
export function createScope(first: Reflector, rest: readonly Reflector[]): Scope {
  const reflectors = [first, ...rest];

  async function run(signal: AbortSignal): Promise<void> {
    const running = [first.run(signal)];
    await Promise.race([first.synced, whenAborted(signal)]);
    running.push(...rest.map(reflector => reflector.run(signal)));
    await Promise.all(running);
  }

  const isRefused = (): boolean => reflectors.some(reflector => isRefusal(reflector.listFault()));
  return {
    namespace: first.namespace,
    reflectors,
    run,
    isRefused,
    isUsable: () => reflectors.every(reflector => reflector.hasSynced()) && !isRefused(),
    async catchUp() {
      await first.catchUp();
      if (isRefused()) return;
      await Promise.all(rest.map(reflector => reflector.catchUp()));
    },
  };
}
