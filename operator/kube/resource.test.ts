import { describe, expect, test } from '@jest/globals';
import { collectionPath, compareResourceVersions, keyOf, objectPath, parseKey } from './resource.ts';

const SECRETS = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
const WIDGETS = { group: 'example.com', version: 'v1', plural: 'widgets', kind: 'Widget', namespaced: true };

describe('keys', () => {
  test.each([{ namespace: 'a', name: 'b' }, { name: 'b' }])('%j comes back from its text', key => {
    expect(parseKey(keyOf({ metadata: key }))).toEqual(key);
  });
});

describe('paths', () => {
  test('the core group has a root of its own', () => {
    expect(collectionPath(SECRETS, 'a')).toBe('/api/v1/namespaces/a/secrets');
    expect(collectionPath(SECRETS)).toBe('/api/v1/secrets');
  });

  test('a subresource comes last', () => {
    expect(objectPath(WIDGETS, { namespace: 'a', name: 'b' }, 'status')).toBe(
      '/apis/example.com/v1/namespaces/a/widgets/b/status',
    );
  });

  test('a name cannot lead to another path', () => {
    expect(objectPath(SECRETS, { namespace: 'a', name: '../b?x' })).toBe(
      '/api/v1/namespaces/a/secrets/..%2Fb%3Fx',
    );
  });
});

describe('resource versions', () => {
  test.each([
    ['9', '10', -1],
    ['10', '10', 0],
    ['10000000000000000001', '10000000000000000000', 1],
  ])('%s against %s', (a, b, sign) => {
    expect(Math.sign(compareResourceVersions(a, b))).toBe(sign);
  });
});
