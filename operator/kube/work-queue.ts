import { createDelayHeap } from './delay-heap.ts';

export interface QueueClock {
  /** Monotonic, in milliseconds. */
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

export interface WorkQueueOptions {
  /** Delay after the first failure of a key; 10 ms by default, doubling. */
  baseDelayMs?: number;
  /** Longest delay after failures; 5 minutes by default. */
  maxDelayMs?: number;
  clock?: QueueClock;
}

/**
 * The semantics of client-go's workqueue: a key is in line at most once; while a worker has it, adding it again puts
 * it back in line when the worker is done. So a key never has two workers, and no change is lost.
 */
export interface WorkQueue {
  add(key: string): void;
  /** Adds after a delay. Of several for one key the earliest counts; `add` before that leaves it standing. */
  addAfter(key: string, delayMs: number): void;
  /** Adds after the key's backoff, which grows with each call until `forget`; not before `minimumMs`. */
  addRateLimited(key: string, minimumMs?: number): void;
  /** The key did well: its backoff begins anew. */
  forget(key: string): void;
  /** `addRateLimited` calls since the last `forget`. */
  failures(key: string): number;
  /** Next key; waits for one. undefined once the queue is shut down and empty. Each key must be given back by `done`. */
  get(): Promise<string | undefined>;
  done(key: string): void;
  /** Nothing more is added; what is in line is still given out, what waits for its time is dropped. */
  shutDown(): void;
  /** Keys in line now. */
  readonly length: number;
  /** Keys that workers have now. */
  readonly busy: number;
  /** Keys that wait for their time. */
  readonly waiting: number;
}

/** setTimeout beyond 2^31-1 ms fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const SYSTEM_CLOCK: QueueClock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: handle => clearTimeout(handle as NodeJS.Timeout),
};

export function createWorkQueue(options: WorkQueueOptions = {}): WorkQueue {
  const { baseDelayMs = 10, maxDelayMs = 300_000, clock = SYSTEM_CLOCK } = options;
  const line = createLine();
  /** Keys that need a worker: all in line, and those to go back in line when their worker is done. */
  const dirty = new Set<string>();
  const processing = new Set<string>();
  const failureCounts = new Map<string, number>();
  const takers = createLine<(key: string | undefined) => void>();
  const delayed = createDelayHeap();
  let timer: { at: number; handle: unknown } | undefined;
  let isShutDown = false;

  function offer(key: string): void {
    const taker = takers.shift();
    if (taker === undefined) {
      line.push(key);
      return;
    }
    take(key);
    taker(key);
  }

  function take(key: string): void {
    dirty.delete(key);
    processing.add(key);
  }

  function add(key: string): void {
    if (isShutDown || dirty.has(key)) return;
    dirty.add(key);
    if (!processing.has(key)) offer(key);
  }

  function addAfter(key: string, delayMs: number): void {
    if (isShutDown) return;
    if (!(delayMs > 0)) {
      add(key);
      return;
    }
    delayed.set(key, clock.now() + delayMs);
    arm();
  }

  function arm(): void {
    const next = delayed.peek();
    if (next === undefined || (timer !== undefined && timer.at <= next.at)) return;
    if (timer !== undefined) clock.clearTimeout(timer.handle);
    const ms = Math.min(LONGEST_TIMER_MS, Math.max(0, next.at - clock.now()));
    timer = { at: next.at, handle: clock.setTimeout(onTimer, Math.ceil(ms)) };
  }

  function onTimer(): void {
    timer = undefined;
    const now = clock.now();
    for (let next = delayed.peek(); next !== undefined && next.at <= now; next = delayed.peek()) {
      delayed.pop();
      add(next.key);
    }
    arm();
  }

  return {
    add,
    addAfter,
    addRateLimited(key, minimumMs = 0) {
      const failures = failureCounts.get(key) ?? 0;
      failureCounts.set(key, failures + 1);
      addAfter(key, Math.max(minimumMs, Math.min(maxDelayMs, baseDelayMs * 2 ** failures)));
    },
    forget: key => void failureCounts.delete(key),
    failures: key => failureCounts.get(key) ?? 0,
    get() {
      const key = line.shift();
      if (key !== undefined) {
        take(key);
        return Promise.resolve(key);
      }
      if (isShutDown) return Promise.resolve(undefined);
      return new Promise(resolve => takers.push(resolve));
    },
    done(key) {
      processing.delete(key);
      if (dirty.has(key)) offer(key);
    },
    shutDown() {
      isShutDown = true;
      if (timer !== undefined) clock.clearTimeout(timer.handle);
      timer = undefined;
      delayed.clear();
      for (let taker = takers.shift(); taker !== undefined; taker = takers.shift()) taker(undefined);
    },
    get length() {
      return line.length;
    },
    get busy() {
      return processing.size;
    },
    get waiting() {
      return delayed.size;
    },
  };
}

/** First in, first out, without moving every element on each take. */
function createLine<E = string>() {
  let items: E[] = [];
  let head = 0;
  return {
    push(item: E): void {
      items.push(item);
    },
    shift(): E | undefined {
      if (head === items.length) return undefined;
      const item = items[head++];
      if (head === items.length || head > 1024) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
    get length(): number {
      return items.length - head;
    },
  };
}
