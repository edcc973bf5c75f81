import { describe, expect, test } from '@jest/globals';
import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFICATION_ANNOTATION } from '../../operator/api/names.ts';
import { bytesOf, type History, type Verdict, violationsIn } from './invariants.ts';
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
  const proof = { credential: { verifiedAt: new Date(START + provenAt).toISOString() } };
  const metadata = {
    name: 'copy',
    uid: 'c',
    resourceVersion,
    ownerReferences: [{ apiVersion: '', kind: 'CloudAccount', name: NAME, uid: 'a' }],
    annotations: { [VERIFICATION_ANNOTATION]: JSON.stringify(proof) },
  };
  return { at: START + at, object: { metadata, data: { token: Buffer.from(token).toString('base64') } } };
}

function verdict(at: number, says: Verdict['says'], credential = 'A'): Verdict {
  return { at: START + at, account: NAME, credential, says };
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
    starts: [START],
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

  test('count the hour anew after a restart, and the day on', () => {
    const starts = Array.from({ length: 5 }, (_, index) => START + index * 400_000);
    expect(found({ accounts: [born], verdicts: refusals(20, 70_000), starts })).toEqual([]);
    const daily = found({ accounts: [born], verdicts: refusals(31, 12 * 60_000), starts: [START] });
    expect(daily).toContain('31 refusals in a day');
  });
});
