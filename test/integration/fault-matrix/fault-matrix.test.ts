import { beforeAll, describe, expect, test } from '@jest/globals';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';
import { CONTRACTS } from '../../contract/support.ts';
import { ANSWERS } from './answers.ts';
import { MAX_CALLS } from './expectations.ts';
import { casesOf, play, type Result } from './matrix.ts';

let results: readonly Result[];

beforeAll(async () => {
  results = await play(casesOf(ANSWERS));
}, 900_000);

/** Of all cases of a provider what is not as it must be, by the case's name in words. */
function wrong(provider: string, judge: (result: Result) => object | undefined): object[] {
  return results
    .filter(({ case: { answer } }) => answer.provider === provider)
    .flatMap(result => {
      const problem = judge(result);
      const { answer, situation } = result.case;
      return problem === undefined ? [] : [{ answer: answer.name, situation, ...problem }];
    });
}

function unequal(one: { expected: object; seen: object | undefined } | undefined): object | undefined {
  if (one === undefined || JSON.stringify(one.expected) === JSON.stringify(one.seen)) return undefined;
  return { expected: one.expected, seen: one.seen };
}

describe.each(PROVIDER_NAMES)('%s', provider => {
  const contract = CONTRACTS.find(([name]) => name === provider)![1];

  test('each answer in each situation leads to the health, conditions, copy and next check of the table', () => {
    expect(wrong(provider, unequal)).toEqual([]);
  });

  test('a refusal of a working credential demotes with the third answer', () => {
    expect(wrong(provider, ({ confirmed }) => unequal(confirmed))).toEqual([]);
  });

  test('an account without a verdict comes right by itself when the fault is over', () => {
    expect(wrong(provider, ({ recovered }) => unequal(recovered))).toEqual([]);
  });

  test('no single answer takes Connected from a working credential', () => {
    const flips = ({ case: { situation }, connected }: Result) =>
      situation !== 'first' && connected.filter(status => status !== 'Unknown').join() !== 'True'
        ? { connected }
        : undefined;
    expect(wrong(provider, flips)).toEqual([]);
  });

  test('a check makes the calls that it needs, and none that is refused offline', () => {
    const tooMany = ({ case: { answer, situation }, calls }: Result) => {
      const most = situation === 'inForce' ? Math.min(MAX_CALLS, contract.calls.recheck + 2) : MAX_CALLS;
      if (answer.origin === 'offline') return calls === 0 ? undefined : { calls };
      if (answer.name === 'a good credential')
        return calls === contract.calls[situation === 'inForce' ? 'recheck' : 'first']
          ? undefined
          : { calls };
      // A GET that met a connection which just ended is sent once more.
      return calls <= most + (answer.origin === 'single' ? 1 : 0) ? undefined : { calls };
    };
    expect(wrong(provider, tooMany)).toEqual([]);
  });
});
