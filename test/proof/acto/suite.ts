import { inParallel } from '../../bench/parallel.ts';
import type { Arena } from '../arena.ts';
import type { Findings } from '../findings.ts';
import { type References, runChanges, shrink, tell } from './run.ts';
import { changesOf } from './situation.ts';

export interface ActoOptions {
  /** Of the first sequence; the next ones follow. */
  seed: number;
  /** Begin no further sequence after so long. */
  ms: number;
  width: number;
  /** Sequences; default 200. */
  runs?: number;
  /** Changes in a sequence; default 8. */
  length?: number;
}

/** How long a failing sequence may be made shorter. */
const SHRINK_MS = 120_000;

/** Sequences of changes, each step held against a fresh operator on fresh objects. */
export async function acto(
  arena: Arena,
  { seed, ms, width, runs = 200, length = 8 }: ActoOptions,
  findings: Findings,
  say: (line: string) => void,
): Promise<void> {
  const deadline = performance.now() + ms;
  const references: References = new Map();
  const seeds = Array.from({ length: runs }, (_, index) => seed + index);
  let done = 0;
  await inParallel(seeds, width, async own => {
    if (performance.now() > deadline) return;
    const failure = await runChanges(arena, references, changesOf(own, length));
    findings.count('Acto', `sequences of ${length} changes`, { violations: failure?.violations ?? [] });
    if (failure !== undefined) {
      say(`acto: seed ${own} fails: ${tell(failure)}\n  ${failure.violations.join('\n  ')}`);
      const smallest = await shrink(
        arena,
        references,
        failure,
        Math.min(deadline, performance.now() + SHRINK_MS),
      );
      findings.report({
        what: tell(smallest),
        violations: smallest.violations,
        replay: `npm run proof -- acto --seed ${own} --runs 1`,
      });
    }
    if (++done % 10 === 0) say(`acto: ${done} of ${runs} sequences, ${references.size} fresh starts`);
  });
}
