import { isDeepStrictEqual } from 'node:util';
import type { CloudAccountStatus, Condition } from '../api/cloudaccount.generated.ts';
import { decide } from './decide.ts';
import type { CopyView, Facts, Memory, Proof, Result, SourceView, Step, Wanted } from './facts.ts';
import { judge, remember } from './fold.ts';
import type { CheckRequest, Outcome } from './outcome.ts';
import { backoff, DEFAULT_TIMING, type Timing } from './schedule.ts';
import { DAY, isAhead, SECOND } from './time.ts';
import { type Transition, transitions } from './transitions.ts';

/**
 * One account with everything around it, in memory and under a clock of its own: a source, copies, a provider and a
 * process that can be killed. It drives {@link decide} as the controller does, so that whole lives run in
 * milliseconds, and it throws where a rule is broken that holds for every turn.
 */
export interface World {
  now(): number;
  /** Lets time pass; what is due meanwhile happens. */
  advance(ms: number): void;
  /** The wall clock is set to another time; what waits goes on waiting as long as it would have. */
  jump(ms: number): void;
  /** What the controller does when anything changed. The functions below do it by themselves. */
  reconcile(): void;
  putSecret(bytes: string): void;
  /** A label or annotation of the Secret changes, its data does not. */
  touchSecret(): void;
  deleteSecret(): void;
  /** The Secret is there and holds nothing usable. */
  spoilSecret(problem: string): void;
  change(spec: Partial<Spec>): void;
  /** Sets the recheck annotation; undefined removes it. */
  request(recheck: string | undefined): void;
  /** Answers for bytes from now on. */
  provider(answer: Provider): void;
  /** How long a check takes, and how long it waits for its turn before that. */
  latency(ms: number, queueMs?: number): void;
  /** The process ends, whatever it is doing, and starts again. */
  restart(startOffset?: number): void;
  /** The process is killed right before or after it next does this; `stays`: nothing runs until a restart. */
  crashAt(point: CrashPoint, stays?: 'down'): void;
  /** The next status writes meet an account that somebody else changed. */
  conflict(times?: number): void;
  /** While set, no copy can be written. */
  quota(exceeded: boolean): void;
  /** A Secret of somebody else takes a name (by default the wanted one), or frees it. */
  takeName(taken: boolean, name?: string): void;
  editCopy(change: Partial<Copy>): void;
  deleteCopy(): void;
  status(): CloudAccountStatus;
  /** The copies that are there, by name. */
  copies(): Readonly<Record<string, Copy>>;
  /** What consumers read: bytes of the copy of the recorded name. */
  published(): string | undefined;
  /** Whether a check is under way. */
  busy(): boolean;
  readonly history: History;
}

export interface Spec extends Wanted {
  /** Stands for the keys of the copy. */
  layout: string;
}

export type Provider = (bytes: string, request: CheckRequest, now: number) => Outcome;

type Write = 'publish' | 'relocate' | 'restore';
type Performed = Write | 'check' | 'status' | 'verdict';
export type CrashPoint = `${'before' | 'after'} ${Performed}`;

export interface Copy {
  name: string;
  uid: string;
  resourceVersion: string;
  bytes: string | undefined;
  proof: Proof | undefined;
  owner: 'us' | 'nobody';
  layout: string;
  writtenByUs: boolean;
}

export interface Check {
  at: number;
  /** Which process made it. */
  life: number;
  bytes: string;
  which: Result['which'];
  depth: CheckRequest['depth'];
  kind: Outcome['kind'] | 'differentAccount';
  /** Its result was lost with the process. */
  lost?: true;
}

export interface History {
  checks: Check[];
  /** Those of them that asked the provider. */
  calls: Check[];
  /** Status as it was written, in order. */
  writes: { at: number; before: CloudAccountStatus; status: CloudAccountStatus }[];
  published: { at: number; bytes: string; step: Write }[];
  events: Transition[];
  postponedRechecks: number;
  reads: number;
  turns: number;
}

interface Process {
  memory: Memory;
  source?: SourceView;
  held?: { question: string; bytes: string };
  publishRetry?: { attempts: number; notBefore: number; since: number };
  wakeAt?: number;
  check?: Pending;
}

interface Pending {
  step: Extract<Step, { do: 'check' }>;
  bytes: string;
  request: CheckRequest;
  pin?: string;
  recheck?: string;
  startsAt: number;
  endsAt: number;
}

export const START = Date.UTC(2026, 0, 1);
/** As in the controller. */
const MAX_STEPS = 25;
const WATCH_DELAY = 10;

