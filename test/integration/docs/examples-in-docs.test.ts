import { describe, expect, test } from '@jest/globals';
import { loadAll } from 'js-yaml';
import { codeBlocks } from '../../../scripts/docs/markdown.ts';
import { readPages } from '../../../scripts/docs/pages.ts';
import { sharedControlPlane } from '../support/control-plane.ts';

interface Manifest {
  apiVersion?: string;
  kind?: string;
  metadata?: { name: string };
}

/** Where objects of a kind are made. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  CloudAccount: '/apis/strackt.io/v1alpha1/namespaces/default/cloudaccounts',
  Secret: '/api/v1/namespaces/default/secrets',
};

const EXAMPLES = readPages().flatMap(({ path, text }) =>
  codeBlocks(text)
    .filter(({ language }) => language === 'yaml')
    .flatMap(block => loadAll(block.text) as Manifest[])
    .filter(manifest => manifest?.kind !== undefined && manifest.kind in COLLECTIONS)
    .map(manifest => ({ path, kind: manifest.kind ?? '', manifest })),
);

test('the pages have examples of accounts with their Secrets', () => {
  const kinds = EXAMPLES.map(({ kind }) => kind);
  expect(kinds.filter(kind => kind === 'CloudAccount').length).toBeGreaterThan(7);
  expect(kinds).toContain('Secret');
});

describe.each(EXAMPLES)('in $path, the $kind', ({ kind, manifest }) => {
  test('is accepted by the API server under strict validation', async () => {
    const { status, body } = await sharedControlPlane().api<{ message?: string }>(
      'POST',
      `${COLLECTIONS[kind]}?dryRun=All&fieldValidation=Strict`,
      manifest,
    );
    expect(body.message).toBeUndefined();
    expect(status).toBe(201);
  });
});
