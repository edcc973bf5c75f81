import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';

import { PROVIDERS } from '../../operator/providers/index.ts';
import { CONTRACTS } from './support.ts';
import { TABLES } from './tables.ts';

/** Words alone: a page breaks lines where it likes, and escapes what Markdown would take for its own. */
function words(text: string): string {
  return text.replaceAll('\\', '').replaceAll(/\s+/g, ' ');
}

describe.each(CONTRACTS)('docs/providers of %s', (name, contract) => {
  const page = words(
    readFileSync(new URL(`../../docs/providers/${name.toLowerCase()}.md`, import.meta.url), 'utf8'),
  );
  const { guide, budget, origins, fieldSets, identityKinds } = PROVIDERS[name];

  test('say what the operator says: console, permissions and notes', () => {
    const sentences = [
      guide.consoleUrl,
      guide.consolePath,
      ...Object.values(guide.permissions),
      ...guide.notes,
      ...Object.keys(guide.furtherRights ?? {}),
    ];
    for (const sentence of sentences) expect(page).toContain(words(sentence));
  });

  test('name every source of a verdict', () => {
    for (const { source } of TABLES[name]) expect(page).toContain(words(source));
  });

  test('name every offline check with its message', () => {
    const token = contract.create().createToken();
    for (const { spoil } of contract.malformed) {
      const problem = PROVIDERS[name].checkShape(spoil(token.credential));
      expect(page).toContain(`\`${problem?.check}\``);
      expect(page).toContain(words(problem?.message ?? 'no message'));
    }
  });

  test('name fields, kinds of identity, origins and budget', () => {
    for (const field of fieldSets.flat()) expect(page).toMatch(new RegExp(`\`${field}\`|${field}: `));
    for (const kind of identityKinds) expect(page).toContain(`\`${kind}:`);
    for (const origin of Object.values(origins)) expect(page).toContain(origin);
    const { ratePerSecond, burst } = budget;
    expect(page).toMatch(new RegExp(`\\b${ratePerSecond} (requests )?a second\\b.*, ${burst} at once`));
  });

  test('say that no live account was used', () => {
    expect(page).toContain('No live account was used.');
  });
});
