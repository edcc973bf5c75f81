import type { Budget } from './provider.ts';
import type { Buckets } from './budget.ts';

export interface LineOptions {
  /** Checks at the same time. */
  concurrency: number;
  scope: Budget['scope'];
  buckets: Buckets;
  /** Default: the system's. */
  timers?: Timers;
}

/** A monotonic clock in milliseconds with its timers. */
export interface Timers {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

export const SYSTEM_TIMERS: Timers = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: handle => clearTimeout(handle as NodeJS.Timeout),
};

/** The answer to waiting: a place that must be given back, or why there will be none. */
export type Place =
  | {
      kind: 'granted';
      /** To be told of each call; the first was paid on entering, so that places are not given beyond the budget. */
      count: () => void;
      leave: () => void;
    }
  | NoPlace;

/**
 * Nobody was asked, so it says nothing about provider or credential. `turnedAway`: our own budget is used up, or the provider
 * asked for a pause in answer to another check; not before so long. `aborted`: by the caller.
 */
export type NoPlace = { kind: 'turnedAway'; retryAfterMs: number } | { kind: 'aborted' };

/** The checks of one provider, first come, first served; those of other providers never wait for them. */
export interface Line {
  /**
   * Waits for a free place, and for the budget of all. A credential whose own budget is used up or blocked is turned away at
   * once, so that it holds nobody up; a provider that blocks us altogether turns everybody away.
   */
  enter(credentialKey: string, signal: AbortSignal): Promise<Place>;
  /** Milliseconds for which no check of this credential (or of the provider, by scope) begins. */
  block(credentialKey: string, ms: number): void;
  close(): void;
}

interface Waiting {
  key: string;
  decide: (place: Place) => void;
  /** Aborted or turned away while in line. */
  gone: boolean;
}

const EVERYBODY = 'everybody';
/**
 * For how long two credentials that met a 429 hold up all others where the scope of the limit is not known: long enough
 * not to hammer a provider that counts by address, short enough for those that only had bad company.
 */
const SUSPECTED_MS = 60_000;
/** setTimeout fires at once beyond 2^31-1 ms; looking again costs nothing. */
const MAX_TIMER_MS = 60_000;

export function createLine({ concurrency, scope, buckets, timers = SYSTEM_TIMERS }: LineOptions): Line {
  const waiting: Waiting[] = [];
  let head = 0;
  let running = 0;
  let timer: unknown;
  let lastBlocked = EVERYBODY;

  /** Whose bucket the calls of a credential are taken from. */
  function bucketKey(credentialKey: string): string {
    return scope === 'credential' ? credentialKey : EVERYBODY;
  }

  /** Why this credential will not be checked soon; that everybody's budget is used up is no reason, only a wait. */
  function refusal(key: string): Place | undefined {
    const own = buckets.wait(key);
    const all = scope === 'credential' ? undefined : buckets.wait(EVERYBODY);
    const wait = all?.blocked === true ? all : own;
    if (wait === undefined) return undefined;
    return { kind: 'turnedAway', retryAfterMs: Math.ceil(wait.waitMs) };
  }

  function block(key: string, ms: number): void {
    if (scope === 'egress') return buckets.block(EVERYBODY, ms);
    buckets.block(key, ms);
    if (scope !== 'unknown') return;
    const alsoBlocked = lastBlocked !== key && buckets.wait(lastBlocked)?.blocked === true;
    if (alsoBlocked) buckets.block(EVERYBODY, Math.min(ms, SUSPECTED_MS));
    lastBlocked = key;
  }

  function pump(): void {
    timers.clearTimeout(timer);
    timer = undefined;
    for (let next = waiting[head]; next !== undefined && running < concurrency; next = waiting[head]) {
      const refused = next.gone ? undefined : refusal(next.key);
      if (!next.gone && refused === undefined) {
        const wait = buckets.wait(bucketKey(next.key));
        if (wait !== undefined) {
          timer = timers.setTimeout(pump, Math.min(Math.ceil(wait.waitMs), MAX_TIMER_MS));
          break;
        }
      }
      head += 1;
      if (!next.gone) next.decide(refused ?? grant(next.key));
    }
    // Those who were served are dropped in blocks: shifting each would move the whole line each time.
    if (head === waiting.length || head >= 1024) {
      waiting.splice(0, head);
      head = 0;
    }
  }

  function grant(key: string): Place {
    running += 1;
    buckets.take(bucketKey(key));
    let calls = 0;
    let left = false;
    return {
      kind: 'granted',
      count: () => {
        calls += 1;
        if (calls > 1) buckets.take(bucketKey(key));
      },
      leave: () => {
        if (left) return;
        left = true;
        running -= 1;
        pump();
      },
    };
  }

  function enter(key: string, signal: AbortSignal): Promise<Place> {
    const aborted: Place = { kind: 'aborted' };
    if (signal.aborted) return Promise.resolve(aborted);
    const refused = refusal(key);
    if (refused !== undefined) return Promise.resolve(refused);
    return new Promise(resolve => {
      const entry: Waiting = { key, gone: false, decide };
      function decide(place: Place): void {
        entry.gone = true;
        signal.removeEventListener('abort', abort);
        resolve(place);
      }
      function abort(): void {
        decide(aborted);
      }
      signal.addEventListener('abort', abort, { once: true });
      waiting.push(entry);
      pump();
    });
  }

  return {
    enter,
    block: (key, ms) => {
      block(key, ms);
      // Those in line behind it learn it now, and not one by one as places get free.
      for (const entry of waiting.slice(head)) {
        const concerned = !entry.gone && (scope !== 'credential' || entry.key === key);
        const refused = concerned ? refusal(entry.key) : undefined;
        if (refused !== undefined) entry.decide(refused);
      }
      pump();
    },
    close: () => timers.clearTimeout(timer),
  };
}
