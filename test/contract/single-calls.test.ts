import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import type { ProviderName } from '../../operator/api/names.ts';
import { BLOCKS } from '../clouds/blocks.ts';
import type { Fault } from '../clouds/faults.ts';
import type { Bench } from './support.ts';
import { CONTRACTS, isVerdict, startBench } from './support.ts';
import { TRANSPORT_FAULTS } from './transport-faults.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

const FAULTS: readonly { name: string; fault: Fault }[] = [
  ...TRANSPORT_FAULTS,
  ...Object.entries(BLOCKS).map(([name, fault]) => ({ name: `a block in JSON (${name})`, fault })),
];

/** Definitive nonetheless: that an endpoint which is in no document does not exist. */
const DEFINITIVE: Partial<Record<ProviderName, readonly string[]>> = {
  DigitalOcean: ['/v1/oauth/token/info HTML with 404'],
};

describe.each(CONTRACTS)('%s', (name, contract) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await startBench(name, contract);
    bench.cloud.createToken({ name: 'good' });
    bench.cloud.createToken({ name: 'made up' });
    bench.cloud.revoke('made up');
  });

  afterEach(() => bench.close());

  test.each(['first', 'recheck'] as const)(
    'half an answer is none: any one call that fails leaves the whole check without a verdict (%s)',
    async depth => {
      const { credential } = bench.cloud.token('good');
      const request = { access: 'ReadWrite', depth } as const;
      await bench.checker.check(name, credential, request);
      const paths = [...new Set(bench.cloud.log.map(entry => entry.path))];
      const definitive: string[] = [];
      for (const path of paths) {
        for (const { name: what, fault } of FAULTS) {
          const off = bench.cloud.inject(fault, { path });
          const outcome = await bench.checker.check(name, credential, request);
          off();
          await bench.renew();
          if (isVerdict(outcome)) definitive.push(`${path} ${what}`);
        }
      }
      expect(definitive).toEqual(DEFINITIVE[name] ?? []);
    },
  );

  test.each(Object.entries(BLOCKS))(
    'a block of everything in JSON (%s) neither accepts a made-up token nor refuses a good one',
    async (_name, fault) => {
      bench.cloud.inject(fault);
      for (const token of ['good', 'made up']) {
        expect(isVerdict(await bench.check(token))).toBe(false);
      }
    },
  );
});
