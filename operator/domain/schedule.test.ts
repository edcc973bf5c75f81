import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  backoff,
  checksAllowedFrom,
  countRefusal,
  DEFAULT_TIMING,
  fractionOf,
  nextCheckAt,
  refusalsInWindow,
  retryRefusedAt,
  startOffsets,
} from './schedule.ts';
import { DAY, fromTimestamp, HOUR, MINUTE, parseDuration, SECOND, toTimestamp } from './time.ts';

const NOW = Date.UTC(2026, 5, 1);

describe('the next check', () => {
  test('comes after the interval less up to 10 %, fixed by the UID', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: HOUR, max: 168 * HOUR }), (uid, interval) => {
        const next = nextCheckAt(NOW, interval, uid);
        expect(next).toBe(nextCheckAt(NOW, interval, uid));
        expect(next).toBeGreaterThan(NOW + 0.9 * interval - 1);
        expect(next).toBeLessThanOrEqual(NOW + interval);
      }),
    );
  });

  test('comes a minute after the credential expires, where that is earlier and still to come', () => {
    expect(nextCheckAt(NOW, DAY, 'uid', NOW + HOUR)).toBe(NOW + HOUR + MINUTE);
    expect(nextCheckAt(NOW, DAY, 'uid', NOW + 9 * DAY)).toBe(nextCheckAt(NOW, DAY, 'uid'));
    expect(nextCheckAt(NOW, DAY, 'uid', NOW - HOUR)).toBe(nextCheckAt(NOW, DAY, 'uid'));
  });

  test('spreads UIDs evenly', () => {
    const tenths = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 10_000; i++) {
      const tenth = Math.floor(fractionOf(`0b1e5c3a-0000-4000-8000-${String(i).padStart(12, '0')}`) * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(300);
  });
});

describe('a refused candidate', () => {
  test('is asked again after 1 and 10 minutes from the first refusal, then not by itself', () => {
    expect(retryRefusedAt(NOW, 1, false, DEFAULT_TIMING)).toBe(NOW + MINUTE);
    expect(retryRefusedAt(NOW, 2, false, DEFAULT_TIMING)).toBe(NOW + 9 * MINUTE);
    expect(retryRefusedAt(NOW, 3, false, DEFAULT_TIMING)).toBeUndefined();
  });

  test('is asked hourly for 18 hours where the provider is the place to mend it', () => {
    expect(retryRefusedAt(NOW, 3, true, DEFAULT_TIMING)).toBe(NOW + HOUR);
    expect(retryRefusedAt(NOW, 20, true, DEFAULT_TIMING)).toBe(NOW + HOUR);
    expect(retryRefusedAt(NOW, 21, true, DEFAULT_TIMING)).toBeUndefined();
  });
});

test('backoff stays between 10 s and 1 h, grows, and never comes before Retry-After', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), random, fc.nat(5 * HOUR), (attempts, at, retryAfter) => {
      const delay = backoff(attempts, at, retryAfter);
      expect(delay).toBeGreaterThanOrEqual(Math.max(10 * SECOND, retryAfter));
      expect(delay).toBeLessThanOrEqual(Math.max(HOUR, retryAfter));
      expect(backoff(attempts + 1, at)).toBeGreaterThanOrEqual(backoff(attempts, at));
    }),
  );
});

describe('caps on refusals', () => {
  test('the sixth of an hour closes it until the first of them is an hour old', () => {
    const times = [1, 2, 3, 4, 5, 6].map(minute => NOW - 30 * MINUTE + minute * MINUTE);
    expect(checksAllowedFrom(NOW, times.slice(1), undefined)).toBeLessThanOrEqual(NOW);
    expect(checksAllowedFrom(NOW, times, undefined)).toBe((times[0] ?? 0) + HOUR);
    expect(checksAllowedFrom(NOW + HOUR, times, undefined)).toBeLessThanOrEqual(NOW + HOUR);
  });

  test('the 24th of a window closes it until the window is over', () => {
    const since = toTimestamp(NOW - HOUR);
    expect(checksAllowedFrom(NOW, [], { since, count: 23 })).toBeLessThanOrEqual(NOW);
    expect(checksAllowedFrom(NOW, [], { since, count: 24 })).toBe(NOW + 23 * HOUR);
    expect(checksAllowedFrom(NOW, [], { since: 'not a time', count: 24 })).toBeLessThanOrEqual(NOW);
  });

  test('a window begins with the first refusal and is gone after 24 h', () => {
    const first = countRefusal(undefined, NOW);
    expect(first).toEqual({ since: toTimestamp(NOW), count: 1 });
    const second = countRefusal(first, NOW + 23 * HOUR);
    expect(second).toEqual({ since: toTimestamp(NOW), count: 2 });
    expect(countRefusal(second, NOW + DAY)).toEqual({ since: toTimestamp(NOW + DAY), count: 1 });
    expect(refusalsInWindow(second, NOW + DAY - 1)).toBe(second);
    expect(refusalsInWindow(second, NOW + DAY)).toBeUndefined();
  });
});

describe('checks that are overdue at start', () => {
  const account = (uid: string, lateBy: number, provider = 'Hetzner') => ({
    uid,
    provider,
    intervalMs: DAY,
    nextCheckAt: NOW - lateBy,
  });

  test('are spread over min(10 min, overdue ÷ 4); those that are not overdue keep their time', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: 1, max: DAY }), (uid, lateBy) => {
        const at = startOffsets([account(uid, lateBy)], NOW).get(uid) ?? Infinity;
        expect(at).toBeGreaterThanOrEqual(NOW);
        expect(at).toBeLessThanOrEqual(NOW + Math.min(10 * MINUTE, lateBy / 4));
      }),
    );
    expect(startOffsets([account('due', 0), account('later', -HOUR)], NOW).size).toBe(0);
  });

  test('of a stop of a week come oldest first, five a second per provider', () => {
    const late = Array.from({ length: 12 }, (_, i) => account(`h${i}`, 7 * DAY + i));
    const offsets = startOffsets([...late, account('v', 8 * DAY, 'Vultr')], NOW);
    expect(offsets.get('v')).toBe(NOW);
    expect(offsets.get('h11')).toBe(NOW);
    expect(offsets.get('h6')).toBe(NOW + SECOND);
    expect(offsets.get('h0')).toBe(NOW + 11 * 200);
  });
});

describe('times', () => {
  test('are written with whole seconds and read back', () => {
    expect(toTimestamp(NOW + 1999)).toBe('2026-06-01T00:00:01Z');
    expect(fromTimestamp('2026-06-01T00:00:01Z')).toBe(NOW + 1000);
    expect(fromTimestamp('soon')).toBeUndefined();
    expect(fromTimestamp(undefined)).toBeUndefined();
  });

  test.each([
    ['24h', DAY],
    ['1h30m', HOUR + 30 * MINUTE],
    ['90m10s', 90 * MINUTE + 10 * SECOND],
    ['', undefined],
    ['1 day', undefined],
    ['PT24H', undefined],
    ['1h1', undefined],
    ['30m1h', undefined],
  ])('duration %j', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
});
