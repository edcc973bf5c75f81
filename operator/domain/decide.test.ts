import { describe, expect, test } from '@jest/globals';
import { decide } from './decide.ts';
import type { Facts, Proof } from './facts.ts';
import { compareAccounts } from './identity.ts';
import type { Outcome } from './outcome.ts';
import { DEFAULT_TIMING } from './schedule.ts';
import { DAY, MINUTE, SECOND, toTimestamp } from './time.ts';
import { accepted, conditionOf, createWorld, shown, START } from './world.test-support.ts';

/** Facts that no world comes to by itself: status or memory as somebody else, or another version, left them. */
function facts(more: Partial<Facts> = {}): Facts {
  return {
    now: START,
    uid: 'uid',
    generation: 1,
    wanted: { access: 'ReadWrite', intervalMs: DAY, suspend: false, copyName: 'copy' },
    help: {
      provider: 'Hetzner',
      consoleUrl: 'https://console.hetzner.com',
      consolePath: '',
      permissions: 'Read & Write.',
      access: 'ReadWrite',
      secretName: 'source',
      copyName: 'copy',
    },
    noIdentity: true,
    status: {},
    source: { state: 'missing' },
    copy: { state: 'absent' },
    nameTaken: false,
    memory: { refusals: [], retries: {} },
    timing: DEFAULT_TIMING,
    ...more,
  };
}

const REVISION = { uid: 's', resourceVersion: '1' };
const PROOF: Proof = {
  credential: {
    hint: '••••',
    verifiedAt: toTimestamp(START),
    access: 'ReadWrite',
    permissions: { state: 'Unknown', missing: [] },
    source: REVISION,
  },
};
const IN_FORCE = {
  observedGeneration: 1,
  ...PROOF,
  verifiedSecretRef: { name: 'copy', uid: 'c', resourceVersion: '2' },
  nextCheckTime: toTimestamp(START + DAY),
};

describe('status that somebody else wrote', () => {
  test('without conditions gets them again, without a call', () => {
    const step = decide(
      facts({
        status: IN_FORCE,
        copy: { state: 'recorded' },
        source: { state: 'unread', revision: REVISION },
      }),
    );
    expect(step).toMatchObject({ do: 'done', status: { health: 'Connected' } });
  });

  test('that records a copy and no credential is not taken for a working connection', () => {
    const broken = facts({
      status: { observedGeneration: 1, verifiedSecretRef: { name: 'old', uid: 'c', resourceVersion: '2' } },
      copy: { state: 'recorded' },
    });
    expect(() => decide(broken)).toThrow('has a credential record');
  });
});

test('a streak that was counted under longer --confirm-after ends with the next refusal', () => {
  const status = {
    ...IN_FORCE,
    confirming: { reason: 'CredentialRejected', count: 2, since: toTimestamp(START) },
  };
  const step = decide(
    facts({
      now: START + MINUTE,
      status,
      timing: { ...DEFAULT_TIMING, confirmAfter: [SECOND] },
      copy: { state: 'recorded', fingerprint: 'f' },
      source: { state: 'unread', revision: REVISION },
      memory: {
        refusals: [],
        retries: {},
        published: 'f',
        result: { which: 'inForce', question: 'f', outcome: { kind: 'rejected' }, at: START + MINUTE },
      },
    }),
  );
  expect(step).toMatchObject({ do: 'done', status: { health: 'NeedsAttention' }, settled: ['result'] });
});

test('an acceptance without a hint is a fault of the caller and publishes nothing', () => {
  const broken = facts({
    source: { state: 'read', revision: REVISION, fingerprint: 'f' },
    memory: {
      refusals: [],
      retries: {},
      inHand: { which: 'candidate', question: 'f ReadWrite ', outcome: accepted(), at: START },
    },
  });
  expect(() => decide(broken)).toThrow('has a source');
});

test('a name that was just found taken is waited for', () => {
  const source = { state: 'read', revision: REVISION, fingerprint: 'f' } as const;
  const step = decide(facts({ source, nameTaken: true }));
  expect(step).toMatchObject({ do: 'done', wakeAt: START + 30 * SECOND });
});

