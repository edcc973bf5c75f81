import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import type { CheckAnswer } from '../../operator/providers/checker.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import type { Encoding, Framing } from '../clouds/answer.ts';
import type { Fault } from '../clouds/faults.ts';
import type { Bench } from './support.ts';
import { CONTRACTS, isRefusal, startBench } from './support.ts';
import { SLOW_FAULTS, TRANSPORT_FAULTS } from './transport-faults.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

/** Not among them: a bare 401 is a verdict on a bad token. */
const EMPTY_BODY: { name: string; fault: Fault } = { name: 'an empty body', fault: { kind: 'empty' } };

interface Cut {
  kind: 'reset' | 'truncate';
  framing?: Framing;
  encoding?: Encoding;
}

describe.each(CONTRACTS)('%s', (name, contract) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await startBench(name, contract);
    bench.cloud.createToken({ name: 'good' });
    bench.cloud.createToken({ name: 'bad' });
    bench.cloud.revoke('bad');
  });

  afterEach(() => bench.close());

  /** Paths that a check of the good token calls. */
  async function pathsOfCheck(): Promise<string[]> {
    await bench.check('good');
    return [...new Set(bench.cloud.log.map(entry => entry.path))];
  }

  test.each(TRANSPORT_FAULTS)('$name is no verdict, for a bad token neither', async ({ fault, expected }) => {
    bench.cloud.inject(fault);
    expect(await bench.check('good')).toMatchObject(expected);
    expect(isRefusal(await bench.check('bad'))).toBe(false);
  });

  test.each([...TRANSPORT_FAULTS, EMPTY_BODY])(
    '$name on any one call never refuses a good token',
    async ({ fault }) => {
      for (const path of await pathsOfCheck()) {
        const off = bench.cloud.inject(fault, { path, times: 1 });
        const outcome = await bench.check('good');
        off();
        expect({ path, outcome, refusal: isRefusal(outcome) }).toMatchObject({ refusal: false });
        await bench.renew();
      }
    },
  );

  test.each(SLOW_FAULTS)('$name ends at the deadline', async ({ fault, expected }) => {
    await bench.close();
    bench = await startBench(name, contract, { deadlineMs: 200 });
    bench.cloud.createToken();
    bench.cloud.inject(fault);
    expect(await bench.check(0)).toEqual(expected);
  });

  test.each([
    ['gzip', 'length'],
    ['deflate', 'chunked'],
    ['br', 'close'],
    [undefined, 'chunked'],
    [undefined, 'close'],
  ] satisfies [Encoding | undefined, Framing][])(
    'an answer in %s framed by %s is understood',
    async (encoding, framing) => {
      bench.cloud.inject({ kind: 'wire', framing, ...(encoding !== undefined && { encoding }) });
      const token = bench.cloud.token('good');
      expect(await bench.check('good')).toEqual(contract.accepted(token));
      expect(await bench.check('bad')).toMatchObject({ kind: 'rejected' });
    },
  );

  test('an answer of any content type is understood', async () => {
    const truth = await bench.check('bad');
    bench.cloud.inject({ kind: 'contentType', value: 'text/html' });
    expect(await bench.check('bad')).toEqual(truth);
    expect(truth).toMatchObject({ kind: 'rejected' });
  });

  test('one throttled credential holds up no other unless the limit is one for all', async () => {
    bench.cloud.createToken({ name: 'other' });
    bench.cloud.inject({ kind: 'throttle', retryAfter: '600' }, { token: 'good' });
    const [throttled, other] = [await bench.check('good'), await bench.check('other')];
    expect(throttled).toEqual({ kind: 'throttled', retryAfterMs: 600_000 });
    expect(other).toMatchObject({
      kind: PROVIDERS[name].budget.scope === 'egress' ? 'turnedAway' : 'accepted',
    });
    const before = bench.cloud.calls({ token: 'good' });
    expect(await bench.check('good')).toMatchObject({ kind: 'turnedAway' });
    expect(bench.cloud.calls({ token: 'good' })).toBe(before);
  });

  /** Checks until the answer has been cut after each of its bytes. */
  async function cutEverywhere(token: string, path: string | undefined, cut: Cut): Promise<CheckAnswer[]> {
    let next = 0;
    const fault: Fault = {
      ...cut,
      // Read once for each answer: so many checks at a time go through all positions together.
      get afterBytes() {
        return next++;
      },
    };
    bench.cloud.inject(fault, path === undefined ? {} : { path });
    const outcomes: CheckAnswer[] = [];
    async function work(): Promise<void> {
      do {
        outcomes.push(await bench.check(token));
      } while (next < longest());
    }
    function longest(): number {
      return Math.max(...bench.cloud.log.slice(-50).map(entry => entry.bytes ?? 0));
    }
    await Promise.all(Array.from({ length: 8 }, work));
    bench.cloud.clearFaults();
    expect(next).toBeGreaterThan(100);
    return outcomes;
  }

  test.each([
    { kind: 'reset' },
    { kind: 'truncate' },
    { kind: 'truncate', framing: 'chunked' },
    { kind: 'truncate', framing: 'close' },
    { kind: 'truncate', framing: 'close', encoding: 'gzip' },
  ] satisfies Cut[])(
    'a bad token’s answer cut at any byte ($kind $framing $encoding) is no verdict',
    async cut => {
      const outcomes = await cutEverywhere('bad', undefined, cut);
      const verdicts = outcomes.filter(outcome => outcome.kind !== 'unreachable');
      // Only positions behind the last byte leave the answer whole: as many as there are checks at a time.
      expect(verdicts.length).toBeLessThanOrEqual(8);
      expect(outcomes.length - verdicts.length).toBeGreaterThan(100);
    },
  );

  test('a good token’s answers cut at any byte never refuse it', async () => {
    for (const path of await pathsOfCheck()) {
      const outcomes = await cutEverywhere('good', path, { kind: 'truncate', framing: 'close' });
      expect(outcomes.filter(isRefusal)).toEqual([]);
    }
  });
});
