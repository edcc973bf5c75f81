import { describe, expect, test } from '@jest/globals';
import type { CheckRequest, Outcome } from './outcome.ts';
import { DAY, fromTimestamp, HOUR, MINUTE, SECOND, toTimestamp } from './time.ts';
import {
  accepted,
  conditionOf,
  createWorld,
  plainProvider,
  shown,
  type World,
  type WorldOptions,
} from './world.test-support.ts';

const REJECTED: Outcome = { kind: 'rejected' };
const DOWN: Outcome = { kind: 'unreachable', cause: 'ETIMEDOUT' };

/** An account whose credential `good-a` was accepted. */
function connected(options: WorldOptions = {}): World {
  const world = createWorld({ secret: 'good-a', ...options });
  world.advance(SECOND);
  expect(world.status().health).toBe('Connected');
  return world;
}

/** What was asked from now on, as `bytes`. */
function askedSince(world: World, calls: number): string[] {
  return world.history.calls.slice(calls).map(({ bytes }) => bytes);
}

function everyHour(world: World, hours: number, act: () => void): void {
  for (let hour = 0; hour < hours; hour++) {
    world.advance(HOUR);
    act();
  }
}

describe('a replacement', () => {
  test('that is accepted is published once, and one write says so', () => {
    const world = connected();
    const writes = world.history.writes.length;
    world.putSecret('good-b');
    world.advance(SECOND);
    expect(world.published()).toBe('good-b');
    expect(world.status().credential?.hint).toBe('••••good-b');
    expect(world.history.published.map(({ bytes }) => bytes)).toEqual(['good-a', 'good-b']);
    expect(world.history.writes).toHaveLength(writes + 2);
  });

  test('shows Reconciling before the provider is asked', () => {
    const world = connected();
    world.putSecret('good-b');
    expect(world.history.calls).toHaveLength(1);
    expect(conditionOf(world, 'Reconciling')?.reason).toBe('Verifying');
    expect(conditionOf(world, 'Ready')?.status).toBe('False');
  });

  test('that is refused is asked again after 1 and 10 minutes, then with the daily check together with what is in force', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(20 * HOUR);
    const asked = world.history.calls.slice(1);
    expect(asked.map(({ bytes }) => bytes)).toEqual(['bad-b', 'bad-b', 'bad-b']);
    const [first = 0, ...later] = asked.map(({ at }) => at);
    expect(later.map(at => Math.round((at - first) / MINUTE))).toEqual([1, 10]);
    const calls = world.history.calls.length;
    world.advance(4 * HOUR);
    expect(askedSince(world, calls)).toEqual(['bad-b', 'good-a']);
    expect(world.history.published).toHaveLength(1);
  });

  test('is withdrawn without a call by putting the old bytes back', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(SECOND);
    const calls = world.history.calls.length;
    world.putSecret('good-a');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.status().candidate).toBeUndefined();
    world.restart();
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(calls);
  });

  test('that is refused costs no call when its Secret is touched hourly, and one after a restart', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(11 * MINUTE);
    const calls = world.history.calls.length;
    everyHour(world, 6, () => world.touchSecret());
    expect(askedSince(world, calls)).toEqual([]);
    world.restart();
    everyHour(world, 6, () => world.touchSecret());
    // Another process cannot tell touched bytes from new ones.
    expect(askedSince(world, calls)).toEqual(['bad-b']);
    expect(world.published()).toBe('good-a');
    expect(conditionOf(world, 'Stalled')?.reason).toBe('ReplacementRejected');
  });

  test('costs no call when a Secret in force is touched each minute', () => {
    const world = connected();
    for (let minute = 0; minute < 120; minute++) {
      world.advance(MINUTE);
      world.touchSecret();
    }
    expect(world.history.calls).toHaveLength(1);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('takes over when the copy of what was in force is deleted, refused or not', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(11 * MINUTE);
    const calls = world.history.calls.length;
    world.deleteCopy();
    world.advance(SECOND);
    expect(askedSince(world, calls)).toEqual(['bad-b']);
    expect(world.status().credential).toBeUndefined();
    expect(shown(world)).toBe(
      'Connected=False(CredentialRejected) Ready=False(CredentialRejected) Stalled=True(CredentialRejected)',
    );
  });

  test('keeps the cause in the message after a restart and a touched annotation', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(SECOND);
    const before = conditionOf(world, 'Stalled')?.message;
    expect(before).toContain('does not accept');
    world.restart();
    world.change({ intervalMs: 12 * HOUR });
    world.advance(SECOND);
    expect(conditionOf(world, 'Stalled')?.message).toBe(before);
  });

  test('that was refused stays so while it cannot be asked again', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(SECOND);
    world.provider(() => DOWN);
    world.advance(5 * MINUTE);
    expect(askedSince(world, 1).length).toBeGreaterThan(1);
    expect(conditionOf(world, 'Stalled')?.reason).toBe('ReplacementRejected');
    expect(world.status().candidate?.reason).toBe('CredentialRejected');
  });

  test('that is due beyond a cap keeps what is known of it', () => {
    const world = connected();
    for (let i = 1; i <= 6; i++) {
      world.putSecret(`bad-${i}`);
      world.advance(SECOND);
    }
    world.advance(5 * MINUTE);
    expect(world.history.calls).toHaveLength(1 + 6);
    expect(conditionOf(world, 'Stalled')?.reason).toBe('ReplacementRejected');
    world.change({ suspend: true });
    world.change({ suspend: false });
    expect(conditionOf(world, 'Stalled')?.reason).toBe('ReplacementRejected');
  });

  test('that was refused is asked again on request after a restart', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(SECOND);
    world.restart();
    world.request('now');
    world.advance(SECOND);
    expect(askedSince(world, 1)).toEqual(['bad-b', 'bad-b', 'good-a']);
  });

  test('mended at the provider is asked hourly for 18 hours', () => {
    const world = connected();
    world.provider(bytes => (bytes === 'bad-b' ? { kind: 'accountLocked' } : accepted()));
    world.putSecret('bad-b');
    world.advance(18 * HOUR + 11 * MINUTE);
    expect(world.history.calls.slice(1)).toHaveLength(3 + 18);
    world.provider(() => accepted());
    world.advance(5 * HOUR);
    expect(world.published()).toBe('bad-b');
  });

  test('that became good while the provider was down is published when it is back', () => {
    const world = connected();
    world.provider(() => DOWN);
    world.putSecret('good-b');
    world.advance(6 * HOUR);
    expect(world.published()).toBe('good-a');
    world.provider(plainProvider);
    world.advance(HOUR + SECOND);
    expect(world.published()).toBe('good-b');
    expect(world.status().lastAttempt).toBeUndefined();
  });

  test('that is withdrawn while it is asked is not published', () => {
    const world = connected();
    world.latency(10 * SECOND);
    world.putSecret('good-b');
    world.advance(5 * SECOND);
    world.putSecret('good-a');
    world.advance(MINUTE);
    expect(world.history.published.map(({ bytes }) => bytes)).toEqual(['good-a']);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });
});

