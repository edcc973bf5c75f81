import { randomUUID } from 'node:crypto';
import { jitteredBackoff, pause } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { isKubeError, isNotFound } from './errors.ts';
import type { Resource } from './resource.ts';

export interface Regarding {
  apiVersion: string;
  kind: string;
  /** Absent for a cluster-scoped object; its events go to `default`, as kubectl expects. */
  namespace?: string | undefined;
  name: string;
  /** Where it is known; `kubectl events --for` goes by kind and name, `kubectl describe` by this. */
  uid?: string | undefined;
  resourceVersion?: string | undefined;
}

export interface EventNote {
  type: 'Normal' | 'Warning';
  /** Why, as a machine reads it: UpperCamelCase, at most 128 characters. */
  reason: string;
  /** What was done, UpperCamelCase, at most 128 characters. */
  action: string;
  /** For people; cut to 1 kB. */
  note: string;
}

export interface EventRecorderOptions {
  client: KubeClient;
  /** A domain and a name, such as `example.com/my-operator`. */
  reportingController: string;
  /** Mostly the pod's name. */
  reportingInstance: string;
  /** Wall clock, in milliseconds. */
  now?: () => number;
  /** Within that an equal event is counted on the one before; 6 minutes by default, as in client-go. */
  windowMs?: number;
  /** Shortest time between two updates of one series; 30 s by default. */
  seriesIntervalMs?: number;
  /**
   * Events that may wait to be sent; more are dropped. 10,000 by default, as many as are remembered anyway: with
   * client-go's 1,000, a first sight of 5,000 objects lost two events of three.
   */
  queueLimit?: number;
  /** Requests under way at the same time: 2 by default, events must not crowd out what they speak of. */
  concurrency?: number;
  /** An event was given up: the queue was full, or the API server did not take it. */
  onDropped?: (why: unknown) => void;
}

export interface EventRecorder {
  /** Never waits, never throws. */
  record(regarding: Regarding, event: EventNote): void;
  /** Resolves once everything recorded so far is sent or given up, series that wait for their interval included. */
  flush(): Promise<void>;
  /** Takes nothing more and gives up what was not sent; call `flush` before. */
  stop(): void;
}

const EVENTS: Resource = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};
/** The API server's own limit of a note, in bytes (k8s.io/kubernetes/pkg/apis/core/validation/events.go). */
const NOTE_LIMIT_BYTES = 1024;
const MAX_TRIES = 4;
/** Kinds of events that are remembered for their series. */
const SERIES_LIMIT = 10_000;

interface Series {
  identity: string;
  regarding: Regarding;
  event: EventNote;
  namespace: string;
  name: string | undefined;
  firstAt: number;
  lastAt: number;
  count: number;
  /** `count` as the API server has it; 0 before the event was made. */
  sentCount: number;
  sentAt: number;
  /** In line or on its way; a second request at the same time could make a second object. */
  busy: boolean;
}

