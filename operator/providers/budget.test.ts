import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import type { Buckets } from './budget.ts';
import { createBuckets } from './budget.ts';

let now = 0;

function buckets(ratePerSecond: number, burst: number, maxBuckets?: number): Buckets {
  now = 0;
  return createBuckets({ ratePerSecond, burst, elapsed: () => now, ...(maxBuckets && { maxBuckets }) });
}

describe('a bucket', () => {
  test('starts full, empties with calls and refills with time', () => {
    const budget = buckets(2, 3);
    for (let call = 0; call < 3; call += 1) {
      expect(budget.wait('a')).toBeUndefined();
      budget.take('a');
    }
    expect(budget.wait('a')).toEqual({ waitMs: 500, blocked: false });
    now = 400;
    expect(budget.wait('a')?.waitMs).toBeCloseTo(100);
    now = 500;
    expect(budget.wait('a')).toBeUndefined();
  });

  test('goes into debt for the later calls of a check, which the next check waits for', () => {
    const budget = buckets(1, 1);
    budget.take('a');
    budget.take('a');
    budget.take('a');
    expect(budget.wait('a')).toEqual({ waitMs: 3_000, blocked: false });
  });

  test('that the provider blocked waits as long as it asked, whatever is in it', () => {
    const budget = buckets(1, 10);
    budget.block('a', 30_000);
    expect(budget.wait('a')).toEqual({ waitMs: 30_000, blocked: true });
    budget.block('a', 10_000);
    expect(budget.wait('a')?.waitMs).toBe(30_000);
    now = 30_000;
    expect(budget.wait('a')).toBeUndefined();
  });

  test('is nobody else’s', () => {
    const budget = buckets(1, 1);
    budget.take('a');
    budget.block('b', 1_000);
    expect(budget.wait('c')).toBeUndefined();
  });

  test('never lets more calls begin than rate and burst allow', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(2_000), { maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        (gaps, burst) => {
          const budget = buckets(3, burst);
          let begun = 0;
          for (const gap of gaps) {
            now += gap;
            if (budget.wait('a') !== undefined) continue;
            budget.take('a');
            begun += 1;
          }
          expect(begun).toBeLessThanOrEqual(burst + (now / 1000) * 3);
        },
      ),
    );
  });
});

describe('the buckets', () => {
  test('are forgotten once they are full again', () => {
    const budget = buckets(1, 5);
    for (let key = 0; key < 1024; key += 1) budget.take(`old-${key}`);
    budget.block('blocked', 1e9);
    now = 10_000;
    for (let key = 0; key < 2048; key += 1) budget.take(`new-${key}`);
    expect(budget.size()).toBeLessThanOrEqual(2049);
    expect(budget.wait('blocked')?.blocked).toBe(true);
  });

  test('are bounded even if none is', () => {
    const budget = buckets(1, 5, 2_000);
    for (let key = 0; key < 10_000; key += 1) budget.block(`key-${key}`, 1e9);
    expect(budget.size()).toBeLessThanOrEqual(2_000);
    expect(budget.wait('key-9999')?.blocked).toBe(true);
  });
});
