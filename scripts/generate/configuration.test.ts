import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { FLAGS } from '../../operator/config.ts';
import { readChartValues } from './chart-readme.ts';
import { CHART_VALUES, renderConfiguration } from './configuration.ts';
import { ROOT } from './output.ts';

const read = (path: string) => readFileSync(join(ROOT, 'charts/cloud-account-operator', path), 'utf8');

describe('the page of flags', () => {
  test('has a row for each flag, with its text and its default', () => {
    const page = renderConfiguration();
    for (const flag of FLAGS) {
      const row = page.split('\n').find(line => new RegExp(`^\\| \`--${flag.name}[=\`]`).test(line));
      expect(row).toContain(flag.help.replaceAll('|', '\\|'));
      expect(row).toContain(`| ${flag.default && `\`${flag.default}\``} |`);
    }
  });

  test('names just those values of the chart that set a flag', () => {
    const set = [...read('templates/deployment.yaml').matchAll(/^ +- --([a-z-]+)=/gm)].map(
      ([, flag]) => flag,
    );
    expect(Object.keys(CHART_VALUES).sort()).toEqual(set.sort());
    const values = readChartValues(read('values.yaml')).map(({ path }) => path);
    expect(values).toEqual(expect.arrayContaining(Object.values(CHART_VALUES)));
  });
});
