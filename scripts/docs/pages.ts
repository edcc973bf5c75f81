import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../generate/output.ts';

export interface Page {
  /** Relative to the root of the checkout. */
  path: string;
  text: string;
}

/** Every page of the documentation. */
export function readPages(root: string = ROOT): Page[] {
  return globSync(['*.md', '{docs,examples,operator,charts,test}/**/*.md'], { cwd: root })
    .sort()
    .map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}
