import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  acquisition,
  type Candidacy,
  createCandidacy,
  DEFAULT_LEASE_TIMING,
  freeFrom,
  granted,
  leadsUntil,
  type Lease,
  type LeaseInput,
  problemOf,
  release,
  renewal,
  see,
  seeChange,
} from './lease-election.ts';

const KEY = { namespace: 'ns', name: 'lease' };
const WALL = new Date('2026-03-01T12:00:00Z');
const S = 1_000;

function lease(resourceVersion: string, spec: Lease['spec']): Lease {
  return { metadata: { ...KEY, uid: 'u', resourceVersion }, ...(spec && { spec }) };
}

function candidate(identity = 'me'): Candidacy {
  return createCandidacy(identity, KEY);
}

const heldByOther = lease('5', {
  holderIdentity: 'other',
  leaseDurationSeconds: 15,
  acquireTime: 'then',
  leaseTransitions: 2,
});

describe('a candidate', () => {
  test('makes the lease where there is none', () => {
    const input = acquisition(see(candidate(), undefined, 0), 0, WALL);
    expect(input).toEqual({
      metadata: KEY,
      spec: {
        holderIdentity: 'me',
        leaseDurationSeconds: 15,
        acquireTime: '2026-03-01T12:00:00.000000Z',
        renewTime: '2026-03-01T12:00:00.000000Z',
        leaseTransitions: 0,
      },
    });
  });

  test('waits for as long as the holder said, counted from when the record was first seen', () => {
    let seen = see(candidate(), heldByOther, 100 * S);
    seen = see(seen, heldByOther, 110 * S);
    expect(freeFrom(seen)).toBe(115 * S);
    expect(acquisition(seen, 115 * S - 1, WALL)).toBeUndefined();
    expect(acquisition(seen, 115 * S, WALL)).toMatchObject({
      metadata: { resourceVersion: '5', uid: 'u' },
      spec: { holderIdentity: 'me', leaseTransitions: 3, acquireTime: '2026-03-01T12:00:00.000000Z' },
    });
  });

  test('begins to wait anew with every change of the record, whatever its times say', () => {
    const spec = {
      holderIdentity: 'other',
      leaseDurationSeconds: 15,
      renewTime: '1970-01-01T00:00:00.000000Z',
    };
    let seen = see(candidate(), lease('5', spec), 0);
    seen = see(seen, lease('6', spec), 14 * S);
    expect(freeFrom(seen)).toBe(29 * S);
    // A watch that lags behind brings nothing new.
    expect(freeFrom(seeChange(seen, lease('5', spec), 20 * S))).toBe(29 * S);
    expect(freeFrom(seeChange(seen, lease('10', spec), 20 * S))).toBe(35 * S);
  });

  test('takes a lease at once that was given back or has no holder', () => {
    for (const spec of [undefined, {}, { holderIdentity: '', leaseDurationSeconds: 1 }]) {
      expect(acquisition(see(candidate(), lease('5', spec), 0), 0, WALL)).toBeDefined();
    }
  });

  test('lets a deleted lease run out first, because its leader may not know yet', () => {
    const seen = see(see(candidate(), heldByOther, 0), undefined, 5 * S);
    expect(acquisition(seen, 14 * S, WALL)).toBeUndefined();
    expect(acquisition(seen, 15 * S, WALL)).toMatchObject({ metadata: KEY, spec: { leaseTransitions: 3 } });
  });

  test('takes its own times where the holder gave none', () => {
    expect(freeFrom(see(candidate(), lease('5', { holderIdentity: 'other' }), 0))).toBe(15 * S);
  });
});

describe('a leader', () => {
  const mine = lease('6', {
    holderIdentity: 'me',
    leaseDurationSeconds: 15,
    acquireTime: 'then',
    leaseTransitions: 3,
  });
  const leading = granted(see(candidate(), undefined, 0), mine, 10 * S, 12 * S);

  test('leads for the renew deadline, counted from before it asked', () => {
    expect(leadsUntil(leading)).toBe(20 * S);
    expect(leadsUntil(granted(leading, lease('7', mine.spec), 13 * S, 14 * S))).toBe(23 * S);
  });

  test('renews over the revision that it wrote, and keeps the time and the count of its taking', () => {
    expect(renewal(leading, 19 * S, WALL)).toMatchObject({
      metadata: { resourceVersion: '6' },
      spec: { acquireTime: 'then', leaseTransitions: 3, renewTime: '2026-03-01T12:00:00.000000Z' },
    });
  });

  test('neither renews nor leads once its time is over', () => {
    expect(renewal(leading, 20 * S, WALL)).toBeUndefined();
  });

  test.each(['other', ''])(
    'has lost a lease that is held by "%s", though nothing ran out',
    holderIdentity => {
      const lost = see(leading, lease('9', { holderIdentity }), 13 * S);
      expect(leadsUntil(lost)).toBe(-Infinity);
      expect(renewal(lost, 13 * S, WALL)).toBeUndefined();
      expect(release(lost, WALL)).toBeUndefined();
    },
  );

  test('makes a deleted lease anew', () => {
    const input = renewal(see(leading, undefined, 13 * S), 13 * S, WALL);
    expect(input).toMatchObject({ metadata: KEY, spec: { holderIdentity: 'me', leaseTransitions: 3 } });
    expect(input?.metadata.resourceVersion).toBeUndefined();
  });

  test('gives the lease back over the revision that it knows', () => {
    expect(release(leading, WALL)).toEqual({
      metadata: mine.metadata,
      spec: {
        holderIdentity: '',
        leaseDurationSeconds: 1,
        acquireTime: 'then',
        renewTime: '2026-03-01T12:00:00.000000Z',
        leaseTransitions: 3,
      },
    });
    expect(release(candidate(), WALL)).toBeUndefined();
  });
});

