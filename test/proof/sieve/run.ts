import type { Arena } from '../arena.ts';
import { differences, type Normal, stateOf } from '../normal.ts';
import { brokenPromises, historyOf } from '../promises.ts';
import { isOnTheWay, openStage, type Stage, type StageOperator } from '../stage.ts';
import { type Watched, WATCHED, type WatchedEvent, type WatchGate } from '../watch-gate.ts';
import { type EventPoint, type Perturbation, perturbationsOf } from './perturbation.ts';
import type { Story } from './stories.ts';

/** A story told undisturbed. */
export interface Reference {
  story: Story;
  end: Normal;
  calls: Record<string, number>;
  perturbations: Perturbation[];
  violations: string[];
}

/** `missed`: the point did not come in this run, such as the write of `Verifying` of a slow check. */
export interface Result {
  missed: boolean;
  violations: string[];
}

/** A check that was under way, or whose verdict was not seen, may be made once more. */
export const MORE_CHECKS = 1;
/** So long a story may go on while its events are held or hidden; most need far less. */
const HELD_MS = 2_500;
/** From the end of a perturbation to the state of the reference run. */
const PATIENCE_MS = 20_000;

/** Tells a story undisturbed and derives every perturbation from what was seen. */
export async function refer(arena: Arena, story: Story): Promise<Reference> {
  const stage = await openStage(arena);
  try {
    const { leader, follower } = await begin(stage, story);
    const steps = trace(leader);
    const moreSteps = follower && trace(follower);
    await story.act(stage, leader);
    await until(() => story.isOver(stage), 60_000, `${story.name}: the end of the reference run`);
    await stage.quiet(600);
    const end = await stateOf(stage);
    const calls = stage.calls();
    const writes = stage.writes().length;
    await stage.quiet(1_000);
    const violations = brokenPromises(stage);
    const later = stage.writes().slice(writes);
    if (later.length > 0) violations.push(`writes at rest: ${later.join(', ')}`);
    const { gate, from } = follower ?? leader;
    const events = gate.events.slice(from);
    return {
      story,
      end,
      calls,
      violations,
      perturbations: perturbationsOf(
        { steps: [...new Set([...steps, ...(moreSteps ?? [])])], events },
        story.handsOver === true,
      ),
    };
  } finally {
    await stage.close();
  }
}

/** Tells a story to a fresh account and perturbs it. */
export async function perturb(
  arena: Arena,
  reference: Reference,
  perturbation: Perturbation,
): Promise<Result> {
  const { story, end, calls } = reference;
  const stage = await openStage(arena);
  try {
    const isElected = perturbation.pattern === 'hand-over behind';
    const { leader, follower } = await begin(stage, story, isElected);
    const reached = await disturb(stage, story, perturbation, leader, follower);
    if (!reached) return { missed: true, violations: brokenPromises(stage) };
    const differing = await ends(stage, end);
    const violations = brokenPromises(stage);
    violations.push(...differing.map(line => `in the end ${line}`));
    for (const [path, count] of Object.entries(stage.calls())) {
      const allowed = (calls[path] ?? 0) + MORE_CHECKS;
      if (count > allowed) violations.push(`${count} calls of ${path}, at most ${allowed} allowed`);
    }
    // The state may be there before the last superfluous copy is gone.
    await stage.quiet(500);
    const writes = stage.writes().length;
    await stage.quiet(800);
    const later = stage.writes().slice(writes);
    if (differing.length === 0 && later.length > 0) violations.push(`writes at rest: ${later.join(', ')}`);
    if (violations.length > 0) violations.push(historyOf(stage));
    return { missed: false, violations: [...new Set(violations)] };
  } catch (error) {
    return { missed: false, violations: [...brokenPromises(stage), (error as Error).message.slice(0, 500)] };
  } finally {
    await stage.close();
  }
}

interface Acting extends StageOperator {
  /** How many events it had seen before the act. */
  from: number;
}

async function begin(stage: Stage, { prepare = [], handsOver }: Story, isElected = false) {
  const elect = isElected || handsOver === true;
  const leader = await stage.start({ elect });
  const follower = elect ? await stage.start({ elect, standBy: true }) : undefined;
  for (const deed of prepare) {
    await deed(stage, leader);
    await stage.quiet();
    // A refused credential is asked again after one and two seconds.
    await until(() => !isOnTheWay(stage), 15_000, 'the end of a preparation');
    await stage.quiet(100);
  }
  const acting = (operator: StageOperator): Acting => ({ ...operator, from: operator.gate.events.length });
  return { leader: acting(leader), follower: follower && acting(follower) };
}

