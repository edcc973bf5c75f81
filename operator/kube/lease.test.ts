import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { runAsLeader, type Leadership, type LeaseOptions } from './lease.ts';
import type { KubeObject } from './resource.ts';
import { until } from './testing/scripted-server.ts';

jest.setTimeout(30_000);

interface StoredLease extends KubeObject {
  spec: { holderIdentity: string; renewTime: string; leaseDurationSeconds: number; leaseTransitions: number };
}

interface LeaseServer {
  lease: StoredLease | undefined;
  writes: number;
  reads: number;
  /** Candidates that are cut off. */
  unreachable: Set<string>;
  clientFor(identity: string): KubeClient;
}

/** One lease as an API server keeps it: a write needs the resource version that was read. */
function createLeaseServer(): LeaseServer {
  const server: LeaseServer = { lease: undefined, writes: 0, reads: 0, unreachable: new Set(), clientFor };

  function clientFor(identity: string): KubeClient {
    async function reach(): Promise<void> {
      await Promise.resolve();
      if (server.unreachable.has(identity)) throw new KubeError('KUBE_CONNECTION', 'ECONNRESET');
    }
    return {
      get: async () => {
        await reach();
        server.reads++;
        if (server.lease === undefined)
          throw new KubeError('KUBE_HTTP', 'gone', { status: 404, reason: 'NotFound' });
        return structuredClone(server.lease);
      },
      create: async (_resource: unknown, object: StoredLease) => {
        await reach();
        if (server.lease === undefined) return store(object);
        throw new KubeError('KUBE_HTTP', 'exists', { status: 409, reason: 'AlreadyExists' });
      },
      replace: async (_resource: unknown, object: StoredLease) => {
        await reach();
        if (object.metadata.resourceVersion === server.lease?.metadata.resourceVersion) return store(object);
        throw new KubeError('KUBE_HTTP', 'conflict', { status: 409, reason: 'Conflict' });
      },
    } as unknown as KubeClient;
  }

  function store(object: StoredLease): StoredLease {
    server.writes++;
    server.lease = structuredClone(object);
    server.lease.metadata.resourceVersion = String(server.writes);
    return structuredClone(server.lease);
  }

  return server;
}

interface Candidate {
  outcome: Promise<string>;
  leads(): boolean;
  leadership(): Leadership | undefined;
  stop(): void;
}

const TIMES = { leaseDurationMs: 2000, renewDeadlineMs: 1400, retryPeriodMs: 60 };

let server: LeaseServer;
/** Who works right now, by name: never two. */
let working: string[];
let most: number;

beforeEach(() => {
  server = createLeaseServer();
  working = [];
  most = 0;
});

function start(identity: string, options: Partial<LeaseOptions> = {}, windDownMs = 0): Candidate {
  const stop = new AbortController();
  let current: Leadership | undefined;
  const outcome = runAsLeader(
    {
      client: server.clientFor(identity),
      namespace: 'ns',
      name: 'lease',
      identity,
      watch: false,
      ...TIMES,
      ...options,
    },
    async leadership => {
      current = leadership;
      working.push(identity);
      most = Math.max(most, working.length);
      await until(() => leadership.signal.aborted);
      await new Promise(resolve => setTimeout(resolve, windDownMs));
      working = working.filter(other => other !== identity);
      current = undefined;
    },
    stop.signal,
  );
  return { outcome, leads: () => current !== undefined, leadership: () => current, stop: () => stop.abort() };
}

