import { randomOf } from '../random.ts';
import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';
import type { Fault } from '../clouds/faults.ts';
import { CALLS } from './verdicts.ts';
import { DENIABLE, type Deniable, type Denial, DENIALS } from './webhook.ts';

/** What a Secret is changed to. */
export type Replacement =
  /** Another credential of the same cloud account. */
  | 'good'
  /** The one before it, whatever became of it. */
  | 'previous'
  | 'revoked'
  /** Refused by the offline check, where the provider has one. */
  | 'malformed'
  /** Good for less than `access: ReadWrite` asks, where the provider tells. */
  | 'weak'
  /** Of another cloud account; only where the provider tells whose a credential is. */
  | 'foreign';

/** What somebody makes of the proof of a copy. */
export const PROOFS = ['empty', 'without permissions', 'to come', 'with more rights', 'no JSON'] as const;
export type ProofEdit = (typeof PROOFS)[number];

/** What an operator watches. */
export const WATCHED = ['accounts', 'sources', 'copies'] as const;
export type Watched = (typeof WATCHED)[number];

/** Requests of an operator that a gateway may answer instead of the API server. */
export const ANSWERED = [
  'read Secret',
  'write copy',
  'write status',
  'read account',
  'list',
  'lease',
] as const;
export type Answered = (typeof ANSWERED)[number];
export const GATEWAY_STATUSES = [403, 404, 409, 410, 422, 502] as const;

/** What somebody does who may write Secrets in the namespace, where no admission policy keeps him from it. */
export type Hostility =
  | { kind: 'edit proof'; account: number; how: ProofEdit }
  | { kind: 'disown copy'; account: number; for: 'nobody' | 'another account' }
  | {
      kind: 'rename to taken' | 'vacate name' | 'label copy' | 'hold copy' | 'release copy' | 'forge copy';
      account: number;
    };

/** One thing that is done to the world. Accounts and operators are named by their number. */
export type Deed =
  | Hostility
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
        | 'rekey copy'
        | 'change access'
        | 'edit copy'
        | 'delete copy'
        | 'recreate account';
      account: number;
    }
  /** `call`: this one alone fails, and the others of a check answer well. */
  | { kind: 'fault'; provider: ProviderName; fault: Fault; call?: string }
  | { kind: 'mend'; provider: ProviderName }
  | { kind: 'kill operator'; operator: number; downMs: number }
  /** Ends well, and hands over. */
  | { kind: 'stop operator'; operator: number; downMs: number }
  | { kind: 'freeze operator' | 'thaw operator'; operator: number }
  | { kind: 'set clock'; operator: number; aheadMs: number }
  | { kind: 'half-open watch' | 'resume watch'; operator: number; watched: Watched }
  | { kind: 'break connections'; operator: number; how: 'reset' | 'fin' }
  | { kind: 'gateway'; operator: number; on: Answered; status: number; times: number }
  | { kind: 'deny'; what: Deniable; how: Denial }
  | { kind: 'allow'; what: Deniable }
  | { kind: 'recreate namespace' }
  | { kind: 'restart API server'; signal: 'SIGTERM' | 'SIGKILL' };

export interface Planned {
  /** Milliseconds since the beginning. What takes longer puts off all that follows; the order stays. */
  at: number;
  deed: Deed;
}

export interface PlanOptions {
  seed: number;
  accounts: number;
  /** Two or more elect a leader. */
  operators: number;
  ms: number;
}

/** How often each happens, relative to the others. What ends something, or is planned by the clock, has none. */
const WEIGHTS: Partial<Record<Deed['kind'], number>> = {
  replace: 30,
  'touch Secret': 6,
  'delete Secret': 3,
  revoke: 6,
  restore: 6,
  recheck: 14,
  suspend: 2,
  resume: 3,
  'rename copy': 5,
  'rename to taken': 3,
  'vacate name': 4,
  'rekey copy': 4,
  'change access': 4,
  'label copy': 4,
  'edit copy': 6,
  'edit proof': 4,
  'disown copy': 2,
  'delete copy': 4,
  'hold copy': 3,
  'release copy': 4,
  'forge copy': 3,
  'recreate account': 3,
  fault: 18,
  'kill operator': 2,
  'stop operator': 1,
  'freeze operator': 1,
  'set clock': 2,
  'half-open watch': 5,
  'break connections': 2,
  gateway: 8,
  deny: 4,
};

const REPLACEMENTS: readonly Replacement[] = [
  'good',
  'good',
  'good',
  'previous',
  'previous',
  'revoked',
  'malformed',
  'weak',
  'foreign',
];

