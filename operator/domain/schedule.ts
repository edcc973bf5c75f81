import type { RefusalsStatus } from '../api/cloudaccount.generated.ts';
import { DAY, fromTimestamp, HOUR, isBeyond, MINUTE, SECOND, toTimestamp } from './time.ts';

/** When refusals are asked again: offsets from the first one, in milliseconds, ascending. */
export interface Timing {
  /** `--confirm-after`: a credential in force is demoted by the refusal at the last offset. */
  confirmAfter: readonly number[];
  /** `--retry-refused-after`: a refused candidate, before it falls into the daily rhythm. */
  retryRefusedAfter: readonly number[];
}

export const DEFAULT_TIMING: Timing = {
  confirmAfter: [5 * MINUTE, 10 * MINUTE],
  retryRefusedAfter: [1 * MINUTE, 10 * MINUTE],
};

export const DEFAULT_INTERVAL = DAY;

/** Promise to providers: checks of one account that end in a refusal, whatever triggers them. */
export const REFUSALS_PER_HOUR = 6;
export const REFUSALS_PER_DAY = 24;

/** Causes that are mended at the provider, not in the Secret, are asked hourly for a while. */
const HOURLY_RETRIES = 18;

const BACKOFF_MIN = 10 * SECOND;
const BACKOFF_MAX = HOUR;

/** A number in [0, 1) fixed by the UID (FNV-1a), so that schedules spread and stay put across restarts. */
export function fractionOf(uid: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < uid.length; i++) hash = Math.imul(hash ^ uid.charCodeAt(i), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
}

/**
 * The next scheduled check: the interval less up to 10 %, or a minute after the credential expires where that is
 * earlier. All times in milliseconds since the epoch.
 */
export function nextCheckAt(last: number, intervalMs: number, uid: string, expiresAt?: number): number {
  const regular = last + intervalMs * (1 - 0.1 * fractionOf(uid));
  const afterExpiry = expiresAt === undefined ? Infinity : expiresAt + MINUTE;
  return afterExpiry > last ? Math.min(regular, afterExpiry) : regular;
}

/**
 * When a refused candidate is asked again; undefined: with the daily check.
 * @param attempts refusals of this candidate so far, at least 1
 * @param mendable mended at the provider (allow-list, permission, locked account), so that the bytes stay the same
 */
export function retryRefusedAt(
  now: number,
  attempts: number,
  mendable: boolean,
  { retryRefusedAfter }: Timing,
): number | undefined {
  const offset = retryRefusedAfter[attempts - 1];
  if (offset !== undefined) return now + offset - (retryRefusedAfter[attempts - 2] ?? 0);
  return mendable && attempts <= retryRefusedAfter.length + HOURLY_RETRIES ? now + HOUR : undefined;
}

/**
 * Delay before an answer that was not definitive is asked again: exponential from 10 s to 1 h with up to half of it
 * taken off at random, never before the provider's own `Retry-After`.
 * @param attempts answers of this kind in a row, at least 1
 * @param random in [0, 1)
 */
export function backoff(attempts: number, random: number, retryAfterMs = 0): number {
  const full = Math.min(BACKOFF_MAX, BACKOFF_MIN * 2 ** Math.min(attempts, 20));
  return Math.max(full * (1 - 0.5 * random), BACKOFF_MIN, retryAfterMs);
}

/**
 * From when on a check may be made without breaking the caps on refusals (milliseconds since the epoch; in the
 * past or 0: now).
 * @param hourly times of refusals that this process knows of, ascending
 */
export function checksAllowedFrom(
  now: number,
  hourly: readonly number[],
  daily: RefusalsStatus | undefined,
): number {
  const recent = hourly.filter(time => time > now - HOUR && !isBeyond(time, now));
  const afterHour = (recent.at(-REFUSALS_PER_HOUR) ?? -Infinity) + HOUR;
  const window = refusalsInWindow(daily, now);
  const since = fromTimestamp(window?.since);
  const isSpent = window !== undefined && window.count >= REFUSALS_PER_DAY;
  const afterDay = isSpent && since !== undefined ? since + DAY : -Infinity;
  return Math.max(0, afterHour, afterDay);
}

/** Counts one more refusal into the window of 24 h that begins with the first. */
export function countRefusal(daily: RefusalsStatus | undefined, now: number): RefusalsStatus {
  const window = refusalsInWindow(daily, now) ?? { since: toTimestamp(now), count: 0 };
  return { since: window.since, count: window.count + 1 };
}

/** The window while it lasts; undefined once it is over. */
export function refusalsInWindow(daily: RefusalsStatus | undefined, now: number): RefusalsStatus | undefined {
  const since = fromTimestamp(daily?.since);
  return since !== undefined && now < since + DAY && !isBeyond(since, now) ? daily : undefined;
}

/** What {@link startOffsets} needs of an account. */
export interface Scheduled {
  uid: string;
  provider: string;
  intervalMs: number;
  nextCheckAt: number;
}

/** Checks a second per provider when accounts are overdue by more than an interval at start. */
const CATCH_UP_RATE = 5;

/**
 * When overdue checks are made after a start, so that there is no herd: spread over min(10 min, overdue ÷ 4) by
 * UID; overdue by more than an interval: at once, oldest first, at most five a second per provider.
 * @returns UID → earliest time of the check, milliseconds since the epoch; only accounts that are overdue
 */
export function startOffsets(accounts: readonly Scheduled[], startedAt: number): Map<string, number> {
  const earliest = new Map<string, number>();
  const queued = new Map<string, number>();
  const overdue = accounts.filter(account => account.nextCheckAt < startedAt);
  for (const { uid, provider, intervalMs, nextCheckAt } of overdue.sort(
    (a, b) => a.nextCheckAt - b.nextCheckAt,
  )) {
    const lateBy = startedAt - nextCheckAt;
    if (lateBy <= intervalMs) {
      earliest.set(uid, startedAt + fractionOf(uid) * Math.min(10 * MINUTE, lateBy / 4));
      continue;
    }
    const position = queued.get(provider) ?? 0;
    queued.set(provider, position + 1);
    earliest.set(uid, startedAt + (position * SECOND) / CATCH_UP_RATE);
  }
  return earliest;
}
