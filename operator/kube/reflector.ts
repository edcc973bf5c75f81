import { jitteredBackoff, pause } from './backoff.ts';
import type { KubeClient, WatchEvent } from './client.ts';
import { KubeError, isAborted, isExpired, isKubeError } from './errors.ts';
import { keyOf, type KubeObject, type Resource } from './resource.ts';
import type { WritableStore } from './store.ts';

export interface ReflectorOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource;
  store: WritableStore<T>;
  /** Absent: all namespaces. */
  namespace?: string | undefined;
  fieldSelector?: string | undefined;
  labelSelector?: string | undefined;
  /** Ask for `metadata` alone. */
  metadataOnly?: boolean;
  /** What is stored of an object; undefined leaves it out. Must keep metadata's name, namespace, uid and resourceVersion. */
  transform?: (object: T) => T | undefined;
  /** Objects a page of a list; 500 by default. */
  pageSize?: number;
  /**
   * Silence of a watch that counts as a half-open connection: 90 s by default, since the API server sends a bookmark
   * about each minute. A false alarm costs one reconnect.
   */
  idleTimeoutMs?: number;
  /** Life of one watch; by default a random time between 240 and 480 s, so that many watches do not end together. */
  watchSeconds?: () => number;
  /** Pause after the first fault in a row, and the longest: 100 ms and 15 s by default. */
  backoff?: { baseMs: number; maxMs: number };
  /** Every fault that was survived, for the log and a counter. */
  onFault?: (error: KubeError) => void;
  random?: () => number;
}

export interface Reflector {
  /** Keeps the store as the API server has it until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** The first list is in the store. Stays pending when `run` ends before that. */
  synced: Promise<void>;
  hasSynced(): boolean;
  /** When the API server was last heard of, by `performance.now()`; for a liveness probe. */
  lastActivity(): number;
}

/** A watch that lived for so long has proven that list and watch work: the next fault is a new one. */
const HEALTHY_MS = 10_000;
const REFUSALS_BEFORE_LIST = 3;

export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector {
  const { client, resource, store, namespace, fieldSelector, labelSelector, metadataOnly } = options;
  const selection = { namespace, fieldSelector, labelSelector, metadataOnly };
  const random = options.random ?? Math.random;
  const backoff = { ...(options.backoff ?? { baseMs: 100, maxMs: 15_000 }), random };
  const watchSeconds = options.watchSeconds ?? (() => 240 + Math.floor(random() * 240));
  const transform = options.transform ?? ((object: T) => object);
  const synced = Promise.withResolvers<void>();
  let isSynced = false;
  let lastActivity = performance.now();
  /** From where to watch on; undefined: list first. */
  let resourceVersion: string | undefined;

  async function list(signal: AbortSignal): Promise<void> {
    store.beginReplace(namespace);
    let pages: Awaited<ReturnType<typeof listOnce>>;
    try {
      pages = await listOnce(signal, options.pageSize);
    } catch (error) {
      if (!isExpired(error)) throw error;
      // A page token ran out within the list (5 minutes, or a compaction): once more in one piece, as client-go does.
      options.onFault?.(error as KubeError);
      store.beginReplace(namespace);
      pages = await listOnce(signal, 0);
    }
    store.replace(pages.objects, pages.resourceVersion, namespace);
    resourceVersion = pages.resourceVersion;
    isSynced = true;
    synced.resolve();
  }

  async function listOnce(signal: AbortSignal, limit: number | undefined) {
    const objects = new Map<string, T>();
    let listed = '';
    for await (const page of client.listPages<T>(resource, { ...selection, signal, limit })) {
      lastActivity = performance.now();
      listed = page.resourceVersion;
      for (const item of page.items) {
        const kept = transform(item);
        if (kept !== undefined) objects.set(keyOf(kept), kept);
      }
    }
    return { objects, resourceVersion: listed };
  }

  function onEvent(event: WatchEvent<T>): void {
    const { object } = event;
    if (event.type !== 'BOOKMARK') {
      const kept = event.type === 'DELETED' ? undefined : transform(event.object);
      if (kept !== undefined) store.put(kept);
      else store.remove(keyOf(event.object), object.metadata.resourceVersion);
    }
    resourceVersion = object.metadata.resourceVersion;
  }

  async function watch(from: string, signal: AbortSignal): Promise<void> {
    await client.watch<T>(
      resource,
      {
        ...selection,
        resourceVersion: from,
        signal,
        timeoutSeconds: watchSeconds(),
        idleTimeoutMs: options.idleTimeoutMs ?? 90_000,
        onStart: touch,
        onActivity: touch,
      },
      onEvent,
    );
  }

  function touch(): void {
    lastActivity = performance.now();
  }

  async function run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      let startedAt = performance.now();
      let failure: unknown;
      try {
        if (resourceVersion === undefined) await list(signal);
        startedAt = performance.now();
        if (resourceVersion !== undefined) await watch(resourceVersion, signal);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted || isAborted(failure)) return;
      const lived = performance.now() - startedAt;
      if (failure === undefined && lived > 1000) {
        failures = 0;
        continue;
      }
      if (failure !== undefined) {
        options.onFault?.(asKubeError(failure));
        if (needsList(failure, failures)) resourceVersion = undefined;
      }
      // A watch that ends at once without an error would otherwise be a busy loop.
      failures = lived > HEALTHY_MS && resourceVersion !== undefined ? 1 : failures + 1;
      const asked = isKubeError(failure) ? failure.retryAfterMs : undefined;
      await pause(Math.max(jitteredBackoff(failures, backoff), asked ?? 0), signal);
    }
  }

  return { run, synced: synced.promise, hasSynced: () => isSynced, lastActivity: () => lastActivity };
}

/**
 * After a connection fault or an overloaded server the watch goes on from where it was. Not when the server refuses
 * that place (410), keeps refusing (a restored etcd does not know it yet), or what it said was not understood.
 */
function needsList(failure: unknown, failuresBefore: number): boolean {
  if (!isKubeError(failure) || failure.code === 'KUBE_MALFORMED') return true;
  const { status } = failure;
  if (status === undefined) return false;
  const isPassing = status === 429 || status >= 500;
  return !isPassing || failuresBefore >= REFUSALS_BEFORE_LIST;
}

/** A throwing `transform` or indexer comes here too: it is a bug to be seen, and no reason to stop watching. */
function asKubeError(failure: unknown): KubeError {
  return isKubeError(failure) ? failure : new KubeError('KUBE_MALFORMED', 'an object could not be stored');
}