/** Resolves with whether the point came. */
async function disturb(
  stage: Stage,
  story: Story,
  perturbation: Perturbation,
  leader: Acting,
  follower: Acting | undefined,
): Promise<boolean> {
  if (perturbation.pattern === 'crash') return crash(stage, story, perturbation, leader, follower);
  const { at } = perturbation;
  const affected = perturbation.pattern === 'behind' || follower === undefined ? leader : follower;
  const met = Promise.withResolvers<WatchedEvent>();
  let reachedLate: WatchedEvent | undefined;
  const ruling =
    perturbation.pattern === 'unobserved'
      ? 'drop'
      : perturbation.pattern === 'restart in the past'
        ? 'pass'
        : 'hold';
  atEvent(affected, at, event => {
    reachedLate = event;
    met.resolve(event);
    return ruling;
  });
  const acted = story.act(stage, leader);
  const event = await Promise.race([
    met.promise,
    acted.then(() => settle(stage, story)).then(() => undefined),
  ]);
  if (perturbation.pattern === 'hand-over behind' && perturbation.early && event !== undefined) {
    await acted;
    await leader.stop();
  }
  await acted;
  await settle(stage, story);
  const found = event ?? reachedLate;
  if (found === undefined) return false;
  switch (perturbation.pattern) {
    case 'behind':
      leader.gate.release();
      return true;
    case 'hand-over behind':
      if (!perturbation.early) await leader.stop();
      await settle(stage, story);
      affected.gate.release();
      return true;
    case 'unobserved':
      affected.gate.forceList(at.kind);
      return true;
    case 'restart in the past': {
      leader.crash();
      follower?.crash();
      const kinds: ReadonlySet<Watched> = new Set(perturbation.all ? WATCHED : [at.kind]);
      const next = await stage.start({
        prepare: gate => live(gate, kinds, BigInt(found.resourceVersion) - 1n),
      });
      await settle(stage, story);
      next.gate.release();
      return true;
    }
  }
}

/** A past in which no further event comes until the release. */
function live(gate: WatchGate, kinds: ReadonlySet<Watched>, resourceVersion: bigint): void {
  gate.showPast(kinds, resourceVersion);
  gate.judge(({ kind }) => (kinds.has(kind) ? 'hold' : 'pass'));
}

function atEvent(
  { gate }: Acting,
  { kind, index }: EventPoint,
  meet: (event: WatchedEvent) => 'hold' | 'drop' | 'pass',
): void {
  let seen = -1;
  gate.judge(event => {
    if (event.kind !== kind) return 'pass';
    seen += 1;
    return seen === index ? meet(event) : 'pass';
  });
}

async function crash(
  stage: Stage,
  story: Story,
  { step, when }: Extract<Perturbation, { pattern: 'crash' }>,
  leader: Acting,
  follower: Acting | undefined,
): Promise<boolean> {
  const struck = Promise.withResolvers<'struck'>();
  for (const operator of [leader, follower]) {
    if (operator === undefined) continue;
    const counts = new Map<string, number>();
    operator.onPassing(passing => {
      const label = passing.when === 'before' ? count(counts, passing.label) : current(counts, passing.label);
      if (label !== step || passing.when !== when) return;
      leader.crash();
      follower?.crash();
      struck.resolve('struck');
    });
  }
  const acted = story.act(stage, leader).then(() => settle(stage, story));
  const first = await Promise.race([struck.promise, acted.then(() => 'ended' as const)]);
  if (first === 'ended') return false;
  acted.catch(() => undefined);
  await stage.start();
  await acted;
  return true;
}

/** Steps of an operator, numbered by how often they came. */
function trace(operator: StageOperator): string[] {
  const steps: string[] = [];
  const counts = new Map<string, number>();
  operator.onPassing(({ label, when }) => {
    if (when === 'before') steps.push(count(counts, label));
  });
  return steps;
}

function count(counts: Map<string, number>, label: string): string {
  counts.set(label, (counts.get(label) ?? 0) + 1);
  return current(counts, label);
}

function current(counts: ReadonlyMap<string, number>, label: string): string {
  return `${label} #${counts.get(label) ?? 0}`;
}

/** The story is over, or can go no further for now. */
async function settle(stage: Stage, story: Story): Promise<void> {
  await until(() => story.isOver(stage), HELD_MS).catch(() => undefined);
  await stage.quiet();
}

/** Waits for the state of the reference run; resolves with what differs from it in the end. */
async function ends(stage: Stage, end: Normal): Promise<string[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    await stage.quiet(150);
    const differing = differences(end, await stateOf(stage));
    if (differing.length === 0 || performance.now() > deadline) return differing;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
}

async function until(condition: () => boolean, ms: number, what = 'in vain'): Promise<void> {
  for (const deadline = performance.now() + ms; !condition();) {
    if (performance.now() > deadline) throw new Error(what);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
