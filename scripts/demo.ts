import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { styleText } from 'node:util';
import type { ProviderName } from '../operator/api/names.ts';
import { control } from '../test/clouds/control.ts';
import type { ControlPlane } from '../test/control-plane/control-plane.ts';
import { kubectl } from '../test/control-plane/manifests.ts';
import { startControlPlane } from '../test/control-plane/start.ts';
import { bundle } from './build.ts';
import { describe, type Failure, inTable, listAccounts, waitForExamples } from './demo/accounts.ts';
import { type Child, logTail, startChild } from './demo/children.ts';
import { applyFaults, createToken } from './demo/clouds.ts';
import { apply, install, NAMESPACE, quote, writeAccess } from './demo/cluster.ts';
import { type Example, filledSecret, loadExamples } from './demo/examples.ts';
import { claimFolder, type DemoState, releaseFolder, writeState } from './demo/folder.ts';
import { guide, heading, meaning, type Place } from './demo/guide.ts';
import { type DemoOptions, parseOptions, USAGE } from './demo/options.ts';
import { fit } from './demo/table.ts';

/**
 * `npm run demo`: a real Kubernetes control plane, seven simulated clouds, the operator under its own service account,
 * and examples/, all on this machine. Ends with a signal and leaves nothing behind.
 */

/** Minutes in production. Long enough to be watched, short enough not to be waited for. */
const OPERATOR_TIMES = ['--confirm-after=5s,10s', '--retry-refused-after=5s,10s'];
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 500;
/** A table is printed when nothing has changed for so long. */
const QUIET_MS = 1_500;

const root = join(import.meta.dirname, '..');
const base = join(root, '.demo');

class Stopped extends Error {
  override readonly name = 'Stopped';
}

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | 'help';
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options === 'help') {
    console.log(USAGE);
    return 0;
  }
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => end.abort(new Stopped(signal)));
  }
  const ended = new Promise<never>((_, reject) => {
    end.signal.addEventListener('abort', () => reject(end.signal.reason as Error));
  });
  const resources = new AsyncDisposableStack();
  try {
    return await Promise.race([demo(options, resources, error => end.abort(error)), ended]);
  } catch (error) {
    if (!(error instanceof Stopped)) console.error(`\nThe demo ends: ${(error as Error).message}`);
    else console.log('\nstopping');
    return error instanceof Stopped && !options.once ? 0 : 1;
  } finally {
    await resources.disposeAsync();
  }
}

/** Resolves with the exit code; without `--once` only `fail` and signals end it. */
async function demo(
  options: DemoOptions,
  resources: AsyncDisposableStack,
  fail: (error: Error) => void,
): Promise<number> {
  const examples = chooseExamples(options);
  const dir = await claimFolder(base, options.dir && resolve(options.dir));
  resources.defer(() => releaseFolder(base, dir));

  console.log(heading('CloudAccount demo'));
  const [controlPlane, clouds] = await Promise.all([
    startKubernetes(resources, fail),
    startClouds(dir, resources, fail),
    done('operator built: dist/operator.mjs', () =>
      bundle({ entry: 'operator/main.ts', outfile: 'dist/operator.mjs' }),
    ),
  ]);
  for (const provider of options.real) delete clouds[provider];
  const place = placeOf(dir, controlPlane);
  const state: DemoState = {
    pid: process.pid,
    startedAt: Date.now(),
    kubectl: place.kubectl,
    clouds,
    accounts: examples.map(({ name, provider, secret }) => ({
      name,
      provider,
      secret: secret.metadata.name,
    })),
    faults: [],
  };
  await done('CRD and RBAC from deploy/install.yaml; operator runs as its own service account', async () => {
    const kubeconfig = await install(controlPlane, join(root, 'deploy', 'install.yaml'), dir);
    writeAccess(controlPlane, dir);
    startOperator(dir, kubeconfig, clouds, resources, fail);
  });
  await done(`${examples.length} accounts from examples/, in the namespace ${NAMESPACE}`, () =>
    applyExamples(controlPlane, examples, state, options),
  );
  writeState(dir, state);

  const failures = await waitForExamples(examples, {
    list: () => listAccounts(controlPlane),
    bringSecret: async example => {
      say(`  ${example.name} is seen waiting for its Secret, which is created now`);
      await applySecret(controlPlane, example, state, options);
    },
    say: line => console.log(`  ${line}`),
    timeoutMs: options.timeoutMs,
  });
  await printTable(controlPlane);
  if (failures.length > 0) console.log(`\n${failureText(failures, examples.length)}`);
  if (options.once) {
    if (failures.length === 0)
      console.log(`\nAll ${examples.length} examples show what they are meant to show.`);
    return failures.length === 0 ? 0 : 1;
  }
  console.log(`\n${meaning(examples)}\n\n${guide(place, options.real)}\n`);
  return watch(controlPlane);
}

