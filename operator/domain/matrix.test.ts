import { expect, test } from '@jest/globals';
import type { Outcome } from './outcome.ts';
import { DAY, HOUR, MINUTE, SECOND } from './time.ts';
import { createWorld, shown, type World } from './world.test-support.ts';

/** One row of the matrix of conditions: how an account comes there, and what it shows then. */
interface Row {
  title: string;
  /** Bytes of the Secret that is there from the start. */
  secret?: string;
  live: (world: World) => void;
  shows: string;
}

const REFUSALS: readonly [string, Outcome][] = [
  ['CredentialRejected', { kind: 'rejected' }],
  ['MissingPermission', { kind: 'missingPermission', missing: ['droplet:create'] }],
  ['SourceAddressNotAllowed', { kind: 'sourceNotAllowed', address: '192.0.2.1' }],
  ['AccountLocked', { kind: 'accountLocked' }],
  ['SecretInvalid', { kind: 'malformed', check: 'length', message: 'too short.' }],
];

const VERIFIED = 'Connected=True(Verified)';

function verdict(world: World): void {
  world.advance(SECOND);
}

/** Three refusals of what is in force, confirmed. */
function demote(world: World): void {
  verdict(world);
  world.provider(() => ({ kind: 'rejected' }));
  world.request('demote');
  world.advance(11 * MINUTE);
}

