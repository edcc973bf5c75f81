import { isDeepStrictEqual } from 'node:util';
import { describe, expect, jest, test } from '@jest/globals';

import { judge } from '../../operator/domain/fold.ts';
import type { CheckRequest, Outcome } from '../../operator/domain/outcome.ts';
import type { ContractRow } from '../clouds/contract.ts';
import type { Cloud, CloudToken } from '../clouds/kit.ts';
import type { Check, SingleFault } from './single-faults.ts';
import { CHECKS, SINGLE_FAULTS, TIMEOUT } from './single-faults.ts';
import type { AnyContract, Bench } from './support.ts';
import { CONTRACTS, startBench } from './support.ts';

// Thousands of small checks.
jest.setTimeout(300_000);

/** What says nothing about the credential, so that nothing is concluded from it. */
const NO_VERDICT: readonly Outcome['kind'][] = ['throttled', 'unreachable', 'unexpected'];
type Situation = 'first' | 'replacement' | 'recheck' | 'recheck that must learn more';

type Setup = Pick<Check, 'token' | 'arrange'> & { name: string; access: 'ReadWrite' | 'ReadOnly' };
type Verdict = Extract<Outcome, { kind: 'accepted' }>;

interface Subject {
  bench: Bench;
  token: CloudToken;
  accepted: Verdict;
  requests: Record<Situation, CheckRequest>;
}

/** The credential with most calls, and every other that the contract knows as accepted. */
function setupsOf(name: string, contract: AnyContract): Setup[] {
  const rows = contract.rows as readonly ContractRow<object, object>[];
  return [
    ...CHECKS.filter(({ provider }) => provider === name).map(check => ({
      ...check,
      name: 'the credential with most calls',
      access: 'ReadWrite' as const,
    })),
    { name: 'a good credential', token: {}, access: 'ReadWrite' },
    ...rows
      .filter(({ depth }) => depth !== 'recheck')
      .map(row => ({
        name: row.name,
        token: row.token ?? {},
        access: row.access ?? ('ReadWrite' as const),
        ...(row.arrange !== undefined && {
          arrange: (cloud: Cloud, token: CloudToken) => row.arrange?.(cloud, token),
        }),
      })),
  ];
}

/** Undefined where it is not accepted, or only because a fault is part of it. */
async function subjectOf(bench: Bench, name: Provider, setup: Setup): Promise<Subject | undefined> {
  const cloud = bench.cloud as Cloud;
  const token = cloud.createToken(setup.token);
  setup.arrange?.(cloud, token);
  const { access } = setup;
  const first: CheckRequest = { access, depth: 'first' };
  const accepted = await bench.checker.check(name, token.credential, first);
  if (accepted.kind !== 'accepted' || cloud.log.some(({ invented }) => invented)) return undefined;
  const ids = accepted.account?.ids ?? [];
  return {
    bench,
    token,
    accepted,
    requests: {
      first,
      // Other bytes than those in force: nothing that is known counts for them.
      replacement: first,
      recheck: {
        access,
        depth: 'recheck',
        knownIds: ids,
        expiryKnown: typeof accepted.expiresAt === 'number',
      },
      'recheck that must learn more': {
        access,
        depth: 'recheck',
        knownIds: ids.slice(-1),
        expiryKnown: false,
      },
    },
  };
}

type Provider = (typeof CONTRACTS)[number][0];

/** Everything that went wrong, in words; empty when nothing did. */
async function problemsOf(
  name: Provider,
  { bench, token, accepted, requests }: Subject,
  faults: readonly SingleFault[],
): Promise<string[]> {
  const { cloud } = bench;
  const problems: string[] = [];
  const ask = async (request: CheckRequest): Promise<Outcome> => {
    const answer = await bench.checker.check(name, token.credential, request);
    if (answer.kind === 'turnedAway' || answer.kind === 'aborted') throw new Error('nobody was asked');
    return answer;
  };
  for (const [situation, request] of Object.entries(requests)) {
    const before = cloud.log.length;
    const clean = await ask(request);
    const truth = new Map(cloud.log.slice(before).map(({ path, status }) => [path, status]));
    for (const [path, status] of truth) {
      for (const { name: what, fault } of faults) {
        const off = cloud.inject(fault, { path });
        const outcome = await ask(request);
        off();
        const where = `${situation}: ${what} on ${path}`;
        // A 403 in place of a 403, which the clean check met as well, changes nothing.
        const same = status === 403 && isDeepStrictEqual(outcome, clean);
        if (!same && !NO_VERDICT.includes(outcome.kind))
          problems.push(`${where} is ${JSON.stringify(outcome)}`);
        const [pin] = accepted.account?.ids ?? [];
        if (!same && judge(outcome, accepted.account?.ids ?? [], pin).kind === 'differentAccount')
          problems.push(`${where} is another account`);
        // A throttled credential waits in the line of its checker.
        if (outcome.kind === 'throttled') await bench.renew();
      }
    }
    const after = await ask(request);
    if (after.kind !== 'accepted') problems.push(`${situation}: afterwards ${JSON.stringify(after)}`);
  }
  return problems;
}

describe.each(CONTRACTS)('%s', (name, contract) => {
  test('the list of calls is what its check makes', async () => {
    const [check] = CHECKS.filter(({ provider }) => provider === name);
    const bench = await startBench(name, contract);
    const cloud = bench.cloud as Cloud;
    const token = cloud.createToken(check?.token);
    check?.arrange?.(cloud, token);
    expect(await bench.check(token.index)).toMatchObject({ kind: 'accepted' });
    const { username } = token.extra as { username?: string };
    const made = cloud.log.map(({ path }) =>
      username === undefined ? path : path.replace(username, ':username'),
    );
    await bench.close();
    expect(made).toEqual(check?.calls);
  });

  test.each(setupsOf(name, contract).map(setup => [setup.name, setup] as const))(
    'no single call that fails decides anything: %s',
    async (_name, setup) => {
      const bench = await startBench(name, contract);
      const subject = await subjectOf(bench, name, setup);
      const problems = subject && (await problemsOf(name, subject, SINGLE_FAULTS));
      await bench.close();
      expect(problems ?? []).toEqual([]);
    },
  );

  test('nor does one that is never answered', async () => {
    const bench = await startBench(name, contract, { deadlineMs: 150 });
    const [setup] = setupsOf(name, contract);
    const subject = setup && (await subjectOf(bench, name, setup));
    const problems = subject && (await problemsOf(name, subject, [TIMEOUT]));
    await bench.close();
    expect(problems).toEqual([]);
  });
});
