import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { equalJson } from './equal-json.ts';

const shuffled = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(shuffled)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, field]) => [key, shuffled(field)]),
        )
      : value;

test('the order of keys does not matter', () => {
  fc.assert(fc.property(fc.jsonValue(), value => expect(equalJson(value, shuffled(value))).toBe(true)));
});

test('values are equal exactly when their canonical texts are', () => {
  const canonical = (value: unknown): string =>
    JSON.stringify(value, (_key, field: unknown) =>
      typeof field === 'object' && field !== null && !Array.isArray(field)
        ? Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : 1)))
        : field,
    );
  // -0 has the text of 0.
  const json = fc.jsonValue({ maxDepth: 2 }).filter(value => !Object.is(value, -0));
  fc.assert(fc.property(json, json, (a, b) => expect(equalJson(a, b)).toBe(canonical(a) === canonical(b))));
});

test.each([
  [{ a: 1, b: undefined }, { a: 1 }, true],
  [[], {}, false],
  [{ a: 1 }, { b: 1 }, false],
  [null, {}, false],
  [[1, 2], [2, 1], false],
])('%j and %j', (a, b, same) => expect(equalJson(a, b)).toBe(same));
