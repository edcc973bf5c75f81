import { isKubeError } from './errors.ts';
import type { WorkQueue } from './work-queue.ts';

export interface ReconcileResult {
  /** Look at it again after so long, unless something happens before. */
  requeueAfterMs?: number;
}

export interface Reconciled {
  controller: string;
  key: string;
  durationMs: number;
  /** What `reconcile` threw; the key comes back after its backoff. */
  error?: unknown;
}

export interface ControllerOptions {
  name: string;
  queue: WorkQueue;
  /** Keys worked on at the same time; one key never has two workers. */
  workers: number;
  /**
   * Brings the world nearer to what the object says. Gets a key alone: whatever happened, it looks at the present
   * state. The signal aborts when the controller is told to stop.
   */
  reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult | void>;
  onError?: (error: unknown, key: string) => void;
  /** After every run, for metrics and liveness. */
  onReconciled?: (done: Reconciled) => void;
}

/**
 * Works until the signal aborts: then no further key is begun, and it resolves once the runs under way are over.
 * An error is retried with the key's backoff, not before a `KubeError`'s `retryAfterMs`.
 */
export async function runController(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { queue } = options;
  const stop = (): void => queue.shutDown();
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  try {
    await Promise.all(Array.from({ length: options.workers }, () => work(options, signal)));
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function work(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { queue } = options;
  for (;;) {
    const key = await queue.get();
    if (key === undefined || signal.aborted) return;
    await reconcileOne(options, key, signal);
  }
}

async function reconcileOne(options: ControllerOptions, key: string, signal: AbortSignal): Promise<void> {
  const { name, queue } = options;
  const startedAt = performance.now();
  let failure: { error: unknown } | undefined;
  try {
    const result = await options.reconcile(key, signal);
    queue.forget(key);
    if (result?.requeueAfterMs !== undefined) queue.addAfter(key, result.requeueAfterMs);
  } catch (error) {
    failure = { error };
    queue.addRateLimited(key, isKubeError(error) ? error.retryAfterMs : undefined);
  } finally {
    queue.done(key);
  }
  // A hook that throws is the program's bug, and must not take a worker with it.
  try {
    if (failure !== undefined && !signal.aborted) options.onError?.(failure.error, key);
    options.onReconciled?.({ controller: name, key, durationMs: performance.now() - startedAt, ...failure });
  } catch {
    process.emitWarning(`A hook of controller ${name} failed`, { code: 'KUBE_HOOK' });
  }
}
