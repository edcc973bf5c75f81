import { parseArgs } from 'node:util';
import { type Outcome, run } from './run.ts';

const HELP = `Does random things to accounts, clouds, the operator and the API server, and watches that every promise holds.

Usage: npm run chaos [-- OPTIONS]
  --seed N       which things, and in which order; default: another one each time
  --minutes M    for how long; default 1, fractions too
  --accounts K   default 14, two of each provider
  --operators O  default 2, which elect a leader; 1 works without
  --trace        tells each deed, and each version of accounts and copies, as it comes
`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '1' },
    accounts: { type: 'string', default: '14' },
    operators: { type: 'string', default: '2' },
    trace: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const NAMES: Readonly<Record<string, string>> = {
  accounts: 'accounts',
  starts: 'starts of the operator',
  calls: 'provider calls',
  accepted: 'verdicts: accepted',
  refused: 'verdicts: refused',
  accountVersions: 'versions of accounts seen',
  copyVersions: 'versions of copies seen',
  demotions: 'Connected ended, with cause',
  interruptions: 'interruptions of the watches',
  capped: 'beyond the daily cap at the end',
  converged: 'seconds until all were well',
};

if (values.help) process.stdout.write(HELP);
else {
  await main();
  // A run that failed may have left something that waits.
  process.exit();
}

async function main(): Promise<void> {
  const seed = number('seed', values.seed ?? String(Math.floor(Math.random() * 1_000_000)), 0);
  const minutes = number('minutes', values.minutes, 0.05);
  const accounts = number('accounts', values.accounts, 1);
  const operators = number('operators', values.operators, 1);
  const replay = `npm run chaos -- --seed ${seed} --minutes ${minutes} --accounts ${accounts} --operators ${operators}`;
  console.log(replay);
  try {
    const outcome = await run({ seed, accounts, operators, ms: minutes * 60_000 }, say);
    console.log(tableOf(outcome));
    if (outcome.violations.length === 0) return;
    for (const { rule, account, at, what } of outcome.violations)
      console.error(`${new Date(at).toISOString()} ${rule}: ${account}: ${what}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
  console.error(`\nIt does not hold. Again, in the same order: ${replay}`);
  process.exitCode = 1;
}

function say(line: string, isTrace: boolean): void {
  if (!isTrace || values.trace) console.error(`${new Date().toISOString()} ${line}`);
}

function tableOf({ done, figures, violations }: Outcome): string {
  const deeds = [...done].sort(([a], [b]) => a.localeCompare(b));
  const rows = [
    ...deeds.map(([name, { done: count, skipped }]) => [
      name,
      skipped === 0 ? String(count) : `${count} (${skipped} more had no object)`,
    ]),
    ...Object.entries(NAMES).map(([key, name]) => [name, String(figures[key])]),
    ['violations', String(violations.length)],
  ];
  const width = Math.max(...rows.map(([name = '']) => name.length));
  return rows.map(([name = '', value = '']) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function number(option: string, text: string, min: number): number {
  const value = Number(text);
  if (text !== '' && value >= min) return value;
  throw new Error(`--${option}: a number from ${min} on is needed, not "${text}"`);
}
