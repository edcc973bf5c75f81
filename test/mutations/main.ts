import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutation, MUTATIONS } from './list.ts';

/**
 * `npm run mutations [-- NAME…]`: takes each mend out in a copy of the project and expects the test that it names to
 * fail. A patch that applies no more, or a test that stays green (or is not there), fails the run.
 */

const root = join(import.meta.dirname, '../..');
const patches = join(import.meta.dirname, 'patches');
const names = process.argv.slice(2);
const chosen = MUTATIONS.filter(({ name }) => names.length === 0 || names.includes(name));
/** Most of a test is Node starting. */
const AT_ONCE = 2;

const queue = [...chosen];
const problems: string[] = [];
let found = 0;
if (chosen.length === 0)
  problems.push(`no such mutation; there are ${MUTATIONS.map(({ name }) => name).join(', ')}`);
await Promise.all(Array.from({ length: AT_ONCE }, work));
const listed = new Set(MUTATIONS.map(({ name }) => `${name}.patch`));
for (const file of readdirSync(patches))
  if (!listed.has(file)) problems.push(`patches/${file} is not in list.ts`);
for (const problem of problems) console.error(problem);
console.log(`${found} of ${chosen.length} mutations were found out`);
process.exitCode = problems.length > 0 ? 1 : 0;

/** Each worker has a copy of its own, so that two patches never meet. */
async function work(): Promise<void> {
  const copy = copyProject();
  try {
    for (let mutation = queue.shift(); mutation !== undefined; mutation = queue.shift()) {
      const problem = await tryOut(copy, mutation);
      console.log(`${problem === undefined ? 'found out' : 'NOT FOUND'}: ${mutation.name}`);
      if (problem === undefined) found += 1;
      else problems.push(`${mutation.name}: ${problem}`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** What git knows of, as it is in the folder now; packages are shared. */
function copyProject(): string {
  const copy = mkdtempSync(join(tmpdir(), 'mutations-'));
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
  });
  for (const path of listed.stdout.toString().split('\0').filter(Boolean)) {
    if (existsSync(join(root, path))) cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Resolves with what is wrong, if anything is. */
async function tryOut(copy: string, { name, file, test }: Mutation): Promise<string | undefined> {
  const patch = join(patches, `${name}.patch`);
  const apply = (...more: string[]) =>
    spawnSync('git', ['apply', ...more, patch], { cwd: copy, encoding: 'utf8' });
  const applied = apply();
  if (applied.status !== 0) return `the patch does not apply any more: ${applied.stderr.trim()}`;
  try {
    const { failed, passed, broken } = await runTest(copy, file, test);
    // A file that does not load would be red for another reason.
    if (broken) return `${file} does not load with it`;
    if (failed === 0) return passed === 0 ? `${file} has no test "${test}"` : `"${test}" stays green`;
    return undefined;
  } finally {
    apply('--reverse');
  }
}

async function runTest(copy: string, file: string, test: string) {
  const results = join(copy, 'results.json');
  rmSync(results, { force: true });
  const jest = 'node_modules/jest/bin/jest.js';
  const pattern = test.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const child = spawn(
    process.execPath,
    [
      ...[
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        jest,
        '--selectProjects',
        'unit',
      ],
      ...['--runInBand', '--testTimeout', '60000', '--runTestsByPath', file, '--testNamePattern', pattern],
      ...['--json', '--outputFile', results],
    ],
    { cwd: copy, stdio: 'ignore', env: { ...process.env, NODE_OPTIONS: '' } },
  );
  await new Promise(resolve => child.once('close', resolve));
  if (!existsSync(results)) return { failed: 0, passed: 0, broken: true };
  const run = JSON.parse(readFileSync(results, 'utf8')) as Record<string, number>;
  return {
    failed: run['numFailedTests'] ?? 0,
    passed: run['numPassedTests'] ?? 0,
    broken: (run['numRuntimeErrorTestSuites'] ?? 0) > 0,
  };
}
