import { describe, expect, test } from '@jest/globals';
import { compareAccounts, mergeAccounts } from './identity.ts';

describe('compareAccounts', () => {
  test.each([
    ['the same team, another member', ['team:a', 'account:1'], ['team:a', 'account:2'], 'same'],
    ['another team', ['team:a', 'account:1'], ['team:b', 'account:1'], 'different'],
    ['nothing known', [], ['team:a'], 'learnt'],
    ['nothing proven', ['team:a'], [], 'notComparable'],
    ['only users, the same', ['user:1'], ['user:1'], 'same'],
    ['only users, different', ['user:1'], ['user:2'], 'notComparable'],
    ['different users of one account', ['account:main', 'user:1'], ['account:main', 'user:2'], 'same'],
    ['different logins, no customer known', ['login:a'], ['customer:1', 'login:b'], 'notComparable'],
    ['different e-mail addresses', ['email-sha256:1'], ['email-sha256:2'], 'notComparable'],
  ] as const)('%s', (_name, known, proven, kind) => {
    const account = proven.length === 0 ? undefined : { ids: [...proven] };
    expect(compareAccounts(known, account, undefined).kind).toBe(kind);
  });

  test('a pin must be proven, whatever kind it is of', () => {
    expect(compareAccounts(['user:1'], { ids: ['user:2'] }, 'user:1')).toEqual({
      kind: 'different',
      expected: 'user:1',
      proven: 'user:2',
    });
    expect(compareAccounts([], undefined, 'team:a')).toEqual({ kind: 'different', expected: 'team:a' });
    expect(compareAccounts(['team:b'], { ids: ['team:a'] }, 'team:a').kind).toBe('same');
  });
});

describe('mergeAccounts', () => {
  test('adds a stronger id that was learnt later, and puts it first', () => {
    expect(mergeAccounts({ ids: ['user:1'] }, { ids: ['user:1', 'euuid:x'], name: 'ACME' })).toEqual({
      ids: ['euuid:x', 'user:1'],
      name: 'ACME',
    });
  });

  test('keeps what this check did not prove', () => {
    const known = { ids: ['euuid:x', 'user:1'], name: 'ACME' };
    expect(mergeAccounts(known, { ids: ['user:1'] })).toEqual(known);
    expect(mergeAccounts(undefined, { ids: ['user:1'] })).toEqual({ ids: ['user:1'] });
  });

  test('puts kinds that it does not know last', () => {
    expect(mergeAccounts({ ids: ['moon:1'] }, { ids: ['login:a'] }).ids).toEqual(['login:a', 'moon:1']);
  });
});
