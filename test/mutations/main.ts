import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutation, MUTATIONS, type Replay, type TestCase } from './list.ts';

/**
 * `npm run mutations [-- NAME…]`: takes each mend out in a copy of the project and expects the test, or the run of chaos or
 * of the proof, that it names to fail. A patch that applies no more, or what stays green (or is not there), fails the run.
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
async function tryOut(copy: string, mutation: Mutation): Promise<string | undefined> {
  const patch = join(patches, `${mutation.name}.patch`);
  const apply = (...more: string[]) =>
    spawnSync('git', ['apply', ...more, patch], { cwd: copy, encoding: 'utf8' });
  const applied = apply();
  if (applied.status !== 0) return `the patch does not apply any more: ${applied.stderr.trim()}`;
  try {
    return await ('program' in mutation ? replay(copy, mutation) : runTest(copy, mutation));
  } finally {
    apply('--reverse');
  }
}

/** A run that breaks for another reason tells of no violation. */
async function replay(copy: string, { program, args }: Replay): Promise<string | undefined> {
  const { code, output } = await run(copy, [program, ...args]);
  const command = `${program} ${args.join(' ')}`;
  if (code === 0) return `${command} stays green`;
  return output.includes('VIOLATION') ? undefined : `${command} does not work with it: ${output.slice(-500)}`;
}

async function runTest(copy: string, { file, test }: TestCase): Promise<string | undefined> {
  const results = join(copy, 'results.json');
  rmSync(results, { force: true });
  const project = file.startsWith('test/integration/') ? 'integration' : 'unit';
  const pattern = test.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  await run(copy, [
    ...['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
    ...['node_modules/jest/bin/jest.js', '--selectProjects', project, '--runInBand'],
    ...['--testTimeout', '60000', '--runTestsByPath', file, '--testNamePattern', pattern],
    ...['--json', '--outputFile', results],
  ]);
  // A file that does not load would be red for another reason.
  const told = existsSync(results)
    ? (JSON.parse(readFileSync(results, 'utf8')) as Record<string, number>)
    : {};
  if (told['numRuntimeErrorTestSuites'] !== 0) return `${file} does not load with it`;
  if (told['numFailedTests'] !== 0) return undefined;
  return told['numPassedTests'] === 0 ? `${file} has no test "${test}"` : `"${test}" stays green`;
}

async function run(copy: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>(resolve => child.once('close', resolve));
  return { code, output };
}
