import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Condition } from '../api/cloudaccount.generated.ts';
import type { Outcome } from './outcome.ts';
import { DAY, fromTimestamp, HOUR, MINUTE, SECOND } from './time.ts';
import { conditionOf, createWorld, plainProvider, shown, type World } from './world.test-support.ts';

/** Any outcome that says nothing about the credential. */
const notDefinitive: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record({ kind: fc.constant('throttled' as const), retryAfterMs: fc.nat(2 * HOUR) }),
  fc.constant<Outcome>({ kind: 'throttled' }),
  fc.record({ kind: fc.constant('unreachable' as const), cause: fc.constantFrom('ECONNRESET', 'html') }),
  fc.constant<Outcome>({ kind: 'unexpected', detail: 'status 418' }),
);

const refusal: fc.Arbitrary<Outcome> = fc.constantFrom<Outcome>(
  { kind: 'rejected', detail: 'Unable to authenticate you' },
  { kind: 'missingPermission', missing: ['droplet:create'] },
  { kind: 'sourceNotAllowed', address: '192.0.2.1' },
  { kind: 'accountLocked' },
  { kind: 'malformed', check: 'length', message: 'it must have 64 characters.' },
);

/** Something that happens to an account; its text is what a failing run prints. */
interface Happening {
  text: string;
  to: (world: World) => void;
}

function happening(text: string, to: (world: World) => void): Happening {
  return { text, to, [fc.toStringMethod]: () => text } as Happening;
}

function oneOf(...happenings: Happening[]): fc.Arbitrary<Happening> {
  return fc.constantFrom(...happenings);
}

const time = fc
  .oneof(
    fc.integer({ min: 1, max: 20 * SECOND }),
    fc.integer({ min: SECOND, max: 15 * MINUTE }),
    fc.integer({ min: MINUTE, max: 2 * HOUR }),
    fc.integer({ min: HOUR, max: 30 * HOUR }),
  )
  .map(passing);

function passing(ms: number): Happening {
  return happening(`${ms} ms pass`, world => world.advance(ms));
}

function answers(outcome: fc.Arbitrary<Outcome>): fc.Arbitrary<Happening> {
  return outcome.map(answering);
}

function answering(given: Outcome): Happening {
  return happening(`the provider answers ${JSON.stringify(given)}`, world => world.provider(() => given));
}

let requests = 0;
const request = happening('a recheck is requested', world => world.request(`now-${++requests}`));
const healthy = happening('the provider answers as it should', world => world.provider(plainProvider));
const touched = happening('the Secret is touched', world => world.touchSecret());
const restarted = happening('the process restarts', world => world.restart());

const BYTES = ['good-a', 'good-b', 'bad-a', 'bad-b', 'other-a', 'readonly-a'];
const newSecret = fc.constantFrom(...BYTES).map(holding);

function holding(bytes: string): Happening {
  return happening(`the Secret holds ${bytes}`, world => world.putSecret(bytes));
}

const suspended = happening('suspend: true', world => world.change({ suspend: true }));

const otherKeys = happening('verifiedSecret.keys: renamed', world => world.change({ layout: 'TOKEN' }));
const spec = oneOf(
  happening('access: ReadOnly', world => world.change({ access: 'ReadOnly' })),
  happening('access: ReadWrite', world => world.change({ access: 'ReadWrite' })),
  happening('accountID: team:1', world => world.change({ accountID: 'team:1' })),
  happening('accountID: team:2', world => world.change({ accountID: 'team:2' })),
  suspended,
  happening('suspend: false', world => world.change({ suspend: false })),
  happening('recheckInterval: 1h', world => world.change({ intervalMs: HOUR })),
  happening('recheckInterval: 168h', world => world.change({ intervalMs: 168 * HOUR })),
  happening('verifiedSecret.name: copy', world => world.change({ copyName: 'copy' })),
  happening('verifiedSecret.name: renamed', world => world.change({ copyName: 'renamed' })),
  otherKeys,
);

const secretDeleted = happening('the Secret is deleted', world => world.deleteSecret());
const secretFaults = oneOf(
  touched,
  touched,
  secretDeleted,
  happening('the Secret is spoilt', world => world.spoilSecret('the key "token" is missing or empty.')),
);

const quotaExceeded = happening('quota is exceeded', world => world.quota(true));
const copyFaults = oneOf(
  happening('the copy is edited', world => world.editCopy({ bytes: 'evil' })),
  happening('the copy is emptied', world => world.editCopy({ bytes: undefined })),
  happening('the copy loses its proof', world => world.editCopy({ proof: undefined })),
  happening('the copy is touched', world => world.editCopy({ writtenByUs: true })),
  happening('the copy loses its owner', world => world.editCopy({ owner: 'nobody' })),
  happening('the copy is deleted', world => world.deleteCopy()),
  happening('a foreign Secret takes the name', world => world.takeName(true)),
  happening('the name is free', world => world.takeName(false)),
  quotaExceeded,
  happening('quota is free', world => world.quota(false)),
);

