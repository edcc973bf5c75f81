import { describe, expect, test } from '@jest/globals';
import { createSleeplessClock } from './clock.ts';

function clocks() {
  const state = { monotonic: 1_000, wall: 1_700_000_000_000 };
  const now = createSleeplessClock(
    () => state.monotonic,
    () => state.wall,
  );
  const begin = now();
  return { state, elapsed: () => now() - begin };
}

describe('createSleeplessClock', () => {
  test('goes as the monotonic clock goes', () => {
    const { state, elapsed } = clocks();
    state.monotonic += 500;
    state.wall += 500;
    expect(elapsed()).toBe(500);
  });

  test('counts the time that a machine slept, when the monotonic clock stood still', () => {
    const { state, elapsed } = clocks();
    state.wall += 3_600_000;
    expect(elapsed()).toBe(3_600_000);
  });

  test('a wall clock that is stepped back takes nothing away, not even what a later sleep adds', () => {
    const { state, elapsed } = clocks();
    state.monotonic += 1_000;
    state.wall -= 3_600_000;
    expect(elapsed()).toBe(1_000);
    state.wall += 20_000;
    expect(elapsed()).toBe(21_000);
  });

  test('a wall clock that is stepped forward only adds', () => {
    const { state, elapsed } = clocks();
    state.monotonic += 1_000;
    state.wall += 86_400_000;
    expect(elapsed()).toBe(86_400_000);
  });

  test('rounding does not add up, however often one looks', () => {
    const { state, elapsed } = clocks();
    for (let look = 0; look < 10_000; look++) {
      state.monotonic += 0.4;
      state.wall = 1_700_000_000_000 + Math.ceil(look * 0.4);
      elapsed();
    }
    expect(elapsed()).toBeLessThan(4_001);
    expect(elapsed()).toBeGreaterThan(3_999);
  });
});