describe('times', () => {
  test.each([
    ['the defaults', {}, undefined],
    ['a deadline as long as the lease', { renewDeadlineMs: 15 * S }, /longer than the renew deadline/],
    ['retries as long as the deadline', { retryPeriodMs: 9 * S }, /retry periods/],
    ['no retry period', { retryPeriodMs: 0 }, /retry period/],
    [
      'a lease of half a second',
      { leaseDurationMs: 500, renewDeadlineMs: 400, retryPeriodMs: 100 },
      /whole seconds/,
    ],
  ])('%s', (_what, timing, problem) => {
    const said = problemOf({ ...DEFAULT_LEASE_TIMING, ...timing });
    if (problem === undefined) expect(said).toBeUndefined();
    else expect(said).toMatch(problem);
  });
});

/**
 * The world in which candidates live: one lease that the API server keeps, requests that take their time or get lost on
 * either way, processes that are frozen at any point, clocks that began at any time and run at slightly different speed.
 * Time goes in steps of 100 ms.
 */
const STEP = 100;

interface Request {
  write?: { input: LeaseInput; sentAt: number };
  /** Steps until the API server has it; and until the answer is there after that. */
  there: number;
  back: number;
  isLost: 'no' | 'on the way' | 'on the way back';
  answer?: { status: 'ok'; lease: Lease | undefined } | { status: 'failed' } | { status: 'conflict' };
}

interface Process {
  candidacy: Candidacy;
  clock: { offset: number; rate: number };
  frozenFor: number;
  request: Request | undefined;
  /** By its own clock. */
  nextTry: number;
  mayRepeat: boolean;
}

interface Fate {
  there: number;
  back: number;
  isLost: Request['isLost'];
  freeze: number;
  jitter: number;
}

/** A request is given up after that, as `runAsLeader` does. */
const CALL_LIMIT = DEFAULT_LEASE_TIMING.renewDeadlineMs / 2;

function createWorld(clocks: Process['clock'][], fates: Fate[]) {
  let now = 0;
  let revision = 0;
  let stored: Lease | undefined;
  let drawn = 0;
  const processes: Process[] = clocks.map((clock, i) => ({
    candidacy: createCandidacy(`p${i}`, KEY),
    clock,
    frozenFor: 0,
    request: undefined,
    nextTry: clock.offset,
    mayRepeat: true,
  }));

  function draw(): Fate {
    return fates[drawn++ % fates.length]!;
  }

  function clockOf({ clock }: Process): number {
    return clock.offset + now * clock.rate;
  }

  function leads(process: Process): boolean {
    return process.frozenFor === 0 && clockOf(process) < leadsUntil(process.candidacy);
  }

  /** The next request of `runAsLeader`: a leader renews, others read first. */
  function ask(process: Process, write: LeaseInput | undefined): void {
    const { there, back, isLost, freeze } = draw();
    process.request = {
      there,
      back,
      isLost,
      ...(write && { write: { input: write, sentAt: clockOf(process) } }),
    };
    process.frozenFor = freeze;
  }

  function rest(process: Process, isLeader: boolean): void {
    process.request = undefined;
    process.mayRepeat = true;
    const factor = isLeader ? 1 : 1 + 1.2 * draw().jitter;
    const at = clockOf(process);
    const free = freeFrom(process.candidacy);
    process.nextTry = Math.min(at + DEFAULT_LEASE_TIMING.retryPeriodMs * factor, free > at ? free : Infinity);
  }

  function serve(request: Request): NonNullable<Request['answer']> {
    const { write } = request;
    if (write === undefined) return { status: 'ok', lease: stored };
    const over = write.input.metadata.resourceVersion;
    if (over !== stored?.metadata.resourceVersion) return { status: 'conflict' };
    revision++;
    stored = lease(String(revision), write.input.spec);
    return { status: 'ok', lease: stored };
  }

  function proceed(process: Process): void {
    const { request, candidacy } = process;
    const at = clockOf(process);
    if (request === undefined) {
      if (at < process.nextTry) return;
      const write = renewal(candidacy, at, WALL);
      ask(process, write);
      return;
    }
    if (request.answer === undefined) return;
    if (request.answer.status === 'failed') return rest(process, leadsUntil(candidacy) > at);
    if (request.answer.status === 'conflict') {
      if (!process.mayRepeat) return rest(process, leadsUntil(candidacy) > at);
      process.mayRepeat = false;
      return ask(process, undefined);
    }
    const { lease: seen } = request.answer;
    if (request.write !== undefined) {
      process.candidacy = granted(candidacy, seen!, request.write.sentAt, at);
      return rest(process, true);
    }
    process.candidacy = see(candidacy, seen, at);
    const isLeader = leadsUntil(candidacy) > at;
    const write = (isLeader ? renewal : acquisition)(process.candidacy, clockOf(process), WALL);
    if (write === undefined) return rest(process, false);
    ask(process, write);
  }

  function travel(request: Request, age: { steps: number }): void {
    age.steps++;
    if (age.steps === request.there && request.isLost !== 'on the way') {
      const answer = serve(request);
      if (request.isLost === 'no') arrivals.push({ request, answer, at: now + request.back * STEP });
    }
    if (age.steps * STEP >= CALL_LIMIT && request.answer === undefined) request.answer = { status: 'failed' };
  }

  const ages = new Map<Request, { steps: number }>();
  const arrivals: { request: Request; answer: NonNullable<Request['answer']>; at: number }[] = [];

  return {
    step(): void {
      now += STEP;
      for (const { request } of processes) {
        if (request !== undefined && !ages.has(request)) ages.set(request, { steps: 0 });
      }
      // Also requests that their sender has given up reach the API server.
      for (const [request, age] of ages) {
        travel(request, age);
        if (age.steps > 200) ages.delete(request);
      }
      for (const { request, answer, at } of arrivals) {
        if (at <= now) request.answer ??= answer;
      }
      for (const process of processes) {
        if (process.frozenFor > 0) process.frozenFor--;
        else proceed(process);
      }
    },
    leaders: () => processes.filter(leads).length,
    delete: () => {
      stored = undefined;
    },
  };
}

