import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROVIDER_NAMES } from '../../operator/api/names.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import { filledSecret, loadExamples } from './examples.ts';

const folder = join(import.meta.dirname, '..', '..', 'examples');
const examples = loadExamples(folder);

test('every provider has one good account among the examples', () => {
  const good = examples.filter(({ scenario }) => scenario.about === undefined);
  expect(good.map(({ provider }) => provider).sort()).toEqual([...PROVIDER_NAMES].sort());
  expect(good.map(({ scenario }) => scenario.shows.health)).toEqual(PROVIDER_NAMES.map(() => 'Connected'));
});

describe.each(examples.map(example => [example.name, example] as const))('%s', (_, example) => {
  test('refers to the Secret of its file', () => {
    expect(example.account.spec.credentialsSecretRef).toEqual({ name: example.secret.metadata.name });
  });

  test('holds placeholders, nothing that a secret scanner takes for a credential', () => {
    const values = Object.values(example.secret.stringData);
    expect(values.map(value => value.trim()).filter(value => !/^<[^>]+>$/.test(value))).toEqual([]);
  });
});

test.each([...PROVIDER_NAMES])("the example of %s names the fields and the provider's console page", name => {
  const provider = PROVIDERS[name];
  const example = examples.find(
    ({ provider: its, scenario }) => its === name && scenario.about === undefined,
  );
  expect(provider.fieldSets.map(fields => [...fields].sort())).toContainEqual(
    Object.keys(example?.secret.stringData ?? {}).sort(),
  );
  const text = readFileSync(join(folder, 'accounts', `${name.toLowerCase()}.yaml`), 'utf8');
  expect(text).toContain(`${provider.guide.consoleUrl} (${provider.guide.consolePath})`);
});

test('a filled Secret carries the credential as base64 only', () => {
  expect(filledSecret('do', { token: 'abc' })).toMatchObject({ data: { token: 'YWJj' } });
});
