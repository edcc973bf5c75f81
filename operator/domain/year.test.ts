import { expect, test } from '@jest/globals';
import { DAY, HOUR, MINUTE, SECOND } from './time.ts';
import { accepted, conditionOf, createWorld, plainProvider, shown } from './world.test-support.ts';

test('a year of an account: daily checks, an outage, an expiry, a rotation', () => {
  const world = createWorld();
  const start = world.now();
  const at = (day: number, ms = 0) => world.advance(start + day * DAY + ms - world.now());
  const expiresAt = start + 200 * DAY;
  world.provider(bytes =>
    bytes === 'good-a' && world.now() > expiresAt
      ? { kind: 'rejected' }
      : accepted(bytes === 'good-a' ? { expiresAt } : { expiresAt: null }),
  );
  world.putSecret('good-a');

  // A quiet quarter.
  at(90);
  const quarter = world.history.calls.map(call => call.at);
  expect(quarter.length).toBeGreaterThanOrEqual(90);
  expect(quarter.length).toBeLessThanOrEqual(101);
  for (const [index, time] of quarter.entries()) {
    const next = quarter[index + 1];
    if (next === undefined) continue;
    expect(next - time).toBeGreaterThanOrEqual(0.9 * DAY);
    expect(next - time).toBeLessThanOrEqual(DAY + SECOND);
  }
  // SecretNotFound, the verdict, and one write a check.
  expect(world.history.writes.length).toBeLessThanOrEqual(quarter.length + 2);

  // The process restarts each week: nothing comes of it.
  for (let week = 13; week < 17; week++) {
    at(week * 7 + 0.5);
    const { calls, writes } = world.history;
    const before = [calls.length, writes.length];
    world.restart();
    expect([calls.length, writes.length, world.busy()]).toEqual([...before, false]);
  }

  // An outage of three days: two writes (it begins, it is over), and a bounded number of calls.
  at(120);
  const [callsBefore, writesBefore] = [world.history.calls.length, world.history.writes.length];
  world.provider(() => ({ kind: 'unreachable', cause: 'ECONNREFUSED' }));
  at(123);
  expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  expect(world.history.writes.length - writesBefore).toBeLessThanOrEqual(2);
  // From 10 s to an hour in ten steps, then at most two an hour.
  expect(world.history.calls.length - callsBefore).toBeLessThanOrEqual(10 + 2 * 72);
  world.provider(bytes =>
    bytes === 'good-a' && world.now() > expiresAt
      ? { kind: 'rejected' }
      : accepted(bytes === 'good-a' ? { expiresAt } : { expiresAt: null }),
  );
  at(125);
  expect(world.status().lastAttempt).toBeUndefined();

  // The warning, the rotation that nobody made, and the one that came too late.
  at(187);
  expect(conditionOf(world, 'CredentialExpiring')?.message).toContain('2026-07-20');
  at(200, -MINUTE);
  expect(world.status().health).toBe('Connected');
  at(200, 13 * MINUTE);
  expect(world.status().health).toBe('NeedsAttention');
  at(203);
  world.putSecret('good-b');
  world.advance(SECOND);
  expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  expect(world.published()).toBe('good-b');
  expect(world.status().credential?.expiresAt).toBeUndefined();

  // A quiet rest of the year.
  world.provider(plainProvider);
  at(365);
  expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  expect(world.history.published).toHaveLength(2);
  const flips = world.history.events.filter(({ reason }) => reason === 'Verified').length;
  expect(flips).toBe(2);
  expect(world.history.calls.length).toBeLessThanOrEqual(365 / 0.9 + 10 + 2 * 72 + 3);
  expect(world.history.turns).toBeLessThanOrEqual(3 * world.history.calls.length + 20);
});

test('a year of an account that nobody mends: one or two checks a day', () => {
  const world = createWorld({ secret: 'good-a' });
  world.advance(HOUR);
  world.putSecret('bad-b');
  world.advance(10 * DAY);
  const calls = world.history.calls.length;
  const writes = world.history.writes.length;
  world.advance(355 * DAY);
  const perDay = (world.history.calls.length - calls) / 355;
  expect(perDay).toBeGreaterThanOrEqual(1.9);
  expect(perDay).toBeLessThanOrEqual(2 / 0.9);
  expect(world.history.writes.length - writes).toBeLessThanOrEqual(4 * 395);
  expect(world.published()).toBe('good-a');
});
