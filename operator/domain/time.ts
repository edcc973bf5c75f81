/** Status times are RFC 3339 in UTC with whole seconds, as Kubernetes writes them. */

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Milliseconds since the epoch → `2026-01-02T03:04:05Z`; fractions of a second are cut. */
export function toTimestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** RFC 3339 text → milliseconds since the epoch; undefined where it is absent or not a time. */
export function fromTimestamp(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

const UNITS = { h: HOUR, m: MINUTE, s: SECOND } as const;

/** Go duration text of hours, minutes and seconds (`24h`, `1h30m`) → milliseconds; undefined for other text. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+h)?(\d+m)?(\d+s)?$/.test(text) || text === '') return undefined;
  return [...text.matchAll(/(\d+)([hms])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * UNITS[unit as keyof typeof UNITS],
    0,
  );
}

/**
 * Whether a time of the past lies ahead: it was written under a clock that ran ahead and was set right since. The clocks
 * of two replicas may differ by seconds, which is no reason to write anything down anew.
 */
export function isAhead(time: number, now: number): boolean {
  return time > now + MINUTE;
}

/**
 * Whether a time that was written down is further from now than any plan or window reaches: the wall clock was set back
 * since. What was planned under the other time would keep checks away for as long as the clock was wrong.
 */
export function isBeyond(time: number, now: number): boolean {
  return time > now + DAY;
}
