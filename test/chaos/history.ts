import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import type { Version } from './recorder.ts';

/** What a provider said of a credential, as the cloud told it: whole, and in its own words. */
export interface Verdict {
  at: number;
  /** Whose credential it is. */
  account: string;
  /** Names the credential, never by its bytes. */
  credential: string;
  says: 'accepted' | 'refused';
  /** Index of the process that asked. */
  process: number;
  /** The same check was refused before: it makes several calls. */
  isRepeat?: true;
}

/** Whose a credential is. */
export interface Owner {
  /** Names it, never by its bytes. */
  credential: string;
  /** The account that may publish it; absent: none. */
  account: string | undefined;
  /** It is good for no more than this. */
  only?: 'ReadOnly';
}

export interface Span {
  from: number;
  /** Infinity while it lasts. */
  to: number;
}

/** One process of an operator. */
export interface Process {
  startedAt: number;
  /** By how much its wall clock was ahead, from when on; never empty. */
  clock: { at: number; aheadMs: number }[];
  /** While it was frozen. */
  pauses: Span[];
}

/** What keeps an operator from doing in time what it must do. */
export interface Disturbance extends Span {
  /** Accounts of others go on. */
  provider?: string;
  /** Accounts of other names go on. */
  accounts?: readonly string[];
}

/** One object of an account's name. */
export interface Life {
  /** When the one before began to go, or the first one to be made. */
  from: number;
  uid: string;
}

/** Everything that is known of a run. Times in milliseconds since the epoch, by the clock of the run. */
export interface History {
  accounts: readonly Version<CloudAccount>[];
  copies: readonly Version<Secret>[];
  verdicts: readonly Verdict[];
  /** By {@link bytesOf}. */
  credentials: ReadonlyMap<string, Owner>;
  /** Resource versions of copies as the run itself left them. */
  tampered: ReadonlySet<string>;
  /** When the run took a copy away from an account or made it worthless, by the account's name. */
  losses: ReadonlyMap<string, readonly number[]>;
  /** By the account's name, ascending. */
  lives: ReadonlyMap<string, readonly Life[]>;
  processes: readonly Process[];
  disturbances: readonly Disturbance[];
  /** Requested rechecks, by the account's name. */
  rechecks: ReadonlyMap<string, readonly { at: number; value: string; uid: string }[]>;
  /** When the watches of the run itself were interrupted: versions may be missing there. */
  gaps: readonly number[];
}

export interface Violation {
  rule: string;
  account: string;
  at: number;
  what: string;
}

/** A check ends at most so long after the provider gave its first answer; longer where the process was frozen. */
export const LONGEST_CHECK_MS = 17_000;

/** What tells a credential from all others: its fields together, since accounts may share a key or a name. */
export function bytesOf(values: readonly string[]): string {
  return values
    .map(value => value.trim())
    .sort()
    .join('\0');
}

/** The same of what a copy holds. */
export function bytesIn({ data = {} }: Secret): string {
  return bytesOf(Object.values(data).map(value => Buffer.from(value, 'base64').toString()));
}

/** For how long something lasted within a time. */
export function overlap(spans: readonly Span[], from: number, to: number): number {
  return spans.reduce((sum, span) => sum + Math.max(0, Math.min(span.to, to) - Math.max(span.from, from)), 0);
}

/** When the check that got a verdict had ended at the latest. */
export function checkEnd({ at, process }: Verdict, { processes }: History): number {
  const pauses = processes[process]?.pauses ?? [];
  const end = at + LONGEST_CHECK_MS;
  return end + overlap(pauses, at, end);
}

/** By how much the clock of the process that asked was ahead, from the call to the end of the check. */
export function aheadDuring(verdict: Verdict, history: History): number[] {
  const clock = history.processes[verdict.process]?.clock ?? [];
  const end = checkEnd(verdict, history);
  return clock
    .filter(({ at }, index) => at <= end && (clock[index + 1]?.at ?? Infinity) >= verdict.at)
    .map(({ aheadMs }) => aheadMs);
}
