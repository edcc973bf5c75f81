import { expect, test } from '@jest/globals';
import { planOf } from './plan.ts';

const OPTIONS = { seed: 7, accounts: 14, ms: 120_000 };

test('the same seed gives the same deeds in the same order, another seed others', () => {
  expect(planOf(OPTIONS)).toEqual(planOf(OPTIONS));
  expect(planOf({ ...OPTIONS, seed: 8 })).not.toEqual(planOf(OPTIONS));
});

test('every kind of deed comes in two minutes, in the order of its time', () => {
  const plan = planOf(OPTIONS);
  expect(new Set(plan.map(({ deed }) => deed.kind)).size).toBe(17);
  expect(plan.map(({ at }) => at)).toEqual(plan.map(({ at }) => at).toSorted((a, b) => a - b));
});

test('even a short run kills the operator and restarts the API server', () => {
  const kinds = planOf({ ...OPTIONS, ms: 5_000 }).map(({ deed }) => deed.kind);
  expect(kinds).toContain('kill operator');
  expect(kinds).toContain('restart API server');
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
