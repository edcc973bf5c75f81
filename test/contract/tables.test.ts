import { describe, expect, jest, test } from '@jest/globals';

import type { ClassificationRow } from '../../operator/providers/classification.ts';
import { CONTRACTS, startBench } from './support.ts';
import { TABLES } from './tables.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

describe.each(CONTRACTS)('the classification table of %s', (name, contract) => {
  test('names a source for each row', () => {
    for (const row of TABLES[name]) expect(row.source).toMatch(/\w{6,}/);
  });

  test('has no row that the contract does not try', async () => {
    const tried = watch(TABLES[name]);
    for (const row of contract.rows) {
      const bench = await startBench(name, contract);
      const token = bench.cloud.createToken(row.token);
      row.arrange?.(bench.cloud, token);
      await bench.checker.check(name, token.credential, {
        access: row.access ?? 'ReadWrite',
        depth: row.depth ?? 'first',
        ...(row.knownIds !== undefined && { knownIds: row.knownIds(token) }),
        ...(row.expiryKnown !== undefined && { expiryKnown: row.expiryKnown }),
      });
      await bench.close();
    }
    expect(TABLES[name].filter(row => !tried.has(row))).toEqual([]);
  });
});

/** Rows are data: what a row means is read only once an answer has met its conditions. */
function watch(table: readonly ClassificationRow[]): Set<ClassificationRow> {
  const tried = new Set<ClassificationRow>();
  // Tables of one provider share rows: wrapping one twice would read it.
  for (const row of new Set(table)) {
    const { means } = row;
    Object.defineProperty(row, 'means', {
      enumerable: true,
      configurable: true,
      get() {
        tried.add(row);
        return means;
      },
    });
  }
  return tried;
}