/** `good…` is accepted, `other…` is another account's, `readonly…` lacks rights, all else is refused. */
export function plainProvider(bytes: string, { access }: Pick<CheckRequest, 'access'>): Outcome {
  if (bytes.startsWith('good')) return accepted();
  if (bytes.startsWith('other')) return accepted({ account: { ids: ['team:2'] } });
  if (bytes.startsWith('readonly')) {
    return access === 'ReadOnly' ? accepted() : { kind: 'missingPermission', missing: ['droplet:create'] };
  }
  return { kind: 'rejected' };
}

export function accepted(more: Partial<Extract<Outcome, { kind: 'accepted' }>> = {}): Outcome {
  const account = { ids: ['team:1', 'account:1'], name: 'ACME' };
  return { kind: 'accepted', account, permissions: { state: 'Sufficient', missing: [] }, ...more };
}

export function conditionOf(world: World, type: string): Condition | undefined {
  return world.status().conditions?.find(condition => condition.type === type);
}

/** `type=status(reason)` of each condition: the state of the account in one line. */
export function shown(world: World): string {
  return (world.status().conditions ?? [])
    .map(({ type, status, reason }) => `${type}=${status}(${reason})`)
    .join(' ');
}

class Killed extends Error {}

export interface WorldOptions {
  spec?: Partial<Spec>;
  secret?: string;
  recheck?: string;
  noIdentity?: boolean;
  timing?: Timing;
  /** For the jitter of retries, in [0, 1). */
  random?: () => number;
}

