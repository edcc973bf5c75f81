import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { PROVIDER_NAMES } from '../../operator/api/names.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import type { Credential } from '../../operator/providers/provider.ts';
import type { Bench } from './support.ts';
import { CONTRACTS, startBench } from './support.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

test('every provider has a contract', () => {
  expect(CONTRACTS.map(([name]) => name).sort()).toEqual([...PROVIDER_NAMES].sort());
});

describe.each(CONTRACTS)('%s', (name, contract) => {
  const provider = PROVIDERS[name];
  let bench: Bench;

  beforeEach(async () => {
    bench = await startBench(name, contract);
  });

  afterEach(() => bench.close());

  test('accepts a good token with at most 5 calls', async () => {
    const token = bench.cloud.createToken();
    expect(await bench.check(0)).toEqual(contract.accepted(token));
    expect(bench.cloud.calls()).toBe(contract.calls.first);
    expect(contract.calls.first).toBeLessThanOrEqual(5);
  });

  test('rechecks it with at most 2 calls, 3 where one proves nothing', async () => {
    const token = bench.cloud.createToken();
    const first = await bench.check(0);
    const before = bench.cloud.calls();
    const knownIds = first.kind === 'accepted' ? (first.account?.ids ?? []) : [];
    // Status cannot tell "never" from what is not known.
    const expiryKnown = first.kind === 'accepted' && typeof first.expiresAt === 'number';
    const request = { access: 'ReadWrite', depth: 'recheck', knownIds, expiryKnown } as const;
    expect(await bench.checker.check(name, token.credential, request)).toMatchObject({ kind: 'accepted' });
    expect(bench.cloud.calls() - before).toBe(contract.calls.recheck);
    expect(contract.calls.recheck).toBeLessThanOrEqual(['Linode', 'TransIP'].includes(name) ? 3 : 2);
  });

  test('shows a hint of a good token that gives away at most four characters', () => {
    const token = bench.cloud.createToken();
    const hint = provider.hint(token.credential);
    expect(hint).toBe(contract.hint(token));
    const secret =
      token.credential['token'] ?? token.credential['password'] ?? token.credential['privateKey'];
    // A prefix that every token has, such as `dop_v1_`, gives nothing away.
    const shown = hint.split('••••').filter(part => !/^(do[a-z]_v1_|ucat_)$/.test(part));
    for (const part of shown)
      expect(secret?.includes(part) === true ? part.length : 0).toBeLessThanOrEqual(4);
  });

  test.each(contract.rows.map(row => [row.name, row] as const))('%s', async (_name, row) => {
    const { cloud, checker } = bench;
    const token = cloud.createToken(row.token);
    row.arrange?.(cloud, token);
    const outcome = await checker.check(name, token.credential, {
      access: row.access ?? 'ReadWrite',
      depth: row.depth ?? 'first',
      ...(row.knownIds !== undefined && { knownIds: row.knownIds(token) }),
      ...(row.expiryKnown !== undefined && { expiryKnown: row.expiryKnown }),
    });
    expect(outcome).toEqual(typeof row.expected === 'function' ? row.expected(token) : row.expected);
  });

  test.each(contract.malformed)('$name is refused without a call', async ({ spoil, check }) => {
    const credential: Credential = spoil(bench.cloud.createToken().credential);
    const outcome = await bench.checker.check(name, credential, { access: 'ReadWrite', depth: 'first' });
    expect(outcome).toMatchObject({ kind: 'malformed', check });
    expect(bench.cloud.calls()).toBe(0);
    const said = JSON.stringify(outcome).toLowerCase();
    for (const value of Object.values(credential)) {
      // The frame of a PEM is told to everybody.
      const bare = value
        .toLowerCase()
        .replace(/-----[a-z ]+-----/g, '')
        .trim();
      for (let at = 0; at + 12 <= bare.length; at += 1) expect(said).not.toContain(bare.slice(at, at + 12));
    }
  });
});
