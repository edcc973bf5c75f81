import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { finish, ROOT } from './output.ts';

/** A table in Markdown; `|` within cells is escaped. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Ends the generator of one page, in the format of the others. `--check`: see {@link finish}. */
export async function finishPage(path: string, text: string, generator: string): Promise<void> {
  const config = await resolveConfig(join(ROOT, path));
  finish([{ path, content: await format(text, { ...config, parser: 'markdown' }) }], generator);
}
