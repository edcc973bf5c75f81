import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Root of the checkout. */
export const ROOT = join(import.meta.dirname, '..', '..');

/** A generated file that is committed. */
export interface GeneratedFile {
  /** Path relative to the root of the checkout. */
  path: string;
  content: string;
}

/** The paths of those files whose committed content differs from what would be generated, or that are absent. */
export function staleFiles(files: readonly GeneratedFile[], root: string = ROOT): string[] {
  return files.filter(file => readOrUndefined(join(root, file.path)) !== file.content).map(file => file.path);
}

/**
 * Ends a generator: writes the files, or with `--check` among the arguments compares them and sets exit code 1 when
 * one is stale.
 */
export function finish(files: readonly GeneratedFile[], generator: string): void {
  const stale = staleFiles(files);
  if (process.argv.includes('--check')) {
    for (const path of stale) {
      console.error(`${path} is stale: run \`node ${relative(ROOT, generator)}\` and commit the result`);
      process.exitCode = 1;
    }
    return;
  }
  for (const file of files.filter(({ path }) => stale.includes(path))) {
    mkdirSync(dirname(join(ROOT, file.path)), { recursive: true });
    writeFileSync(join(ROOT, file.path), file.content);
    console.log(`wrote ${file.path}`);
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
