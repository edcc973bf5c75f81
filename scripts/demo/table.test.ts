import { expect, test } from '@jest/globals';
import { fit } from './table.ts';

const TABLE = `NAMESPACE   NAME     HEALTH           SERVERS   LAST CHECKED   CREDENTIAL        AGE
demo        good     Connected        0         5s             dop_v1_••••1a2b   1m
demo        failed   NeedsAttention   0                                          2m
`;

test('a table that fits keeps every column', () => {
  expect(fit(TABLE, 100)).toBe(
    `NAMESPACE  NAME    HEALTH          SERVERS  LAST CHECKED  CREDENTIAL       AGE
demo       good    Connected       0        5s            dop_v1_••••1a2b  1m
demo       failed  NeedsAttention  0                                       2m`,
  );
});

test('a table that is too wide loses columns that say the same in every row, one by one', () => {
  expect(fit(TABLE, 70).split('\n')[0]).toBe(
    'NAME    HEALTH          SERVERS  LAST CHECKED  CREDENTIAL       AGE',
  );
  expect(fit(TABLE, 60).split('\n')[0]).toBe('NAME    HEALTH          LAST CHECKED  CREDENTIAL       AGE');
});

test('columns that tell accounts apart stay, however narrow the terminal', () => {
  expect(fit(TABLE, 10)).toContain('failed  NeedsAttention');
});

test('with one account nothing is left out: there every column would say the same', () => {
  expect(fit(TABLE.split('\n').slice(0, 2).join('\n'), 10)).toContain('NAMESPACE  NAME');
});
