import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

/** `npm run build`: bundles the operator into dist/operator.mjs, its source map beside it. */

/** Oldest Node that the operator runs on; `engines` of package.json says the same. */
const NODE_MAJOR = 24;

export interface BundleOptions {
  /** Relative to the root of the checkout, like `outfile`. */
  entry: string;
  outfile: string;
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * The first statements of the bundle. An import of a name that an old Node lacks fails before any statement runs, so
 * the only import is one that every Node has; all others become calls of `require` (`lateBuiltins`).
 */
const BANNER = `import { createRequire } from 'module';
const require = createRequire(import.meta.url);
if (Number(process.versions.node.split('.')[0]) < ${NODE_MAJOR}) {
  console.error('Node ${NODE_MAJOR} or newer is needed; this is Node ' + process.versions.node + '.');
  process.exit(1);
}`;

const lateBuiltins: esbuild.Plugin = {
  name: 'late-builtins',
  setup(build) {
    const names = builtinModules.map(name => name.replace(/^node:/, '')).join('|');
    build.onResolve({ filter: new RegExp(`^(node:)?(${names})$`) }, ({ path, kind }) =>
      kind === 'require-call' ? { path, external: true } : { path, namespace: 'late-builtins' },
    );
    build.onLoad({ filter: /.*/, namespace: 'late-builtins' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/**
 * Writes one ESM file that depends on nothing but Node. The same sources give the same bytes. Each file is renamed into
 * place: two demos that start at the same time never run half of it.
 */
export async function bundle({ entry, outfile }: BundleOptions): Promise<void> {
  const { outputFiles } = await esbuild.build({
    write: false,
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Lower than what it runs on: the version check must be parsed by the Node that it refuses.
    target: 'node18',
    sourcemap: 'linked',
    sourcesContent: true,
    legalComments: 'eof',
    banner: { js: BANNER },
    plugins: [lateBuiltins],
    logLevel: 'warning',
  });
  mkdirSync(dirname(resolve(root, outfile)), { recursive: true });
  for (const { path, text } of outputFiles) {
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(temporary, path.endsWith('.map') ? text : escaped(text));
    renameSync(temporary, path);
  }
}

/**
 * One character beyond ASCII, and Node keeps the whole source in memory at two bytes a character: 3 MB more. esbuild
 * escapes them in code, so the ones that are left stand in comments.
 */
function escaped(source: string): string {
  return source.replace(
    /[^\0-\x7f]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

if (import.meta.main) await bundle({ entry: 'operator/main.ts', outfile: 'dist/operator.mjs' });