/** Without those that need a fault in a provider that is left alone; its good account waits for the person's Secret. */
function chooseExamples({ real, wrongToken }: DemoOptions): Example[] {
  const examples = loadExamples(join(root, 'examples'))
    .filter(({ provider, scenario }) => !real.includes(provider) || scenario.about === undefined)
    .map(example =>
      real.includes(example.provider)
        ? { ...example, scenario: { shows: { health: 'Pending', reason: 'SecretNotFound' } } as const }
        : example,
    );
  if (wrongToken === undefined) return examples;
  const chosen = examples.find(({ name }) => name === wrongToken);
  if (chosen !== undefined && !real.includes(chosen.provider)) return examples;
  throw new Error(
    `--wrong-token: no example is called ${wrongToken}; there are ${examples.map(({ name }) => name).join(', ')}`,
  );
}

async function startKubernetes(
  resources: AsyncDisposableStack,
  fail: (error: Error) => void,
): Promise<ControlPlane> {
  const started = performance.now();
  const controlPlane = await startControlPlane({
    audit: false,
    say: line => say(`  ${line}`),
    onLost: () => fail(new Error('the supervisor of the control plane was killed')),
  });
  resources.defer(() => controlPlane.stop());
  tick(`Kubernetes ${controlPlane.version}: etcd, API server, controller manager`, started);
  return controlPlane;
}

async function startClouds(
  dir: string,
  resources: AsyncDisposableStack,
  fail: (error: Error) => void,
): Promise<Partial<Record<ProviderName, string>>> {
  const started = performance.now();
  const file = join(dir, 'clouds.json');
  const log = join(dir, 'clouds.log');
  const program = join(root, 'test', 'clouds', 'main.ts');
  const child = startChild([program, '--port-file', file, '--seed', randomUUID()], log);
  supervise('The simulated clouds', child, log, resources, fail);
  while (!existsSync(file)) {
    if (performance.now() - started > START_TIMEOUT_MS) throw new Error('the simulated clouds do not start');
    await delay(50);
  }
  const origins = JSON.parse(readFileSync(file, 'utf8')) as Partial<Record<ProviderName, string>>;
  tick(`${Object.keys(origins).length} simulated clouds`, started);
  return origins;
}

function startOperator(
  dir: string,
  kubeconfig: string,
  clouds: Partial<Record<ProviderName, string>>,
  resources: AsyncDisposableStack,
  fail: (error: Error) => void,
): void {
  const log = join(dir, 'operator.log');
  const endpoints = Object.entries(clouds).map(([name, url]) => `--provider-endpoint=${name}=${url}`);
  const child = startChild(
    [
      join(root, 'dist', 'operator.mjs'),
      `--kubeconfig=${kubeconfig}`,
      '--log-level=debug',
      ...OPERATOR_TIMES,
      ...endpoints,
    ],
    log,
  );
  supervise('The operator', child, log, resources, fail);
}

/** A child that ends before it is told to ends the demo. */
function supervise(
  name: string,
  child: Child,
  log: string,
  resources: AsyncDisposableStack,
  fail: (error: Error) => void,
): void {
  let told = false;
  void child.exited.then(how => {
    if (!told) fail(new Error(`${name} ended by itself (${how}):\n${logTail(log)}`));
  });
  resources.defer(async () => {
    told = true;
    await child.stop();
  });
}

