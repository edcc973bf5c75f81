import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { OPERATOR_NAME, type ProviderName } from '../../operator/api/names.ts';
import { createDetector } from '../integration/leaks/detector.ts';
import { canariesOf, objectOutlets, requestOutlets } from '../integration/leaks/outlets.ts';
import { type Actor, createActor } from './deeds.ts';
import { type History, type Verdict, type Violation, violationsIn } from './invariants.ts';
import { type Planned, planOf, type PlanOptions } from './plan.ts';
import { statusOf } from './recorder.ts';
import { storyOf } from './story.ts';
import { createWorld, NAMESPACE, type Say, type World } from './world.ts';

/** What was done, what was seen, and what broke a promise. */
export interface Outcome {
  /** By kind of deed, or of fault: done, and those for which there was nothing to do it to. */
  done: Map<string, { done: number; skipped: number }>;
  figures: Record<string, number | string>;
  violations: Violation[];
}

/** The call of each provider that decides; others of a check only add to it. */
const VERDICT_CALL: Readonly<Record<ProviderName, string>> = {
  Hetzner: '/v1/locations',
  DigitalOcean: '/v2/account',
  Vultr: '/v2/account',
  Linode: '/v4/profile',
  TransIP: '/v6/auth',
  Hostinger: '/api/vps/v1/data-centers',
  UpCloud: '/1.3/account',
};

/** What the run itself did to a version is known so long after the version was seen. */
const JUDGED_AFTER_MS = 3_000;
const JUDGED_EVERY_MS = 5_000;
/** From the end of all faults to everything being well, of which a call that hung may take 15 s. */
const CONVERGENCE_MS = 60_000;

/** Runs a plan to its end. */
export async function run(options: PlanOptions, say: Say): Promise<Outcome> {
  const world = await createWorld(options.seed, say);
  try {
    const actor = createActor(world, options.accounts);
    const told = new Map<string, Violation>();
    const judge = (until?: number): void => {
      const history = historyOf(world, actor);
      for (const violation of violationsIn(history, until)) {
        const key = JSON.stringify(violation);
        if (!told.has(key)) say(`VIOLATION ${key}\n${storyOf(history, violation)}`, false);
        told.set(key, violation);
      }
    };
    await actor.begin();
    const judging = setInterval(() => judge(Date.now() - JUDGED_AFTER_MS), JUDGED_EVERY_MS);
    const done = await carryOut(planOf(options), actor, say);
    const calmAt = Date.now();
    await actor.mend();
    const capped = await converge(world, actor);
    const converged = ((Date.now() - calmAt) / 1_000).toFixed(1);
    clearInterval(judging);
    judge();
    const violations = [...told.values(), ...(await finalViolations(world, actor))];
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
    const name =
      deed.kind === 'fault'
        ? `fault: ${[deed.fault.kind, 'status' in deed.fault ? deed.fault.status : ''].join(' ').trim()}`
        : deed.kind === 'replace'
          ? `replace: ${deed.with}`
          : deed.kind;
    const count = counts.get(name) ?? { done: 0, skipped: 0 };
    counts.set(name, count);
    count[isDone ? 'done' : 'skipped'] += 1;
  }
  return counts;
}

/**
 * Waits until every account is well, its good credential in force. A process that met too many refusals asks no more for an
 * hour, and an account that met 24 for a day: the first is started anew, the others are only counted.
 * @returns accounts that are beyond the daily cap
 */
async function converge(world: World, actor: Actor): Promise<number> {
  const open = (): CloudAccount[] =>
    actor.subjects.flatMap(({ name, held }) => {
      const account = world.recorder.account(name);
      if (account === undefined) throw new Error(`${name} is not there`);
      return isWell(account, held.at(-1)?.credential, world) || isCapped(account) ? [] : [account];
    });
  await actor.recheckAll('the faults are over');
  const isHourly = ({ status }: CloudAccount): boolean =>
    status?.conditions?.some(({ reason }) => reason === 'CheckPostponed') ?? false;
  await until(() => open().every(isHourly), world, open);
  if (open().length > 0) {
    await world.operator.kill();
    world.operator.start();
    await until(() => open().length === 0, world, open);
  }
  return actor.subjects.filter(({ name }) => {
    const account = world.recorder.account(name);
    return account !== undefined && isCapped(account) && statusOf(account, 'Ready') !== 'True';
  }).length;
}

