import { compareResourceVersions, keyOf, type KubeObject } from './resource.ts';

export interface StoreChange<T> {
  type: 'added' | 'updated' | 'deleted';
  key: string;
  /** As it is now; of a deleted object, as it was last seen. */
  object: T;
  previous?: T;
}

/** What readers see of the objects that a reflector keeps. Objects are shared: never change them. */
export interface Store<T extends KubeObject> {
  get(key: string): T | undefined;
  keys(): Iterable<string>;
  list(): T[];
  readonly size: number;
  /** Objects for which the indexer of that name gave `value`. */
  byIndex(index: string, value: string): T[];
  /** Calls the listener after each change; returns what ends that. What it throws is reported, not passed on. */
  subscribe(listener: (change: StoreChange<T>) => void): () => void;
  /**
   * Takes in what a caller read or wrote itself, so that its next decision does not rest on an older copy. Ignored
   * when the store has it as new, or saw it deleted later. It goes in as it is: a reflector's `transform` is not applied.
   */
  remember(object: T): void;
}

/** What a reflector does with a store. */
export interface WritableStore<T extends KubeObject> extends Store<T> {
  /** An ADDED or MODIFIED event. */
  put(object: T): void;
  /** A DELETED event, or an object that is no longer kept; `resourceVersion` is that of the event. */
  remove(key: string, resourceVersion: string): void;
  /** A new list of a namespace (absent: of all) begins: what is remembered from now on may be newer than it. */
  beginReplace(namespace?: string): void;
  /**
   * The list is complete, as of `resourceVersion`: everything else of that namespace goes, even what looks newer (a
   * restored etcd counts from lower numbers). Other namespaces may have reflectors of their own.
   */
  replace(objects: ReadonlyMap<string, T>, resourceVersion: string, namespace?: string): void;
}

export type Indexers<T> = Record<string, (object: T) => string[]>;

export interface StoreOptions {
  /** A listener threw. By default a process warning, without the error's text. */
  onListenerError?: (error: unknown) => void;
}

/** Deletions that are kept to refuse an older copy that a caller comes with a moment later. */
const TOMBSTONES = 1000;

export function createStore<T extends KubeObject>(
  indexers: Indexers<T> = {},
  options: StoreOptions = {},
): WritableStore<T> {
  const onListenerError = options.onListenerError ?? warn;
  const objects = new Map<string, T>();
  const indexes = new Map(Object.keys(indexers).map(name => [name, new Map<string, Map<string, T>>()]));
  const listeners = new Set<(change: StoreChange<T>) => void>();
  const tombstones = new Map<string, string>();
  /** Keys remembered while a list is under way, by the namespace that is listed; '' for all. */
  const rememberedMeanwhile = new Map<string, Set<string>>();

  function notify(change: StoreChange<T>): void {
    for (const listener of listeners) {
      try {
        listener(change);
      } catch (error) {
        onListenerError(error);
      }
    }
  }

  function unindex(key: string, object: T): void {
    for (const [name, index] of indexes) {
      for (const value of indexers[name]?.(object) ?? []) {
        const bucket = index.get(value);
        bucket?.delete(key);
        if (bucket?.size === 0) index.delete(value);
      }
    }
  }

  function index(key: string, object: T): void {
    for (const [name, values] of indexes) {
      for (const value of indexers[name]?.(object) ?? []) {
        const bucket = values.get(value);
        if (bucket === undefined) values.set(value, new Map([[key, object]]));
        else bucket.set(key, object);
      }
    }
  }

  function set(key: string, object: T): void {
    const previous = objects.get(key);
    if (previous !== undefined) unindex(key, previous);
    objects.set(key, object);
    index(key, object);
    notify(
      previous === undefined ? { type: 'added', key, object } : { type: 'updated', key, object, previous },
    );
  }

  function drop(key: string): void {
    const object = objects.get(key);
    if (object === undefined) return;
    objects.delete(key);
    unindex(key, object);
    notify({ type: 'deleted', key, object });
  }

  function isNewer(object: T, key: string): boolean {
    const stored = objects.get(key);
    if (stored !== undefined) return isOlder(stored, object.metadata.resourceVersion);
    const deletedAt = tombstones.get(key);
    return deletedAt === undefined || !isOlder(object, deletedAt);
  }

  return {
    get: key => objects.get(key),
    keys: () => objects.keys(),
    list: () => [...objects.values()],
    get size() {
      return objects.size;
    },
    byIndex(name, value) {
      const values = indexes.get(name);
      if (values === undefined) throw new Error(`the store has no index ${name}`);
      return [...(values.get(value)?.values() ?? [])];
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    remember(object) {
      const key = keyOf(object);
      if (!isNewer(object, key)) return;
      for (const keys of rememberedMeanwhile.values()) keys.add(key);
      set(key, object);
    },
    put(object) {
      const key = keyOf(object);
      const stored = objects.get(key);
      // Remembered already, or replayed after a watch was resumed.
      if (stored !== undefined && !isOlder(stored, object.metadata.resourceVersion)) return;
      tombstones.delete(key);
      set(key, object);
    },
    remove(key, resourceVersion) {
      const stored = objects.get(key);
      // Deleted and made anew, and the new one remembered already.
      if (
        stored !== undefined &&
        !isOlder(stored, resourceVersion) &&
        stored.metadata.resourceVersion !== resourceVersion
      ) {
        return;
      }
      tombstones.delete(key);
      tombstones.set(key, resourceVersion);
      if (tombstones.size > TOMBSTONES) tombstones.delete(tombstones.keys().next().value ?? key);
      drop(key);
    },
    beginReplace(namespace = '') {
      rememberedMeanwhile.set(namespace, new Set());
    },
    replace(next, resourceVersion, namespace) {
      const meanwhile = rememberedMeanwhile.get(namespace ?? '');
      rememberedMeanwhile.delete(namespace ?? '');
      const isListed = (key: string): boolean => namespace === undefined || key.startsWith(`${namespace}/`);
      const isKept = (key: string, stored: T): boolean =>
        meanwhile?.has(key) === true && !isOlder(stored, resourceVersion);
      for (const key of tombstones.keys()) if (isListed(key)) tombstones.delete(key);
      for (const [key, stored] of objects) {
        if (isListed(key) && !next.has(key) && !isKept(key, stored)) drop(key);
      }
      for (const [key, object] of next) {
        const stored = objects.get(key);
        if (stored !== undefined && (isSame(stored, object) || isKept(key, stored))) continue;
        set(key, object);
      }
    },
  };
}

function isOlder(object: KubeObject, resourceVersion: string): boolean {
  return compareResourceVersions(object.metadata.resourceVersion, resourceVersion) < 0;
}

function isSame(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.resourceVersion === b.metadata.resourceVersion && a.metadata.uid === b.metadata.uid;
}

function warn(): void {
  process.emitWarning('A listener of an object store failed', { code: 'KUBE_LISTENER' });
}