async function applyExamples(
  controlPlane: ControlPlane,
  examples: readonly Example[],
  state: DemoState,
  options: DemoOptions,
): Promise<void> {
  await apply(controlPlane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  for (const example of examples) {
    const withoutSecret =
      example.scenario.before !== undefined || state.clouds[example.provider] === undefined;
    if (!withoutSecret) await applySecret(controlPlane, example, state, options);
    await apply(controlPlane, example.account);
  }
}

/** Makes a token in the simulated cloud as the example wants it, and puts it into the example's Secret. */
async function applySecret(
  controlPlane: ControlPlane,
  { name, provider, secret, scenario }: Example,
  state: DemoState,
  { wrongToken }: DemoOptions,
): Promise<void> {
  const url = state.clouds[provider] ?? '';
  const { index, credential } = await createToken(url, name, scenario.token);
  if (scenario.revoked || name === wrongToken) await control(url, 'revoke', { token: index });
  if (scenario.unreachable) {
    state.faults.push({ provider, account: name, kind: 'reset' });
    await applyFaults(state, provider);
  }
  await apply(controlPlane, filledSecret(secret.metadata.name, credential));
}

function failureText(failures: readonly Failure[], total: number): string {
  const lines = failures.flatMap(({ name, meant, shown, message }) => [
    `${styleText('red', '✗', { stream: process.stdout })} ${name} is meant to show ${meant} but shows ${shown}`,
    ...wrap(message).map(line => `  ${line}`),
  ]);
  const names = failures.map(({ name }) => name).join(', ');
  return [
    ...lines,
    '',
    `${failures.length} of ${total} examples show something else than meant: ${names}`,
  ].join('\n');
}

function wrap(text: string): string[] {
  return text.match(/.{1,96}(?:\s|$)/g) ?? [];
}

/** Prints what changes, and the table when that came to rest. Ends only with an error. */
async function watch(controlPlane: ControlPlane): Promise<never> {
  let before = await listAccounts(controlPlane);
  let tableIsStale = false;
  let lastChange = 0;
  for (;;) {
    await delay(POLL_MS);
    const now = await listAccounts(controlPlane);
    const names = new Set([...before.keys(), ...now.keys()]);
    for (const name of names) {
      const [was, is] = [before.get(name), now.get(name)];
      const line = is === undefined ? 'deleted' : describe(is);
      if (was !== undefined && is !== undefined && describe(was) === line) continue;
      say(`${new Date().toLocaleTimeString('en-GB')}  ${name}: ${line}`);
      if (was === undefined || is === undefined || inTable(was) !== inTable(is)) tableIsStale = true;
      lastChange = performance.now();
    }
    before = now;
    if (!tableIsStale || performance.now() - lastChange < QUIET_MS) continue;
    tableIsStale = false;
    await printTable(controlPlane);
    say('');
  }
}

async function printTable(controlPlane: ControlPlane): Promise<void> {
  const table = await kubectl(controlPlane, ['get', 'cacct', '-A']);
  console.log(`\n${heading('$ kubectl get cacct -A')}\n${fit(table, process.stdout.columns ?? 100)}`);
}

function placeOf(dir: string, controlPlane: ControlPlane): Place {
  const path = join(dir, 'kubectl');
  const inside = relative(root, path);
  return {
    dir,
    kubectl: quote(inside.startsWith('..') ? path : inside),
    builtKubectl: controlPlane.kubectl,
    // Demos elsewhere are not found by themselves.
    cloud: dirname(dir) === base ? 'npm run demo:cloud --' : `npm run demo:cloud -- --dir ${quote(dir)}`,
  };
}

async function done(what: string, work: () => Promise<void>): Promise<void> {
  const started = performance.now();
  await work();
  tick(what, started);
}

function tick(what: string, started: number): void {
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`  ${styleText('green', '✓', { stream: process.stdout })} ${what.padEnd(82)} ${seconds.padStart(6)} s`);
}

function say(line: string): void {
  console.log(line);
}
