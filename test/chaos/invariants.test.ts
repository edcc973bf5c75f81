import { describe, expect, test } from '@jest/globals';
import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFICATION_ANNOTATION } from '../../operator/api/names.ts';
import { bytesOf, type History, type Process, type Verdict } from './history.ts';
import { violationsIn } from './invariants.ts';
import type { Version } from './recorder.ts';

const START = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const NAME = 'account';

interface Shown {
  at: number;
  connected: 'True' | 'False' | 'Unknown';
  conditions?: string[];
  health?: string;
  confirming?: number;
  refusals?: number;
  uid?: string;
}

function account({
  at,
  connected,
  conditions = [],
  health,
  confirming,
  refusals,
  uid = 'a',
}: Shown): Version<CloudAccount> {
  const usual = { True: 'Connected', False: 'NeedsAttention', Unknown: 'Pending' }[connected];
  const shown = [`Connected=${connected}`, ...conditions].map(text => {
    const [type, status] = text.split('=');
    return { type, status, reason: 'Reason' };
  });
  const object = {
    metadata: { name: NAME, uid },
    spec: {},
    status: {
      health: health ?? usual,
      conditions: shown,
      ...(connected === 'True' && { verifiedSecretRef: {} }),
      ...(refusals !== undefined && { refusals: { since: new Date(START).toISOString(), count: refusals } }),
      ...(confirming !== undefined && { confirming: { count: confirming } }),
    },
  };
  return { at: START + at, object: object as unknown as CloudAccount };
}

function copy(at: number, token: string, resourceVersion = '1', provenAt = at): Version<Secret> {
  const proof = { credential: { verifiedAt: new Date(START + provenAt).toISOString(), access: 'ReadWrite' } };
  const metadata = {
    name: 'copy',
    uid: 'c',
    resourceVersion,
    ownerReferences: [{ apiVersion: '', kind: 'CloudAccount', name: NAME, uid: 'a' }],
    annotations: { [VERIFICATION_ANNOTATION]: JSON.stringify(proof) },
  };
  return { at: START + at, object: { metadata, data: { token: Buffer.from(token).toString('base64') } } };
}

function verdict(at: number, says: Verdict['says'], credential = 'A', process = 0): Verdict {
  return { at: START + at, account: NAME, credential, says, process };
}

function process(at = 0, more: Partial<Process> = {}): Process {
  return { startedAt: START + at, clock: [{ at: 0, aheadMs: 0 }], pauses: [], ...more };
}

function history(more: Partial<History>): History {
  return {
    accounts: [],
    copies: [],
    verdicts: [],
    credentials: new Map([
      [bytesOf(['token-a']), { credential: 'A', account: NAME }],
      [bytesOf(['token-b']), { credential: 'B', account: NAME }],
      [bytesOf(['token-x']), { credential: 'X', account: undefined }],
    ]),
    tampered: new Set(),
    losses: new Map(),
    lives: new Map([[NAME, [{ from: START - 1, uid: 'a' }]]]),
    processes: [process()],
    disturbances: [],
    rechecks: new Map(),
    gaps: [],
    ...more,
  };
}

const found = (more: Partial<History>): string[] => violationsIn(history(more)).map(({ what }) => what);

describe('what a copy holds', () => {
  const verdicts = [verdict(0, 'accepted', 'A'), verdict(0, 'refused', 'B')];

  test('may be what was accepted', () => {
    expect(found({ verdicts, copies: [copy(500, 'token-a')] })).toEqual([]);
  });

  test.each([
    ['what was refused', copy(500, 'token-b'), 'copy holds B, which was not accepted then'],
    ['what was accepted long ago', copy(HOUR, 'token-a'), 'copy holds A, which was not accepted then'],
    [
      'what is accepted only later',
      copy(0, 'token-a', '1', -5_000),
      'copy holds A, which was not accepted then',
    ],
    ['another account’s', copy(500, 'token-x'), 'copy holds the credential of another account'],
    ['no credential', copy(500, 'rubbish'), 'copy holds bytes that are no credential'],
  ])('is found out when it is %s', (_, version, what) => {
    expect(found({ verdicts, copies: [version] })).toEqual([what]);
  });

  test('may be rubbish only in the version that the run itself wrote', () => {
    const copies = [copy(500, 'rubbish', '7'), copy(900, 'rubbish', '8')];
    expect(found({ verdicts, copies, tampered: new Set(['7']) })).toHaveLength(1);
  });

  test('is not judged before it is known who wrote it', () => {
    const planted = history({ copies: [copy(500, 'rubbish')] });
    expect(violationsIn(planted, START + 400)).toEqual([]);
  });
});