const processFaults = oneOf(
  restarted,
  happening('killed before publishing', world => world.crashAt('before publish')),
  happening('killed after publishing', world => world.crashAt('after publish')),
  happening('killed before relocating', world => world.crashAt('before relocate')),
  happening('killed after relocating', world => world.crashAt('after relocate')),
  happening('killed before restoring', world => world.crashAt('before restore')),
  happening('killed after restoring', world => world.crashAt('after restore')),
  happening('killed before a status write', world => world.crashAt('before status')),
  happening('killed after a status write', world => world.crashAt('after status')),
  happening('killed as a check begins', world => world.crashAt('after check')),
  happening('killed before a verdict', world => world.crashAt('before verdict')),
  happening('killed with a verdict in hand', world => world.crashAt('after verdict')),
  happening('a status write meets a conflict', world => world.conflict()),
  happening('checks take 3 s', world => world.latency(3 * SECOND, 5 * SECOND)),
  happening('checks take 100 ms', world => world.latency(100)),
);

const anything = fc.oneof(
  { arbitrary: time, weight: 6 },
  { arbitrary: fc.oneof(answers(notDefinitive), answers(refusal)), weight: 3 },
  { arbitrary: fc.constant(healthy), weight: 2 },
  { arbitrary: newSecret, weight: 3 },
  { arbitrary: fc.constant(request), weight: 2 },
  { arbitrary: spec, weight: 2 },
  { arbitrary: secretFaults, weight: 2 },
  { arbitrary: copyFaults, weight: 2 },
  { arbitrary: processFaults, weight: 3 },
);

/** What a law is tried on: what happens, the bytes of the Secret at first, and the jitter in thousandths. */
type Life = [happenings: Happening[], secret: string | undefined, jitter: number];

function holds(
  happenings: fc.Arbitrary<Happening>,
  law: (world: World, happenings: readonly Happening[]) => void,
  { maxLength = 40, examples = [] }: { maxLength?: number; examples?: readonly Life[] } = {},
): void {
  fc.assert(
    fc.property(
      fc.array(happenings, { maxLength, size: 'max' }),
      fc.constantFrom('good-a', 'bad-a', 'readonly-a', undefined),
      fc.integer({ min: 0, max: 999 }),
      (list, secret, jitter) => {
        const world = createWorld({
          ...(secret !== undefined && { secret }),
          random: () => jitter / 1000,
        });
        law(world, list);
      },
    ),
    { examples: [...examples] },
  );
}

function acceptedBytes({ history }: World): Set<string> {
  return new Set(history.calls.filter(({ kind }) => kind === 'accepted').map(({ bytes }) => bytes));
}

function connectedIn({ conditions = [] }: { conditions?: Condition[] }): string {
  return conditions.find(({ type }) => type === 'Connected')?.status ?? 'Unknown';
}

