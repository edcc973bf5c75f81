import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { PROVIDERS } from '../../operator/providers/index.ts';
import type { EchoForm } from '../clouds/faults.ts';
import type { CloudToken } from '../clouds/kit.ts';
import type { Bench } from './support.ts';
import { CONTRACTS, startBench } from './support.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

const FORMS: readonly EchoForm[] = ['plain', 'base64', 'url', 'json', 'html', 'separated'];
const STATUSES = [200, 400, 401, 403, 404, 409, 422, 429, 503] as const;

describe.each(CONTRACTS)('%s', (name, contract) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await startBench(name, contract);
  });

  afterEach(() => bench.close());

  /** One token for each set of fields that the provider takes, such as a token, or a name and a password. */
  function tokensByFields(): CloudToken[] {
    const made = [undefined, ...contract.rows].map(
      (row): CloudToken => bench.cloud.createToken(row?.token) as CloudToken,
    );
    return [...new Map(made.map(token => [Object.keys(token.credential).sort().join(), token])).values()];
  }

  test('has a token for each of its sets of fields', () => {
    expect(tokensByFields()).toHaveLength(PROVIDERS[name].fieldSets.length);
  });

  test.each(FORMS)('a provider that echoes the credential as %s makes us show no part of it', async form => {
    const { cloud } = bench;
    for (const { index, credential } of tokensByFields()) {
      await bench.check(index);
      const paths = [...new Set(cloud.log.map(entry => entry.path))];
      const secrets = ['token', 'password', 'privateKey'].flatMap(field => credential[field] ?? []);
      expect(secrets).toHaveLength(1);
      for (const path of [undefined, ...paths]) {
        for (const status of STATUSES) {
          const scope = path === undefined ? {} : { path };
          const off = cloud.inject({ kind: 'echo', as: form, status }, scope);
          const outcome = JSON.stringify(await bench.check(index));
          off();
          await bench.renew();
          for (const secret of secrets) expect(partsIn(outcome, secret)).toEqual([]);
        }
      }
    }
  });
});

/**
 * Parts of the secret, as it is or encoded, that the text holds. Written anew and more simply than what it tests; a
 * prefix that every token has is no secret.
 */
function partsIn(text: string, secret: string): string[] {
  const bare = secret.replace(/-----[A-Z ]+-----|^do[a-z]_v1_|^ucat_/g, '').trim();
  const characters = Array.from(bare);
  const forms: [form: string, run: number][] = [
    [bare, 6],
    [characters.join('-'), 11],
    [characters.join(' '), 11],
    [Buffer.from(bare).toString('base64'), 8],
    [Buffer.from(`x${bare}`).toString('base64').slice(2), 8],
    [Buffer.from(`xx${bare}`).toString('base64').slice(4), 8],
    [characters.map(c => `%${c.charCodeAt(0).toString(16)}`).join(''), 18],
    [characters.map(c => `u00${c.charCodeAt(0).toString(16)}`).join('\\\\'), 30],
    [characters.map(c => `&#${c.charCodeAt(0)};`).join(''), 30],
  ];
  const folded = text.toLowerCase();
  return forms.flatMap(([form, run]) =>
    Array.from({ length: Math.max(0, form.length - run + 1) }, (_, at) =>
      form.slice(at, at + run).toLowerCase(),
    ).filter(part => folded.includes(part)),
  );
}