describe('the credential in force', () => {
  function refusedOnce(): World {
    const world = connected();
    world.provider(() => REJECTED);
    world.request('now');
    world.advance(SECOND);
    expect(world.status().confirming).toMatchObject({ count: 1, reason: 'CredentialRejected' });
    return world;
  }

  test('is demoted by refusals at 0, 5 and 10 minutes and not before', () => {
    const world = refusedOnce();
    world.advance(9 * MINUTE + 55 * SECOND);
    expect(world.status().health).toBe('Connected');
    world.advance(10 * SECOND);
    expect(world.status().health).toBe('NeedsAttention');
    expect(world.status().confirming).toBeUndefined();
    expect(world.published()).toBe('good-a');
    expect(world.history.calls).toHaveLength(4);
  });

  test('is demoted by a streak that goes on after the process was killed', () => {
    const world = refusedOnce();
    world.restart();
    expect(world.status().confirming?.count).toBe(1);
    world.advance(11 * MINUTE);
    expect(world.status().health).toBe('NeedsAttention');
    expect(world.history.calls).toHaveLength(4);
  });

  test('refused, timeout, refused, missingPermission: the last gives the reason', () => {
    const world = connected();
    const answers: Outcome[] = [
      REJECTED,
      DOWN,
      REJECTED,
      { kind: 'missingPermission', missing: ['droplet:create'] },
    ];
    world.provider(() => answers.shift() ?? DOWN);
    world.request('now');
    world.advance(12 * MINUTE);
    expect(answers).toEqual([]);
    expect(conditionOf(world, 'Connected')).toMatchObject({ status: 'False', reason: 'MissingPermission' });
  });

  test('is not demoted sooner by requested checks; each is answered within seconds', () => {
    const world = refusedOnce();
    for (let i = 0; i < 4; i++) {
      world.advance(MINUTE);
      world.request(`again-${i}`);
      world.advance(SECOND);
      expect(world.status().lastHandledRecheck).toBe(`again-${i}`);
      expect(world.status().confirming?.count).toBe(1);
    }
    expect(world.status().health).toBe('Connected');
  });

  test('is well again after one acceptance, and a streak of a day ago is void', () => {
    const world = refusedOnce();
    world.provider(plainProvider);
    world.advance(5 * MINUTE);
    expect(world.status().confirming).toBeUndefined();
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');

    const down = refusedOnce();
    down.provider(() => DOWN);
    down.advance(25 * HOUR);
    expect(down.status().confirming).toBeUndefined();
    expect(conditionOf(down, 'Connected')).toMatchObject({ status: 'True', reason: 'Verified' });
    down.provider(() => REJECTED);
    down.request('again');
    down.advance(SECOND);
    expect(down.status().confirming?.count).toBe(1);
    expect(down.status().health).toBe('Connected');
  });

  test('goes on being rechecked daily once it was demoted, and recovers by itself', () => {
    const world = refusedOnce();
    world.advance(11 * MINUTE);
    const calls = world.history.calls.length;
    world.advance(3 * DAY);
    expect(askedSince(world, calls)).toHaveLength(3);
    world.provider(plainProvider);
    world.advance(DAY);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.history.published).toHaveLength(1);
  });

  test('stays in force when its source is deleted, and a new Secret with the same bytes costs no call', () => {
    const world = connected();
    world.deleteSecret();
    world.advance(2 * HOUR);
    expect(world.published()).toBe('good-a');
    world.putSecret('good-a');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.history.calls).toHaveLength(1);
  });

  test('is asked daily although its source is gone', () => {
    const world = connected();
    world.deleteSecret();
    world.advance(23 * HOUR);
    expect(askedSince(world, 1)).toEqual(['good-a']);
  });
});