describe('whatever happens', () => {
  test('only bytes that the provider accepted are ever written into a copy', () => {
    holds(anything, (world, list) => {
      for (const { to } of list) {
        const before = world.history.published.length;
        to(world);
        const proven = acceptedBytes(world);
        for (const { bytes } of world.history.published.slice(before)) expect(proven).toContain(bytes);
        if (world.status().credential !== undefined) expect(proven).toContain(world.published());
      }
    });
  });

  test('the proof in a copy speaks of the bytes beside it', () => {
    holds(anything, (world, list) => {
      for (const { to } of list) {
        to(world);
        for (const { bytes, proof, writtenByUs } of Object.values(world.copies())) {
          if (writtenByUs && proof !== undefined && bytes !== undefined && bytes !== 'evil')
            expect(proof.credential.hint).toBe(`••••${bytes}`);
        }
        const hint = world.status().credential?.hint;
        if (hint !== undefined) expect(hint).toBe(`••••${world.published()}`);
      }
    });
  });

  test('nothing of bytes that no provider accepted is in status or events', () => {
    holds(anything, (world, list) => {
      for (const { to } of list) {
        to(world);
        const text = JSON.stringify([world.history.writes.at(-1)?.status, world.history.events]);
        const proven = acceptedBytes(world);
        for (const bytes of [...BYTES, 'evil']) if (!proven.has(bytes)) expect(text).not.toContain(bytes);
      }
    });
  });

  test('Connected turns only for a reason that the history shows', () => {
    holds(anything, (world, list) => {
      for (const { to } of list) to(world);
      const { writes, checks } = world.history;
      for (const { at, before, status } of writes) {
        const [was, is] = [connectedIn(before), connectedIn(status)];
        if (was === is) continue;
        const bytes = status.credential?.hint.slice(4) ?? before.credential?.hint.slice(4);
        const asked = checks.filter(call => call.at <= at && !call.lost);
        const verdicts = asked.filter(call => call.bytes === bytes && isVerdict(call.kind));
        if (is === 'True') expect(verdicts.at(-1)?.kind).toBe('accepted');
        if (is === 'Unknown') expect([was, status.credential]).toEqual(['True', undefined]);
        if (is === 'False' && status.credential !== undefined) {
          const streak = verdicts.slice(verdicts.findLastIndex(({ kind }) => kind === 'accepted') + 1);
          expect(streak.length).toBeGreaterThanOrEqual(3);
          expect(at - (streak[0]?.at ?? at)).toBeGreaterThanOrEqual(10 * MINUTE - SECOND);
        }
      }
    });
  });

  test('deciding again writes nothing and asks nobody', () => {
    const law = (world: World, list: readonly Happening[]) => {
      for (const { to } of list) {
        to(world);
        if (world.busy()) continue;
        const { writes, calls, published } = world.history;
        const before = [writes.length, calls.length, published.length];
        world.reconcile();
        world.reconcile();
        expect([writes.length, calls.length, published.length]).toEqual(before);
        expect(world.busy()).toBe(false);
      }
    };
    // Counterexamples that were found, so that they are tried each time.
    const streakVoidWhileSuspended: Life = [
      [
        holding('good-a'),
        passing(SECOND),
        request,
        answering({ kind: 'rejected', detail: 'Unable to authenticate you' }),
        suspended,
        passing(DAY),
      ],
      'readonly-a',
      0,
    ];
    const acceptanceInHandForADay: Life = [
      [
        answering({ kind: 'rejected', detail: 'Unable to authenticate you' }),
        passing(SECOND),
        quotaExceeded,
        request,
        healthy,
        passing(4_751_583),
        request,
        passing(81_648_617),
      ],
      'good-a',
      0,
    ];
    const otherKeysDeniedWithoutASecret: Life = [
      [passing(HOUR), quotaExceeded, secretDeleted, otherKeys, passing(SECOND)],
      'good-a',
      0,
    ];
    const examples = [streakVoidWhileSuspended, acceptanceInHandForADay, otherKeysDeniedWithoutASecret];
    holds(anything, law, { examples });
  });

  test('a restart of an account that is well and has nothing due makes no call and no write', () => {
    holds(anything, (world, list) => {
      for (const { to } of list) {
        to(world);
        const { nextCheckTime, lastAttempt, confirming, candidate } = world.status();
        const isWell = conditionOf(world, 'Ready')?.status === 'True' && !world.busy();
        const isDue = world.now() >= (fromTimestamp(nextCheckTime) ?? 0);
        if (!isWell || isDue || lastAttempt || confirming || candidate) continue;
        const { writes, calls } = world.history;
        const before = [writes.length, calls.length];
        world.restart();
        world.advance(100);
        expect([writes.length, calls.length, world.busy()]).toEqual([...before, false]);
      }
    });
  });

  test('when the faults end and a good credential is there, the account becomes Connected and Ready', () => {
    holds(anything, (world, list) => {
      for (const { to } of list) to(world);
      world.provider(plainProvider);
      world.quota(false);
      world.takeName(false);
      world.latency(100);
      world.change({ suspend: false, intervalMs: DAY, access: 'ReadWrite', accountID: 'team:1' });
      world.putSecret('good-z');
      world.advance(26 * HOUR);
      expect(shown(world)).toBe('Connected=True(Verified) Ready=True(Verified)');
      expect(world.published()).toBe('good-z');
      expect(Object.values(world.copies()).filter(({ owner }) => owner === 'us')).toHaveLength(1);
    });
  });
});

function isVerdict(kind: string): boolean {
  return !['throttled', 'unreachable', 'unexpected'].includes(kind);
}