/** Writes events.k8s.io/v1 events; an equal event within the window becomes a series, not another object. */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const {
    client,
    windowMs = 360_000,
    seriesIntervalMs = 30_000,
    queueLimit = SERIES_LIMIT,
    concurrency = 2,
  } = options;
  const now = options.now ?? Date.now;
  const stopped = new AbortController();
  const known = new Map<string, Series>();
  const waiting: Series[] = [];
  const timers = new Map<Series, NodeJS.Timeout>();
  let running = 0;
  let idle: (() => void)[] = [];

  function record(regarding: Regarding, event: EventNote): void {
    if (stopped.signal.aborted) return;
    const identity = JSON.stringify([
      regarding.uid ?? regarding,
      event.type,
      event.reason,
      event.action,
      event.note,
    ]);
    const at = now();
    const previous = known.get(identity);
    if (previous !== undefined && at - previous.lastAt <= windowMs) {
      previous.count++;
      previous.lastAt = at;
      const dueIn = previous.sentCount === 0 ? 0 : previous.sentAt + seriesIntervalMs - at;
      if (dueIn > 0) later(previous, dueIn);
      else enqueue(previous);
      return;
    }
    const series: Series = {
      identity,
      regarding,
      event,
      namespace: regarding.namespace ?? 'default',
      name: undefined,
      firstAt: at,
      lastAt: at,
      count: 1,
      sentCount: 0,
      sentAt: -Infinity,
      busy: false,
    };
    // The newest last, so that the oldest is the one to forget.
    known.delete(identity);
    known.set(identity, series);
    if (known.size > SERIES_LIMIT) known.delete(known.keys().next().value ?? identity);
    enqueue(series);
  }

  function later(series: Series, ms: number): void {
    // Nothing is told any more: a flush that waits for it would turn round for ever.
    if (stopped.signal.aborted || series.busy || timers.has(series)) return;
    const timer = setTimeout(() => {
      timers.delete(series);
      enqueue(series);
    }, ms);
    // A count that is not told yet keeps no process alive.
    timer.unref();
    timers.set(series, timer);
  }

  function enqueue(series: Series): void {
    if (series.busy) return;
    if (waiting.length >= queueLimit) {
      forget(series);
      options.onDropped?.('the queue is full');
      return;
    }
    series.busy = true;
    waiting.push(series);
    if (running < concurrency) void drain();
  }

  async function drain(): Promise<void> {
    running++;
    for (let series = waiting.shift(); series !== undefined; series = waiting.shift()) {
      await send(series);
      series.busy = false;
      // Seen again while it was on its way.
      if (series.count > series.sentCount && series.sentCount > 0) later(series, seriesIntervalMs);
    }
    running--;
    if (running > 0) return;
    const resolvers = idle;
    idle = [];
    for (const resolve of resolvers) resolve();
  }

  async function send(series: Series): Promise<void> {
    for (let tries = 1; !stopped.signal.aborted; tries++) {
      try {
        await (series.sentCount === 0 ? create(series) : update(series));
        return;
      } catch (error) {
        // Its hour (--event-ttl) was over: the next one is an event of its own.
        if (isNotFound(error) && series.sentCount > 0) {
          series.sentCount = 0;
          continue;
        }
        if (!isPassing(error) || tries === MAX_TRIES) {
          forget(series);
          options.onDropped?.(error);
          return;
        }
        await pause(jitteredBackoff(tries, { baseMs: 500, maxMs: 10_000 }), stopped.signal);
      }
    }
  }

  function forget(series: Series): void {
    if (known.get(series.identity) === series) known.delete(series.identity);
  }

  async function create(series: Series): Promise<void> {
    const { regarding, event, namespace, count } = series;
    const name = `${regarding.name.slice(0, 200)}.${randomUUID()}`;
    await client.create(
      EVENTS,
      {
        metadata: { name, namespace },
        eventTime: microTime(series.firstAt),
        reportingController: options.reportingController,
        reportingInstance: options.reportingInstance.slice(0, 128),
        type: event.type,
        reason: event.reason,
        action: event.action,
        note: cutToBytes(event.note, NOTE_LIMIT_BYTES),
        regarding,
        ...(count > 1 && { series: seriesOf(series) }),
      },
      { signal: stopped.signal },
    );
    Object.assign(series, { name, sentCount: count, sentAt: now() });
  }

  async function update(series: Series): Promise<void> {
    const { count, namespace, name = '' } = series;
    if (count === series.sentCount) return;
    await client.patch(EVENTS, { namespace, name }, { series: seriesOf(series) }, { signal: stopped.signal });
    Object.assign(series, { sentCount: count, sentAt: now() });
  }

  async function flush(): Promise<void> {
    do {
      for (const [series, timer] of timers) {
        clearTimeout(timer);
        enqueue(series);
      }
      timers.clear();
      if (running > 0) await new Promise<void>(resolve => idle.push(resolve));
      // What was seen again while it was on its way waits for its interval now.
    } while (timers.size > 0);
  }

  function stop(): void {
    stopped.abort();
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    waiting.length = 0;
  }

  return { record, flush, stop };
}

function seriesOf(series: Series): { count: number; lastObservedTime: string } {
  return { count: series.count, lastObservedTime: microTime(series.lastAt) };
}

/** Refusals of the API server (no rights, the namespace ends, not valid) are for good; nobody waits for an event. */
function isPassing(error: unknown): boolean {
  if (!isKubeError(error)) return false;
  const { code, status = 0 } = error;
  return code === 'KUBE_HTTP' ? status === 429 || status >= 500 : code !== 'KUBE_ABORTED';
}

/** metav1.MicroTime: always six digits. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

function cutToBytes(text: string, limit: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= limit) return text;
  const mark = '…';
  let end = limit - Buffer.byteLength(mark);
  // Not within a character: continuation bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end) + mark;
}
