import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { OPERATOR_NAME } from '../../operator/api/names.ts';
import { createDetector } from '../integration/leaks/detector.ts';
import { canariesOf, objectOutlets, requestOutlets } from '../integration/leaks/outlets.ts';
import { type Actor, createActor } from './deeds.ts';
import type { History, Violation } from './history.ts';
import { violationsIn } from './invariants.ts';
import { type Deed, type Planned, planOf, type PlanOptions } from './plan.ts';
import { statusOf } from './recorder.ts';
import { storyOf } from './story.ts';
import { secretPath } from './subjects.ts';
import { verdictsOf } from './verdicts.ts';
import { createWorld, NAMESPACES, type Say, type World } from './world.ts';

/** What was done, what was seen, and what broke a promise. */
export interface Outcome {
  /** By kind of deed, or of fault: done, and those for which there was nothing to do it to. */
  done: Map<string, { done: number; skipped: number }>;
  figures: Record<string, number | string>;
  violations: Violation[];
}

/** What the run itself did to a version is known so long after the version was seen. */
const JUDGED_AFTER_MS = 3_000;
const JUDGED_EVERY_MS = 5_000;
/** From the end of all faults to everything being well, of which a call that hung may take 15 s. */
const CONVERGENCE_MS = 60_000;
const SETTLING_MS = 1_500;
const AT_REST_MS = 2_500;

/** Runs a plan to its end. */
export async function run(options: PlanOptions, say: Say): Promise<Outcome> {
  const world = await createWorld(options.seed, options.operators, say);
  try {
    const actor = createActor(world, options.accounts);
    const told = new Map<string, Violation>();
    const judge = (until?: number): void => {
      const history = historyOf(world, actor);
      const found = world.found.filter(({ account, at }) => !wasLost(history, account, at));
      for (const violation of [...violationsIn(history, until), ...found]) {
        const key = JSON.stringify(violation);
        if (!told.has(key)) say(`VIOLATION ${key}\n${storyOf(history, violation)}`, false);
        told.set(key, violation);
      }
    };
    await actor.begin();
    const judging = setInterval(() => {
      judge(Date.now() - JUDGED_AFTER_MS);
      // Bodies and all, they would fill the memory of a long run.
      world.ways.forEach(way => way.takeWrites());
    }, JUDGED_EVERY_MS);
    const done = await carryOut(planOf(options), actor, say);
    const calmAt = Date.now();
    await actor.mend();
    const capped = await converge(world, actor);
    const converged = ((Date.now() - calmAt) / 1_000).toFixed(1);
    clearInterval(judging);
    judge();
    const violations = [...told.values(), ...(await finalViolations(world, actor))];
    violations.push(...(await violationsAtRest(world)));
    return { done, violations, figures: { ...figuresOf(world, actor), capped, converged } };
  } finally {
    await world.close();
  }
}

async function carryOut(plan: readonly Planned[], actor: Actor, say: Say): Promise<Outcome['done']> {
  const counts: Outcome['done'] = new Map();
  const startedAt = performance.now();
  for (const { at, deed } of plan) {
    await sleep(Math.max(0, startedAt + at - performance.now()));
    say(JSON.stringify(deed), true);
    const isDone = await actor.act(deed);
    const name = nameOf(deed);
    const count = counts.get(name) ?? { done: 0, skipped: 0 };
    counts.set(name, count);
    count[isDone ? 'done' : 'skipped'] += 1;
  }
  return counts;
}

function nameOf(deed: Deed): string {
  switch (deed.kind) {
    case 'fault': {
      const status = 'status' in deed.fault ? ` ${deed.fault.status}` : '';
      return `fault: ${deed.fault.kind}${status}${deed.call === undefined ? '' : ' at one call'}`;
    }
    case 'replace':
      return `replace: ${deed.with}`;
    case 'edit proof':
      return `edit proof: ${deed.how}`;
    case 'half-open watch':
      return `half-open watch: ${deed.watched}`;
    case 'gateway':
      return `gateway: ${deed.on}`;
    case 'deny':
      return `deny ${deed.what}: ${deed.how}`;
    default:
      return deed.kind;
  }
}

/** Whoever takes a copy away must not wonder when it is deleted; nor whoever gives it to another account. */
function wasLost({ losses }: History, account: string, at: number): boolean {
  return (losses.get(account) ?? []).some(loss => loss <= at && loss > at - 30_000);
}

/**
 * Waits until every account is well, its good credential in force. A process that met too many refusals asks no more for an
 * hour, and an account that met 24 for a day: the first is started anew, the others are only counted.
 * @returns accounts that are beyond the daily cap
 */
async function converge(world: World, actor: Actor): Promise<number> {
  const open = (): CloudAccount[] =>
    actor.book.subjects.flatMap(({ name, held }) => {
      const account = world.recorder.account(name);
      if (account === undefined) throw new Error(`${name} is not there`);
      return isWell(account, held.at(-1)?.credential, world) || isCapped(account) ? [] : [account];
    });
  await actor.recheckAll();
  const isHourly = ({ status }: CloudAccount): boolean =>
    status?.conditions?.some(({ reason }) => reason === 'CheckPostponed') ?? false;
  await until(() => open().every(isHourly), world, open);
  if (open().length > 0) {
    for (const operator of world.operators.all) await operator.end('SIGKILL');
    for (const operator of world.operators.all) await operator.start();
    await until(() => open().length === 0, world, open);
  }
  return actor.book.subjects.filter(({ name }) => {
    const account = world.recorder.account(name);
    return account !== undefined && isCapped(account) && statusOf(account, 'Ready') !== 'True';
  }).length;
}

