import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { bundle } from '../../scripts/build.ts';
import { measureFirstSight } from './first-sight.ts';
import { measureFloor } from './floor.ts';
import {
  measureForeignSecrets,
  measureHang,
  measureOutage,
  measureReactions,
  measureRestart,
} from './life.ts';
import { createObserver } from './observer.ts';
import {
  AS_IN_POD,
  LIFTED_BUDGETS,
  PLAIN,
  startOperator,
  untilCaughtUp,
  untilConnected,
} from './operator.ts';
import { brokenPromises, figuresOf, machine, type Measured, missingFigures, tableOf } from './report.ts';
import { createWorld, NAMESPACE, populate, subjects, type World } from './world.ts';

const HELP = `Measures the bundled operator against a real API server and simulated clouds.

Usage: npm run bench [-- OPTIONS]
  --accounts N[,N]     sizes, default 100,1000
  --repeat N           first sights and floors of each size, of which the median counts; default 3
  --outage-seconds N   default 60
  --foreign-secrets N  default 50000
  --json FILE          figures of the last size, one flat object
  --markdown FILE      the table
  --smoke              short: one first sight, an outage of 2 s, 200 foreign Secrets; shows that the bench works
  --profile DIR        writes a CPU profile of each first sight into DIR
`;

const { values } = parseArgs({
  options: {
    accounts: { type: 'string', default: '100,1000' },
    repeat: { type: 'string' },
    'outage-seconds': { type: 'string' },
    'foreign-secrets': { type: 'string' },
    json: { type: 'string' },
    markdown: { type: 'string' },
    profile: { type: 'string' },
    smoke: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const { smoke } = values;
const sizes = values.accounts.split(',').map(text => wholeNumber('accounts', text, 7));
const repeat = wholeNumber('repeat', values.repeat ?? (smoke ? '1' : '3'));
const outageSeconds = wholeNumber('outage-seconds', values['outage-seconds'] ?? (smoke ? '2' : '60'));
const foreignSecrets = wholeNumber('foreign-secrets', values['foreign-secrets'] ?? (smoke ? '200' : '50000'));
const samples = smoke ? 1 : 9;

if (values.help) process.stdout.write(HELP);
else await main();

async function main(): Promise<void> {
  const startedAt = performance.now();
  await bundle({ entry: 'operator/main.ts', outfile: 'dist/operator.mjs' });
  say(machine());
  const all: Measured[] = [];
  for (const [i, accounts] of sizes.entries()) {
    all.push(await measure(accounts, i === sizes.length - 1 ? foreignSecrets : 0));
  }
  const table = tableOf(all);
  const last = all.at(-1);
  if (last === undefined) throw new Error('no size');
  const figures = figuresOf(last);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(`\n${table}\n\nBudgets lifted by --provider-budget: ${LIFTED_BUDGETS.join(', ')}.`);
  console.log(`${machine()}; ${figures.versions}; ${seconds} s`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  if (values.markdown !== undefined) writeFileSync(values.markdown, `${table}\n`);
  const faults = [
    ...all.flatMap(brokenPromises),
    ...missingFigures(figures).map(name => `${name} was not measured`),
  ];
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length > 0 ? 1 : 0;
}

async function measure(accounts: number, foreign: number): Promise<Measured> {
  const runs: Measured['runs'] = [];
  for (let i = 0; i < repeat; i++) {
    runs.push(await inWorld(world => measureStart(world, accounts)));
  }
  return { accounts, runs, ...(await inWorld(world => measureLife(world, accounts, foreign))) };
}

async function measureStart(world: World, accounts: number): Promise<Measured['runs'][number]> {
  const { profile } = values;
  const profiled = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const first = await measureFirstSight(world, accounts, {
    ...AS_IN_POD,
    args: [...AS_IN_POD.args, ...profiled],
  });
  say(`${accounts} accounts: all Ready after ${first.readySeconds.toFixed(2)} s`);
  const floor = await measureFloor(world, first);
  say(`${accounts} accounts: floor ${floor.seconds.toFixed(2)} s with ${floor.concurrency} at once`);
  return { first, floor };
}

async function measureLife(
  world: World,
  accounts: number,
  foreign: number,
): Promise<Omit<Measured, 'accounts' | 'runs'>> {
  await populate(world, subjects(accounts), ({ provider }) => world.clouds.createToken(provider));
  const unlimited = startOperator(world, PLAIN);
  await untilConnected(world, unlimited, NAMESPACE, 60_000 + accounts * 20);
  const unlimitedRssMiB = unlimited.peakRssMiB();
  await unlimited.stop();
  const restart = await measureRestart(world);
  say(`${accounts} accounts: restart with ${restart.calls} provider calls and ${restart.writes} writes`);

  const observer = await createObserver(world);
  const outageOperator = startOperator(world);
  await untilCaughtUp(world);
  say(`${accounts} accounts: an outage of ${outageSeconds} s`);
  const outage = await measureOutage(world, observer, outageSeconds);
  await outageOperator.stop();

  const operator = startOperator(world);
  await untilCaughtUp(world);
  const hang = await measureHang(world, observer, smoke ? 1 : 3);
  say(`${accounts} accounts: ${hang.without} checks a minute, ${hang.with} while ${hang.hanging} hangs`);
  await operator.stop();

  const quiet = startOperator(world);
  await untilCaughtUp(world);
  const reactions = await measureReactions(world, observer, samples);
  say(`${accounts} accounts: a new one is Ready after ${reactions.newAccountMs.toFixed(0)} ms`);
  await quiet.stop();
  await observer.close();

  const kubernetes = world.controlPlane.version;
  const measured = { unlimitedRssMiB, reactions, restart, outage, hang, kubernetes };
  if (foreign === 0) return measured;
  say(`${accounts} accounts: ${foreign} Secrets of others`);
  return {
    ...measured,
    foreignSecretBytes: await measureForeignSecrets(world, foreign, restart.peakRssMiB),
  };
}

async function inWorld<T>(work: (world: World) => Promise<T>): Promise<T> {
  const world = await createWorld();
  try {
    return await work(world);
  } finally {
    await world.close();
  }
}

function wholeNumber(option: string, text: string, min = 1): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min) return value;
  throw new Error(`--${option}: a whole number from ${min} on is needed, not "${text}"`);
}

function say(line: string): void {
  console.error(`[bench] ${line}`);
}