describe('with nothing in force', () => {
  test('a refused first credential stays NeedsAttention while the next one cannot be asked about', () => {
    const world = createWorld({ secret: 'bad-a' });
    world.advance(SECOND);
    world.provider(() => DOWN);
    world.putSecret('good-b');
    world.advance(3 * HOUR);
    expect(world.status().health).toBe('NeedsAttention');
    expect(conditionOf(world, 'Reconciling')?.reason).toBe('ProviderUnreachable');
    world.provider(plainProvider);
    world.advance(HOUR + SECOND);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('a verdict within a second is the first status; a slow check shows Verifying after one', () => {
    const quick = createWorld({ secret: 'good-a' });
    expect(quick.history.writes).toHaveLength(0);
    quick.advance(SECOND);
    expect(quick.history.writes).toHaveLength(1);

    const slow = createWorld();
    slow.latency(5 * SECOND, 3 * SECOND);
    const writes = slow.history.writes.length;
    slow.putSecret('good-a');
    slow.advance(3 * SECOND + 900);
    expect(slow.history.writes).toHaveLength(writes);
    slow.advance(200);
    expect(conditionOf(slow, 'Reconciling')?.reason).toBe('Verifying');
  });

  test('a Secret that comes later is noticed at once', () => {
    const world = createWorld();
    world.advance(3 * DAY);
    world.putSecret('good-a');
    world.advance(SECOND);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('a pin set a minute before its Secret comes is waited for', () => {
    const world = connected();
    world.change({ accountID: 'team:2' });
    world.advance(MINUTE);
    expect(conditionOf(world, 'Stalled')?.reason).toBe('ReplacementRejected');
    expect(world.published()).toBe('good-a');
    world.putSecret('other-a');
    world.advance(SECOND);
    expect(world.published()).toBe('other-a');
    expect(world.status().account?.id).toBe('team:2');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });
});

describe('what is asked for', () => {
  test('ReadOnly → ReadWrite with a read-only token never demotes', () => {
    const world = connected({ secret: 'readonly-a', spec: { access: 'ReadOnly' } });
    world.change({ access: 'ReadWrite' });
    world.advance(3 * DAY);
    expect(world.status().health).toBe('Connected');
    expect(world.status().credential?.access).toBe('ReadOnly');
    expect(conditionOf(world, 'Ready')?.reason).toBe('ReplacementRejected');
    expect(conditionOf(world, 'Stalled')?.message).toContain('droplet:create');
    world.change({ access: 'ReadOnly' });
    expect(shown(world)).toBe('Connected=True(VerifiedReadOnly) Ready=True(VerifiedReadOnly)');
  });

  test('another account is refused without a pin, and moved to with one', () => {
    const world = connected();
    world.putSecret('other-a');
    world.advance(SECOND);
    expect(conditionOf(world, 'Stalled')?.message).toContain('team:2');
    expect(world.published()).toBe('good-a');
    world.change({ accountID: 'team:2' });
    world.advance(SECOND);
    expect(world.published()).toBe('other-a');
  });

  test('a pin that the credential in force already proved costs no call', () => {
    const world = connected();
    world.change({ accountID: 'account:1' });
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(1);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('label-like changes never cause a call', () => {
    const world = connected();
    world.change({});
    world.change({ intervalMs: 20 * HOUR });
    world.change({ suspend: true });
    world.change({ suspend: false });
    world.change({ layout: 'DIGITALOCEAN_ACCESS_TOKEN' });
    world.change({ copyName: 'renamed' });
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(1);
    expect(world.status().observedGeneration).toBe(7);
  });

  test('a shorter interval is heeded at once, a longer one as well', () => {
    const world = connected();
    world.advance(2 * HOUR);
    world.change({ intervalMs: HOUR });
    world.advance(SECOND);
    expect(world.history.calls).toHaveLength(2);
    world.change({ intervalMs: 168 * HOUR });
    world.advance(6 * DAY);
    expect(world.history.calls).toHaveLength(2);
  });
});

describe('a copy', () => {
  test('moves under another name while a replacement is refused, killed anywhere in between', () => {
    for (const point of ['before relocate', 'after relocate', 'before status', 'after status'] as const) {
      const world = connected();
      world.putSecret('bad-b');
      world.advance(SECOND);
      const calls = world.history.calls.length;
      world.crashAt(point);
      world.change({ copyName: 'renamed' });
      world.reconcile();
      expect(Object.keys(world.copies())).toEqual(['renamed']);
      expect(world.published()).toBe('good-a');
      expect(world.status().verifiedSecretRef?.name).toBe('renamed');
      world.advance(30 * SECOND);
      expect(conditionOf(world, 'Stalled')?.reason).toBe('ReplacementRejected');
      expect(askedSince(world, calls).length).toBeLessThanOrEqual(1);
    }
  });

  test('that was edited is put right from the source', () => {
    const world = connected();
    world.editCopy({ bytes: 'evil' });
    world.advance(SECOND);
    expect(world.published()).toBe('good-a');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('that was edited while the provider is down is put right from a source that holds the verified bytes', () => {
    for (const point of [undefined, 'before restore', 'after restore', 'before status'] as const) {
      const world = connected();
      world.provider(() => DOWN);
      if (point !== undefined) world.crashAt(point);
      world.editCopy({ bytes: 'evil' });
      world.advance(SECOND);
      expect(world.published()).toBe('good-a');
      expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
      expect(world.history.calls).toHaveLength(1);
    }
  });

  test('that was edited, with a source that moved on, is not in force, and unverified bytes do not stay', () => {
    const world = connected();
    world.provider(() => DOWN);
    world.putSecret('good-b');
    world.advance(SECOND);
    world.editCopy({ bytes: 'evil' });
    expect(world.status().credential).toBeUndefined();
    expect(Object.keys(world.copies())).toEqual(['copy']);
    world.advance(SECOND);
    expect(world.status().health).toBe('Pending');
    expect(Object.keys(world.copies())).toEqual([]);
  });

  test('that is to move to a taken name stays in force, whatever happens to its labels', () => {
    for (const restarted of [false, true]) {
      const world = connected();
      world.takeName(true, 'taken');
      world.change({ copyName: 'taken' });
      if (restarted) world.restart();
      world.editCopy({ writtenByUs: true });
      world.advance(HOUR);
      expect(world.published()).toBe('good-a');
      expect(world.status().health).toBe('Connected');
      expect(world.history.calls).toHaveLength(1);
    }
  });

  test('whose labels somebody touched costs no call, also after a restart', () => {
    const world = connected();
    world.editCopy({ writtenByUs: true });
    world.restart();
    world.editCopy({ writtenByUs: true });
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(1);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('of an account that needs attention does not heal it when it is touched or its proof edited', () => {
    const world = connected();
    world.provider(() => ({ kind: 'rejected' }));
    world.request('1');
    world.advance(11 * MINUTE);
    const { credential, health } = world.status();
    if (credential === undefined) throw new Error('the refused credential stays in force');
    expect(health).toBe('NeedsAttention');
    world.editCopy({ proof: { credential: { ...credential, verifiedAt: toTimestamp(world.now()) } } });
    world.advance(MINUTE);
    expect(world.status().health).toBe('NeedsAttention');
    world.restart();
    world.editCopy({ proof: { credential }, writtenByUs: true });
    world.advance(MINUTE);
    expect(world.status().health).toBe('NeedsAttention');
  });

  test('that lost its owner is written anew without a call', () => {
    const world = connected();
    world.editCopy({ owner: 'nobody' });
    world.advance(SECOND);
    expect(world.copies()['copy']?.owner).toBe('us');
    expect(world.history.calls).toHaveLength(1);
  });

  test('that was published and not yet in status costs no call after a kill', () => {
    const world = createWorld({ secret: 'good-a' });
    world.crashAt('after publish');
    world.advance(SECOND);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.status().nextCheckTime).toBeDefined();
    expect(world.history.calls).toHaveLength(1);
  });

  /** Killed between the copy and the status that speaks of it; nothing runs until a restart. */
  function halfPublished(): World {
    const world = createWorld({ secret: 'good-a' });
    world.crashAt('after publish', 'down');
    world.advance(SECOND);
    expect(world.copies()['copy']?.bytes).toBe('good-a');
    expect(world.status().credential).toBeUndefined();
    return world;
  }

  test('that was published and not yet in status is trusted though the Secret moved on, if nobody else wrote it', () => {
    const ours = halfPublished();
    ours.putSecret('bad-b');
    ours.restart();
    ours.advance(SECOND);
    expect(ours.published()).toBe('good-a');
    expect(conditionOf(ours, 'Stalled')?.reason).toBe('ReplacementRejected');

    const edited = halfPublished();
    edited.putSecret('bad-b');
    edited.editCopy({ bytes: 'evil' });
    edited.restart();
    edited.advance(SECOND);
    expect(edited.status().health).toBe('NeedsAttention');
    expect(edited.status().credential).toBeUndefined();
  });

  test('that was published, not yet in status and edited is judged anew', () => {
    for (const change of [{ bytes: 'evil' }, { proof: undefined }]) {
      const world = halfPublished();
      world.editCopy(change);
      world.restart();
      world.advance(SECOND);
      expect(world.history.calls).toHaveLength(2);
      expect(world.published()).toBe('good-a');
      expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    }
  });

  test('that was published and not yet in status can be rechecked at once', () => {
    const world = halfPublished();
    world.request('now');
    world.restart();
    world.advance(SECOND);
    expect(world.history.calls.map(({ which }) => which)).toEqual(['candidate', 'inForce']);
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('published twice within a second is the later one', () => {
    const world = createWorld({ secret: 'good-a', spec: { access: 'ReadOnly' } });
    world.advance(300);
    expect(world.status().credential?.access).toBe('ReadOnly');
    world.change({ access: 'ReadWrite' });
    world.advance(300);
    expect(world.status().credential?.access).toBe('ReadWrite');
    world.putSecret('good-b');
    world.advance(300);
    expect(world.status().credential?.hint).toBe('••••good-b');
    expect(world.now()).toBeLessThan(Date.parse('2026-01-01T00:00:01Z'));
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('deleted while its bytes are asked about leaves nothing in force', () => {
    const world = connected();
    world.latency(10 * SECOND);
    world.request('now');
    world.deleteSecret();
    world.deleteCopy();
    world.advance(MINUTE);
    expect(world.status().credential).toBeUndefined();
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(conditionOf(world, 'Connected')).toMatchObject({ status: 'Unknown', reason: 'SecretNotFound' });
  });

  test('accepted but quota exceeded: only the write is tried again, and the verdict is not asked for twice', () => {
    const world = createWorld({ secret: 'good-a' });
    world.quota(true);
    world.advance(12 * HOUR);
    expect(world.history.calls).toHaveLength(1);
    expect(conditionOf(world, 'Reconciling')?.reason).toBe('VerifiedSecretNotWritable');
    world.quota(false);
    world.advance(HOUR);
    expect(world.published()).toBe('good-a');
    expect(world.history.calls).toHaveLength(1);
  });

  test('is never written with the bytes of what is in force and the proof of what waits to be published', () => {
    const world = connected();
    world.quota(true);
    world.putSecret('good-b');
    world.advance(SECOND);
    world.latency(MINUTE);
    world.request('now');
    world.quota(false);
    world.advance(40 * SECOND);
    expect(world.published()).toBe('good-a');
    world.advance(3 * MINUTE);
    expect(world.history.published.map(({ bytes }) => bytes)).toEqual(['good-a', 'good-b']);
    expect(world.copies()['copy']?.proof?.credential.hint).toBe('••••good-b');
  });

  test('whose name is taken leaves the credential in force checked daily, and is cleared when the name is free', () => {
    const world = connected();
    world.takeName(true, 'taken');
    world.change({ copyName: 'taken' });
    world.advance(3 * DAY);
    expect(askedSince(world, 1)).toEqual(['good-a', 'good-a', 'good-a']);
    expect(world.status().health).toBe('Connected');
    world.takeName(false);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(Object.keys(world.copies())).toEqual(['taken']);
  });

  test('whose name is taken keeps the first credential from being asked about', () => {
    const world = createWorld();
    world.takeName(true);
    world.putSecret('good-a');
    world.request('now');
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(0);
    expect(world.status().lastHandledRecheck).toBe('now');
    world.takeName(false);
    world.advance(SECOND);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });
});

describe('the schedule', () => {
  test('an outage of 24 h with 20 restarts flips nothing, and two writes are made at most', () => {
    const world = connected();
    const writes = world.history.writes.length;
    world.provider(() => DOWN);
    world.advance(23 * HOUR);
    for (let i = 0; i < 20; i++) {
      world.restart();
      world.advance(72 * MINUTE);
    }
    expect(world.status().health).toBe('Connected');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.history.writes.length - writes).toBeLessThanOrEqual(1);
    // A restart loses the backoff: 20 × (10 s, 20 s … 72 min) at the most.
    expect(askedSince(world, 1).length).toBeLessThanOrEqual(21 * 12);
    world.provider(plainProvider);
    world.advance(HOUR);
    expect(world.status().lastAttempt).toBeUndefined();
  });

  test('the reason of an outage is written again only when it changes, at most hourly', () => {
    const world = connected();
    const answers: Outcome[] = [DOWN, { kind: 'throttled' }];
    let calls = 0;
    world.provider(() => answers[++calls % 2] ?? DOWN);
    const writes = world.history.writes.length;
    world.advance(2 * DAY);
    const hours = (world.now() - (world.history.calls[1]?.at ?? 0)) / HOUR;
    expect(calls).toBeGreaterThan(hours / 2);
    expect(world.history.writes.length - writes).toBeLessThanOrEqual(hours + 1);
  });

  test('Retry-After is the floor of the next attempt', () => {
    const world = createWorld({ secret: 'good-a' });
    world.provider(() => ({ kind: 'throttled', retryAfterMs: 3 * HOUR }));
    world.advance(3 * HOUR - SECOND);
    expect(world.history.calls).toHaveLength(1);
    world.advance(2 * SECOND);
    expect(world.history.calls).toHaveLength(2);
  });

  test('caps hold across restarts: no 25th refusal in 24 h, and what is new waits', () => {
    const world = createWorld({ secret: 'bad-0' });
    for (let i = 1; i <= 60; i++) {
      world.advance(10 * MINUTE);
      if (i % 5 === 0) world.restart();
      world.putSecret(`bad-${i}`);
    }
    expect(world.history.calls).toHaveLength(24);
    expect(conditionOf(world, 'Reconciling')).toMatchObject({ reason: 'CheckPostponed' });
    expect(conditionOf(world, 'Reconciling')?.message).toContain('2026-01-02T00:00:00Z');
    world.restart();
    world.request('now');
    world.advance(SECOND);
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(world.history.postponedRechecks).toBe(1);
    expect(world.history.calls).toHaveLength(24);
    world.putSecret('good-a');
    world.advance(14 * HOUR);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    expect(world.status().refusals).toBeUndefined();
  });

  test('six refusals in an hour are all that a process asks for', () => {
    const world = createWorld({ secret: 'bad-0' });
    for (let i = 1; i <= 50; i++) {
      world.advance(MINUTE);
      world.putSecret(`bad-${i}`);
    }
    expect(world.history.calls).toHaveLength(6);
    expect(conditionOf(world, 'Reconciling')?.reason).toBe('CheckPostponed');
  });

  test('a streak that becomes void while suspended is over at that moment', () => {
    // The refusal of the candidate began the window of 24 h a second before the streak, so its end wakes nobody in time.
    const world = createWorld({ secret: 'bad-a' });
    world.putSecret('good-a');
    world.advance(SECOND);
    world.provider(() => ({ kind: 'rejected' }));
    world.request('now');
    world.change({ suspend: true });
    world.advance(DAY - 1);
    expect(conditionOf(world, 'Connected')?.reason).toBe('ConfirmingRejection');

    world.advance(1);

    expect(world.status().confirming).toBeUndefined();
    expect(conditionOf(world, 'Connected')?.reason).toBe('Verified');
  });

  test('an acceptance that waits for quota for a day is asked again, and no answered request is asked for again', () => {
    const world = createWorld({ secret: 'good-a' });
    world.provider(() => REJECTED);
    world.advance(SECOND);
    world.quota(true);
    world.provider(plainProvider);
    world.request('first');
    world.advance(SECOND);
    world.request('second');
    expect(world.status().lastHandledRecheck).toBe('second');
    const { writes, calls } = world.history;
    const before = writes.length;

    world.advance(DAY + HOUR);

    expect(calls).toHaveLength(3);
    for (const { status } of writes.slice(before)) expect(status.lastHandledRecheck).toBe('second');
  });

  test('suspend + recheck: no call and the request waits until it is over', () => {
    const world = connected();
    world.change({ suspend: true });
    world.request('now');
    world.advance(5 * DAY);
    expect(world.history.calls).toHaveLength(1);
    expect(world.status().lastHandledRecheck).toBeUndefined();
    expect(conditionOf(world, 'Stalled')).toBeUndefined();
    world.change({ suspend: false });
    world.advance(SECOND);
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });

  test('a check that ends after a suspension counts, and publishes nothing', () => {
    for (const secret of ['good-b', 'bad-b']) {
      const world = connected();
      world.latency(10 * SECOND);
      world.putSecret(secret);
      world.change({ suspend: true });
      world.advance(MINUTE);
      expect(world.published()).toBe('good-a');
      expect(shown(world)).toBe('Connected=True(Verified) Ready=False(Suspended)');
      expect(world.status().refusals?.count).toBe(secret === 'bad-b' ? 1 : undefined);
    }
    const world = connected();
    world.latency(10 * SECOND);
    world.request('now');
    world.change({ suspend: true });
    world.advance(MINUTE);
    expect(world.status().lastHandledRecheck).toBe('now');
  });

  test('a request is answered once, and its annotation may be removed by a GitOps tool', () => {
    const world = connected();
    world.request('now');
    world.advance(SECOND);
    world.request(undefined);
    world.advance(HOUR);
    world.request('now');
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(2);
    world.request('again');
    world.advance(SECOND);
    expect(world.history.calls).toHaveLength(3);
  });

  test('a request that is removed while it is answered is answered', () => {
    const world = connected();
    world.request('now');
    world.request(undefined);
    world.advance(MINUTE);
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(world.history.calls).toHaveLength(2);
  });

  test('a value that is there at first visit is handled by the first check', () => {
    const world = createWorld({ secret: 'good-a', recheck: 'old' });
    world.advance(HOUR);
    expect(world.history.calls).toHaveLength(1);
    expect(world.status().lastHandledRecheck).toBe('old');
  });

  test('a request without anything to ask about is answered', () => {
    const world = createWorld();
    world.request('now');
    expect(world.status().lastHandledRecheck).toBe('now');
    expect(conditionOf(world, 'Reconciling')?.reason).toBe('SecretNotFound');
  });

  test('a request on a refused replacement asks it, and what is in force as well', () => {
    const world = connected();
    world.putSecret('bad-b');
    world.advance(11 * MINUTE);
    const calls = world.history.calls.length;
    world.request('now');
    world.advance(SECOND);
    expect(askedSince(world, calls)).toEqual(['bad-b', 'good-a']);
    expect(world.status().lastHandledRecheck).toBe('now');
  });

  test('an overdue check waits for its turn after a start', () => {
    const world = connected();
    world.change({ suspend: true });
    world.advance(30 * HOUR);
    world.change({ suspend: false });
    expect(world.busy()).toBe(true);

    const later = connected();
    later.advance(22 * HOUR);
    later.restart(later.now() + 2 * HOUR);
    later.advance(HOUR + 50 * MINUTE);
    expect(later.history.calls).toHaveLength(1);
    later.advance(20 * MINUTE);
    expect(later.history.calls).toHaveLength(2);
  });

  test('a status write that meets a conflict is decided again without a new call', () => {
    const world = createWorld({ secret: 'good-a' });
    world.conflict(3);
    world.advance(SECOND);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
    world.conflict();
    world.putSecret('good-b');
    world.advance(SECOND);
    expect(world.history.calls).toHaveLength(2);
    expect(world.published()).toBe('good-b');
  });
});

describe('expiry', () => {
  function expiring(days: number): (bytes: string, request: CheckRequest, now: number) => Outcome {
    let at: number | undefined;
    return (_bytes, _request, now) => accepted({ expiresAt: (at ??= now + days * DAY) });
  }

  test('is warned of once from 14 days before, and the check after it comes at once', () => {
    const world = createWorld();
    world.provider(expiring(30));
    world.putSecret('good-a');
    world.advance(16 * DAY - HOUR);
    expect(conditionOf(world, 'CredentialExpiring')).toBeUndefined();
    world.advance(2 * HOUR);
    expect(conditionOf(world, 'CredentialExpiring')).toMatchObject({ status: 'True', reason: 'ExpiresSoon' });
    world.advance(13 * DAY);
    expect(world.history.events.filter(({ reason }) => reason === 'ExpiresSoon')).toHaveLength(1);
    const expiresAt = fromTimestamp(world.status().credential?.expiresAt) ?? 0;
    world.advance(expiresAt + MINUTE - SECOND - world.now());
    const calls = world.history.calls.length;
    world.provider(() => REJECTED);
    world.advance(2 * SECOND);
    expect(world.history.calls).toHaveLength(calls + 1);
    world.advance(10 * MINUTE + SECOND);
    expect(world.status().health).toBe('NeedsAttention');
    expect(conditionOf(world, 'CredentialExpiring')).toBeUndefined();
  });

  test('stays as it is while it wobbles, moves when it moves and goes when there is none', () => {
    const world = createWorld();
    const end = world.now() + 30 * DAY;
    world.provider((_bytes, _request, now) => accepted({ expiresAt: end + (now % 60_000) }));
    world.putSecret('good-a');
    world.advance(SECOND);
    const { expiresAt } = world.status().credential ?? {};
    const recheck = (value: string) => {
      world.advance(MINUTE + 7 * SECOND);
      world.request(value);
      world.advance(SECOND);
      return world.status().credential?.expiresAt;
    };
    expect(recheck('wobble')).toBe(expiresAt);
    world.provider(() => accepted());
    expect(recheck('not read')).toBe(expiresAt);
    world.provider(() => accepted({ expiresAt: end + DAY }));
    expect(recheck('later')).toBe(new Date(end + DAY).toISOString().replace('.000Z', 'Z'));
    world.provider(() => accepted({ expiresAt: null }));
    expect(recheck('none')).toBeUndefined();
    world.provider(() => accepted({ expiresAt: end }));
    expect(recheck('again')).toBe(expiresAt);
  });
});

describe('identity', () => {
  const without: Outcome = { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } };

  test('a provider without one says so', () => {
    const world = createWorld({ noIdentity: true });
    world.provider(() => ({ kind: 'accepted' }));
    world.putSecret('good-a');
    world.advance(SECOND);
    expect(conditionOf(world, 'Connected')?.message).toContain('no way to tell');
    expect(world.status().account).toBeUndefined();
    expect(world.status().credential?.permissions).toEqual({ state: 'Unknown', missing: [] });
  });

  test('an account that could not be compared is accepted and said so', () => {
    const world = connected();
    world.provider(() => accepted({ account: { ids: ['login:x'] } }));
    world.putSecret('good-b');
    world.advance(SECOND);
    expect(world.published()).toBe('good-b');
    expect(conditionOf(world, 'Connected')?.message).toContain('could not be compared');
    world.provider(() => without);
    world.putSecret('good-c');
    world.advance(SECOND);
    expect(world.published()).toBe('good-c');
    expect(world.status().account).toBeUndefined();
  });

  test('an account that is learnt later is written down', () => {
    const world = createWorld();
    world.provider(() => without);
    world.putSecret('good-a');
    world.advance(SECOND);
    expect(world.status().account).toBeUndefined();
    world.provider(() => accepted());
    world.request('now');
    world.advance(SECOND);
    expect(world.status().account?.id).toBe('team:1');
  });
});
