import { readFileSync } from 'node:fs';
import os from 'node:os';
import { markdownTable } from '../../scripts/generate/page.ts';
import type { FirstSight } from './first-sight.ts';
import { sum } from './clouds.ts';
import type { Floor } from './floor.ts';
import type { Hang, Outage, Reactions, Restart } from './life.ts';
import { median } from './parallel.ts';

/** What one size was measured to. */
export interface Measured {
  accounts: number;
  /** Each with the floor of the same control plane. */
  runs: { first: FirstSight; floor: Floor }[];
  /** Peak of a first sight by plain `node`, without any limit on memory. */
  unlimitedRssMiB: number;
  reactions: Reactions;
  restart: Restart;
  outage: Outage;
  hang: Hang;
  /** Does not depend on the number of accounts, so only the last size has it. */
  foreignSecretBytes?: number;
  kubernetes: string;
}

/** The flat object of `--json`. */
export interface Figures {
  accounts: number;
  readySeconds: number;
  floorSeconds: number;
  readyToFloor: number;
  newAccountMs: number;
  secretChangeMs: number;
  objectWritesPerAccount: number;
  eventsPerAccount: number;
  providerCallsPerAccount: number;
  peakRssMiB: number;
  restartProviderCalls: number;
  restartWrites: number;
  /** NaN where it was not measured. */
  foreignSecretBytes: number;
  outageStatusWritesPerAccount: number;
  cores: number;
  memory: string;
  versions: string;
}

export function figuresOf({ accounts, runs, reactions, restart, outage, ...more }: Measured): Figures {
  const readySeconds = median(runs.map(({ first }) => first.readySeconds));
  const floorSeconds = median(runs.map(({ floor }) => floor.seconds));
  const [{ first } = { first: undefined }] = runs;
  if (first === undefined) throw new Error('nothing was measured');
  return {
    accounts,
    readySeconds: rounded(readySeconds, 2),
    floorSeconds: rounded(floorSeconds, 2),
    readyToFloor: rounded(readySeconds / floorSeconds, 2),
    newAccountMs: rounded(reactions.newAccountMs, 0),
    secretChangeMs: rounded(reactions.secretChangeMs, 0),
    objectWritesPerAccount: rounded(first.objectWrites / accounts, 3),
    eventsPerAccount: rounded(first.events / accounts, 3),
    providerCallsPerAccount: rounded(sum(first.calls) / accounts, 2),
    peakRssMiB: rounded(Math.max(restart.peakRssMiB, ...runs.map(run => run.first.peakRssMiB)), 0),
    restartProviderCalls: restart.calls,
    restartWrites: restart.writes,
    foreignSecretBytes: rounded(more.foreignSecretBytes ?? NaN, 0),
    outageStatusWritesPerAccount: rounded(outage.statusWrites / accounts, 3),
    cores: os.cpus().length,
    memory: `${rounded(os.totalmem() / 2 ** 30, 0)} GiB`,
    versions: `operator ${operatorVersion()}, node ${process.versions.node}, kubernetes ${more.kubernetes}`,
  };
}

/** Promises that a run must keep whatever the machine; a figure that is only slow is none. */
export function brokenPromises({ accounts, restart, outage }: Measured): string[] {
  return [
    ...(restart.calls > 0 ? [`a restart with ${accounts} accounts asked providers`] : []),
    ...(restart.writes > 0 ? [`a restart with ${accounts} accounts wrote`] : []),
    ...(outage.flips > 0 ? [`an outage changed Connected of ${outage.flips} of ${accounts} accounts`] : []),
  ];
}

/** Names of figures that are no figures: the bench itself is at fault. */
export function missingFigures(figures: Figures): string[] {
  return Object.entries(figures).flatMap(([key, value]) => (Number.isNaN(value) ? [key] : []));
}

/** Markdown table with a column for each size. */
export function tableOf(all: readonly Measured[]): string {
  const figures = all.map(figuresOf);
  const rows = [
    ['start → all Ready', '1.5 × floor', ...figures.map(f => `${f.readySeconds} s`)],
    ['floor of that', '', ...figures.map((f, i) => `${f.floorSeconds} s (${floorsOf(all[i])})`)],
    ['start → all Ready, times the floor', '≤ 1.5', ...figures.map(f => String(f.readyToFloor))],
    ['new account → Ready', '≤ 60 ms', ...figures.map(f => `${f.newAccountMs} ms`)],
    ['changed Secret → noticed', '≤ 100 ms', ...figures.map(f => `${f.secretChangeMs} ms`)],
    [
      'changed Secret → verified and published',
      '',
      ...all.map(({ reactions }) => `${rounded(reactions.secretInForceMs, 0)} ms`),
    ],
    ['object writes an account, first sight', '2', ...figures.map(f => String(f.objectWritesPerAccount))],
    ['events an account, first sight', '1', ...figures.map(f => String(f.eventsPerAccount))],
    ['provider calls an account, first sight', '', ...figures.map(f => String(f.providerCallsPerAccount))],
    [
      'peak RSS, run as in the pod',
      '< 124 MiB (1,000), < 238 MiB (5,000)',
      ...figures.map(f => `${f.peakRssMiB} MiB`),
    ],
    ['the same, plain `node dist/operator.mjs`', '', ...all.map(m => `${rounded(m.unlimitedRssMiB, 0)} MiB`)],
    ['restart: provider calls', '0', ...figures.map(f => String(f.restartProviderCalls))],
    ['restart: writes', '0', ...figures.map(f => String(f.restartWrites))],
    ['memory for a foreign Secret', '< 1,024 B', ...figures.map(f => bytesOf(f.foreignSecretBytes))],
    ['outage: status writes an account', '1', ...figures.map(f => String(f.outageStatusWritesPerAccount))],
    ['outage: accounts that flipped', '0', ...all.map(({ outage }) => String(outage.flips))],
    [
      'outage: provider calls an account',
      '',
      ...all.map(({ outage, accounts }) => String(rounded(outage.calls / accounts, 2))),
    ],
    [
      'rechecks a minute of six providers',
      '',
      ...all.map(({ hang }) => hang.without.toLocaleString('en-US')),
    ],
    [
      'the same while the seventh hangs',
      'the same',
      ...all.map(({ hang }) => hang.with.toLocaleString('en-US')),
    ],
  ];
  const head = ['', 'aim', ...figures.map(f => `${f.accounts.toLocaleString('en-US')} accounts`)];
  return markdownTable(head, rows);
}

function bytesOf(bytes: number): string {
  return Number.isNaN(bytes) ? '–' : `${bytes.toLocaleString('en-US')} B`;
}

function floorsOf(measured: Measured | undefined): string {
  const floors = measured?.runs.map(({ floor }) => floor) ?? [];
  const decided = floors.some(({ seconds, providerSeconds }) => seconds === providerSeconds);
  const widths = new Set(floors.map(({ concurrency }) => concurrency));
  return decided ? 'decided by provider calls' : `${[...widths].join(' or ')} at once`;
}

/** Facts about the machine that figures need beside them. */
export function machine(): string {
  const [load = 0] = os.loadavg();
  return `${os.cpus().length} × ${os.cpus()[0]?.model.trim()}, ${rounded(os.totalmem() / 2 ** 30, 0)} GiB, ${os.type()} ${os.release()}, load ${rounded(load, 1)}`;
}

function operatorVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