async function until(accept: () => boolean, { operator }: World, open: () => CloudAccount[]): Promise<void> {
  for (const deadline = performance.now() + CONVERGENCE_MS; !accept(); await sleep(100)) {
    if (performance.now() < deadline) continue;
    const states = open().map(({ metadata, status }) => `${metadata.name}: ${JSON.stringify(status)}`);
    throw new Error(
      `not well ${CONVERGENCE_MS / 1_000} s after the faults ended:\n${states.join('\n')}\n${operator.output().slice(-3_000)}`,
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
  const ref = account.status?.verifiedSecretRef;
  if (statusOf(account, 'Ready') !== 'True' || statusOf(account, 'Connected') !== 'True') return false;
  const copy = recorder.copies.findLast(({ object }) => object.metadata.uid === ref?.uid);
  if (copy === undefined || copy.gone || copy.object.metadata.resourceVersion !== ref?.resourceVersion)
    return false;
  return Object.entries(wanted ?? {}).every(
    ([field, value]) => Buffer.from(copy.object.data?.[field] ?? '', 'base64').toString() === value.trim(),
  );
}

function historyOf({ recorder, gaps, clouds, operator }: World, actor: Actor): History {
  const { credentials, tampered, losses, accountOf } = actor;
  const verdicts = clouds.flatMap(cloud =>
    cloud.log.flatMap(({ time: at, path, token, status, invented }): Verdict[] => {
      if (token === undefined || path !== VERDICT_CALL[cloud.name as ProviderName]) return [];
      const credential = cloud.token(token).name;
      const account = accountOf.get(credential);
      if (account === undefined) return [];
      if (status < 300 && !invented) return [{ at, account, credential, says: 'accepted' }];
      // Of the faults only the one that says so in the provider's own words is a refusal.
      const isRefusal = status === 401 || (status === 403 && !invented);
      return isRefusal ? [{ at, account, credential, says: 'refused' }] : [];
    }),
  );
  const { accounts, copies } = recorder;
  return { accounts, copies, verdicts, credentials, tampered, losses, starts: operator.starts, gaps };
}

/** What is looked at once, when all is over. */
async function finalViolations(world: World, actor: Actor): Promise<Violation[]> {
  const at = Date.now();
  const { controlPlane, clouds, operator, call } = world;
  const detector = createDetector(canariesOf(clouds));
  const outlets = [
    { channel: 'log', text: operator.output() },
    ...(await objectOutlets(controlPlane, NAMESPACE)),
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
  for (const { name } of actor.subjects) {
    const source = await call<{ metadata: { managedFields?: { manager?: string }[] } }>(
      'GET',
      `/api/v1/namespaces/${NAMESPACE}/secrets/${name}-token`,
    );
    if (source?.metadata.managedFields?.some(({ manager }) => manager === OPERATOR_NAME))
      written.push({ rule: "the user's Secret is only read", account: name, at, what: 'it was written' });
  }
  const ends = operator.ends();
  return [
    ...leaks,
    ...written,
    ...(ends > 0
      ? [{ rule: 'the operator runs', account: '', at, what: `it ended ${ends} times by itself` }]
      : []),
  ];
}

function figuresOf(world: World, actor: Actor): Outcome['figures'] {
  const { accounts, copies, verdicts, starts } = historyOf(world, actor);
  const last = new Map<string, string>();
  let demotions = 0;
  for (const { object } of accounts) {
    const status = statusOf(object, 'Connected');
    const { uid } = object.metadata;
    if (last.get(uid) === 'True' && status !== 'True') demotions += 1;
    last.set(uid, status);
  }
  return {
    accounts: actor.subjects.length,
    starts: starts.length,
    calls: world.clouds.reduce((sum, { log }) => sum + log.length, 0),
    accepted: verdicts.filter(({ says }) => says === 'accepted').length,
    refused: verdicts.filter(({ says }) => says === 'refused').length,
    accountVersions: accounts.length,
    copyVersions: copies.length,
    demotions,
    interruptions: world.gaps.length,
  };
}
