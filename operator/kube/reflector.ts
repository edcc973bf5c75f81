import { jitteredBackoff, pause } from './backoff.ts';
import type { KubeClient, WatchEvent } from './client.ts';
import { KubeError, isAborted, isExpired, isKubeError, isRefusal } from './errors.ts';
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
  /** After every list: what it failed with, or nothing where it is in the store. */
  onList?: (reflector: Reflector, fault: KubeError | undefined) => void;
  random?: () => number;
}

export interface Reflector {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  /** Keeps the store as the API server has it until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** The first list is in the store. Stays pending when `run` ends before that. */
  synced: Promise<void>;
  hasSynced(): boolean;
  /** What the last list failed with; undefined since one was there. */
  listFault(): KubeError | undefined;
  /**
   * Lists once more at once and resolves when that is in the store, or the API server refused it: what the watch has not
   * brought yet, or never will (half-open), is there then. Stays pending when `run` ends before that.
   */
  catchUp(): Promise<void>;
  /** When the API server, or who stands for it, last answered, by `performance.now()`; now, unless `run` is under way. */
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
  let isRunning = false;
  let lastActivity = performance.now();
  /** From where to watch on; undefined: list first. */
  let resourceVersion: string | undefined;
  let listFault: KubeError | undefined;
  /** Who waits for a list that begins after they asked. */
  let waiting: PromiseWithResolvers<void>[] = [];
  /** Ends the list, the watch or the pause that is under way. */
  let anew = new AbortController();

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

  async function listAndTell(signal: AbortSignal): Promise<void> {
    const asked = waiting;
    waiting = [];
    try {
      await list(signal);
      listFault = undefined;
    } catch (error) {
      if (signal.aborted) {
        waiting = [...asked, ...waiting];
        throw error;
      }
      listFault = asKubeError(error);
      if (!isRefusal(error)) waiting = [...asked, ...waiting];
      else for (const { resolve } of asked) resolve();
      options.onList?.(self, listFault);
      throw error;
    }
    for (const { resolve } of asked) resolve();
    options.onList?.(self, undefined);
  }

  function catchUp(): Promise<void> {
    const done = Promise.withResolvers<void>();
    waiting.push(done);
    resourceVersion = undefined;
    anew.abort();
    return done.promise;
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
    isRunning = true;
    touch();
    try {
      await loop(signal);
    } finally {
      isRunning = false;
    }
  }

  async function loop(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      anew = new AbortController();
      const either = AbortSignal.any([signal, anew.signal]);
      let startedAt = performance.now();
      let failure: unknown;
      try {
        if (resourceVersion === undefined) await listAndTell(either);
        startedAt = performance.now();
        if (resourceVersion !== undefined) await watch(resourceVersion, either);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) return;
      if (anew.signal.aborted) {
        resourceVersion = undefined;
        failures = 0;
        continue;
      }
      if (isAborted(failure)) return;
      const lived = performance.now() - startedAt;
      if (failure === undefined && lived > 1000) {
        failures = 0;
        continue;
      }
      if (failure !== undefined) {
        // Whoever answered, the loop is not stuck and the way is not dead.
        if (isKubeError(failure) && failure.status !== undefined) touch();
        options.onFault?.(asKubeError(failure));
        if (needsList(failure, failures)) resourceVersion = undefined;
      }
      // A watch that ends at once without an error would otherwise be a busy loop.
      failures = lived > HEALTHY_MS && resourceVersion !== undefined ? 1 : failures + 1;
      const asked = isKubeError(failure) ? failure.retryAfterMs : undefined;
      await pause(Math.max(jitteredBackoff(failures, backoff), asked ?? 0), either);
    }
  }

  const self: Reflector = {
    resource,
    namespace,
    run,
    synced: synced.promise,
    hasSynced: () => isSynced,
    listFault: () => listFault,
    catchUp,
    lastActivity: () => (isRunning ? lastActivity : performance.now()),
  };
  return self;
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