describe('answers that say nothing', () => {
  const nothing = fc.oneof(
    { arbitrary: time, weight: 6 },
    { arbitrary: answers(notDefinitive), weight: 4 },
    { arbitrary: fc.constantFrom(request, touched, restarted), weight: 4 },
    { arbitrary: processFaults, weight: 2 },
  );

  for (const [state, secret] of [
    ['Connected', 'good-a'],
    ['NeedsAttention', 'bad-a'],
    ['Pending', undefined],
  ] as const) {
    test(`never change Connected of an account that is ${state}`, () => {
      fc.assert(
        fc.property(notDefinitive, fc.array(nothing, { maxLength: 40, size: 'max' }), (first, list) => {
          const world = createWorld(secret === undefined ? {} : { secret });
          world.advance(MINUTE - 1);
          world.provider(() => first);
          const connected = conditionOf(world, 'Connected');
          for (const { to } of list) {
            to(world);
            expect(world.status().health).toBe(state);
            const { status, lastTransitionTime } = conditionOf(world, 'Connected') ?? {};
            expect({ status, lastTransitionTime }).toEqual({
              status: connected?.status,
              lastTransitionTime: connected?.lastTransitionTime,
            });
          }
        }),
      );
    });
  }

  test('between refusals neither confirm nor clear them', () => {
    fc.assert(
      fc.property(fc.array(nothing, { maxLength: 30, size: 'max' }), list => {
        const world = createWorld({ secret: 'good-a' });
        world.advance(MINUTE);
        world.provider(() => ({ kind: 'rejected' }));
        world.request('first');
        world.advance(SECOND);
        const { confirming } = world.status();
        world.provider(() => ({ kind: 'unreachable', cause: 'ETIMEDOUT' }));
        for (const { to } of list) {
          to(world);
          const isVoid = world.now() >= (fromTimestamp(confirming?.since) ?? 0) + DAY;
          if (isVoid) break;
          expect(world.status().confirming).toEqual(confirming);
        }
      }),
    );
  });
});

describe('a replacement that is refused', () => {
  const replaced = fc.oneof(
    { arbitrary: time, weight: 5 },
    {
      arbitrary: fc.constantFrom('bad-a', 'bad-b', 'readonly-a', 'other-a').map(holding),
      weight: 4,
    },
    { arbitrary: secretFaults, weight: 2 },
    { arbitrary: fc.constantFrom(request, restarted), weight: 2 },
    { arbitrary: processFaults, weight: 2 },
    {
      arbitrary: oneOf(
        suspended,
        happening('suspend: false', world => world.change({ suspend: false })),
        happening('accountID: team:3', world => world.change({ accountID: 'team:3' })),
      ),
      weight: 1,
    },
  );

  test('never changes what is published, nor Connected', () => {
    fc.assert(
      fc.property(fc.array(replaced, { maxLength: 40, size: 'max' }), list => {
        const world = createWorld({ secret: 'good-a' });
        world.advance(MINUTE);
        const { copy } = world.copies();
        for (const { to } of list) {
          to(world);
          expect(world.copies()).toEqual({ copy });
          expect(world.status().health).toBe('Connected');
          expect(world.status().credential?.hint).toBe('••••good-a');
        }
      }),
    );
  });
});

describe('a credential that is refused', () => {
  const hammering = fc.oneof(
    { arbitrary: time, weight: 5 },
    { arbitrary: newSecret, weight: 6 },
    { arbitrary: fc.constant(request), weight: 6 },
    { arbitrary: spec, weight: 3 },
    { arbitrary: secretFaults, weight: 2 },
    { arbitrary: answers(refusal), weight: 4 },
    { arbitrary: fc.constantFrom(restarted, healthy), weight: 1 },
    {
      arbitrary: oneOf(
        happening('the copy is deleted', world => world.deleteCopy()),
        happening('a status write meets a conflict', world => world.conflict()),
      ),
      weight: 1,
    },
  );

  test('is asked about at most 6 times an hour by a process and 24 times in a window of 24 h', () => {
    holds(
      hammering,
      (world, list) => {
        for (const { to } of list) {
          to(world);
          world.advance(SECOND);
        }
        checkCaps(world);
      },
      { maxLength: 120 },
    );
  });

  test('is asked about no more often when a new Secret comes every minute', () => {
    const world = createWorld({ secret: 'bad-0' });
    for (let minute = 1; minute <= 3 * 24 * 60; minute++) {
      world.advance(MINUTE);
      world.putSecret(`bad-${minute}`);
      if (minute % 7 === 0) world.request(`now-${minute}`);
      if (minute % 301 === 0) world.restart();
    }
    checkCaps(world);
    expect(world.history.calls.length).toBeGreaterThanOrEqual(3 * 24);
  });
});

/** Promise to providers, told from what they saw. */
function checkCaps({ history }: World): void {
  const refused = history.calls.filter(({ kind }) => isVerdict(kind) && kind !== 'accepted');
  for (const { at, life } of refused) {
    const hour = refused.filter(call => call.life === life && call.at > at - HOUR && call.at <= at);
    expect(hour.length).toBeLessThanOrEqual(6);
  }
  if (refused.some(({ lost }) => lost)) return;
  let [since, count] = [-Infinity, 0];
  for (const { at } of refused) {
    if (at >= Math.floor(since / SECOND) * SECOND + DAY) [since, count] = [at, 0];
    count += 1;
    expect(count).toBeLessThanOrEqual(24);
  }
}
