import { describe, expect, test } from '@jest/globals';
import { readChartValues, valuesTable } from './chart-readme.ts';

const VALUES = `# How many.
replicas: 1

image:
  # Where it is
  # pulled from.
  repository: a/b
  # Tag | digest.
  tag: ""
# All of it.
resources:
  requests:
    cpu: 50m
extraArgs: []
`;

describe('the values of a chart', () => {
  test('are read with their comments and defaults; a commented map is one value', () => {
    expect(readChartValues(VALUES.replace('extraArgs', '# More.\nextraArgs'))).toEqual([
      { path: 'replicas', description: 'How many.', default: 1 },
      { path: 'image.repository', description: 'Where it is pulled from.', default: 'a/b' },
      { path: 'image.tag', description: 'Tag | digest.', default: '' },
      { path: 'resources', description: 'All of it.', default: { requests: { cpu: '50m' } } },
      { path: 'extraArgs', description: 'More.', default: [] },
    ]);
  });

  test('must each have a comment', () => {
    expect(() => readChartValues(VALUES)).toThrow('values.yaml: extraArgs has no comment');
  });

  test('become rows of a table', () => {
    expect(valuesTable([{ path: 'image.tag', description: 'Tag | digest.', default: '' }])).toContain(
      '| `image.tag` | Tag \\| digest. | `""` |',
    );
  });
});
