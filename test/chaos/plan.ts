import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';
import type { Fault } from '../clouds/faults.ts';

/** What a Secret is changed to. */
export type Replacement =
  /** Another credential of the same cloud account. */
  | 'good'
  /** The one before it, whatever became of it. */
  | 'previous'
  | 'revoked'
  /** Refused by the offline check, where the provider has one. */
  | 'malformed'
  /** Of another cloud account; only where the provider tells whose a credential is. */
  | 'foreign';

/** One thing that is done to the world. Accounts are named by their number. */
export type Deed =
  | { kind: 'replace'; account: number; with: Replacement }
  | {
      kind:
        | 'touch Secret'
        | 'delete Secret'
        | 'revoke'
        | 'restore'
        | 'recheck'
        | 'suspend'
        | 'resume'
        | 'rename copy'
        | 'edit copy'
        | 'edit proof'
        | 'delete copy'
        | 'recreate account';
      account: number;
    }
  | { kind: 'fault'; provider: ProviderName; fault: Fault }
  | { kind: 'mend'; provider: ProviderName }
  | { kind: 'kill operator'; downMs: number }
  | { kind: 'restart API server'; signal: 'SIGTERM' | 'SIGKILL' };

export interface Planned {
  /** Milliseconds since the beginning. What takes longer puts off all that follows; the order stays. */
  at: number;
  deed: Deed;
}

export interface PlanOptions {
  seed: number;
  accounts: number;
  ms: number;
}

/** A number in [0, 1) each time (mulberry32); the same ones for the same seed. */
export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How often each happens, relative to the others. */
const WEIGHTS: Readonly<Record<Deed['kind'], number>> = {
  replace: 30,
  'touch Secret': 6,
  'delete Secret': 3,
  revoke: 6,
  restore: 6,
  recheck: 12,
  suspend: 2,
  resume: 3,
  'rename copy': 5,
  'edit copy': 6,
  'edit proof': 3,
  'delete copy': 4,
  'recreate account': 3,
  fault: 12,
  mend: 0,
  'kill operator': 2,
  'restart API server': 0,
};

const REPLACEMENTS: readonly Replacement[] = [
  'good',
  'good',
  'good',
  'previous',
  'previous',
  'revoked',
  'malformed',
  'foreign',
];

/** None of these says anything about a credential, but the last. `Retry-After` is short: so is the run. */
export const FAULTS: readonly Fault[] = [
  { kind: 'reset' },
  { kind: 'reset', afterBytes: 40 },
  { kind: 'truncate', afterBytes: 60 },
  { kind: 'hang' },
  { kind: 'latency', ms: 1_500 },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, retryAfter: '2' },
  { kind: 'throttle', retryAfter: '2' },
  { kind: 'maintenance' },
  { kind: 'html', status: 403 },
  { kind: 'html', status: 200 },
  { kind: 'invalidUtf8' },
  { kind: 'redirect', location: 'https://example.invalid/' },
  { kind: 'status', status: 401 },
];

const LONGEST_FAULT_MS = 8_000;
const LONGEST_DOWN_MS = 1_500;
/** One deed each so many milliseconds, on average. */
const PACE_MS = 150;
/** In the last part faults end and none begins. */
const CALM_MS = 1_000;

/** The deeds of a run in order. The same options give the same plan. */
export function planOf({ seed, accounts, ms }: PlanOptions): Planned[] {
  const random = createRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const oneOf = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const planned: Planned[] = [];
  const faultyUntil = new Map<ProviderName, number>();
  const kinds = (Object.keys(WEIGHTS) as Deed['kind'][]).flatMap(kind =>
    Array.from({ length: WEIGHTS[kind] }, () => kind),
  );

  function deedOf(kind: Deed['kind'], at: number): Deed | undefined {
    switch (kind) {
      case 'replace':
        return { kind, account: below(accounts), with: oneOf(REPLACEMENTS) };
      case 'fault': {
        const provider = oneOf(PROVIDER_NAMES);
        const fault = oneOf(FAULTS);
        const until = Math.min(ms - CALM_MS, at + 500 + below(LONGEST_FAULT_MS));
        // One at a time: two would make answers that no provider gives.
        if (until <= at || (faultyUntil.get(provider) ?? 0) >= at) return undefined;
        faultyUntil.set(provider, until);
        planned.push({ at: until, deed: { kind: 'mend', provider } });
        return { kind, provider, fault };
      }
      case 'kill operator':
        return { kind, downMs: below(LONGEST_DOWN_MS) };
      case 'mend':
      case 'restart API server':
        return undefined;
      default:
        return { kind, account: below(accounts) };
    }
  }

  for (let at = 0; at < ms; at += 1 + below(2 * PACE_MS)) {
    const deed = deedOf(oneOf(kinds), at);
    if (deed !== undefined) planned.push({ at, deed });
  }
  // In every run, however short; each restart costs it some seconds.
  planned.push({ at: ms / 3, deed: { kind: 'kill operator', downMs: 300 } });
  for (let at = ms / 2; at < ms; at += 60_000)
    planned.push({
      at,
      deed: { kind: 'restart API server', signal: random() < 0.5 ? 'SIGKILL' : 'SIGTERM' },
    });
  return planned.sort((a, b) => a.at - b.at);
}
