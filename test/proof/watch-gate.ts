import type { FaultProxy, LineFilter, LineStream, ProxiedRequest } from '../fault-proxy/http-proxy.ts';

/** The three kinds of objects that the operator watches. */
export const WATCHED = ['accounts', 'sources', 'copies'] as const;
export type Watched = (typeof WATCHED)[number];

/** A change that the API server tells a watch of. */
export interface WatchedEvent {
  kind: Watched;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  name: string;
  resourceVersion: string;
}

/** `hold`: this one and all after it of this kind wait for the release. `drop`: the watch never shows it. */
export type Ruling = 'pass' | 'hold' | 'drop';

/** Stands in the watches of one operator and decides on each single event. */
export interface WatchGate {
  /** Every event so far, whatever became of it. */
  events: readonly WatchedEvent[];
  /** Kinds whose watch is open. */
  open(): Watched[];
  /** The newest revision that the operator has seen of a kind. */
  shown(kind: Watched): bigint;
  judge(ruling: (event: WatchedEvent) => Ruling): void;
  /** What is held goes on its way, in order; what comes later passes. */
  release(): void;
  /** Ends the watch of a kind as the API server does when history is gone: the operator must list anew. */
  forceList(kind: Watched): void;
  /** From now on lists show how it was at that revision, and watches go on from there. */
  showPast(kinds: ReadonlySet<Watched>, resourceVersion: bigint): void;
}

const EXPIRED = JSON.stringify({
  type: 'ERROR',
  object: {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'too old resource version',
    reason: 'Expired',
    code: 410,
  },
});

export function createWatchGate(proxy: FaultProxy): WatchGate {
  const events: WatchedEvent[] = [];
  const streams = new Map<Watched, LineStream>();
  const shown = new Map<Watched, bigint>();
  const held = new Set<Watched>();
  let released = Promise.withResolvers<void>();
  let rule: (event: WatchedEvent) => Ruling = () => 'pass';
  let past: { kinds: ReadonlySet<Watched>; resourceVersion: bigint } | undefined;

  function open(request: ProxiedRequest, stream: LineStream): LineFilter {
    const kind = watchedBy(request.path);
    if (kind === undefined) return line => line;
    streams.set(kind, stream);
    return async line => {
      if (held.has(kind)) await released.promise;
      const { type, object } = JSON.parse(line) as {
        type: WatchedEvent['type'] | 'BOOKMARK' | 'ERROR';
        object: { metadata: { name: string; resourceVersion?: string } };
      };
      const { resourceVersion } = object.metadata;
      if (type === 'ERROR' || resourceVersion === undefined) return line;
      if (type !== 'BOOKMARK') {
        const event = { kind, type, name: object.metadata.name, resourceVersion };
        events.push(event);
        const ruling = rule(event);
        if (ruling === 'drop') return undefined;
        if (ruling === 'hold') {
          held.add(kind);
          await released.promise;
        }
      }
      shown.set(kind, BigInt(resourceVersion));
      return line;
    };
  }

  proxy.addRule({
    method: 'GET',
    isWatch: false,
    match: ({ path }) => {
      const kind = collectionOf(path);
      return kind !== undefined && past?.kinds.has(kind) === true;
    },
    action: {
      kind: 'rewrite',
      path: path => {
        const query = `resourceVersion=${past?.resourceVersion}&resourceVersionMatch=Exact`;
        // A page token carries the revision already.
        return path.includes('continue=') ? path : `${path}${path.includes('?') ? '&' : '?'}${query}`;
      },
    },
  });
  proxy.addRule({
    isWatch: true,
    match: ({ path }) => watchedBy(path) !== undefined,
    action: { kind: 'lines', open },
  });

  return {
    events,
    open: () => [...streams.keys()],
    shown: kind => shown.get(kind) ?? 0n,
    judge: ruling => void (rule = ruling),
    release() {
      rule = () => 'pass';
      past = undefined;
      held.clear();
      released.resolve();
      released = Promise.withResolvers();
    },
    forceList(kind) {
      streams.get(kind)?.write(EXPIRED);
      streams.get(kind)?.end();
    },
    showPast: (kinds, resourceVersion) => void (past = { kinds, resourceVersion }),
  };
}

function watchedBy(path: string): Watched | undefined {
  return /[?&]watch=(true|1)(&|$)/.test(path) ? collectionOf(path) : undefined;
}

/** What a list or a watch is of; undefined for a single object and for other kinds. */
function collectionOf(path: string): Watched | undefined {
  const { pathname, searchParams } = new URL(path, 'http://api');
  if (pathname.endsWith('/cloudaccounts')) return 'accounts';
  if (!pathname.endsWith('/secrets')) return undefined;
  return searchParams.get('fieldSelector')?.startsWith('type!=') ? 'sources' : 'copies';
}
