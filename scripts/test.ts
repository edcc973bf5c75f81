import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinaries } from '../test/control-plane/binaries.ts';
import { RELEASES } from '../test/control-plane/cache.mjs';
import { findRelease } from '../test/control-plane/versions.ts';
import { findOrBuildHelm } from './generate/helm.ts';

/**
 * `npm test [-- STEP…]`: every check in order, or just those that are named. All steps run whatever fails; the last
 * line counts tests and check steps alone: `N passed, N failed`. Exit code 1 if anything failed.
 */

interface Step {
  name: string;
  /** Arguments for Node. */
  command: readonly string[];
  env?: Record<string, string>;
  /** Steps of jest count their tests, others count as one. */
  jest?: boolean;
  /** Runs only with `--full` or when named. */
  full?: boolean;
  /** What it needs and a machine may lack, of Kubernetes and Helm; set up before it begins, with lines on the way. */
  needs?: { kubernetes?: readonly string[]; helm?: boolean };
  /** Where it cannot run it says so in a line, ends well and counts nothing; with CI=true it fails instead. */
  mayBeLeftOut?: boolean;
}

const root = join(import.meta.dirname, '..');
const bin = (name: string) => join('node_modules', name);

const [newest, ...older] = RELEASES;

const isFull = process.argv.includes('--full');

/** A red run of `npm test` is to be about the change that is tried; new ones are tried in the full run, and more. */
const properties: Record<string, string> = isFull
  ? { PROPERTY_SEED: process.env['PROPERTY_SEED'] ?? String(randomInt(2 ** 31)), PROPERTY_FACTOR: '10' }
  : {};

const KUBERNETES = [newest.name];

