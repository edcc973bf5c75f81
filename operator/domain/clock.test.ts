import { describe, expect, test } from '@jest/globals';
import { checksAllowedFrom, REFUSALS_PER_DAY, REFUSALS_PER_HOUR } from './schedule.ts';
import { DAY, HOUR, MINUTE, SECOND, toTimestamp } from './time.ts';
import { conditionOf, createWorld, plainProvider, START, type World } from './world.test-support.ts';

/** A node whose clock ran a year ahead until somebody set it. */
const YEAR = 365 * DAY;

function connected(): World {
  const world = createWorld({ secret: 'good-a' });
  world.advance(SECOND);
  return world;
}

function callsIn(world: World, ms: number): number {
  const before = world.history.calls.length;
  world.advance(ms);
  return world.history.calls.length - before;
}

describe('a wall clock that was set back by a year', () => {
  test('keeps no daily check away', () => {
    const world = connected();
    world.advance(DAY + HOUR);
    world.jump(-YEAR);
    expect(callsIn(world, 2 * DAY)).toBeGreaterThanOrEqual(1);
    expect(callsIn(world, 10 * DAY)).toBeGreaterThanOrEqual(9);
    expect(world.status().health).toBe('Connected');
  });

  test('keeps no repetition away of what was not answered', () => {
    const world = connected();
    world.provider(() => ({ kind: 'unreachable', cause: 'ECONNREFUSED' }));
    world.request('now');
    world.advance(10 * MINUTE);
    world.jump(-YEAR);
    world.provider(plainProvider);
    world.advance(HOUR);
    expect(world.status().lastAttempt).toBeUndefined();
  });

  test('keeps no overdue check away that waits for its turn after a start', () => {
    const world = connected();
    world.advance(DAY - MINUTE);
    world.restart(world.now() + 10 * MINUTE);
    world.jump(-YEAR);
    expect(callsIn(world, 2 * DAY)).toBeGreaterThanOrEqual(1);
  });

  test('begins a confirmation anew, so that a revoked credential is found out all the same', () => {
    const world = connected();
    world.provider(() => ({ kind: 'rejected' }));
    world.request('now');
    world.advance(MINUTE);
    expect(conditionOf(world, 'Connected')?.reason).toBe('ConfirmingRejection');
    world.jump(-YEAR);
    world.advance(9 * MINUTE);
    expect(world.status().health).toBe('Connected');
    world.advance(2 * DAY);
    expect(world.status().health).toBe('NeedsAttention');
  });

  test('does not hold new bytes up for refusals that seem to come', () => {
    const future = START + YEAR;
    const hour = Array.from({ length: REFUSALS_PER_HOUR }, () => future);
    const day = { since: toTimestamp(future), count: REFUSALS_PER_DAY };
    expect(checksAllowedFrom(START, hour, day)).toBe(0);
  });
});

describe('a wall clock that ran an hour ahead and was set right', () => {
  function ahead(): World {
    const world = connected();
    world.jump(-HOUR);
    return world;
  }

  test('lets another access be judged and published once', () => {
    const world = ahead();
    world.change({ access: 'ReadOnly' });
    world.advance(MINUTE);
    expect(world.status().credential?.access).toBe('ReadOnly');
    expect(world.history.published).toHaveLength(2);
  });

  test('leaves no hint of the credential before', () => {
    const world = ahead();
    world.putSecret('good-b');
    world.advance(MINUTE);
    expect(world.status().credential?.hint).toBe('••••good-b');
    expect(world.history.published).toHaveLength(2);
  });

  test('shows no time that is to come', () => {
    const world = ahead();
    world.request('now');
    world.advance(MINUTE);
    const { lastCheckTime = '', credential } = world.status();
    expect(Date.parse(lastCheckTime)).toBeLessThanOrEqual(world.now());
    expect(Date.parse(credential?.verifiedAt ?? '')).toBeLessThanOrEqual(world.now());
  });

  test('does not hold a confirmation up', () => {
    const world = connected();
    world.provider(() => ({ kind: 'rejected' }));
    world.request('now');
    world.advance(MINUTE);
    world.jump(-HOUR);
    world.advance(20 * MINUTE);
    expect(world.status().health).toBe('NeedsAttention');
  });

  test('does not hold up what was not answered, and tells of the next outage', () => {
    const world = connected();
    world.provider(() => ({ kind: 'throttled' }));
    world.request('now');
    world.advance(30 * MINUTE);
    world.jump(-HOUR);
    world.provider(() => ({ kind: 'unreachable', cause: 'DnsFailure' }));
    world.advance(2 * HOUR);
    expect(world.status().lastAttempt?.reason).toBe('ProviderUnreachable');
    world.provider(plainProvider);
    world.advance(HOUR);
    expect(world.status().lastAttempt).toBeUndefined();
  });

  test('does not lengthen the window of refusals', () => {
    const world = createWorld({ secret: 'bad-a' });
    world.advance(SECOND);
    world.jump(-HOUR);
    world.change({});
    expect(Date.parse(world.status().refusals?.since ?? '')).toBeLessThanOrEqual(world.now());
  });
});