const ROWS: readonly Row[] = [
  {
    title: 'nothing in force, no Secret',
    live: verdict,
    shows: 'Connected=Unknown(SecretNotFound) Ready=Unknown(SecretNotFound) Reconciling=True(SecretNotFound)',
  },
  {
    title: 'nothing in force, the first check takes longer than a second',
    secret: 'good-a',
    live(world) {
      world.latency(5 * SECOND);
      world.touchSecret();
      world.restart();
      world.advance(2 * SECOND);
    },
    shows: 'Connected=Unknown(Verifying) Ready=Unknown(Verifying) Reconciling=True(Verifying)',
  },
  ...(
    [
      ['ProviderUnreachable', { kind: 'unreachable', cause: 'ECONNREFUSED' }],
      ['ProviderThrottled', { kind: 'throttled' }],
      ['UnexpectedAnswer', { kind: 'unexpected', detail: 'status 302' }],
    ] as const
  ).map(([reason, outcome]) => ({
    title: `nothing in force, ${outcome.kind}`,
    secret: 'good-a',
    live(world: World) {
      world.provider(() => outcome);
      verdict(world);
    },
    shows: `Connected=Unknown(${reason}) Ready=Unknown(${reason}) Reconciling=True(${reason})`,
  })),
  ...REFUSALS.map(([reason, outcome]) => ({
    title: `nothing in force, ${outcome.kind}`,
    secret: 'bad-a',
    live(world: World) {
      world.provider(() => outcome);
      verdict(world);
    },
    shows: `Connected=False(${reason}) Ready=False(${reason}) Stalled=True(${reason})`,
  })),
  {
    title: 'nothing in force, the Secret holds nothing usable',
    live: world => world.spoilSecret('the key "token" is missing or empty.'),
    shows: 'Connected=False(SecretInvalid) Ready=False(SecretInvalid) Stalled=True(SecretInvalid)',
  },
  {
    title: 'nothing in force, another account than the pinned one',
    secret: 'other-a',
    live(world) {
      world.change({ accountID: 'team:1' });
      verdict(world);
    },
    shows: 'Connected=False(DifferentAccount) Ready=False(DifferentAccount) Stalled=True(DifferentAccount)',
  },
  {
    title: 'refused, then new bytes that are not judged: False stays False',
    secret: 'bad-a',
    live(world) {
      verdict(world);
      world.provider(() => ({ kind: 'unreachable', cause: 'ETIMEDOUT' }));
      world.putSecret('good-a');
      world.advance(SECOND);
    },
    shows:
      'Connected=False(CredentialRejected) Ready=Unknown(ProviderUnreachable) Reconciling=True(ProviderUnreachable)',
  },
  {
    title: 'nothing in force, accepted, the copy is not writable',
    secret: 'good-a',
    live(world) {
      world.quota(true);
      verdict(world);
    },
    shows:
      'Connected=Unknown(VerifiedSecretNotWritable) Ready=False(VerifiedSecretNotWritable) Reconciling=True(VerifiedSecretNotWritable)',
  },
  {
    title: 'nothing in force, the name of the copy is taken: waits for a collection that may be under way',
    live(world) {
      world.takeName(true);
      world.putSecret('good-a');
      world.advance(20 * SECOND);
    },
    shows:
      'Connected=Unknown(VerifiedSecretConflict) Ready=False(VerifiedSecretConflict) Reconciling=True(VerifiedSecretConflict)',
  },
  {
    title: 'nothing in force, the name of the copy stays taken',
    live(world) {
      world.takeName(true);
      world.putSecret('good-a');
      world.advance(31 * SECOND);
    },
    shows:
      'Connected=Unknown(VerifiedSecretConflict) Ready=False(VerifiedSecretConflict) Stalled=True(VerifiedSecretConflict)',
  },
  { title: 'good', secret: 'good-a', live: verdict, shows: `${VERIFIED} Ready=True(Verified)` },
  {
    title: 'good, for reading only',
    secret: 'readonly-a',
    live(world) {
      world.change({ access: 'ReadOnly' });
      world.advance(2 * SECOND);
    },
    shows: 'Connected=True(VerifiedReadOnly) Ready=True(VerifiedReadOnly)',
  },
  {
    title: 'good, the check was not definitive',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.provider(() => ({ kind: 'unreachable', cause: 'ECONNRESET' }));
      world.advance(2 * DAY);
    },
    shows: `${VERIFIED} Ready=True(Verified)`,
  },
  {
    title: 'good, being refused',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.provider(() => ({ kind: 'rejected' }));
      world.request('now');
      world.advance(SECOND);
    },
    shows: 'Connected=True(ConfirmingRejection) Ready=True(ConfirmingRejection)',
  },
  {
    title: 'good, being refused, the candidate refused',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.putSecret('bad-b');
      world.advance(SECOND);
      world.provider(() => ({ kind: 'rejected' }));
      world.request('now');
      world.advance(SECOND);
    },
    shows:
      'Connected=True(ConfirmingRejection) Ready=False(ReplacementRejected) Stalled=True(ReplacementRejected)',
  },
  {
    title: 'good, being refused, the candidate not judged',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.provider(() => ({ kind: 'rejected' }));
      world.request('now');
      world.advance(SECOND);
      world.provider(() => ({ kind: 'throttled' }));
      world.putSecret('good-b');
      world.advance(SECOND);
    },
    shows:
      'Connected=True(ConfirmingRejection) Ready=False(ProviderThrottled) Reconciling=True(ProviderThrottled)',
  },
  {
    title: 'good, the candidate accepted and not writable',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.quota(true);
      world.putSecret('good-b');
      world.advance(SECOND);
    },
    shows: `${VERIFIED} Ready=False(VerifiedSecretNotWritable) Reconciling=True(VerifiedSecretNotWritable)`,
  },
  {
    title: 'good, the wanted name is taken',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.takeName(true, 'taken');
      world.change({ copyName: 'taken' });
      world.advance(MINUTE);
    },
    shows: `${VERIFIED} Ready=False(VerifiedSecretConflict) Stalled=True(VerifiedSecretConflict)`,
  },
  {
    title: 'good, the candidate not judged',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.provider(() => ({ kind: 'unexpected', detail: 'status 302' }));
      world.putSecret('good-b');
      world.advance(SECOND);
    },
    shows: `${VERIFIED} Ready=False(UnexpectedAnswer) Reconciling=True(UnexpectedAnswer)`,
  },
  {
    title: 'good, the source missing',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.deleteSecret();
      world.advance(9 * MINUTE);
    },
    shows: `${VERIFIED} Ready=False(SecretNotFound) Reconciling=True(SecretNotFound)`,
  },
  {
    title: 'good, the source missing for longer',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.deleteSecret();
      world.restart();
      world.advance(10 * MINUTE);
    },
    shows: `${VERIFIED} Ready=False(SecretNotFound) Stalled=True(SecretNotFound)`,
  },
  {
    title: 'good, the candidate refused',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.putSecret('bad-b');
      world.advance(SECOND);
    },
    shows: `${VERIFIED} Ready=False(ReplacementRejected) Stalled=True(ReplacementRejected)`,
  },
  {
    title: 'refused and confirmed',
    secret: 'good-a',
    live: demote,
    shows:
      'Connected=False(CredentialRejected) Ready=False(CredentialRejected) Stalled=True(CredentialRejected)',
  },
  {
    title: 'refused and confirmed, the candidate refused',
    secret: 'good-a',
    live(world) {
      demote(world);
      world.provider(() => ({ kind: 'accountLocked' }));
      world.putSecret('bad-b');
      world.advance(SECOND);
    },
    shows: 'Connected=False(CredentialRejected) Ready=False(AccountLocked) Stalled=True(AccountLocked)',
  },
  {
    title: 'refused and confirmed, the candidate not judged',
    secret: 'good-a',
    live(world) {
      demote(world);
      world.provider(() => ({ kind: 'throttled', retryAfterMs: HOUR }));
      world.putSecret('good-b');
      world.advance(SECOND);
    },
    shows:
      'Connected=False(CredentialRejected) Ready=False(ProviderThrottled) Reconciling=True(ProviderThrottled)',
  },
  {
    title: 'suspended while good: Ready keeps its status',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.change({ suspend: true });
    },
    shows: `${VERIFIED} Ready=True(Suspended)`,
  },
  {
    title: 'suspended while a replacement is refused',
    secret: 'good-a',
    live(world) {
      verdict(world);
      world.putSecret('bad-b');
      world.advance(SECOND);
      world.change({ suspend: true });
    },
    shows: `${VERIFIED} Ready=False(Suspended)`,
  },
  {
    title: 'suspended from the start',
    secret: 'good-a',
    live: world => world.change({ suspend: true }),
    shows: 'Connected=Unknown(Suspended) Ready=Unknown(Suspended)',
  },
];

test.each(ROWS)('$title', ({ secret, live, shows }) => {
  const world = createWorld(secret === undefined ? {} : { secret });
  live(world);
  expect(shown(world)).toBe(shows);
  const before = world.history.writes.length;
  if (!world.busy()) world.reconcile();
  expect(world.history.writes).toHaveLength(before);
});