const REFUSAL: Fault = { kind: 'status', status: 401 };

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
  // Something between the operator and the provider that speaks JSON.
  { kind: 'answer', status: 403, body: '{"id":"blocked","message":"Blocked by egress policy"}' },
  REFUSAL,
];

const LONGEST_FAULT_MS = 8_000;
const LONGEST_DOWN_MS = 1_500;
const LONGEST_HALF_OPEN_MS = 10_000;
const LONGEST_DENIAL_MS = 10_000;
/** Longer than the lease of the run (`world.ts`), so that another one takes over meanwhile. */
const FROZEN_MS = 8_000;
const HOUR_MS = 3_600_000;
/** One deed each so many milliseconds, on average. */
const PACE_MS = 150;
/** In the last part faults end and none begins. */
const CALM_MS = 1_000;

/** The deeds of a run in order. The same options give the same plan. */
export function planOf({ seed, accounts, operators, ms }: PlanOptions): Planned[] {
  const random = randomOf(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const oneOf = <T>(items: readonly T[]): T => items[below(items.length)] as T;
  const planned: Planned[] = [];
  const busyUntil = new Map<string, number>();
  const kinds = (Object.entries(WEIGHTS) as [Deed['kind'], number][]).flatMap(([kind, weight]) =>
    Array.from({ length: weight }, () => kind),
  );

  /** What lasts: one of a kind at a time, since two would make answers that nobody gives. It ends with the run. */
  function lasting(at: number, longestMs: number, key: string, begin: Deed, end: Deed): Deed | undefined {
    const until = Math.min(ms - CALM_MS, at + 500 + below(longestMs));
    if (until <= at || (busyUntil.get(key) ?? 0) >= at) return undefined;
    busyUntil.set(key, until);
    planned.push({ at: until, deed: end });
    return begin;
  }

  function faultOf(provider: ProviderName): { fault: Fault; call?: string } {
    const calls = CALLS[provider];
    if (calls.length === 1 || random() < 0.5) return { fault: oneOf(FAULTS) };
    // No provider refuses a credential at one call of a check and accepts it at the next.
    return { fault: oneOf(FAULTS.filter(fault => fault !== REFUSAL)), call: oneOf(calls) };
  }

  function deedOf(kind: Deed['kind'], at: number): Deed | undefined {
    const operator = below(operators);
    switch (kind) {
      case 'replace':
        return { kind, account: below(accounts), with: oneOf(REPLACEMENTS) };
      case 'edit proof':
        return { kind, account: below(accounts), how: oneOf(PROOFS) };
      case 'disown copy':
        return { kind, account: below(accounts), for: oneOf(['nobody', 'another account']) };
      case 'fault': {
        const provider = oneOf(PROVIDER_NAMES);
        const begin: Deed = { kind, provider, ...faultOf(provider) };
        return lasting(at, LONGEST_FAULT_MS, provider, begin, { kind: 'mend', provider });
      }
      case 'kill operator':
      case 'stop operator':
        return { kind, operator, downMs: below(LONGEST_DOWN_MS) };
      case 'freeze operator':
        return lasting(at, FROZEN_MS, 'freeze', { kind, operator }, { kind: 'thaw operator', operator });
      case 'set clock':
        return { kind, operator, aheadMs: oneOf([-HOUR_MS, 0, HOUR_MS]) };
      case 'half-open watch': {
        const watched = oneOf(WATCHED);
        const key = `watch ${operator} ${watched}`;
        const end: Deed = { kind: 'resume watch', operator, watched };
        return lasting(at, LONGEST_HALF_OPEN_MS, key, { kind, operator, watched }, end);
      }
      case 'break connections':
        return { kind, operator, how: oneOf(['reset', 'fin']) };
      case 'gateway':
        return {
          kind,
          operator,
          on: oneOf(ANSWERED),
          status: oneOf(GATEWAY_STATUSES),
          times: 1 + below(3),
        };
      case 'deny': {
        const what = oneOf(DENIABLE);
        const begin: Deed = { kind, what, how: oneOf(DENIALS) };
        return lasting(at, LONGEST_DENIAL_MS, `deny ${what}`, begin, { kind: 'allow', what });
      }
      case 'mend':
      case 'thaw operator':
      case 'resume watch':
      case 'allow':
      case 'recreate namespace':
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
  planned.push({ at: ms / 3, deed: { kind: 'kill operator', operator: 0, downMs: 300 } });
  for (let at = ms / 2; at < ms; at += 60_000)
    planned.push({
      at,
      deed: { kind: 'restart API server', signal: random() < 0.5 ? 'SIGKILL' : 'SIGTERM' },
    });
  for (let at = ms / 5; at < ms; at += 45_000) planned.push({ at, deed: { kind: 'recreate namespace' } });
  return planned.sort((a, b) => a.at - b.at);
}