describe('the end of Connected', () => {
  const refusals = [verdict(1_000, 'refused'), verdict(2_000, 'refused'), verdict(3_000, 'refused')];
  const before = { at: 2_500, connected: 'True', confirming: 2 } as const;
  const after = { at: 3_100, connected: 'False' } as const;

  test('may come after three refusals, two of which stood in status', () => {
    expect(found({ verdicts: refusals, accounts: [account(before), account(after)] })).toEqual([]);
  });

  test('is found out after fewer', () => {
    const accounts = [account(before), account(after)];
    expect(found({ verdicts: refusals.slice(1), accounts })).toEqual(['after 2 refusals']);
  });

  test('is found out when it came without its confirmations', () => {
    const accounts = [account({ ...before, confirming: 1 }), account(after)];
    expect(found({ verdicts: refusals, accounts })).toEqual(['with 1 refusals in status before']);
  });

  test('is found out when Connected becomes Unknown, unless the copy was taken away', () => {
    const accounts = [account(before), account({ ...after, connected: 'Unknown' })];
    expect(found({ accounts })).toEqual(['Connected became Unknown by itself']);
    expect(found({ accounts, losses: new Map([[NAME, [START + 3_000]]]) })).toEqual([]);
    expect(found({ accounts, losses: new Map([['other', [START + 3_000]]]) })).toHaveLength(1);
  });

  test('is no end in an account that was made anew', () => {
    expect(found({ accounts: [account(before), account({ ...after, uid: 'b' })] })).toEqual([]);
  });
});

describe('the refusals that status counts', () => {
  const counted = account({ at: 5_000, connected: 'Unknown', refusals: 2 });

  test('may be those of the provider, and those of a credential of another account', () => {
    const verdicts = [verdict(1_000, 'refused'), verdict(2_000, 'accepted', 'X')];
    expect(found({ accounts: [counted], verdicts })).toEqual([]);
  });

  test('are found out when the provider gave fewer by then', () => {
    const verdicts = [verdict(1_000, 'refused'), verdict(2_000, 'accepted'), verdict(6_000, 'refused')];
    expect(found({ accounts: [counted], verdicts })).toEqual([
      'status counts 2 refusals, the provider gave 1',
    ]);
  });
});

describe('a status', () => {
  test.each([
    [{ conditions: ['Reconciling=True', 'Stalled=True'] }, 'Reconciling and Stalled at once'],
    [{ health: 'Pending' }, 'health Pending while Connected is False'],
    [{ conditions: ['Ready=True'] }, 'Ready and not Connected'],
  ])('that contradicts itself is found out: %j', (more, what) => {
    expect(found({ accounts: [account({ at: 0, connected: 'False', ...more })] })).toEqual([what]);
  });
});

describe('the caps on refusals', () => {
  const born = account({ at: 0, connected: 'Unknown' });
  const refusals = (count: number, everyMs: number): Verdict[] =>
    Array.from({ length: count }, (_, index) => verdict(index * everyMs, 'refused'));

  test('allow six in an hour of a process, and no seventh', () => {
    expect(found({ accounts: [born], verdicts: refusals(6, 60_000) })).toEqual([]);
    expect(found({ accounts: [born], verdicts: refusals(7, 60_000) })).toEqual([
      '7 refusals in an hour of one process',
    ]);
  });

  test('count the hour anew in another process, and the day on', () => {
    const processes = Array.from({ length: 5 }, (_, index) => process(index * 400_000));
    const spread = refusals(20, 70_000).map((verdict, index) => ({ ...verdict, process: index % 5 }));
    expect(found({ accounts: [born], verdicts: spread, processes })).toEqual([]);
    expect(found({ accounts: [born], verdicts: refusals(31, 12 * 60_000) })).toContain(
      '31 refusals in a day',
    );
  });

  test('count the hour anew when the clock is set ahead by one, and not when it is set back', () => {
    const clock = (aheadMs: number): Process =>
      process(0, {
        clock: [
          { at: 0, aheadMs: 0 },
          { at: START + 5.5 * 60_000, aheadMs },
        ],
      });
    const verdicts = refusals(8, 60_000);
    expect(found({ accounts: [born], verdicts, processes: [clock(HOUR)] })).toEqual([]);
    expect(found({ accounts: [born], verdicts, processes: [clock(-HOUR)] })).toContain(
      '8 refusals in an hour of one process',
    );
  });

  test('count several refused calls of one check as one', () => {
    const calls = refusals(6, 60_000).flatMap(verdict => [verdict, { ...verdict, isRepeat: true as const }]);
    expect(found({ accounts: [born], verdicts: calls })).toEqual([]);
  });

  test('are those of one object: what may be the refusal of the one before counts for neither', () => {
    const lives = new Map([
      [
        NAME,
        [
          { from: START - 1, uid: 'a' },
          { from: START + 350_000, uid: 'b' },
        ],
      ],
    ]);
    const accounts = [born, account({ at: 400_000, connected: 'Unknown', uid: 'b' })];
    expect(found({ accounts, lives, verdicts: refusals(12, 60_000) })).toEqual([]);
    expect(found({ accounts, lives, verdicts: refusals(14, 60_000) })).toContain(
      '7 refusals in an hour of one process',
    );
  });
});