async function until(accept: () => boolean, { operators }: World, open: () => CloudAccount[]): Promise<void> {
  for (const deadline = performance.now() + CONVERGENCE_MS; !accept(); await sleep(100)) {
    if (performance.now() < deadline) continue;
    const states = open().map(({ metadata, status }) => `${metadata.name}: ${JSON.stringify(status)}`);
    throw new Error(
      `not well ${CONVERGENCE_MS / 1_000} s after the faults ended:\n${states.join('\n')}\n${operators.output().slice(-3_000)}`,
    );
  }
}

function isCapped({ status }: CloudAccount): boolean {
  return (status?.refusals?.count ?? 0) >= 24;
}

function isWell(
  account: CloudAccount,
  wanted: Record<string, string> | undefined,
  { recorder }: World,
): boolean {
  const { status, spec, metadata } = account;
  const { verifiedSecretRef: ref } = status ?? {};
  const name = spec.verifiedSecret?.name ?? `${metadata.name}-verified`;
  if (statusOf(account, 'Ready') !== 'True' || statusOf(account, 'Connected') !== 'True') return false;
  if (ref?.name !== name || status?.observedGeneration !== metadata.generation) return false;
  const copies = recorder
    .presentCopies()
    .filter(copy => copy.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid));
  const [copy] = copies;
  // Neither an old one nor a forged one is left.
  if (copies.length !== 1 || copy?.metadata.uid !== ref.uid) return false;
  if (copy.metadata.resourceVersion !== ref.resourceVersion) return false;
  const keys: Readonly<Record<string, string>> = spec.verifiedSecret?.keys ?? {};
  return Object.entries(wanted ?? {}).every(
    ([field, value]) =>
      Buffer.from(copy.data?.[keys[field] ?? field] ?? '', 'base64').toString() === value.trim(),
  );
}

function historyOf({ recorder, gaps, clouds, operators, disturbances }: World, { book }: Actor): History {
  const { accounts, copies } = recorder;
  const { credentials, tampered, losses, accountOf, lives, rechecks } = book;
  const verdicts = verdictsOf(clouds, name => accountOf.get(name), operators.processOf);
  const { processes } = operators;
  return {
    ...{ accounts, copies, verdicts, credentials, tampered, losses, lives, processes },
    ...{ disturbances, rechecks, gaps },
  };
}

/** When nothing happens, nothing is written. */
async function violationsAtRest({ ways }: World): Promise<Violation[]> {
  await sleep(SETTLING_MS);
  ways.forEach(way => way.takeWrites());
  await sleep(AT_REST_MS);
  const writes = ways.flatMap(way => way.takeWrites());
  return writes.map(what => ({ rule: 'at rest nothing is written', account: '', at: Date.now(), what }));
}

/** What is looked at once, when all is over. */
async function finalViolations(world: World, actor: Actor): Promise<Violation[]> {
  const at = Date.now();
  const { controlPlane, clouds, operators, call } = world;
  const detector = createDetector(canariesOf(clouds));
  const outlets = [
    { channel: 'log', text: operators.output() },
    ...(await Promise.all(NAMESPACES.map(namespace => objectOutlets(controlPlane, namespace)))).flat(),
    ...requestOutlets(clouds),
  ];
  const leaks = outlets
    .flatMap(outlet => detector.find(outlet))
    .map(({ channel, canary }) => ({
      rule: 'secrets stay secret',
      account: canary,
      at,
      what: `shown in ${channel}`,
    }));
  const written: Violation[] = [];
  for (const subject of actor.book.subjects) {
    const { name } = subject;
    const source = await call<{ metadata: { managedFields?: { manager?: string }[] } }>(
      'GET',
      secretPath(subject, `${name}-token`),
    );
    if (source?.metadata.managedFields?.some(({ manager }) => manager === OPERATOR_NAME))
      written.push({ rule: "the user's Secret is only read", account: name, at, what: 'it was written' });
  }
  const ends = operators.ends.map(({ at: when, what }) => ({
    ...{ rule: 'the operator runs', account: '', at: when },
    what: `it ended: ${what}`,
  }));
  return [...leaks, ...written, ...ends, ...bugsIn(operators.output(), at)];
}

/** What an operator says when it meets a case that its authors did not think of. */
const BUG = /"(InvariantError|TypeError|RangeError|ReferenceError|SyntaxError)"/;

function bugsIn(log: string, at: number): Violation[] {
  const lines = log.split('\n').filter(line => BUG.test(line));
  const texts = new Set(lines.map(line => line.replace(/"time":"[^"]*",?/, '')));
  return [...texts].map(what => ({ rule: 'no bug', account: '', at, what }));
}

function figuresOf(world: World, actor: Actor): Outcome['figures'] {
  const { accounts, copies, verdicts, processes } = historyOf(world, actor);
  const last = new Map<string, string>();
  let demotions = 0;
  for (const { object } of accounts) {
    const status = statusOf(object, 'Connected');
    const { uid } = object.metadata;
    if (last.get(uid) === 'True' && status !== 'True') demotions += 1;
    last.set(uid, status);
  }
  return {
    accounts: actor.book.subjects.length,
    starts: processes.length,
    calls: world.clouds.reduce((sum, { log }) => sum + log.length, 0),
    accepted: verdicts.filter(({ says }) => says === 'accepted').length,
    refused: verdicts.filter(({ says }) => says === 'refused').length,
    accountVersions: accounts.length,
    copyVersions: copies.length,
    demotions,
    interruptions: world.gaps.length,
  };
}
