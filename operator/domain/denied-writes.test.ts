import { describe, expect, test } from '@jest/globals';
import { unsupportedStatus } from './unsupported.ts';
import { DAY, HOUR, MINUTE, SECOND } from './time.ts';
import {
  conditionOf,
  createWorld,
  shown,
  START,
  type World,
  type WorldOptions,
} from './world.test-support.ts';

function connected(options: WorldOptions = {}): World {
  const world = createWorld({ secret: 'good-a', ...options });
  world.advance(SECOND);
  expect(world.status().health).toBe('Connected');
  return world;
}

describe('a write of the copy that is denied', () => {
  test.each([{ copyName: 'renamed' }, { layout: 'DO_TOKEN' }])(
    'keeps no revoked credential Connected: %j',
    change => {
      const world = connected();
      world.quota(true);
      world.change(change);
      world.provider(() => ({ kind: 'rejected' }));
      world.request('now');
      world.advance(SECOND);
      expect(world.status().lastHandledRecheck).toBe('now');
      world.advance(11 * MINUTE);
      expect(world.status().health).toBe('NeedsAttention');
    },
  );

  test.each([
    ['', () => undefined],
    ['after a restart', (world: World) => world.restart()],
  ] as const)('is tried again until it is done, for other keys as for another name %s', (_when, happen) => {
    const world = connected();
    world.quota(true);
    world.change({ layout: 'DO_TOKEN' });
    world.advance(MINUTE);
    expect(shown(world)).toBe(
      'Connected=True(Verified) Ready=False(VerifiedSecretNotWritable) Reconciling=True(VerifiedSecretNotWritable)',
    );
    happen(world);
    world.advance(MINUTE);
    expect(conditionOf(world, 'Ready')?.reason).toBe('VerifiedSecretNotWritable');
    world.quota(false);
    world.advance(2 * HOUR);
    expect(world.copies()['copy']?.layout).toBe('DO_TOKEN');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.history.calls).toHaveLength(1);
  });

  test('does not lengthen the time for which a missing Secret is waited for', () => {
    const world = connected();
    world.quota(true);
    world.deleteSecret();
    const until = world.status().candidate?.nextAttemptTime;
    world.change({ layout: 'DO_TOKEN' });
    world.advance(MINUTE);
    expect(world.status().candidate).toMatchObject({ reason: 'SecretNotFound', nextAttemptTime: until });
  });

  test("tells the API server's words, those that were said first", () => {
    const world = connected();
    world.quota(true);
    world.putSecret('good-b');
    world.advance(SECOND);
    expect(conditionOf(world, 'Reconciling')?.message).toContain('The API server says: exceeded quota');
  });
});

describe('an accepted replacement that cannot be published', () => {
  test('is not asked about again by a requested check, which goes to what is in force', () => {
    const world = connected();
    world.quota(true);
    world.putSecret('good-b');
    world.advance(SECOND);
    world.request('now');
    world.advance(MINUTE);
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(world.history.calls.map(({ bytes }) => bytes)).toEqual(['good-a', 'good-b', 'good-a']);
    world.quota(false);
    world.advance(2 * HOUR);
    expect(world.published()).toBe('good-b');
    expect(world.history.calls).toHaveLength(3);
  });

  test('is asked about again once its acceptance is older than an interval', () => {
    const world = connected();
    world.quota(true);
    world.putSecret('good-b');
    world.advance(2 * DAY);
    const asked = world.history.calls.filter(({ bytes }) => bytes === 'good-b');
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(asked.length).toBeLessThanOrEqual(3);
    world.quota(false);
    world.advance(2 * HOUR);
    expect(world.published()).toBe('good-b');
  });

  test('is dropped when the checks are suspended', () => {
    const world = connected();
    world.quota(true);
    world.putSecret('good-b');
    world.advance(SECOND);
    world.change({ suspend: true });
    world.quota(false);
    world.advance(2 * HOUR);
    expect(world.published()).toBe('good-a');
    world.change({ suspend: false });
    world.advance(MINUTE);
    expect(world.published()).toBe('good-b');
  });
});

describe('an account of a provider that this operator does not know', () => {
  const at = { now: START, generation: 3, provider: 'Moon' };

  test('is Stalled, with nothing in force Pending', () => {
    const status = unsupportedStatus({ observedGeneration: -1 }, at);
    expect(status).toMatchObject({ health: 'Pending', observedGeneration: 3 });
    expect(status.conditions?.map(({ type, status: is, reason }) => `${type}=${is}(${reason})`)).toEqual([
      'Connected=Unknown(ProviderNotSupported)',
      'Ready=False(ProviderNotSupported)',
      'Stalled=True(ProviderNotSupported)',
    ]);
  });

  test('keeps what is in force, good or refused', () => {
    const world = connected();
    expect(unsupportedStatus(world.status(), at).health).toBe('Connected');
    world.provider(() => ({ kind: 'rejected' }));
    world.request('now');
    world.advance(11 * MINUTE);
    const refused = unsupportedStatus(world.status(), at);
    expect(refused.health).toBe('NeedsAttention');
    expect(refused.credential).toEqual(world.status().credential);
    expect(unsupportedStatus(refused, at)).toEqual(refused);
  });
});