describe('what was proven under a clock that is set', () => {
  const ahead = process(0, { clock: [{ at: 0, aheadMs: HOUR }] });
  const verdicts = [verdict(0, 'accepted')];

  test('is held against the clock of the process that asked', () => {
    expect(found({ verdicts, processes: [ahead], copies: [copy(500, 'token-a', '1', HOUR)] })).toEqual([]);
    expect(found({ verdicts, copies: [copy(500, 'token-a', '1', HOUR)] })).toHaveLength(1);
  });

  test('may be told as now by one whose clock is behind', () => {
    const copies = [copy(9_000, 'token-a', '1', 8_000)];
    expect(found({ verdicts, copies, processes: [ahead, process(5_000)] })).toEqual([]);
    expect(found({ verdicts, copies, processes: [process(), ahead] })).toEqual([]);
    expect(
      found({ verdicts: [verdict(-30_000, 'accepted')], copies, processes: [process(), ahead] }),
    ).toHaveLength(1);
  });
});

test('a check of a process that was frozen meanwhile may end later', () => {
  const verdicts = [verdict(0, 'accepted')];
  const copies = [copy(25_000, 'token-a')];
  const frozen = process(0, { pauses: [{ from: START + 100, to: START + 10_000 }] });
  expect(found({ verdicts, copies, processes: [frozen] })).toEqual([]);
  expect(found({ verdicts, copies })).toHaveLength(1);
});

test('a credential that is good for reading alone is stored for nothing else', () => {
  const credentials = new Map([
    [bytesOf(['token-a']), { credential: 'A', account: NAME, only: 'ReadOnly' as const }],
  ]);
  const verdicts = [verdict(0, 'accepted')];
  expect(found({ verdicts, credentials, copies: [copy(500, 'token-a')] })).toEqual([
    'copy holds A, which is good for ReadOnly alone',
  ]);
});

describe('a recheck', () => {
  const asked = new Map([[NAME, [{ at: START, value: 'now', uid: 'a' }]]]);
  const late = account({ at: -1_000, connected: 'True' });
  const until = START + 60_000;
  const judged = (more: Partial<History>): string[] =>
    violationsIn(history({ rechecks: asked, accounts: [late], ...more }), until).map(({ rule }) => rule);

  test('must be answered within 15 seconds', () => {
    expect(judged({})).toEqual(['a recheck is answered']);
    const answered = account({ at: 14_000, connected: 'True' });
    Object.assign(answered.object.status ?? {}, { lastHandledRecheck: 'now' });
    expect(judged({ accounts: [late, answered] })).toEqual([]);
    expect(judged({ accounts: [late, { ...answered, at: START + 16_000 }] })).toHaveLength(1);
  });

  test('may wait while the operator is kept from it, or the account is asleep or made anew', () => {
    expect(judged({ disturbances: [{ from: START + 3_000, to: START + 4_000 }] })).toEqual([]);
    expect(judged({ disturbances: [{ from: START - 3_000, to: START - 1 }] })).toHaveLength(1);
    expect(judged({ disturbances: [{ from: START, to: Infinity, accounts: ['other'] }] })).toHaveLength(1);
    const asleep = account({ at: -1_000, connected: 'True' });
    asleep.object.spec.suspend = true;
    expect(judged({ accounts: [asleep] })).toEqual([]);
    expect(judged({ accounts: [late, account({ at: 10, connected: 'Unknown', uid: 'b' })] })).toEqual([]);
  });
});

test('a storm of writes is found out, and a hundred in a minute are none', () => {
  const versions = (everyMs: number): Version<CloudAccount>[] =>
    Array.from({ length: 120 }, (_, index) => account({ at: index * everyMs, connected: 'Unknown' }));
  expect(found({ accounts: versions(500) })).toEqual([]);
  expect(found({ accounts: versions(50) })).toEqual(['account account was written over 100 times in 10 s']);
});

test('a finalizer of somebody else that is gone without him is found out', () => {
  const verdicts = [verdict(0, 'accepted')];
  const held = copy(100, 'token-a', '1');
  held.object.metadata.finalizers = ['chaos.example/hold'];
  const copies = [held, copy(200, 'token-a', '2')];
  expect(found({ verdicts, copies })).toEqual(['copy lost the finalizer of somebody else']);
  expect(found({ verdicts, copies, tampered: new Set(['2']) })).toEqual([]);
});
