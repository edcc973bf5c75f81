// Writes the table of values into the chart's README, from the comments of values.yaml. `--check`: exit 1 when stale.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { finish, ROOT } from './output.ts';
import { markdownTable } from './page.ts';

const CHART = 'charts/cloud-account-operator';
const README = `${CHART}/README.md`;
const BEGIN = '<!-- values: begin, generated from values.yaml -->';
const END = '<!-- values: end -->';

export interface ChartValue {
  /** Dotted path, as `--set` takes it. */
  path: string;
  /** The comment above it, on one line. */
  description: string;
  default: unknown;
}

/**
 * The values of a values.yaml in its order. A value ends where a key has a comment or where nothing is below it, so
 * that `resources` is one value and `image` is several. Throws for a value without a comment.
 */
export function readChartValues(text: string): ChartValue[] {
  const values = load(text);
  const found: ChartValue[] = [];
  const path: string[] = [];
  let comment: string[] = [];
  for (const line of text.split('\n')) {
    const [, indent = '', note, key] = /^( *)(?:# ?(.*)|([A-Za-z]\w*):.*)$/.exec(line) ?? [];
    if (note !== undefined) comment.push(note);
    if (key === undefined) continue;
    path.splice(indent.length / 2, Infinity, key);
    const name = path.join('.');
    const value = path.reduce<unknown>((parent, part) => (parent as Record<string, unknown>)[part], values);
    const description = comment.join(' ');
    comment = [];
    const covered = found.some(({ path: outer }) => name.startsWith(`${outer}.`));
    if (covered) continue;
    if (description !== '') found.push({ path: name, description, default: value });
    else if (!isMap(value)) throw new Error(`values.yaml: ${name} has no comment`);
  }
  return found;
}

function isMap(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && Object.keys(value).length > 0 && !Array.isArray(value)
  );
}

/** The table of values, in Markdown. */
export function valuesTable(values: readonly ChartValue[]): string {
  const rows = values.map(({ path, description, default: value }) => [
    `\`${path}\``,
    description,
    `\`${JSON.stringify(value)}\``,
  ]);
  return markdownTable(['Value', 'What it is', 'Default'], rows);
}

if (import.meta.main) {
  const readme = readFileSync(join(ROOT, README), 'utf8');
  const [before, rest] = readme.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${README}: "${BEGIN}" and "${END}" are needed`);
  const table = valuesTable(readChartValues(readFileSync(join(ROOT, CHART, 'values.yaml'), 'utf8')));
  finish(
    [{ path: README, content: `${before}${BEGIN}\n\n${table}\n\n${END}${after}` }],
    import.meta.filename,
  );
}
