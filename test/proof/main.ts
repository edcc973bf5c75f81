import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { applyManifests } from '../control-plane/manifests.ts';
import { startControlPlane } from '../control-plane/start.ts';
import { acto } from './acto/suite.ts';
import { openArena } from './arena.ts';
import { createFindings, type Findings, tableOf } from './findings.ts';
import { sieve } from './sieve/suite.ts';

const HELP = `Perturbs what the operator sees, and changes what it is asked for, in every way that two plans give.

Usage: npm run proof [-- [sieve|acto] OPTIONS]
  sieve          only: crashes, watches that are behind, events that are never shown
  acto           only: sequences of changes, held against a fresh operator on fresh objects
  --minutes M    begin nothing new after so long; default 30
  --seed N       the order of perturbations, and the first sequence; default: another one each time
  --runs N       at most so many perturbations, and so many sequences
  --width N      runs side by side; default 8
  --only TEXT    only perturbations with this text in their name
  --table FILE   writes the table in Markdown, with the commit
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string' },
    runs: { type: 'string' },
    width: { type: 'string', default: '8' },
    only: { type: 'string' },
    table: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const say = (line: string): void => console.error(`${new Date().toISOString()} ${line}`);

if (values.help) process.stdout.write(HELP);
else {
  await main();
  // Sockets that were reset on purpose can keep Node.js busy for ever as it ends by itself.
  process.exit();
}

async function main(): Promise<void> {
  const unknown = positionals.filter(name => name !== 'sieve' && name !== 'acto');
  if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}; there are sieve and acto`);
  const isChosen = (name: string) => positionals.length === 0 || positionals.includes(name);
  const seed = number('seed', values.seed ?? String(Math.floor(Math.random() * 1_000_000)));
  const minutes = number('minutes', values.minutes);
  const width = number('width', values.width);
  const { only } = values;
  const runs = values.runs === undefined ? {} : { runs: number('runs', values.runs) };
  say(`npm run proof -- ${positionals.join(' ')} --seed ${seed} --minutes ${minutes} --width ${width}`);
  const findings = createFindings(say);
  const controlPlane = await startControlPlane({ audit: false });
  await applyManifests(controlPlane, [root('crds'), root('deploy/install.yaml')]);
  const startedAt = performance.now();
  const parts = ['sieve', 'acto'].filter(isChosen);
  const ms = (minutes * 60_000) / parts.length;
  try {
    const arena = await openArena(controlPlane);
    const options = { seed, ms, width, ...runs, ...(only !== undefined && { only }) };
    if (isChosen('sieve')) await sieve(arena, options, findings, say);
    if (isChosen('acto')) await acto(arena, options, findings, say);
    if (arena.witness.faults.length > 0)
      findings.report({
        what: 'the watch of the run itself broke',
        violations: arena.witness.faults.map(String),
        replay: 'npm run proof',
      });
    await arena.close();
  } finally {
    await controlPlane.stop();
  }
  const lasted = ((performance.now() - startedAt) / 60_000).toFixed(1);
  console.log(`\n${tableOf(findings.rows)}\n\n${lasted} minutes, seed ${seed}`);
  if (values.table !== undefined) writeFileSync(values.table, pageOf(findings, lasted, seed));
  if (findings.all.length === 0) return;
  console.error(`\n${findings.all.length} findings:`);
  for (const { what, violations, replay } of findings.all)
    console.error(`${what}\n  ${violations.join('\n  ')}\n  again: ${replay}`);
  process.exitCode = 1;
}

function pageOf({ rows }: Findings, lasted: string, seed: number): string {
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root(''), encoding: 'utf8' }).trim();
  return `# Proof

What \`npm run proof -- --seed ${seed}\` found at commit ${commit}, in ${lasted} minutes. How it works: [testing.md](testing.md).

${tableOf(rows)}
`;
}

function number(option: string, text: string): number {
  const value = Number(text);
  if (text !== '' && value >= 0) return value;
  throw new Error(`--${option}: a number is needed, not "${text}"`);
}
