import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestbed, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { createReplicas, LEASE_MS, type Replica, type Replicas, RENEW_DEADLINE_MS } from './replicas.ts';

const TIMEOUT_MS = 180_000;

let bed: Testbed;
let replicas: Replicas;
let leader: Replica;
/** Token by account: each check is one call with it. */
const tokens = new Map<string, number>();

beforeAll(async () => {
  bed = await createTestbed();
  replicas = await createReplicas(bed);
  for (const name of ['one', 'two', 'three']) await addAccount(name);
  await Promise.all([replicas.start(), replicas.start(), replicas.start()]);
  leader = await replicas.leader();
  for (const name of tokens.keys()) await untilConnected(name);
}, TIMEOUT_MS);

/** Every test begins with three replicas of which one leads. */
afterEach(async () => {
  while (replicas.running().length < 3) await replicas.start();
  leader = await replicas.leader();
}, TIMEOUT_MS);

afterAll(async () => {
  await replicas.close();
  await bed.close();
}, TIMEOUT_MS);

async function addAccount(name: string): Promise<void> {
  const token = bed.cloud('Hetzner').createToken();
  tokens.set(name, token.index);
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'Hetzner');
}

function untilConnected(name: string) {
  return bed.until(name, ({ status }) => status?.health === 'Connected', 'Connected', 60_000);
}

/** Asks for a recheck; resolves once it is answered. */
async function recheck(name: string, value: string): Promise<void> {
  await bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': value } } });
  await bed.until(name, ({ status }) => status?.lastHandledRecheck === value, 'rechecked', 60_000);
}

function checks(name: string): number {
  return bed.cloud('Hetzner').calls({ token: tokens.get(name)! });
}

function others(): Replica[] {
  return replicas.running().filter(replica => replica !== leader);
}