export function createWorld(options: WorldOptions = {}): World {
  let now = START;
  let versions = 100;
  let lives = 0;
  let generation = 1;
  let spec: Spec = {
    access: 'ReadWrite',
    intervalMs: DAY,
    suspend: false,
    copyName: 'copy',
    layout: 'token',
    ...options.spec,
  };
  let recheck = options.recheck;
  let status: CloudAccountStatus = { observedGeneration: -1 };
  let secret: { uid: string; resourceVersion: string; bytes?: string; problem?: string } | undefined;
  const copies: Record<string, Copy> = {};
  const taken = new Set<string>();
  let answer: Provider = plainProvider;
  let latencyMs = 200;
  let queueMs = 0;
  let quota = false;
  let conflicts = 0;
  let crashPoint: CrashPoint | undefined;
  let staysDown = false;
  let isDown = false;
  let process = boot();
  const random = options.random ?? (() => 0.5);
  const { noIdentity = false, timing = DEFAULT_TIMING } = options;
  const history: History = {
    checks: [],
    calls: [],
    writes: [],
    published: [],
    events: [],
    postponedRechecks: 0,
    reads: 0,
    turns: 0,
  };

  function boot(startOffset?: number): Process {
    lives += 1;
    return { memory: { refusals: [], retries: {}, ...(startOffset !== undefined && { startOffset }) } };
  }

  function version(): string {
    return String(++versions);
  }

  /** Under a key of the process, so that nothing can be compared across a restart. */
  function fingerprint(bytes: string): string {
    return `#${lives}<${bytes}>`;
  }

  function guarded(point: Performed, act: () => void): void {
    if (crashPoint === `before ${point}`) kill();
    act();
    if (crashPoint === `after ${point}`) kill();
  }

  function kill(): never {
    crashPoint = undefined;
    throw new Killed('killed');
  }

  function restart(startOffset?: number): void {
    const { check } = process;
    if (check !== undefined && check.startsAt <= now) logCheck(check, verdictOf(check), true);
    process = boot(startOffset);
    isDown = staysDown;
    staysDown = false;
  }

  function revision() {
    if (secret === undefined) return undefined;
    const { uid, resourceVersion } = secret;
    return { uid, resourceVersion };
  }

  function readSource(): SourceView {
    history.reads += 1;
    const known = revision();
    if (secret === undefined || known === undefined) return { state: 'missing' };
    const { bytes, problem = '' } = secret;
    if (bytes === undefined) return { state: 'invalid', revision: known, message: problem };
    return { state: 'read', revision: known, fingerprint: fingerprint(bytes) };
  }

  function viewSource(read: SourceView | undefined): SourceView {
    if (read !== undefined) return read;
    const known = revision();
    if (known === undefined) return { state: 'unread' };
    const { source } = process;
    const cached = source !== undefined && 'revision' in source && same(source.revision, known);
    return cached ? source : { state: 'unread', revision: known };
  }

  function recordedCopy(): Copy | undefined {
    const ref = status.verifiedSecretRef;
    const copy = ref && copies[ref.name];
    return copy !== undefined && copy.uid === ref?.uid ? copy : undefined;
  }

  function isRecorded({ resourceVersion }: Copy): boolean {
    return status.credential !== undefined && resourceVersion === status.verifiedSecretRef?.resourceVersion;
  }

  function isPresent({ resourceVersion }: Copy): boolean {
    return !taken.has(spec.copyName) && copies[spec.copyName]?.resourceVersion === resourceVersion;
  }

  function isNamed({ uid, resourceVersion }: Copy): boolean {
    const ref = status.verifiedSecretRef;
    return ref?.uid === uid && ref.resourceVersion === resourceVersion;
  }

  function inspect(copy: Copy): Extract<CopyView, { state: 'read' }> {
    const { name, uid, resourceVersion, bytes, proof, owner, layout, writtenByUs } = copy;
    const wasOurs = owner === 'us' || uid === status.verifiedSecretRef?.uid;
    return {
      state: 'read',
      ref: { name, uid, resourceVersion },
      ...(proof !== undefined && wasOurs && { proof }),
      ...(bytes !== undefined && { fingerprint: fingerprint(bytes) }),
      layoutDiffers: layout !== spec.layout || owner !== 'us',
      writtenByUs,
    };
  }

  /** Names under which the copy may be: as recorded, then as wanted unless that name is somebody else's. */
  function copyNames(): string[] {
    const recordedName = status.verifiedSecretRef?.name;
    const names = recordedName === undefined ? [] : [recordedName];
    return recordedName === spec.copyName || taken.has(spec.copyName) ? names : [...names, spec.copyName];
  }

  function unreadCopyName({ copies: read }: Readings): string | undefined {
    return copyNames().find(name => {
      const seen = read.get(name);
      if (seen === undefined) return status.verifiedSecretRef !== undefined || copies[name] !== undefined;
      return copies[name]?.resourceVersion !== (seen === 'absent' ? undefined : seen.resourceVersion);
    });
  }

  function readCopyOf({ copies: read }: Readings): Copy | undefined {
    const found = copyNames().flatMap(name => {
      const copy = read.get(name);
      if (copy === undefined || copy === 'absent') return [];
      const isUsable = name === spec.copyName ? !taken.has(name) : copy.uid === status.verifiedSecretRef?.uid;
      return isUsable ? [copy] : [];
    });
    const { published } = process.memory;
    const isPlausible = (copy: Copy): boolean => {
      const { proof, fingerprint: held } = inspect(copy);
      return proof !== undefined && held !== undefined && (published ?? held) === held;
    };
    return found.find(isPlausible) ?? found[0];
  }

  function viewCopy(readings: Readings): CopyView {
    const written = readings.copies.get(spec.copyName);
    // Written in this turn, and not in status yet; after a rename the recorded one is still there beside it.
    if (written !== undefined && written !== 'absent' && isPresent(written) && !isNamed(written)) {
      if (written.bytes !== undefined && fingerprint(written.bytes) === process.memory.published)
        return inspect(written);
    }
    const recorded = recordedCopy();
    if (recorded !== undefined && isRecorded(recorded)) {
      const { published } = process.memory;
      const read = readings.copies.get(recorded.name);
      const isRead = read !== undefined && read !== 'absent' && same(read, recorded);
      const layoutDiffers = isRead ? inspect(read).layoutDiffers : undefined;
      return {
        state: 'recorded',
        ...(published !== undefined && { fingerprint: published }),
        ...(layoutDiffers !== undefined && { layoutDiffers }),
      };
    }
    if (unreadCopyName(readings) !== undefined) return { state: 'unread' };
    const found = readCopyOf(readings);
    return found === undefined ? { state: 'absent' } : inspect(found);
  }

  function factsNow(readings: Readings): Facts {
    const { memory } = process;
    const nameTaken = taken.has(spec.copyName);
    if (nameTaken) memory.conflictSince ??= now;
    else delete memory.conflictSince;
    const facts: Facts = {
      now,
      uid: 'account-uid',
      generation,
      wanted: spec,
      help: {
        provider: 'DigitalOcean',
        consoleUrl: 'https://cloud.digitalocean.com',
        consolePath: 'API > Tokens',
        permissions: 'full access',
        furtherRights: { 'droplet:admin': 'rebuilding a server' },
        access: spec.access,
        secretName: 'source',
        copyName: spec.copyName,
      },
      noIdentity,
      ...(recheck !== undefined && { recheck }),
      status,
      source: viewSource(readings.source),
      copy: viewCopy(readings),
      nameTaken,
      memory,
      timing,
    };
    return deepFreeze(structuredClone(facts));
  }

  interface Readings {
    source?: SourceView;
    copies: Map<string, Copy | 'absent'>;
  }

  function turn(): void {
    history.turns += 1;
    const readings: Readings = { copies: new Map() };
    const before = status;
    delete process.wakeAt;
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const { publishRetry, memory } = process;
      if (publishRetry !== undefined && (now >= publishRetry.notBefore || isAhead(publishRetry.since, now)))
        delete memory.notWritable;
      const facts = factsNow(readings);
      const step = decide(facts);
      if (!same(decide(facts), step)) throw new Error('the same facts gave another step');
      if (step.do !== 'done') {
        perform(step, readings);
        continue;
      }
      if (step.wakeAt !== undefined && step.wakeAt <= now) throw new Error('wakes up in the past');
      if (step.status !== undefined && !writeStatus(step.status, readings)) continue;
      if (step.postponedRecheck) history.postponedRechecks += 1;
      if (step.settled !== undefined) {
        for (const slot of step.settled) delete process.memory[slot];
        if (step.settled.includes('inHand')) delete process.held;
        continue;
      }
      sweep(readings, before);
      const retryAt = memory.notWritable ? process.publishRetry?.notBefore : undefined;
      // The watch tells of the own write.
      const isLost = before.verifiedSecretRef !== undefined && status.verifiedSecretRef === undefined;
      const echoAt = isLost ? now + WATCH_DELAY : Infinity;
      const wakeAt = Math.min(step.wakeAt ?? Infinity, retryAt ?? Infinity, echoAt);
      if (wakeAt !== Infinity) process.wakeAt = wakeAt;
      return;
    }
    throw new Error(`no end after ${MAX_STEPS} steps`);
  }

  function perform(step: Exclude<Step, { do: 'done' }>, readings: Readings): void {
    switch (step.do) {
      case 'readSource':
        readings.source = process.source = readSource();
        return;
      case 'readCopy':
        return takeCopy(readings);
      case 'publish':
        return publish(step, process.held?.bytes, readings);
      case 'relocate':
        return publish(step, copyInForce(readings)?.bytes, readings);
      case 'restore':
        if (readings.source === undefined) readings.source = process.source = readSource();
        if (secret?.bytes === undefined || fingerprint(secret.bytes) !== step.fingerprint) return;
        return publish(step, secret.bytes, readings);
      case 'check':
        if (step.status !== undefined && !writeStatus(step.status, readings)) return;
        return guarded('check', () => beginCheck(step, readings));
    }
  }

  function takeCopy(readings: Readings): void {
    history.reads += 1;
    const name = unreadCopyName(readings) ?? status.verifiedSecretRef?.name;
    if (name === undefined) return;
    const found = copies[name];
    readings.copies.set(name, found === undefined ? 'absent' : { ...found });
    if (found !== undefined && found === recordedCopy() && isRecorded(found) && found.bytes !== undefined)
      process.memory.published = fingerprint(found.bytes);
  }

  function copyInForce(readings: Readings): Copy | undefined {
    if (readCopyOf(readings) === undefined) takeCopy(readings);
    return readCopyOf(readings);
  }

  function publish(
    { do: kind, proof }: Extract<Step, { do: Write }>,
    bytes: string | undefined,
    readings: Readings,
  ): void {
    if (bytes === undefined) return;
    if (quota) {
      const attempts = (process.publishRetry?.attempts ?? 0) + 1;
      process.publishRetry = { attempts, notBefore: now + backoff(attempts, random()), since: now };
      process.memory.notWritable = { detail: 'exceeded quota' };
      return;
    }
    guarded(kind, () => {
      const copy: Copy = {
        name: spec.copyName,
        uid: copies[spec.copyName]?.uid ?? `copy-${version()}`,
        resourceVersion: version(),
        bytes,
        proof: structuredClone(proof),
        owner: 'us',
        layout: spec.layout,
        writtenByUs: true,
      };
      copies[spec.copyName] = copy;
      history.published.push({ at: now, bytes, step: kind });
      readings.copies.set(copy.name, { ...copy });
    });
    process.memory.published = fingerprint(bytes);
    delete process.publishRetry;
  }

  function beginCheck(step: Extract<Step, { do: 'check' }>, readings: Readings): void {
    const { memory } = process;
    if (memory.checking !== undefined) throw new Error('a second check while one is under way');
    const bytes = step.which === 'candidate' ? secret?.bytes : copyInForce(readings)?.bytes;
    if (bytes === undefined || !step.question.startsWith(fingerprint(bytes))) return;
    const knownIds = status.account?.ids;
    const access =
      step.which === 'candidate'
        ? spec.access
        : ((status.credential?.access ?? spec.access) as typeof spec.access);
    memory.checking = { which: step.which, question: step.question };
    process.check = {
      step,
      bytes,
      request: { access, depth: step.depth, ...(step.depth === 'recheck' && knownIds && { knownIds }) },
      ...(spec.accountID !== undefined && { pin: spec.accountID }),
      ...(recheck !== undefined && { recheck }),
      startsAt: now + queueMs,
      endsAt: now + queueMs + latencyMs,
    };
  }

  function verdictOf({ step, bytes, request, pin }: Pending) {
    const outcome = answer(bytes, request, now);
    return step.which === 'candidate' ? judge(outcome, status.account?.ids ?? [], pin) : outcome;
  }

  function logCheck({ step, bytes }: Pending, { kind }: Result['outcome'], lost: boolean): void {
    const { which, depth } = step;
    const check: Check = { at: now, life: lives, bytes, which, depth, kind, ...(lost && { lost: true }) };
    history.checks.push(check);
    // Refused offline: nobody is asked.
    if (kind !== 'malformed') history.calls.push(check);
  }

  function endCheck(check: Pending): void {
    const { step, bytes, recheck: requested } = check;
    delete process.check;
    const outcome = verdictOf(check);
    logCheck(check, outcome, crashPoint === 'before verdict');
    guarded('verdict', () => {
      const result: Result = {
        which: step.which,
        question: step.question,
        outcome,
        at: now,
        ...(outcome.kind === 'accepted' && { hint: `••••${bytes}` }),
        ...(step.round !== undefined && { round: step.round }),
        ...(requested !== undefined && { recheck: requested }),
      };
      process.memory = remember(process.memory, result, random());
      if (step.which === 'candidate' && outcome.kind === 'accepted')
        process.held = { question: step.question, bytes };
    });
  }

  function writeStatus(next: CloudAccountStatus, { copies: read }: Readings): boolean {
    const before = status;
    if (same(before, next)) return true;
    if (conflicts > 0) {
      conflicts -= 1;
      return false;
    }
    guarded('status', () => {
      checkStatus(next);
      status = structuredClone(next);
      history.writes.push({ at: now, before, status });
    });
    for (const copy of read.values()) {
      if (copy === 'absent' || copy.bytes === undefined) continue;
      if (copy.resourceVersion === next.verifiedSecretRef?.resourceVersion)
        process.memory.published = fingerprint(copy.bytes);
    }
    if (next.candidate === undefined) delete process.memory.refused;
    history.events.push(...transitions(before, next));
    return true;
  }

  /** As in the controller: never in the turn that lost a credential, and with nothing in force only what was read. */
  function sweep({ copies: read }: Readings, before: CloudAccountStatus): void {
    const ref = status.verifiedSecretRef;
    if (ref === undefined && before.verifiedSecretRef !== undefined) return;
    for (const { name, uid, owner, resourceVersion } of Object.values(copies)) {
      if (owner !== 'us' || uid === ref?.uid) continue;
      const seen = read.get(name);
      const isRead = seen !== undefined && seen !== 'absent' && seen.resourceVersion === resourceVersion;
      if (ref !== undefined ? recordedCopy() !== undefined : isRead) delete copies[name];
    }
  }

  /** A turn, and after a kill another one by the next process. */
  function reconcile(): void {
    unlessKilled(() => {
      if (!isDown) turn();
    });
  }

  function unlessKilled(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      restart();
      reconcile();
    }
  }

  function nextEvent(): number {
    const { check, wakeAt = Infinity } = process;
    if (check === undefined) return wakeAt;
    const starts = process.memory.checking?.startedAt === undefined ? check.startsAt : Infinity;
    const shows = check.step.which === 'candidate' ? check.startsAt + SECOND : Infinity;
    return Math.min(wakeAt, starts, check.endsAt, shows > now ? shows : Infinity);
  }

  function advance(ms: number): void {
    const end = now + ms;
    startCheck();
    for (let at = nextEvent(); at <= end; at = nextEvent()) {
      now = Math.max(now, at);
      startCheck();
      const { check } = process;
      if (check !== undefined && check.endsAt <= now) unlessKilled(() => endCheck(check));
      reconcile();
      startCheck();
    }
    now = end;
  }

  function startCheck(): void {
    const { checking } = process.memory;
    const { check } = process;
    if (checking !== undefined && check !== undefined && check.startsAt <= now)
      checking.startedAt ??= check.startsAt;
  }

  function onChange<A extends unknown[]>(act: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      act(...args);
      reconcile();
    };
  }

  if (options.secret !== undefined)
    secret = { uid: `secret-${version()}`, resourceVersion: version(), bytes: options.secret };
  reconcile();

  return {
    now: () => now,
    advance,
    jump(ms) {
      if (process.check !== undefined) throw new Error('the world cannot do that while a check is under way');
      now += ms;
      if (process.wakeAt !== undefined) process.wakeAt += ms;
    },
    reconcile,
    putSecret: onChange(bytes => {
      secret = { uid: secret?.uid ?? `secret-${version()}`, resourceVersion: version(), bytes };
    }),
    touchSecret: onChange(() => {
      if (secret !== undefined) secret = { ...secret, resourceVersion: version() };
    }),
    deleteSecret: onChange(() => {
      secret = undefined;
    }),
    spoilSecret: onChange(problem => {
      secret = { uid: secret?.uid ?? `secret-${version()}`, resourceVersion: version(), problem };
    }),
    change: onChange(changes => {
      spec = { ...spec, ...changes };
      generation += 1;
    }),
    request: onChange(value => {
      recheck = value;
    }),
    provider(next) {
      answer = next;
    },
    latency(ms, queued = 0) {
      latencyMs = ms;
      queueMs = queued;
    },
    restart(startOffset) {
      restart(startOffset);
      reconcile();
    },
    crashAt(point, stays) {
      crashPoint = point;
      staysDown = stays === 'down';
    },
    conflict(times = 1) {
      conflicts = times;
    },
    quota(exceeded) {
      quota = exceeded;
    },
    takeName: onChange((isTaken, name = spec.copyName) => {
      taken.delete(name);
      if (!isTaken) return;
      taken.add(name);
      delete copies[name];
    }),
    editCopy: onChange(changes => {
      const copy = recordedCopy() ?? copies[spec.copyName];
      if (copy !== undefined)
        copies[copy.name] = { ...copy, resourceVersion: version(), writtenByUs: false, ...changes };
    }),
    deleteCopy: onChange(() => {
      const copy = recordedCopy();
      if (copy !== undefined) delete copies[copy.name];
    }),
    status: () => status,
    copies: () => copies,
    published: () => recordedCopy()?.bytes,
    busy: () => process.check !== undefined,
    history,
  };
}

