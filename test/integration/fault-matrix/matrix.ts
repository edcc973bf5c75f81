import type { CloudAccount } from '../../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';
import { PROVIDERS } from '../../../operator/providers/index.ts';
import type { Cloud, CloudToken, TokenOptions } from '../../clouds/kit.ts';
import { startWitness, type Witness } from '../crash/witness.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import type { Answer } from './answers.ts';
import {
  CONFIRMED,
  EXPECTED,
  type Expectation,
  GOOD,
  MEANINGS,
  REASON,
  type Situation,
} from './expectations.ts';

/** An answer met in a situation by an account of its own. */
export interface Case {
  answer: Answer;
  situation: Situation;
  name: string;
}

/** What can be seen of an account. */
export type Seen = Omit<Expectation, 'asked'>;

export interface Result {
  case: Case;
  expected: Seen;
  seen: Seen | undefined;
  calls: number;
  /** A refused credential in force, after it was asked twice more. */
  confirmed?: { expected: Seen; seen: Seen | undefined };
  /** Without a verdict: after the fault was over, and the time to ask again had come. */
  recovered?: { expected: Seen; seen: Seen | undefined };
  /** Each status of Connected in order, until the answer was seen. */
  connected: string[];
}

interface Played extends Case {
  cloud: Cloud;
  /** In force, where something is. */
  old?: CloudToken;
  /** What meets the answer. */
  token: CloudToken;
  callsBefore: number;
  /** Ends the faults that this case brought about. */
  clear(): void;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** A check that hangs takes 15 s; when nothing more comes for three times as long, nothing will. */
const PATIENCE_MS = 45_000;
const AT_ONCE = 16;
/** With the random number 0 the first retry comes after 20 s. */
const FIRST_RETRY_MS = 20_000;

export function casesOf(answers: readonly Answer[]): Case[] {
  return answers.flatMap((answer, index) =>
    answer.situations.map(situation => ({
      answer,
      situation,
      name: `${answer.provider}-${index}-${situation}`.toLowerCase(),
    })),
  );
}

/** The state that a case must lead to. */
export function expectedOf({ answer, situation }: Case): Seen {
  const { meaning } = answer;
  const expectation = EXPECTED[MEANINGS[meaning].class][situation];
  if (expectation === undefined) throw new Error(`${meaning} is not expected in ${situation}`);
  return fill(expectation, MEANINGS[meaning].reason, answer);
}

function fill({ asked: _asked, ...expectation }: Expectation, reason: string, { access }: Answer): Seen {
  const good = access === 'ReadOnly' ? 'VerifiedReadOnly' : GOOD;
  return Object.fromEntries(
    Object.entries(expectation).map(([field, value]) => [
      field,
      value === `True ${GOOD}` ? `True ${good}` : value.replace(REASON, reason),
    ]),
  ) as unknown as Seen;
}

/** Plays all cases at once, those that would keep each other from being asked with operators of their own. */
export async function play(cases: readonly Case[]): Promise<Result[]> {
  return (await Promise.all(groupsOf(cases).map(playTogether))).flat();
}

/**
 * Where a provider's limit is not one of the credential, its 429 to one account keeps the others from being asked at all,
 * and who was not asked shows nothing. So of each such provider a group has one throttled case.
 */
function groupsOf(cases: readonly Case[]): Case[][] {
  const groups: Case[][] = [[]];
  const throttled = new Map<string, number>();
  for (const one of cases) {
    const { provider, meaning } = one.answer;
    const isAlone = meaning === 'throttled' && PROVIDERS[provider].budget.scope !== 'credential';
    const position = isAlone ? (throttled.get(provider) ?? 0) + 1 : 0;
    if (isAlone) throttled.set(provider, position);
    (groups[position] ??= []).push(one);
  }
  return groups;
}

/**
 * One operator, the seven clouds, an account for each case. Its clock stands still between the acts, so nothing happens
 * that was not brought about.
 */
async function playTogether(cases: readonly Case[]): Promise<Result[]> {
  const bed = await createTestbed();
  const witness = await startWitness(bed, { onCopy: () => undefined, onConnected: () => undefined });
  let now = Date.now();
  try {
    await bed.start({
      args: [
        '--confirm-after=5m,10m',
        '--retry-refused-after=1m,10m',
        // The clouds are asked by many accounts at once, which no provider sees of one installation.
        ...PROVIDER_NAMES.map(name => `--provider-budget=${name}=10000/10000`),
      ],
      clock: { now: () => now, random: () => 0 },
    });
    const played = await inParallel(cases, one => connect(bed, one));
    await settle(played, ({ name, old }) => old === undefined || isReady(witness.account(name)));

    // A throttled provider may hold up its other accounts for a while: those come last.
    const throttled = played.filter(({ answer }) => answer.meaning === 'throttled');
    const rest = played.filter(one => !throttled.includes(one));
    const results = await meet(bed, witness, rest, () => now);
    now += 5 * MINUTE;
    await confirmOnce(bed, witness, rest, now);
    now += 5 * MINUTE;
    const confirmed = await confirmTwice(bed, witness, rest, now);
    const last = await meet(bed, witness, throttled, () => now);
    const recovered = await recover(bed, witness, played, () => (now += FIRST_RETRY_MS));
    return [...results, ...last].map(result => ({
      ...result,
      ...(confirmed.has(result.case.name) && { confirmed: confirmed.get(result.case.name)! }),
      ...(recovered.has(result.case.name) && { recovered: recovered.get(result.case.name)! }),
    }));
  } finally {
    await witness.close();
    await bed.close();
  }
}

/** Makes the account with a working credential, where the situation begins with one; else only its credential. */
async function connect(bed: Testbed, one: Case): Promise<Played> {
  const { answer, situation, name } = one;
  const cloud = bed.cloud(answer.provider);
  const faults: (() => void)[] = [];
  const within: Cloud = {
    ...cloud,
    inject(fault, scope = {}) {
      const off = cloud.inject(fault, { ...scope, token: token.index });
      faults.push(off);
      return off;
    },
    createToken: (other = {}) => cloud.createToken({ account: name, ...other }),
  };
  const { account, extra = {} } = answer.token;
  const { basic, username } = extra as { basic?: boolean; username?: string };
  // The cloud finds a password by its user, so no two may share one.
  const user = username && { username: basic ? `${username}-${name}` : username };
  const create = (more: TokenOptions): CloudToken => cloud.createToken({ account: name, ...more });
  const old = situation === 'replacement' ? create({ extra: { ...user } }) : undefined;
  // Good at first: what it lacks it loses later. The same user of the account, where a provider has users.
  const token = create({
    ...(account !== undefined && { account: `${name}-${account}` }),
    extra: { ...pick(extra, 'basic'), ...user, ...(account === undefined && pick(old?.extra, 'uid')) },
  });
  const inForce = old ?? (situation === 'inForce' ? token : undefined);
  if (inForce !== undefined) {
    await bed.putSecret(`${name}-token`, inForce.credential);
    await bed.putAccount(name, answer.provider, specOf(answer, token));
  }
  return {
    ...one,
    cloud: within,
    token,
    callsBefore: 0,
    clear: () => void faults.splice(0).forEach(off => off()),
    ...(inForce && { old: inForce }),
  };
}

function specOf({ access, pin }: Answer, token: CloudToken): Partial<CloudAccount['spec']> {
  return { access, ...(pin && { accountID: pin(token) }) };
}

/** Takes from a token what the answer supposes that it lacks. */
function spoil({ answer, cloud, token }: Played): void {
  const { scopes, addresses, expiresInSeconds, extra } = answer.token;
  cloud.change(token.index, {
    ...(scopes !== undefined && { scopes }),
    ...(addresses !== undefined && { addresses }),
    ...(expiresInSeconds !== undefined && { expiresAt: cloud.now() + expiresInSeconds * 1000 }),
    extra: { ...token.extra, ...extra, ...pick(token.extra, 'username') },
  });
  answer.arrange?.(cloud, token);
}

/** Lets each case meet its answer, and waits until all are seen as expected, or nothing more may be hoped for. */
async function meet(
  bed: Testbed,
  witness: Witness,
  played: readonly Played[],
  now: () => number,
): Promise<Result[]> {
  await inParallel(played, async one => {
    const { answer, situation, name, token, cloud } = one;
    spoil(one);
    one.callsBefore = cloud.calls({ token: token.index });
    if (situation === 'inForce') return request(bed, name, 'now');
    await bed.putSecret(`${name}-token`, answer.spoil?.(token.credential) ?? token.credential);
    if (situation === 'first') await bed.putAccount(name, answer.provider, specOf(answer, token));
  });
  const isSeen = (one: Played) =>
    JSON.stringify(seenOf(witness, one, now())) === JSON.stringify(sorted(expectedOf(one))) &&
    (one.situation !== 'inForce' || witness.account(one.name)?.status?.lastHandledRecheck === 'now');
  await settle(played, isSeen);
  return played.map(one => ({
    case: one,
    expected: sorted(expectedOf(one)),
    seen: seenOf(witness, one, now()),
    calls: one.cloud.calls({ token: one.token.index }) - one.callsBefore,
    connected: witness.connected(one.name),
  }));
}

function isConfirming({ answer, situation }: Played): boolean {
  return situation === 'inForce' && MEANINGS[answer.meaning].class === 'refused';
}

/** Refuses the credentials in force for the second time; all other faults are over. */
async function confirmOnce(
  bed: Testbed,
  witness: Witness,
  played: readonly Played[],
  now: number,
): Promise<void> {
  for (const one of played) one.clear();
  await touch(bed, played.filter(isConfirming), now);
  await settle(
    played.filter(isConfirming),
    ({ name }) => witness.account(name)?.status?.confirming?.count === 2,
  );
}

/** And for the third. */
async function confirmTwice(bed: Testbed, witness: Witness, played: readonly Played[], now: number) {
  const confirming = played.filter(isConfirming);
  await touch(bed, confirming, now);
  const expected = (one: Played) => sorted(fill(CONFIRMED, MEANINGS[one.answer.meaning].reason, one.answer));
  await settle(
    confirming,
    one => JSON.stringify(seenOf(witness, one, now)) === JSON.stringify(expected(one)),
  );
  return new Map(
    confirming.map(one => [one.name, { expected: expected(one), seen: seenOf(witness, one, now) }]),
  );
}

/** Arranges the answer once more and has the operator look at the account: its timers know nothing of our clock. */
async function touch(bed: Testbed, played: readonly Played[], now: number): Promise<void> {
  await inParallel(played, one => {
    one.clear();
    one.answer.arrange?.(one.cloud, one.token);
    return bed.patchAccount(one.name, { metadata: { annotations: { touched: String(now) } } });
  });
}

/**
 * Ends all faults; accounts that got no verdict for one of them come right by themselves as time goes on.
 * @param advance the time of the next retry has come
 */
async function recover(bed: Testbed, witness: Witness, played: readonly Played[], advance: () => number) {
  const waiting = played.filter(({ answer }) => ['transport', 'single'].includes(answer.origin));
  for (const one of waiting) one.clear();
  const expected = ({ answer, situation }: Played) =>
    sorted(fill(EXPECTED.accepted[situation]!, GOOD, answer));
  let now = advance();
  const isWell = (one: Played) =>
    JSON.stringify(seenOf(witness, one, now)) === JSON.stringify(expected(one)) &&
    witness.account(one.name)?.status?.lastAttempt === undefined;
  // A throttled provider is left alone for seconds of real time, which the clock of the operator does not shorten.
  for (let rounds = 0; rounds < 12; rounds++, now = advance()) {
    const left = waiting.filter(one => !isWell(one));
    if (left.length === 0) break;
    await inParallel(left, ({ name }) =>
      bed.patchAccount(name, { metadata: { annotations: { touched: String(now) } } }),
    );
    await settle(left, isWell, 5_000);
  }
  return new Map(
    waiting.map(one => [one.name, { expected: expected(one), seen: seenOf(witness, one, now) }]),
  );
}

function request(bed: Testbed, name: string, value: string): Promise<unknown> {
  return bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': value } } });
}

/** Waits until all are as told, or none has become so for some time. What is not is found out by the assertions. */
async function settle(
  played: readonly Played[],
  isSettled: (one: Played) => boolean,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  let left = played;
  for (let since = performance.now(); performance.now() - since < patienceMs;) {
    const after = left.filter(one => !isSettled(one));
    if (after.length === 0) return;
    if (after.length < left.length) since = performance.now();
    left = after;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

function isReady(account: CloudAccount | undefined): boolean {
  return account !== undefined && shown(account, 'Ready').startsWith('True ');
}

function seenOf(witness: Witness, one: Played, now: number): Seen | undefined {
  const account = witness.account(one.name);
  if (account === undefined) return undefined;
  const [reconciling, stalled] = [shown(account, 'Reconciling'), shown(account, 'Stalled')];
  return sorted({
    health: account.status?.health as Seen['health'],
    Connected: shown(account, 'Connected'),
    Ready: shown(account, 'Ready'),
    ...(reconciling !== 'absent' && { Reconciling: reconciling }),
    ...(stalled !== 'absent' && { Stalled: stalled }),
    published: publishedOf(witness, one, account),
    next: nextOf(account, now),
  });
}

function publishedOf(
  { copies }: Witness,
  { old, token }: Played,
  { metadata }: CloudAccount,
): Seen['published'] {
  const [copy] = copies.byIndex('owner', metadata.uid);
  if (copy === undefined) return 'nothing';
  const values = Object.values(copy.data ?? {}).map(value => Buffer.from(value, 'base64').toString());
  const holds = (given: CloudToken | undefined) =>
    given !== undefined && values.every(value => Object.values(given.credential).includes(value));
  if (holds(old)) return 'the old credential';
  if (holds(token)) return 'the new credential';
  throw new Error(`${metadata.name}: the copy holds something else`);
}

function nextOf({ status }: CloudAccount, now: number): Seen['next'] {
  const { candidate, nextCheckTime } = status ?? {};
  const retryAt = Date.parse(candidate?.nextAttemptTime ?? '');
  if (Math.abs(retryAt - now - MINUTE) <= 1_000) return 'soon';
  const inMs = Date.parse(nextCheckTime ?? '') - now;
  // Up to 10 % earlier than a day after the last verdict, which may be half an hour old; a minute after an expiry.
  if (inMs > 0.9 * DAY - 30 * MINUTE && inMs <= DAY + 2 * MINUTE) return 'daily';
  return 'none';
}

function sorted<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1))) as T;
}

function pick(object: object | undefined, key: string): object {
  const value = (object as Record<string, unknown> | undefined)?.[key];
  return value === undefined ? {} : { [key]: value };
}

/** So many at a time: more would only wait for each other. */
async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = [...items.entries()];
  async function worker(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      results[next[0]] = await work(next[1]);
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
