import { expect, test } from '@jest/globals';
import type { Outcome } from './outcome.ts';
import { DAY, HOUR, MINUTE, SECOND } from './time.ts';
import { conditionOf, createWorld, type World } from './world.test-support.ts';

const DNS: Outcome = { kind: 'unreachable', cause: 'DnsFailure' };
const REFUSED: Outcome = { kind: 'unreachable', cause: 'ConnectionRefused' };
const THROTTLED: Outcome = { kind: 'throttled', retryAfterMs: MINUTE };

/** A new account whose provider gives this answer, until it shows. */
function worldWith(outcome: Outcome): World {
  const world = createWorld();
  world.provider(() => outcome);
  world.putSecret('good-a');
  world.advance(2 * SECOND);
  return world;
}

test('an outage is told with its cause, in status and in words', () => {
  const world = worldWith(DNS);
  expect(world.status().lastAttempt).toMatchObject({ reason: 'ProviderUnreachable', cause: 'DnsFailure' });
  expect(conditionOf(world, 'Reconciling')?.message).toContain('its name could not be looked up');
});

test.each([
  ['Http503', undefined, 'it answered with HTTP 503'],
  ['NeverHeardOf', undefined, 'NeverHeardOf'],
  ['HtmlAnswer', 'cloud.digitalocean.com', 'cloud.digitalocean.com, which is asked for'],
])('the cause %s of host %s is in the message', (cause, host, words) => {
  const world = worldWith({ kind: 'unreachable', cause, ...(host !== undefined && { host }) });
  expect(conditionOf(world, 'Reconciling')?.message).toContain(words);
});

test('the cause that an outage began with stays, without another write', () => {
  const world = worldWith(DNS);
  const before = world.status();
  world.provider(() => REFUSED);
  world.advance(DAY / 2);
  expect(world.status()).toEqual(before);
});

test('another reason shows after an hour, and no longer than until the next attempt', () => {
  const world = worldWith(THROTTLED);
  world.provider(() => DNS);
  world.advance(HOUR - 5 * MINUTE);
  expect(world.status().lastAttempt?.reason).toBe('ProviderThrottled');
  expect(world.status().lastAttempt).not.toHaveProperty('cause');
  world.advance(HOUR + 10 * MINUTE);
  expect(world.status().lastAttempt).toMatchObject({ reason: 'ProviderUnreachable', cause: 'DnsFailure' });
  expect(conditionOf(world, 'Reconciling')?.reason).toBe('ProviderUnreachable');
});