const HEALTH: Record<string, string> = { True: 'Connected', False: 'NeedsAttention', Unknown: 'Pending' };

/** What holds for every status that is written. */
function checkStatus({
  conditions = [],
  health,
  candidate,
  confirming,
  credential,
}: CloudAccountStatus): void {
  const of = (type: string) => conditions.find(condition => condition.type === type);
  const broken = (rule: string) => new Error(`${rule}: ${JSON.stringify(conditions)}`);
  if (new Set(conditions.map(({ type }) => type)).size !== conditions.length)
    throw broken('a condition twice');
  if (of('Reconciling') !== undefined && of('Stalled') !== undefined) throw broken('Reconciling and Stalled');
  if (health !== HEALTH[of('Connected')?.status ?? '']) throw broken('health is not Connected');
  for (const type of ['Reconciling', 'Stalled', 'CredentialExpiring'])
    if (of(type) !== undefined && of(type)?.status !== 'True') throw broken(`${type} is there and not True`);
  if (of('Ready')?.status === 'True' && of('Ready')?.reason !== 'Suspended') {
    if (of('Connected')?.status !== 'True') throw broken('Ready without Connected');
    if (of('Reconciling') !== undefined || of('Stalled') !== undefined) throw broken('Ready and not done');
    if (candidate !== undefined) throw broken('Ready with a candidate');
  }
  if (of('Connected')?.status === 'True' && credential === undefined) throw broken('Connected to nothing');
  if (confirming !== undefined && credential === undefined) throw broken('confirming what is not in force');
}

function same(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(asJson(a), asJson(b));
}

/** An undefined field is an absent one, and inside jest the objects of `structuredClone` have other prototypes. */
function asJson(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
