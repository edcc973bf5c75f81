import { inParallel } from '../../bench/parallel.ts';
import type { Arena } from '../arena.ts';
import type { Findings } from '../findings.ts';
import { shuffled } from '../../random.ts';
import { describePerturbation, type Perturbation } from './perturbation.ts';
import { perturb, refer, type Reference } from './run.ts';
import { STORIES, type Story } from './stories.ts';

export interface SieveOptions {
  seed: number;
  /** Begin no further run after so long. */
  ms: number;
  /** Runs side by side: most of a run is waiting. */
  width: number;
  /** At most so many perturbations, chosen by the seed; default: all. */
  runs?: number;
  /** Only stories and perturbations whose description contains it. */
  only?: string;
  stories?: readonly Story[];
}

/** Tells every story undisturbed, then once for each perturbation that it gives. */
export async function sieve(
  arena: Arena,
  { seed, ms, width, runs = Infinity, only = '', stories = STORIES }: SieveOptions,
  findings: Findings,
  say: (line: string) => void,
): Promise<void> {
  const deadline = performance.now() + ms;
  const references: Reference[] = [];
  await inParallel(stories, width, async story => {
    const reference = await refer(arena, story);
    references.push(reference);
    findings.count('Sieve', 'reference run', reference);
    if (reference.violations.length > 0)
      findings.report({
        what: `${story.name}, undisturbed`,
        violations: reference.violations,
        replay: `npm run proof -- sieve --only '${story.name}'`,
      });
  });
  const planned = references
    .sort((a, b) => (a.story.name < b.story.name ? -1 : 1))
    .flatMap(reference => reference.perturbations.map(perturbation => ({ reference, perturbation })))
    .filter(({ reference, perturbation }) => titleOf(reference, perturbation).includes(only));
  const chosen = shuffled(planned, seed).slice(0, runs === Infinity ? undefined : runs);
  say(`sieve: ${references.length} stories give ${planned.length} perturbations; ${chosen.length} are tried`);
  let done = 0;
  await inParallel(chosen, width, async ({ reference, perturbation }) => {
    if (performance.now() > deadline) return;
    const result = await perturb(arena, reference, perturbation);
    const title = titleOf(reference, perturbation);
    findings.count('Sieve', perturbation.pattern, result);
    if (result.violations.length > 0)
      findings.report({
        what: title,
        violations: result.violations,
        replay: `npm run proof -- sieve --only '${title}'`,
      });
    if (++done % 50 === 0) say(`sieve: ${done} of ${chosen.length}`);
  });
  if (done < chosen.length) say(`sieve: ended after ${done} of ${chosen.length}: the time was over`);
}

function titleOf({ story }: Reference, perturbation: Perturbation): string {
  return `${story.name}: ${describePerturbation(perturbation)}`;
}