const fate = fc.record<Fate>({
  there: fc.oneof(
    { weight: 6, arbitrary: fc.constant(1) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 180 }) },
  ),
  back: fc.oneof(
    { weight: 6, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 80 }) },
  ),
  isLost: fc.oneof(
    { weight: 8, arbitrary: fc.constant('no' as const) },
    { weight: 2, arbitrary: fc.constantFrom('on the way' as const, 'on the way back' as const) },
  ),
  freeze: fc.oneof(
    { weight: 8, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 400 }) },
  ),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});
const offset = fc.integer({ min: 0, max: 10 * 365 * 86_400 * S });

describe('several candidates', () => {
  test('never lead at once, whatever is slow, lost or frozen, and whatever their clocks show', () => {
    let everLed = 0;
    const clocks = fc.array(fc.record({ offset, rate: fc.constant(1) }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(clocks, fc.array(fate, { minLength: 1, maxLength: 60 }), (processes, fates) => {
        const world = createWorld(processes, fates);
        let most = 0;
        for (let step = 0; step < 900; step++) {
          world.step();
          const leaders = world.leaders();
          most = Math.max(most, leaders);
          everLed += leaders;
        }
        expect(most).toBeLessThanOrEqual(1);
      }),
      { numRuns: 1.5 * (fc.readConfigureGlobal().numRuns ?? 100) },
    );
    // Else nothing was tested.
    expect(everLed).toBeGreaterThan(10_000);
  });

  test('never lead at once with clocks whose speed differs by up to a third', () => {
    const clocks = fc.array(fc.record({ offset, rate: fc.double({ min: 0.86, max: 1.14, noNaN: true }) }), {
      minLength: 2,
      maxLength: 4,
    });
    fc.assert(
      fc.property(clocks, fc.array(fate, { minLength: 1, maxLength: 60 }), (processes, fates) => {
        const world = createWorld(processes, fates);
        let most = 0;
        for (let step = 0; step < 900; step++) {
          world.step();
          most = Math.max(most, world.leaders());
        }
        expect(most).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('do not lead at once when somebody deletes the lease under a leader', () => {
    const healthy: Fate = { there: 1, back: 1, isLost: 'no', freeze: 0, jitter: 0.5 };
    const world = createWorld(
      [0, 1, 2].map(i => ({ offset: i * 1e9, rate: 1 })),
      [healthy],
    );
    for (let step = 0; step < 600; step++) {
      world.step();
      if (step % 97 === 96) world.delete();
      if (step > 20) expect(world.leaders()).toBe(1);
    }
  });

  test('have a leader again within a lease and a retry after the last one froze for good', () => {
    const healthy: Fate = { there: 1, back: 1, isLost: 'no', freeze: 0, jitter: 1 };
    const fates = Array.from({ length: 2_000 }, (_, i) => (i === 30 ? { ...healthy, freeze: 1e9 } : healthy));
    const world = createWorld(
      [0, 1].map(i => ({ offset: i * 1e6, rate: 1 })),
      fates,
    );
    let without = 0;
    let longest = 0;
    for (let step = 0; step < 2_000; step++) {
      world.step();
      without = world.leaders() === 0 ? without + STEP : 0;
      longest = Math.max(longest, without);
    }
    expect(world.leaders()).toBe(1);
    expect(longest).toBeLessThanOrEqual(15 * S + 2.2 * 2 * S + 4 * STEP);
  });
});