describe('of three replicas', () => {
  test(
    'one works; the others are ready, call nobody and write nothing',
    async () => {
      for (const follower of others()) {
        expect(await follower.isReady()).toBe(true);
        expect(follower.ledFrom()).toBeUndefined();
        expect(follower.calls).toEqual([]);
      }
      const writers = new Set((await replicas.writes()).map(({ user }) => user));
      expect([...writers]).toEqual([leader.user]);
    },
    TIMEOUT_MS,
  );

  test(
    'another one works within 2 seconds after the leader was told to stop, asks nothing again and writes nothing',
    async () => {
      const callsBefore = bed.cloud('Hetzner').calls();
      const since = new Date();
      const toldAt = performance.now();
      leader.send('SIGTERM');
      const next = await replicas.leader(leader);
      expect(next.ledFrom()! - toldAt).toBeLessThan(2_000);
      expect(await leader.ended).toBe(0);
      // An answered request shows that the next one has looked at everything.
      await recheck('one', 'after-the-stop');
      expect(bed.cloud('Hetzner').calls() - callsBefore).toBe(1);
      expect(next.calls).toHaveLength(1);
      const writes = await replicas.writes(since);
      expect(writes.filter(({ what }) => !what.includes('/one'))).toEqual([]);
      expect(writes.every(({ user }) => user === next.user)).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'the lease is given back by the last one that stops',
    async () => {
      const last = replicas.running();
      for (const replica of last) replica.send('SIGTERM');
      expect(await Promise.all(last.map(({ ended }) => ended))).toEqual(last.map(() => 0));
      expect(await replicas.holder()).toBe('');
    },
    TIMEOUT_MS,
  );

  test(
    'a check that is under way when the leader is told to stop is ended and written down',
    async () => {
      const heal = bed.cloud('Hetzner').inject({ kind: 'latency', ms: 500 });
      const { calls } = leader;
      const callsBefore = calls.length;
      await addAccount('under-way');
      await eventually(
        () => calls.length,
        length => length > callsBefore,
        'the call',
      );
      leader.send('SIGTERM');
      expect(await leader.ended).toBe(0);
      expect((await bed.account('under-way'))?.status?.health).toBe('Connected');
      heal();
      const next = await replicas.leader(leader);
      await recheck('one', 'after-the-check');
      expect(next.calls).toHaveLength(1);
      expect(checks('under-way')).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'what the last leader wrote counts, also where the watches of the next one have not brought it yet',
    async () => {
      const heal = bed.cloud('Hetzner').inject({ kind: 'latency', ms: 1_000 });
      const { calls } = leader;
      const callsBefore = calls.length;
      const checksBefore = checks('two');
      const request = recheck('two', 'behind-their-backs');
      await eventually(
        () => calls.length,
        length => length > callsBefore,
        'the call',
      );
      // They have seen the request as the leader has; its answer does not reach them.
      for (const { proxy } of others()) {
        proxy.addRule({ isWatch: true, path: /cloudaccounts/, action: { kind: 'stall', when: 'before' } });
        proxy.breakConnections('reset');
      }
      await request;
      heal();
      leader.send('SIGTERM');
      const next = await replicas.leader(leader);
      for (const { proxy } of replicas.running()) {
        proxy.clearRules();
        proxy.breakConnections('reset');
      }
      await recheck('one', 'after-the-lag');
      expect(next.calls).toHaveLength(1);
      expect(checks('two') - checksBefore).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'a verified copy that the watches of the next one never brought is not taken for lost',
    async () => {
      for (const { proxy } of others()) {
        proxy.addRule({ isWatch: true, path: /\/secrets\?/, action: { kind: 'stall', when: 'before' } });
        proxy.breakConnections('reset');
      }
      await addAccount('unseen-copy');
      await untilConnected('unseen-copy');
      const since = new Date();
      leader.send('SIGTERM');
      const next = await replicas.leader(leader);
      // An answered request shows that the next one has looked at everything.
      await recheck('one', 'after-the-unseen-copy');
      for (const { proxy } of replicas.running()) {
        proxy.clearRules();
        proxy.breakConnections('reset');
      }
      expect(checks('unseen-copy')).toBe(1);
      expect(next.calls).toHaveLength(1);
      const paths = (await replicas.writes(since)).map(({ what }) => what);
      expect(paths.filter(path => path.includes('unseen-copy'))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'a rolling upgrade loses no check and makes none twice',
    async () => {
      // Slow enough that some checks are under way whenever a leader stops.
      const heal = bed.cloud('Hetzner').inject({ kind: 'latency', ms: 150 });
      const expected = new Map(['one', 'two', 'three'].map(name => [name, checks(name)]));
      let isUpgraded = false;
      const upgrade = (async () => {
        for (const old of replicas.running()) {
          await replicas.start();
          old.send('SIGTERM');
          expect(await old.ended).toBe(0);
        }
        isUpgraded = true;
      })();
      for (let round = 0; !isUpgraded; round++) {
        const name = `rolling-${round}`;
        await addAccount(name);
        expected.set(name, 1);
        const known = ['one', 'two', 'three'][round % 3]!;
        await bed.patchAccount(known, {
          metadata: { annotations: { 'strackt.io/recheck-requested': `rolling-${round}` } },
        });
        await bed.until(known, ({ status }) => status?.lastHandledRecheck === name, 'rechecked', 60_000);
        expected.set(known, expected.get(known)! + 1);
      }
      await upgrade;
      for (const name of expected.keys()) await untilConnected(name);
      heal();
      expect(new Map([...expected.keys()].map(name => [name, checks(name)]))).toEqual(expected);
    },
    TIMEOUT_MS,
  );

  test(
    'another one works when the lease of a killed leader has run out',
    async () => {
      const killedAt = performance.now();
      leader.send('SIGKILL');
      const next = await replicas.leader(leader);
      // The time of the lease, and what a busy machine takes.
      expect(next.ledFrom()! - killedAt).toBeLessThan(LEASE_MS + 2_000);
      await recheck('two', 'after-the-kill');
      expect(next.calls).toHaveLength(1);
    },
    TIMEOUT_MS,
  );

  test(
    'a leader that was frozen and wakes up after its time does nothing but end',
    async () => {
      const calls = leader.calls.length;
      leader.send('SIGSTOP');
      const since = new Date();
      const next = await replicas.leader(leader);
      // What it will find in its watches when it wakes up.
      await bed.patchAccount('three', {
        metadata: { annotations: { 'strackt.io/recheck-requested': 'while-frozen' } },
      });
      await addAccount('while-frozen');
      leader.send('SIGCONT');
      expect(await leader.ended).toBe(1);
      await untilConnected('while-frozen');
      await bed.until('three', ({ status }) => status?.lastHandledRecheck === 'while-frozen');
      expect(leader.calls).toHaveLength(calls);
      expect(new Set((await replicas.writes(since)).map(({ user }) => user))).toEqual(new Set([next.user]));
      expect(checks('while-frozen')).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'a leader that is cut off from the API server stops before another one begins',
    async () => {
      leader.proxy.stallAll();
      const cutAt = performance.now();
      expect(await leader.ended).toBe(1);
      expect(performance.now() - cutAt).toBeLessThan(RENEW_DEADLINE_MS + 2_500);
      const next = await replicas.leader(leader);
      await addAccount('after-the-cut');
      await untilConnected('after-the-cut');
      expect(checks('after-the-cut')).toBe(1);
      expect(next.calls).toHaveLength(1);
    },
    TIMEOUT_MS,
  );

  test(
    'a slow API server costs nobody the lead',
    async () => {
      for (const { proxy } of replicas.running()) proxy.addRule({ action: { kind: 'delay', ms: 1_000 } });
      const renewals = () => leader.proxy.count({ method: 'PUT', path: /\/leases\// });
      const before = renewals();
      await addAccount('slow');
      await untilConnected('slow');
      // Longer than a lease lasts without renewals: one takes 2 s.
      await eventually(renewals, count => count >= before + 5, 'renewals');
      for (const { proxy } of replicas.running()) proxy.clearRules();
      expect(others().map(({ ledFrom }) => ledFrom())).toEqual([undefined, undefined]);
      expect(leader.exitCode()).toBeUndefined();
      expect(checks('slow')).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'an API server that is away for longer than the lease ends the leader alone, and one works when it is back',
    async () => {
      const followers = others();
      const proxies = replicas.running().map(({ proxy }) => proxy);
      const callsBefore = bed.cloud('Hetzner').calls();
      for (const proxy of proxies) {
        proxy.addRule({ action: { kind: 'reset', when: 'before' } });
        proxy.breakConnections('reset');
      }
      expect(await leader.ended).toBe(1);
      // It ended at its deadline; now the lease runs out as well, and nobody can know.
      await new Promise(resolve => setTimeout(resolve, LEASE_MS - RENEW_DEADLINE_MS + 1_000));
      expect(followers.map(({ exitCode, ledFrom }) => exitCode() ?? ledFrom())).toEqual([
        undefined,
        undefined,
      ]);
      for (const proxy of proxies) proxy.clearRules();
      const next = await replicas.leader(leader);
      expect(followers).toContain(next);
      await addAccount('after-the-outage');
      await untilConnected('after-the-outage');
      expect(bed.cloud('Hetzner').calls() - callsBefore).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'never did two write or call at the same time',
    async () => {
      const writers = (await replicas.writes()).map(({ user }) => user);
      // A process leads once in its life: who wrote before another one did never wrote again.
      expect(runsOf(writers)).toEqual([...new Set(writers)]);
      const callers = replicas.all
        .flatMap(({ user, calls }) => calls.map(at => ({ user, at })))
        .sort((a, b) => a.at - b.at)
        .map(({ user }) => user);
      expect(runsOf(callers)).toEqual([...new Set(callers)]);
      expect(new Set(writers).size).toBeGreaterThan(5);
    },
    TIMEOUT_MS,
  );
});

/** Who comes after whom, each uninterrupted run as one. */
function runsOf(names: readonly string[]): string[] {
  return names.filter((name, i) => name !== names[i - 1]);
}
