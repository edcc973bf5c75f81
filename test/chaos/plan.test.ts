import { expect, test } from '@jest/globals';
import { planOf } from './plan.ts';
import { CALLS } from './verdicts.ts';

const OPTIONS = { seed: 7, accounts: 14, operators: 2, ms: 120_000 };

test('the same seed gives the same deeds in the same order, another seed others', () => {
  expect(planOf(OPTIONS)).toEqual(planOf(OPTIONS));
  expect(planOf({ ...OPTIONS, seed: 8 })).not.toEqual(planOf(OPTIONS));
});

test('every kind of deed comes in ten minutes, in the order of its time', () => {
  const plan = planOf({ ...OPTIONS, ms: 600_000 });
  expect(new Set(plan.map(({ deed }) => deed.kind)).size).toBe(37);
  expect(plan.map(({ at }) => at)).toEqual(plan.map(({ at }) => at).toSorted((a, b) => a - b));
});

test('even a short run kills the operator and restarts the API server', () => {
  const kinds = planOf({ ...OPTIONS, ms: 5_000 }).map(({ deed }) => deed.kind);
  expect(kinds).toContain('kill operator');
  expect(kinds).toContain('restart API server');
});

test('in every run each call of a check may fail alone, and then is not refused', () => {
  const alone = planOf({ ...OPTIONS, ms: 600_000 }).flatMap(({ deed }) =>
    deed.kind === 'fault' && deed.call !== undefined ? [deed] : [],
  );
  for (const [provider, calls] of Object.entries(CALLS))
    if (calls.length > 1)
      expect([
        provider,
        new Set(alone.flatMap(deed => (deed.provider === provider ? deed.call : []))),
      ]).toEqual([provider, new Set(calls)]);
  expect(alone.map(({ fault }) => fault)).not.toContainEqual({ kind: 'status', status: 401 });
});

test('whatever lasts has an end before the run has', () => {
  const ends = { deny: 'allow', 'freeze operator': 'thaw operator', 'half-open watch': 'resume watch' };
  const kinds: string[] = planOf({ ...OPTIONS, ms: 600_000 }).map(({ deed }) => deed.kind);
  for (const [begin, end] of Object.entries(ends))
    expect([end, kinds.filter(kind => kind === end).length]).toEqual([
      end,
      kinds.filter(kind => kind === begin).length,
    ]);
});

test('a cloud has one fault at a time, and none in the end', () => {
  const open = new Set<string>();
  for (const { deed } of planOf(OPTIONS)) {
    if (deed.kind === 'mend') open.delete(deed.provider);
    if (deed.kind !== 'fault') continue;
    expect(open).not.toContain(deed.provider);
    open.add(deed.provider);
  }
  expect(open.size).toBe(0);
});
