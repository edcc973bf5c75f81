// node scripts/entry.mjs NAME ARGUMENTS…: what `npm test`, `npm run demo` and the like start. It runs on whatever
// Node is installed and before `npm ci`, so: no dependencies, no TypeScript, no syntax newer than Node 18's. It
// checks the tools, installs the packages when they are missing or stale, and hands over to the project's own Node.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  BINARIES,
  RELEASES,
  SETUP_TIME,
  binariesFolder,
  cacheRoot,
  isInstalled,
  withLock,
} from '../test/control-plane/cache.mjs';
import { goProblem, isStale } from './preconditions.mjs';

const ENTRIES = {
  test: { script: 'scripts/test.ts', controlPlane: true },
  demo: { script: 'scripts/demo.ts', controlPlane: true },
  'demo:cloud': { script: 'scripts/demo-cloud.ts', controlPlane: false },
  bench: { script: 'test/bench/main.ts', controlPlane: true },
  chaos: { script: 'test/chaos/main.ts', controlPlane: true },
  proof: { script: 'test/proof/main.ts', controlPlane: true },
  mutations: { script: 'test/mutations/main.ts', controlPlane: true },
  e2e: { script: 'test/e2e/main.ts', controlPlane: false },
  'control-plane': { script: 'test/control-plane/main.ts', controlPlane: true },
  build: { script: 'scripts/build.ts', controlPlane: false },
  generate: { script: 'scripts/generate.ts', controlPlane: false },
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
// An older npm test inside an older checkout must not decide which Node its children get.
const env = { ...process.env, PATH: bin + delimiter + (process.env.PATH || '') };

const [name = '', ...args] = process.argv.slice(2);
const entry = ENTRIES[name];
if (!entry) fail(`usage: node scripts/entry.mjs ${Object.keys(ENTRIES).join('|')} [ARGUMENTS]`);
if (Number(process.versions.node.split('.')[0]) < 20) {
  fail(`Node 20 or newer and npm are needed to set the project up; this is Node ${process.versions.node}.`);
}
if (entry.controlPlane && missingBinaries().length > 0) {
  const problem = goProblem(spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', env }));
  if (problem) fail(problem);
  say(`first run: sets up Kubernetes and etcd, once: ${SETUP_TIME}`);
}
await installPackages();
handOver();

function missingBinaries() {
  const folders = [process.env.KUBEBUILDER_ASSETS, binariesFolder(RELEASES[0].kubernetes)].filter(Boolean);
  return BINARIES.filter(binary => !folders.some(folder => isInstalled(join(folder, binary))));
}

async function installPackages() {
  if (!isStale(root)) return;
  // Two that start at the same time must not install into the same folder.
  const lock = join(cacheRoot(), `npm-${Buffer.from(root).toString('base64url').slice(-100)}.lock`);
  await withLock(
    lock,
    async () => {
      if (!isStale(root)) return;
      say('installing npm packages (npm ci, about 10 s)');
      const start = Date.now();
      const code = await run('npm', ['ci', '--no-progress', '--loglevel=error']);
      if (code !== 0) fail(`npm ci failed (code ${code}); its message stands above.`);
      say(`npm packages installed in ${Math.round((Date.now() - start) / 1000)} s`);
    },
    () => say('waiting for another process that installs the npm packages'),
  );
}

function run(command, commandArgs) {
  return new Promise(resolve => {
    const child = spawn(command, commandArgs, { cwd: root, env: process.env, stdio: ['ignore', 2, 2] });
    child.on('exit', (code, signal) => resolve(code ?? signal));
    child.on('error', error => {
      fail(
        error.code === 'ENOENT' ? `${command} is not installed; Node 20+ and npm are needed.` : String(error),
      );
    });
  });
}

/** Runs the entry's script on the project's Node; its exit code is ours, and signals to us go to it. */
function handOver() {
  const node = join(bin, 'node');
  if (!existsSync(node)) fail('node_modules has no Node of its own; remove node_modules and try again.');
  const preload = new URL('die-with-parent.mjs', import.meta.url).href;
  const child = spawn(node, ['--import', preload, join(root, entry.script), ...args], {
    env,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // Ctrl-C in a terminal reaches the child as well; twice would mean "at once".
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  if (process.env.npm_lifecycle_event) endWithParent(child);
  child.on('error', error => fail(String(error)));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** A killed npm does not tell its script, which would run on unseen. */
function endWithParent(child) {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 500).unref();
}

function say(line) {
  console.error(`[${name}] ${line}`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