describe('a copy that another process published, with the same hint as the credential before', () => {
  const renewed = (resourceVersion: string, verifiedAt: number): Proof => ({
    credential: {
      ...PROOF.credential,
      verifiedAt: toTimestamp(verifiedAt),
      expiresAt: toTimestamp(START + 300 * DAY),
      source: { uid: 's', resourceVersion },
    },
  });

  test.each([
    ['of a later revision of the Secret, under a clock that is behind', '3', START - MINUTE, true],
    ['of an earlier revision, under a clock that is ahead', '1', START + MINUTE, false],
    ['of the same revision, verified later', '2', START + SECOND, true],
    ['of the same revision, verified earlier', '2', START - SECOND, false],
  ])('%s', (_name, resourceVersion, verifiedAt, isAdopted) => {
    const proof = renewed(resourceVersion, verifiedAt);
    const credential = { ...PROOF.credential, source: { uid: 's', resourceVersion: '2' } };
    const step = decide(
      facts({
        now: START + 2 * MINUTE,
        status: { ...IN_FORCE, credential },
        source: { state: 'read', revision: proof.credential.source, fingerprint: 'f' },
        copy: {
          state: 'read',
          ref: { name: 'copy', uid: 'c', resourceVersion: '9' },
          fingerprint: 'f',
          proof,
          layoutDiffers: false,
          writtenByUs: true,
        },
      }),
    );
    expect(step).toMatchObject({ do: 'done', status: { verifiedSecretRef: { resourceVersion: '9' } } });
    const { expiresAt } = (step.do === 'done' && step.status?.credential) || {};
    expect(expiresAt !== undefined).toBe(isAdopted);
  });
});

describe('an edited proof', () => {
  test.each(['yesterday', '2099-01-01T00:00:00Z'])('of %s does not keep the next check away', verifiedAt => {
    const world = createWorld({ secret: 'good-a' });
    world.advance(SECOND);
    const { proof } = world.copies()['copy'] ?? {};
    if (proof === undefined) throw new Error('no proof');
    // A process that knows the bytes believes no annotation; the next one has nothing else.
    world.restart();
    world.editCopy({ proof: { ...proof, credential: { ...proof.credential, verifiedAt } } });
    world.advance(DAY);
    expect(world.history.calls).toHaveLength(2);
    expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
  });
});

test.each<Partial<Extract<Outcome, { kind: 'accepted' }>>>([
  {},
  { permissions: { state: 'Unknown', missing: [] } },
])('a recheck that tells neither permissions nor account leaves them as they are: %j', told => {
  const world = createWorld({ secret: 'good-a' });
  world.advance(SECOND);
  const { account, credential } = world.status();
  world.provider(() => ({ kind: 'accepted', ...told }));
  world.request('now');
  world.advance(SECOND);
  expect(world.status().account).toEqual(account);
  expect(world.status().credential?.permissions).toEqual(credential?.permissions);
  expect(conditionOf(world, 'Connected')?.status).toBe('True');
});

describe('identities', () => {
  test.each([
    [[], ['team:1'], undefined, { kind: 'learnt' }],
    [['team:1'], ['team:1', 'account:2'], undefined, { kind: 'same' }],
    [['team:1', 'account:1'], ['team:1', 'account:2'], undefined, { kind: 'same' }],
    [['team:1'], ['team:2'], undefined, { kind: 'different', expected: 'team:1', proven: 'team:2' }],
    [['account:1'], ['team:2', 'account:1'], undefined, { kind: 'same' }],
    [['team:1'], ['login:x'], undefined, { kind: 'notComparable' }],
    [['team:1'], undefined, undefined, { kind: 'notComparable' }],
    [['team:1'], ['team:2'], 'team:2', { kind: 'same' }],
    [['team:1'], ['team:1'], 'team:2', { kind: 'different', expected: 'team:2', proven: 'team:1' }],
    [['team:1'], undefined, 'team:2', { kind: 'different', expected: 'team:2' }],
  ])('%j proven as %j under the pin %j', (known, ids, pin, comparison) => {
    expect(compareAccounts(known, ids && { ids }, pin)).toEqual(comparison);
  });
});

test('a right that a working credential loses, or gets, is told', () => {
  const world = createWorld({ secret: 'good-a' });
  world.advance(SECOND);
  world.provider(() => accepted({ permissions: { state: 'Sufficient', missing: ['droplet:admin'] } }));
  world.request('lost');
  world.advance(SECOND);
  expect(conditionOf(world, 'Connected')?.message).toContain('lacks droplet:admin');
  world.provider(() => accepted());
  world.request('again');
  world.advance(SECOND);
  expect(conditionOf(world, 'Connected')?.message).not.toContain('lacks');
});

test('a stronger identity that a later check of the same bytes proves is added, and none is lost', () => {
  const world = createWorld({ secret: 'good-a' });
  world.provider(() => accepted({ account: { ids: ['user:1'] } }));
  world.advance(SECOND);
  expect(world.status().account?.id).toBe('user:1');
  world.provider(() => accepted({ account: { ids: ['euuid:x', 'user:1'], name: 'ACME' } }));
  world.request('learn');
  world.advance(SECOND);
  world.provider(() => accepted({ account: { ids: ['user:1'] } }));
  world.request('again');
  world.advance(SECOND);
  expect(world.status().account).toEqual({ id: 'euuid:x', ids: ['euuid:x', 'user:1'], name: 'ACME' });
});
