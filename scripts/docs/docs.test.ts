import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { load, loadAll } from 'js-yaml';
import { FLAGS } from '../../operator/config.ts';
import { createMetrics } from '../../operator/observability/metrics.ts';
import { ROOT } from '../generate/output.ts';
import { anchors, codeBlocks, linkTargets } from './markdown.ts';
import { type Page, readPages } from './pages.ts';

/** Flags that the pages name of other tools, and of the project's own commands. */
const OTHER_FLAGS: Readonly<Record<string, readonly string[]>> = {
  kubectl: [
    'all',
    'cascade',
    'clusterrole',
    'dry-run',
    'field-selector',
    'for',
    'namespace',
    'overwrite',
    'previous',
    'selector',
    'server-side',
    'sort-by',
    'timeout',
    'user',
  ],
  helm: ['create-namespace', 'namespace', 'reset-then-reuse-values', 'reuse-values', 'set'],
  docker: ['build-arg', 'platform', 'push', 'tag'],
  node: ['disable-sigusr1', 'experimental-vm-modules', 'max-semi-space-size'],
  'other programs': ['domain-filter', 'provider', 'source', 'status-include-resources'],
  'npm run …': [
    'operators',
    'table',
    'accounts',
    'check',
    'dir',
    'help',
    'keep',
    'json',
    'latency',
    'markdown',
    'minutes',
    'port-file',
    'profile',
    'real',
    'repeat',
    'seed',
    'version',
    'trace',
  ],
  // How flags are written, in docs/configuration.md.
  placeholder: ['name'],
};

const PAGES = readPages();
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const textOf = (path: string) => PAGES.find(page => page.path === path)?.text ?? '';

/** What of a page matches the pattern's first group, without what is known. */
function unknown({ text }: Page, pattern: RegExp, known: ReadonlySet<string>): string[] {
  return [...text.matchAll(pattern)].map(([, name = '']) => name).filter(name => !known.has(name));
}

function problemOfLink(page: Page, target: string): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page.path : relative(ROOT, join(ROOT, dirname(page.path), path));
  if (file.startsWith('..') || !existsSync(join(ROOT, file))) return `${target}: no such file`;
  if (anchor === undefined || anchor === '') return undefined;
  const isPage = statSync(join(ROOT, file)).isFile() && file.endsWith('.md');
  return isPage && anchors(read(file)).includes(anchor) ? undefined : `${target}: no such heading`;
}

describe.each(PAGES)('$path', page => {
  test('links to files and headings that exist', () => {
    const targets = linkTargets(page.text).filter(target => !/^[a-z]+:/.test(target));
    expect(targets.flatMap(target => problemOfLink(page, target) ?? [])).toEqual([]);
  });

  test('names commands, flags and values of the chart that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const values = load(read('charts/cloud-account-operator/values.yaml'));
    const flags = new Set([...FLAGS.map(({ name }) => name), ...Object.values(OTHER_FLAGS).flat()]);
    expect(unknown(page, /npm run ([a-z][a-z\d:-]*)/g, new Set(Object.keys(scripts)))).toEqual([]);
    expect(unknown(page, /(?<![\w-])--([a-z][a-z\d-]+)\b/g, flags)).toEqual([]);
    for (const [, path = ''] of page.text.matchAll(/--set '?([A-Za-z.]+)/g)) {
      const [key, ...parents] = path.split('.').reverse();
      const parent = parents.reduceRight<unknown>(
        (map, part) => (map as Record<string, unknown> | undefined)?.[part],
        values,
      );
      expect(parent).toHaveProperty([key ?? '']);
    }
  });

  test('has examples in YAML that can be read', () => {
    const blocks = codeBlocks(page.text).filter(({ language }) => language === 'yaml');
    for (const { text } of blocks) expect(() => loadAll(text)).not.toThrow();
  });

  test('is linked to from a page', () => {
    const isLinked = PAGES.some(({ path, text }) =>
      linkTargets(text).some(target => join(dirname(path), target.split('#')[0] ?? '') === page.path),
    );
    expect(isLinked || page.path === 'README.md').toBe(true);
  });
});

describe('docs/operations.md', () => {
  const text = textOf('docs/operations.md');

  test('tells of every metric, and of no other', async () => {
    const known = createMetrics({
      accounts: () => [],
      queueLength: () => 0,
      unavailable: () => [],
      leads: { lease: 'a', now: () => true },
    });
    const metrics = [...(await known.render()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
      ([, name, type]) => `${name} ${type}`,
    );
    const rows = [...text.matchAll(/^\| `(\w+)(?:\{[\w,]+\})?` +\| (counter|gauge|histogram) +\|/gm)].map(
      ([, name, type]) => `${name} ${type}`,
    );
    expect(rows.sort()).toEqual(metrics.sort());
    const named = [...text.matchAll(/\b(?:cloudaccount|leader_election)_\w+/g)].map(([name]) => name);
    for (const name of named)
      expect(metrics.map(metric => metric.split(' ')[0])).toContain(name.replace(/_count$/, ''));
  });

  test('tells of every message of the log with its level, and of no other', () => {
    const sources = globSync('operator/*.ts', { cwd: ROOT }).filter(path => !path.endsWith('.test.ts'));
    const logged = sources.flatMap(path =>
      [...read(path).matchAll(/\blog\.(\w+)\([^;]*?'([^'\n]{4,})',?\s*\)/g)].map(
        ([, level, message]) => `${message} ${level}`,
      ),
    );
    const rows = [...text.matchAll(/^\| `([^`]+)` +\| (debug|info|warn|error) +\|/gm)].map(
      ([, message, level]) => `${message} ${level}`,
    );
    expect(rows.sort()).toEqual(logged.sort());
  });
});

describe('docs/spec/v1alpha1/cloudaccount.md', () => {
  test('tells of every reason, in the tables of what to do', () => {
    const names = read('operator/api/names.ts').split('export type AccountReason =')[1]?.split(';')[0];
    const reasons = [...(names ?? '').matchAll(/'(\w+)'/g)].map(([, reason]) => reason);
    const rows = [...textOf('docs/spec/v1alpha1/cloudaccount.md').matchAll(/^\| `([A-Z]\w+)` +\|/gm)].map(
      ([, name]) => name,
    );
    expect(reasons.length).toBeGreaterThan(15);
    expect(rows).toEqual(expect.arrayContaining(reasons));
  });
});

describe('a version', () => {
  test('is the same wherever docs/release.md says that it stands', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const chart = load(read('charts/cloud-account-operator/Chart.yaml')) as Record<string, string>;
    const lock = JSON.parse(read('package-lock.json')) as {
      version: string;
      packages: Record<string, { version?: string }>;
    };
    expect([lock.version, lock.packages['']?.version, chart['appVersion']]).toEqual(
      Array.from({ length: 3 }, () => version),
    );
    expect(read('operator/version.ts')).toContain(`VERSION = '${version}'`);
    expect(read('Dockerfile')).toContain(`ARG VERSION=${version}\n`);
    expect(read('CHANGELOG.md')).toMatch(new RegExp(`^## .*\\bOperator ${version}\\b`, 'm'));
    expect(read('CHANGELOG.md')).toMatch(new RegExp(`^## .*\\bchart ${chart['version']}\\b`, 'im'));
  });
});
