import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** `npm run generate`: writes every generated file; `-- --check` fails when a committed one is stale. */

/** In the order in which they use each other's results. */
export const GENERATORS = [
  'chart',
  'chart-readme',
  'types',
  'proof-schema',
  'install',
  'fault-matrix',
  'configuration',
] as const;

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  for (const generator of GENERATORS) {
    const script = join(root, 'scripts', 'generate', `${generator}.ts`);
    const { status } = spawnSync(process.execPath, [script, ...process.argv.slice(2)], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}
