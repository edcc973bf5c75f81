import { RECHECK_ANNOTATION } from '../../../operator/api/names.ts';
import type { Arena } from '../arena.ts';
import { differences, type Normal, stateOf } from '../normal.ts';
import { brokenPromises, historyOf } from '../promises.ts';
import { isOnTheWay, openStage, type Stage } from '../stage.ts';
import {
  after,
  ask,
  type Change,
  describeChange,
  EDITS,
  isGood,
  record,
  type Situation,
  START,
} from './situation.ts';

/** States of fresh operators on fresh objects, by what they were asked for. */
export type References = Map<string, Promise<Normal>>;

/** What was wrong after the first change that broke something. */
export interface Failure {
  changes: readonly Change[];
  violations: string[];
}

const PATIENCE_MS = 20_000;
const SETTLED_MS = 30_000;
/** Nothing may be written for so long once all is at rest. */
const REST_MS = 300;

/** Makes one change after the other; after each the state must be that of a fresh start. */
export async function runChanges(
  arena: Arena,
  references: References,
  changes: readonly Change[],
): Promise<Failure | undefined> {
  const stage = await openStage(arena);
  const past: Situation[] = [START];
  let good = START;
  let done = 0;
  const failure = (violations: string[]) => ({ changes: changes.slice(0, done), violations });
  try {
    await stage.start();
    await ask(stage, START);
    await settle(stage);
    for (const change of changes) {
      done += 1;
      const before = past.at(-1) ?? START;
      const now = after(past, change);
      record(past, change);
      await act(stage, change, now, before);
      await settle(stage);
      if (isGood(now)) good = now;
      const expected = await referenceOf(arena, references, good, now);
      const differing = await reaches(stage, expected);
      const broken = [...brokenPromises(stage), ...differing];
      if (broken.length > 0) return failure([...new Set(broken), historyOf(stage)]);
      const writes = stage.writes().length;
      await stage.quiet(REST_MS);
      const later = stage.writes().slice(writes);
      if (later.length > 0) return failure([`writes at rest: ${later.join(', ')}`]);
    }
    return undefined;
  } catch (error) {
    return failure([(error as Error).message.slice(0, 1_500)]);
  } finally {
    await stage.close();
  }
}

async function act(stage: Stage, change: Change, now: Situation, before: Situation): Promise<void> {
  if (change.kind === 'edit') await stage.patchSecret(now.copyName, EDITS[change.how]);
  else if (change.kind === 'delete the copy') await stage.deleteSecret(now.copyName);
  else await ask(stage, now, before);
}

/** What is in force depends on what was accepted last; else no past may show. */
function referenceOf(arena: Arena, references: References, good: Situation, now: Situation): Promise<Normal> {
  const key = JSON.stringify(isGood(now) ? [now] : [good, now]);
  const known = references.get(key);
  if (known !== undefined) return known;
  const made = startAfresh(arena, isGood(now) ? [now] : [good, now]);
  references.set(key, made);
  return made;
}

async function startAfresh(arena: Arena, situations: readonly Situation[]): Promise<Normal> {
  const stage = await openStage(arena);
  try {
    await stage.start();
    for (const [index, situation] of situations.entries()) {
      await ask(stage, situation, situations[index - 1]);
      await settle(stage);
    }
    await stage.quiet(500);
    if (!(await isSeen(stage)))
      throw new Error(`a fresh start gets no status: ${JSON.stringify(situations)}; ${historyOf(stage)}`);
    return await stateOf(stage);
  } finally {
    await stage.close();
  }
}

/** Waits until the operator has seen all that was asked for and nothing is to come within seconds. */
async function settle(stage: Stage): Promise<void> {
  const deadline = performance.now() + SETTLED_MS;
  do await stage.quiet();
  while ((!(await isSeen(stage)) || isOnTheWay(stage)) && performance.now() < deadline);
}

/** Status speaks of the spec, the Secrets and the request as they are now. */
async function isSeen(stage: Stage): Promise<boolean> {
  const secrets = await stage.secrets();
  const account = stage.account();
  if (account === undefined) return false;
  const { metadata, spec, status } = account;
  const source = secrets.find(({ metadata: { name } }) => name === spec.credentialsSecretRef.name);
  const isSourceSeen =
    source === undefined
      ? status?.candidate?.reason === 'SecretNotFound'
      : [status?.candidate?.source, status?.credential?.source].some(
          seen =>
            seen?.uid === source.metadata.uid && seen.resourceVersion === source.metadata.resourceVersion,
        );
  return (
    status?.observedGeneration === metadata.generation &&
    status?.lastHandledRecheck === metadata.annotations?.[RECHECK_ANNOTATION] &&
    isSourceSeen
  );
}

async function reaches(stage: Stage, expected: Normal): Promise<string[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const differing = differences(expected, await stateOf(stage));
    if (differing.length === 0 || performance.now() > deadline) return differing;
    await stage.quiet();
  }
}

/** Leaves out what the failure does not need, one change at a time. */
export async function shrink(
  arena: Arena,
  references: References,
  failure: Failure,
  deadline: number,
): Promise<Failure> {
  let smallest = failure;
  for (let index = failure.changes.length - 2; index >= 0 && performance.now() < deadline; index--) {
    const fewer = smallest.changes.filter((_, at) => at !== index);
    smallest = (await runChanges(arena, references, fewer)) ?? smallest;
    // Fewer are left than before: go on with those before it.
    index = Math.min(index, smallest.changes.length - 1);
  }
  return smallest;
}

/** The changes as lines. */
export function tell({ changes }: Failure): string {
  return changes.map((change, index) => `${index + 1}. ${describeChange(change)}`).join('; ');
}