const STEPS: readonly Step[] = [
  { name: 'format', command: [bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.'] },
  { name: 'lint', command: [bin('eslint/bin/eslint.js'), '.', '--max-warnings', '0'] },
  { name: 'types', command: [bin('typescript/bin/tsc'), '--noEmit'] },
  {
    name: 'imports',
    command: [
      bin('dependency-cruiser/bin/dependency-cruiser.mjs'),
      '--config',
      '.dependency-cruiser.mjs',
      ...['operator', 'cli', 'test', 'scripts'].filter(folder => existsSync(join(root, folder))),
    ],
  },
  {
    name: 'generated',
    command: ['scripts/generate.ts', '--check'],
    // Elsewhere it does without, by the hash of the sources.
    ...(process.env['CI'] && { needs: { helm: true } }),
  },
  { name: 'build', command: ['scripts/build.ts'] },
  { name: 'bundle', command: ['scripts/check-bundle.ts'] },
  { name: 'unit', command: [...jest('unit', 60_000), '--coverage'], jest: true },
  {
    name: 'integration',
    command: jest('integration', 120_000),
    jest: true,
    env: kubernetes(newest.name),
    // The full run also starts the oldest version beside the newest.
    needs: { kubernetes: isFull ? RELEASES.map(({ name }) => name) : KUBERNETES, helm: true },
  },
  {
    name: 'e2e',
    // It has a cluster to end when this process is killed.
    command: ['--import', './scripts/die-with-parent.mjs', 'test/e2e/main.ts'],
    jest: true,
    full: true,
    needs: { kubernetes: KUBERNETES },
    mayBeLeftOut: true,
  },
  // The same deeds each time; a longer run with others each time is part of `--full`.
  {
    name: 'chaos',
    command: ['test/chaos/main.ts', '--seed', '1', '--minutes', '0.25', '--operators', '1'],
    needs: { kubernetes: KUBERNETES },
  },
  // A seed of its own, so that a failure is one of the change that is tried; new ones are for `npm run chaos`.
  {
    name: 'chaos-long',
    command: ['test/chaos/main.ts', '--seed', '2', '--minutes', '3', '--operators', '1'],
    full: true,
    needs: { kubernetes: KUBERNETES },
  },
  { name: 'mutations', command: ['test/mutations/main.ts'], full: true },
  ...older.map(({ name }) => ({
    name: `integration-${name}`,
    command: jest('integration', 120_000),
    jest: true,
    full: true,
    // What is tried more often in the full run is the operator's own; once is enough for that.
    env: { ...kubernetes(name), CAO_FULL: '0', PROPERTY_FACTOR: '1' },
    // Some of its tests start the newest version for themselves.
    needs: { kubernetes: [name, newest.name], helm: true },
  })),
  {
    name: 'bench',
    command: ['test/bench/main.ts', '--accounts', '20', '--smoke'],
    needs: { kubernetes: KUBERNETES },
  },
];

/** Time limits are for a slow machine; a test that waits for a condition ends as soon as it holds. */
function jest(project: string, timeoutMs: number): string[] {
  return [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    bin('jest/bin/jest.js'),
    '--selectProjects',
    project,
    '--testTimeout',
    String(timeoutMs),
  ];
}

function kubernetes(version: string): Record<string, string> {
  return { CAO_KUBERNETES: version };
}

interface Count {
  passed: number;
  failed: number;
}

/** Runs a step: jest shows its files as they come, another step speaks only when it fails. */
async function runStep(step: Step): Promise<Count> {
  if (!step.jest) {
    const { code, output } = await runNode(step, step.command, false);
    if (code !== 0) process.stdout.write(output);
    return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  }
  const folder = mkdtempSync(join(tmpdir(), 'test-'));
  try {
    const results = join(folder, 'results.json');
    const { code } = await runNode(step, [...step.command, '--json', '--outputFile', results], true, results);
    if (step.mayBeLeftOut && code === 0 && !existsSync(results)) return { passed: 0, failed: 0 };
    return readCount(results, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file that does not load, and a run that fails for another reason than a test, count as one failure. */
function readCount(results: string, code: number | null): Count {
  if (!existsSync(results)) return { passed: 0, failed: 1 };
  const run = JSON.parse(readFileSync(results, 'utf8')) as {
    numPassedTests: number;
    numFailedTests: number;
    numRuntimeErrorTestSuites: number;
  };
  const failed = run.numFailedTests + run.numRuntimeErrorTestSuites;
  return { passed: run.numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed };
}

/** How long a process may take to end after its results are there. */
const END_GRACE_MS = 120_000;

/** @param results a file that is there once the work is done: a process that does not end by itself after that is ended */
function runNode(step: Step, args: readonly string[], show: boolean, results?: string) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    // Some tests try more where time is given: such as a crash at every request, and not only where it costs most.
    env: { ...process.env, ...(isFull && { CAO_FULL: '1' }), ...properties, ...step.env },
    // jest reports on standard error; with its own descriptors it would not see that both go to one place.
    stdio: show ? ['ignore', 'inherit', 'inherit', 'ipc'] : ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  let doneAt: number | undefined;
  let isEnded = false;
  const watch = setInterval(() => {
    if (results === undefined || !existsSync(results)) return;
    doneAt ??= performance.now();
    if (performance.now() - doneAt < END_GRACE_MS) return;
    // Node.js itself was seen to wait for ever, in its clean-up of handles, for one that does not close.
    console.log(`== ${step.name}: all tests have ended and the process has not; it is killed`);
    isEnded = true;
    child.kill('SIGKILL');
  }, 1_000);
  return new Promise<{ code: number | null; output: Buffer }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => resolve({ code: isEnded ? 0 : code, output: Buffer.concat(chunks) }));
  }).finally(() => clearInterval(watch));
}

function chosenSteps(args: readonly string[]): readonly Step[] {
  const named = args.filter(arg => arg !== '--full');
  const unknown = named.filter(arg => !STEPS.some(step => step.name === arg));
  if (unknown.length > 0) {
    console.error(`no such step: ${unknown.join(', ')}; steps: ${STEPS.map(step => step.name).join(', ')}`);
    process.exit(2);
  }
  if (named.length > 0) return STEPS.filter(step => named.includes(step.name));
  return STEPS.filter(step => !step.full || isFull);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

/** Before the step, whose time limits are for tests, not for a build of Kubernetes. */
async function prepare({ needs = {} }: Step): Promise<void> {
  for (const name of needs.kubernetes ?? []) await findBinaries(findRelease(name), { say: console.log });
  if (needs.helm) await findOrBuildHelm();
}

/** A step whose needs cannot be met has failed; the others are tried all the same. */
async function prepareAndRun(step: Step): Promise<Count> {
  try {
    await prepare(step);
  } catch (error) {
    console.error((error as Error).message);
    return { passed: 0, failed: 1 };
  }
  return runStep(step);
}

const total: Count = { passed: 0, failed: 0 };
const failures: string[] = [];
const start = performance.now();
if (isFull) console.log(`properties: PROPERTY_SEED=${properties['PROPERTY_SEED']} tries the same again`);
for (const step of chosenSteps(process.argv.slice(2))) {
  console.log(`\n== ${step.name}`);
  const stepStart = performance.now();
  const count = await prepareAndRun(step);
  total.passed += count.passed;
  total.failed += count.failed;
  if (count.failed > 0) failures.push(step.name);
  console.log(
    `== ${step.name}: ${count.failed > 0 ? `FAILED (${count.failed})` : 'ok'}, ${seconds(stepStart)}`,
  );
}
console.log(
  `\n${failures.length > 0 ? `failed: ${failures.join(', ')}` : 'all is well'}, ${seconds(start)} in all`,
);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