describe('runAsLeader', () => {
  test('of several candidates one leads, and keeps leading', async () => {
    const candidates = ['a', 'b', 'c'].map(name => start(name));
    await until(() => working.length === 1);
    const [leader] = working;
    const writes = server.writes;
    // Longer than a lease lasts without renewals.
    await until(() => server.writes > writes + 40);
    expect(working).toEqual([leader]);
    expect(most).toBe(1);
    for (const candidate of candidates) candidate.stop();
    expect(await Promise.all(candidates.map(({ outcome }) => outcome))).toEqual([
      'stopped',
      'stopped',
      'stopped',
    ]);
  });

  test('a leader that stops gives the lease back after its work has ended, and the next begins at once', async () => {
    const first = start('first', {}, 300);
    await until(() => first.leads());
    const second = start('second');
    const stoppedAt = performance.now();
    first.stop();
    expect(await first.outcome).toBe('stopped');
    await until(() => second.leads());
    const waited = performance.now() - stoppedAt;
    expect(waited).toBeGreaterThanOrEqual(295);
    // Without the lease given back it would be two seconds.
    expect(waited).toBeLessThan(1800);
    expect(most).toBe(1);
    expect(server.lease?.spec.leaseTransitions).toBeGreaterThanOrEqual(1);
    second.stop();
    await second.outcome;
    expect(server.lease?.spec.holderIdentity).toBe('');
  });

  test('a leader that is cut off stops before the next one begins', async () => {
    const first = start('first');
    await until(() => first.leads());
    const second = start('second');
    server.unreachable.add('first');
    expect(await first.outcome).toBe('lost');
    expect(second.leads()).toBe(false);
    await until(() => second.leads());
    expect(most).toBe(1);
    second.stop();
    await second.outcome;
  });

  test('a short outage costs nobody the lead', async () => {
    const first = start('first');
    await until(() => first.leads());
    server.unreachable.add('first');
    await new Promise(resolve => setTimeout(resolve, 250));
    server.unreachable.delete('first');
    const { writes } = server;
    await until(() => server.writes > writes + 15);
    expect(first.leads()).toBe(true);
    first.stop();
    await first.outcome;
  });

  test.each([
    ['the past', '1999-01-01T00:00:00.000000Z'],
    ['the future', '2999-01-01T00:00:00.000000Z'],
  ])(
    'a dead leader whose clock was in %s is followed after the lease has run out here',
    async (_when, renewTime) => {
      server.lease = {
        metadata: { name: 'lease', namespace: 'ns', uid: 'u', resourceVersion: '0' },
        spec: { holderIdentity: 'dead', renewTime, leaseDurationSeconds: 1, leaseTransitions: 3 },
      };
      const startedAt = performance.now();
      const next = start('next');
      await until(() => next.leads());
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990);
      expect(server.lease.spec).toMatchObject({ holderIdentity: 'next', leaseTransitions: 4 });
      next.stop();
      await next.outcome;
    },
  );

  test('a lease that was taken over is given up at the next renewal', async () => {
    const first = start('first');
    await until(() => first.leads());
    await until(() => server.lease !== undefined);
    if (server.lease !== undefined) {
      server.lease = {
        metadata: { ...server.lease.metadata, resourceVersion: 'stolen' },
        spec: { ...server.lease.spec, holderIdentity: 'thief' },
      };
    }
    expect(await first.outcome).toBe('lost');
    // What is not ours is not given back.
    expect(server.lease?.spec.holderIdentity).toBe('thief');
  });

  test('a deleted lease is made anew by its leader', async () => {
    const first = start('first');
    await until(() => first.leads());
    server.lease = undefined;
    await until(() => server.lease !== undefined);
    expect(first.leads()).toBe(true);
    first.stop();
    await first.outcome;
  });

  test('a leader that was frozen knows that it leads no more before any timer tells it', async () => {
    let time = 0;
    const first = start('first', { now: () => time, wall: () => time });
    await until(() => first.leads());
    const leadership = first.leadership();
    expect(leadership?.holds()).toBe(true);
    const { writes } = server;
    time = TIMES.renewDeadlineMs;
    expect(leadership?.holds()).toBe(false);
    expect(leadership?.lost.aborted).toBe(true);
    expect(await first.outcome).toBe('lost');
    // It neither renews nor gives back what may be another's by now.
    expect(server.writes).toBe(writes);
  });

  test('a leader whose machine slept knows it, though the monotonic clock stood still', async () => {
    let slept = 0;
    const first = start('first', { wall: () => Date.now() + slept });
    await until(() => first.leads());
    const leadership = first.leadership();
    expect(leadership?.holds()).toBe(true);
    slept = TIMES.renewDeadlineMs;
    expect(leadership?.holds()).toBe(false);
    expect(await first.outcome).toBe('lost');
  });

  test('a wall clock that is stepped back neither ends a lead nor lengthens it', async () => {
    let step = 0;
    const first = start('first', { wall: () => Date.now() + step });
    await until(() => first.leads());
    step = -3_600_000;
    expect(first.leadership()?.holds()).toBe(true);
    const cutAt = performance.now();
    server.unreachable.add('first');
    expect(await first.outcome).toBe('lost');
    expect(performance.now() - cutAt).toBeLessThan(TIMES.renewDeadlineMs + 500);
  });

  test('a candidate whose wall clock is stepped forward does not take the lease of another one', async () => {
    let step = 0;
    const first = start('first');
    await until(() => first.leads());
    const second = start('second', { wall: () => Date.now() + step, retryPeriodMs: 20 });
    for (let round = 0; round < 20; round++) {
      step += 3_600_000;
      await new Promise(resolve => setTimeout(resolve, 30));
      expect(working).toEqual(['first']);
    }
    for (const candidate of [first, second]) candidate.stop();
    await Promise.all([first.outcome, second.outcome]);
  });

  test('a lease that was taken and given back while its leader was cut off is lost all the same', async () => {
    const first = start('first');
    await until(() => first.leads());
    const { metadata, spec } = server.lease!;
    server.lease = {
      metadata: { ...metadata, resourceVersion: 'later' },
      spec: { ...spec, holderIdentity: '' },
    };
    expect(await first.outcome).toBe('lost');
    expect(server.lease.spec.holderIdentity).toBe('');
  });

  test('a deleted lease is not taken from the leader that may not know it yet', async () => {
    const first = start('first', { retryPeriodMs: 400 });
    await until(() => first.leads());
    const { reads, writes } = server;
    const second = start('second');
    await until(() => server.reads > reads);
    server.lease = undefined;
    await until(() => server.writes > writes);
    expect(server.lease).toMatchObject({ spec: { holderIdentity: 'first' } });
    expect(working).toEqual(['first']);
    for (const candidate of [first, second]) candidate.stop();
    await Promise.all([first.outcome, second.outcome]);
  });

  test('the lease of a leader that died is taken when it runs out, not at the try after that', async () => {
    server.lease = {
      metadata: { name: 'lease', namespace: 'ns', uid: 'u', resourceVersion: '0' },
      spec: { holderIdentity: 'dead', renewTime: '', leaseDurationSeconds: 1, leaseTransitions: 0 },
    };
    const startedAt = performance.now();
    const next = start('next', { leaseDurationMs: 60_000, renewDeadlineMs: 50_000, retryPeriodMs: 30_000 });
    await until(() => next.leads());
    expect(performance.now() - startedAt).toBeLessThan(25_000);
    next.stop();
    await next.outcome;
  });

  test('a candidate that is told to stop ends promptly', async () => {
    const first = start('first');
    await until(() => first.leads());
    const second = start('second', { retryPeriodMs: 60_000 });
    await new Promise(resolve => setTimeout(resolve, 20));
    second.stop();
    expect(await second.outcome).toBe('stopped');
    expect(first.leads()).toBe(true);
    first.stop();
    await first.outcome;
  });
});
