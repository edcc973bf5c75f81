import { describe, expect, test } from '@jest/globals';

import { retryAfterMs } from './retry-after.ts';

const NOW = Date.UTC(2030, 0, 1, 12);

describe('Retry-After', () => {
  test.each([
    ['30', 30_000],
    ['1.5', 1_500],
    ['Tue, 01 Jan 2030 12:01:00 GMT', 60_000],
    ['Tuesday, 01-Jan-30 12:01:00 GMT', 60_000],
    ['86400', 86_400_000],
    ['31536000', 86_400_000],
    ['1e9', undefined],
    ['0', undefined],
    ['-5', undefined],
    ['Tue, 01 Jan 2030 11:00:00 GMT', undefined],
    ['soon', undefined],
    ['Monday', undefined],
    ['', undefined],
    ['9'.repeat(400), 86_400_000],
  ])('%j asks for %j ms', (value, ms) => {
    expect(retryAfterMs({ 'retry-after': value }, NOW, true)).toBe(ms);
    expect(retryAfterMs({ 'retry-after': value }, NOW, false)).toBe(ms);
  });
});

describe('the reset of a rate limit', () => {
  const inAMinute = String(NOW / 1000 + 60);

  test.each(['ratelimit-reset', 'x-ratelimit-reset', 'x-rate-limit-reset'])('%s stands in for it', name => {
    expect(retryAfterMs({ [name]: inAMinute }, NOW, true)).toBe(60_000);
  });

  test('counts with a 429 only, and less than Retry-After', () => {
    expect(retryAfterMs({ 'ratelimit-reset': inAMinute }, NOW, false)).toBeUndefined();
    expect(retryAfterMs({ 'ratelimit-reset': inAMinute, 'retry-after': '5' }, NOW, true)).toBe(5_000);
  });

  test.each([
    ['in the past', String(NOW / 1000 - 60), undefined],
    ['an hour away: the window, not the next call', String(NOW / 1000 + 3600), 900_000],
    ['nonsense', 'never', undefined],
  ])('%s', (_name, value, ms) => {
    expect(retryAfterMs({ 'ratelimit-reset': value }, NOW, true)).toBe(ms);
  });
});
