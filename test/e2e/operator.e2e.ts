import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { join } from 'node:path';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { type Example, loadExamples } from '../../scripts/demo/examples.ts';
import { waitForExamples } from '../../scripts/demo/accounts.ts';
import { control } from '../clouds/control.ts';
import { eventually } from '../integration/support/wait.ts';
import { connectMany } from './many.ts';
import { ACCOUNTS, MANY, SYSTEM } from './manifests.ts';
import { CHART, createWorld, FULL_NAME, RELEASE, ROOT, type World } from './world.ts';

/**
 * The chart and the image as users run them. One story in parts: each goes on where the one before ended.
 */

/** Minutes in production; here a series of refusals fits into one rolling upgrade. */
const CONFIRM_AFTER = '--confirm-after=15s,30s';
/** As OpenShift chooses them: any number, and the group 0. */
const ARBITRARY_USER = { runAsUser: 1_000_650_000, runAsGroup: 0 };

/** `resources.requests.memory` of the chart's values: a scheduler counts on no more. */
const REQUESTED_MIB = 128;

const EXAMPLES = loadExamples(join(ROOT, 'examples'));
/** One of each provider. */
const GOOD = EXAMPLES.filter(({ scenario }) => scenario.about === undefined).map(({ name }) => name);

let world: World;
let hasFailed = false;
/** Calls that one recheck of an account costs, by name. */
let costs: ReadonlyMap<string, number>;
let firstChecks: ReadonlyMap<string, number>;

beforeAll(async () => {
  world = await createWorld();
}, 180_000);
afterAll(() => world?.remove(), 240_000);

/** A part of the story. After a failure the rest makes no sense. */
function part(name: string, body: () => Promise<void>): void {
  test(name, async () => {
    if (hasFailed) throw new Error('an earlier part failed');
    try {
      await body();
    } catch (error) {
      hasFailed = true;
      console.log(await world.diagnosis());
      throw error;
    }
  });
}

describe('the chart and the image in a cluster', () => {
  part(
    'helm install brings two pods that are Ready under the Pod Security Standard "restricted"',
    async () => {
      await world.helm(
        ['install', RELEASE, CHART, `--namespace=${SYSTEM}`, '--wait', '--timeout=120s'],
        valuesWith({}),
      );

      const pods = await world.pods();
      expect(pods.map(isReady)).toEqual([true, true]);
      expect(pods.flatMap(pod => pod.status.containerStatuses?.map(status => status.restartCount))).toEqual([
        0, 0,
      ]);
      await eventually(
        () => world.leader(),
        leader => pods.some(pod => pod.metadata.name === leader),
        'one of them as the leader',
      );
    },
  );

  part('the image runs as a user without rights, process 1 is Node.js, and nothing is writable', async () => {
    expect(await insideOfPod()).toEqual({
      uid: 65532,
      process1: ['node', '--max-semi-space-size=4', '--disable-sigusr1', '/app/dist/operator.mjs'],
      writable: [],
    });
  });

  part('the examples of all seven providers reach the state that they are meant to show', async () => {
    for (const example of EXAMPLES) {
      if (example.scenario.before === undefined) await bringSecret(example);
      await world.kubectl(
        ['apply', '--server-side', '--filename=-', `--namespace=${ACCOUNTS}`],
        example.account,
      );
    }
    const failures = await waitForExamples(EXAMPLES, {
      list: () => world.accounts(),
      bringSecret,
      say: () => {},
      timeoutMs: 90_000,
    });
    expect(failures).toEqual([]);
    firstChecks = await callCounts();
  });

  part('a recheck of every good account costs what it costs, once', async () => {
    const before = await callCounts();
    await recheck('baseline', async () => {});
    costs = difference(before, await callCounts());
    for (const name of GOOD) expect([1, 2, 3]).toContain(costs.get(name));
  });

  part('helm test passes, and metrics are served', async () => {
    expect(await world.helm(['test', RELEASE, `--namespace=${SYSTEM}`, '--timeout=120s'])).toMatch(
      /Succeeded/,
    );
    const metrics = await fetch(`${world.serviceUrl(SYSTEM, `${FULL_NAME}-metrics`, 8080)}/metrics`);
    expect([metrics.status, await metrics.text()]).toEqual([
      200,
      expect.stringContaining('cloudaccount_accounts{provider="Hetzner",health="Connected"} 1'),
    ]);
  });

  part('a hundred accounts more fit into the memory that the chart asks for', async () => {
    await connectMany(world, 100);

    const leader = (await world.leader()) ?? '';
    const status = await world.kubectl([
      ...['exec', leader, `--namespace=${SYSTEM}`, '--', 'node', '--print'],
      "fs.readFileSync('/proc/1/status', 'utf8')",
    ]);
    const peakMiB = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
    console.log(`the leader's peak of memory is ${peakMiB.toFixed(0)} MiB`);
    expect(peakMiB).toBeLessThan(REQUESTED_MIB);
    await world.kubectl(['delete', 'cloudaccounts', '--all', `--namespace=${MANY}`, '--timeout=60s']);
  });

  part('with the pod of the leader deleted another one takes over, without a call or a write', async () => {
    const leader = (await world.leader()) ?? '';
    const before = await goodAccounts();
    const start = performance.now();
    await world.kubectl(['delete', 'pod', leader, `--namespace=${SYSTEM}`, '--wait=false']);
    const next = await eventually(
      () => world.leader(),
      name => name !== leader && name !== undefined,
      'another leader',
      30_000,
    );
    // A Lease that is not given back is free only after 15 s.
    expect(performance.now() - start).toBeLessThan(12_000);
    await world.kubectl(['wait', '--for=delete', `pod/${leader}`, `--namespace=${SYSTEM}`, '--timeout=60s']);
    // A process 1 without handlers is killed after the grace period of 30 s.
    expect(performance.now() - start).toBeLessThan(25_000);
    await rollout();

    expect((await world.pods()).map(pod => pod.metadata.name)).toContain(next);
    expect(await goodAccounts()).toEqual(before);
    const calls = await callCounts();
    await recheck('after hand-over', async () => {});
    expectCosts(difference(calls, await callCounts()), GOOD);
  });

  part('a rolling upgrade misses no check and makes none twice', async () => {
    const before = await callCounts();
    const others = GOOD.filter(name => name !== 'hetzner');
    await control(world.cloud('Hetzner'), 'revoke', { token: await tokenOf('hetzner') });
    await requestRecheck(['hetzner'], 'revoked');
    await accountWith('hetzner', account => account.status?.confirming?.count === 1, 'a first refusal');

    // The second and the third refusal fall into the upgrade or behind it, whoever leads by then.
    await recheck(
      'upgrade',
      () =>
        world.helm(
          ['upgrade', RELEASE, CHART, `--namespace=${SYSTEM}`],
          valuesWith({ log: { level: 'debug' }, podSecurityContext: ARBITRARY_USER }),
        ),
      others,
    );
    await rollout();
    await accountWith(
      'hetzner',
      account => account.status?.health === 'NeedsAttention',
      'the demotion after three refusals',
    );

    expect((await insideOfPod()).uid).toBe(ARBITRARY_USER.runAsUser);
    const calls = await world.calls();
    expect(calls.get('hetzner')?.filter(({ status }) => status === 401)).toHaveLength(3);
    expectCosts(difference(before, await callCounts()), others);
  });

  part('so does a rollback, with an account that is created meanwhile', async () => {
    const newcomer = { name: 'newcomer', provider: 'DigitalOcean', secret: 'newcomer-token' } as const;
    await control(world.cloud('Hetzner'), 'restore', { token: await tokenOf('hetzner') });
    await world.bringSecret(newcomer);
    const before = await callCounts();
    await recheck('rollback', async () => {
      await world.helm(['rollback', RELEASE, '1', `--namespace=${SYSTEM}`]);
      await world.kubectl(['apply', '--server-side', '--filename=-', `--namespace=${ACCOUNTS}`], {
        apiVersion: 'strackt.io/v1alpha1',
        kind: 'CloudAccount',
        metadata: { name: newcomer.name },
        spec: { provider: newcomer.provider, credentialsSecretRef: { name: newcomer.secret } },
      });
    });
    await rollout();
    for (const name of ['hetzner', newcomer.name]) {
      await accountWith(name, account => account.status?.health === 'Connected', 'Connected');
    }

    expect((await insideOfPod()).uid).toBe(65532);
    const spent = difference(before, await callCounts());
    expectCosts(spent, GOOD);
    expect(spent.get(newcomer.name)).toBe(firstChecks.get('digitalocean'));
  });

  part('helm uninstall leaves accounts and verified copies, which go without the operator', async () => {
    const accounts = await world.accounts();
    await world.helm(['uninstall', RELEASE, `--namespace=${SYSTEM}`, '--wait', '--timeout=120s']);

    expect(await world.pods()).toEqual([]);
    expect([...(await world.accounts()).keys()].sort()).toEqual([...accounts.keys()].sort());
    const copies = await world.kubectl([
      ...['get', 'secrets', `--namespace=${ACCOUNTS}`, '--output=name'],
      '--field-selector=type=strackt.io/verified-credential',
    ]);
    for (const name of GOOD) expect(copies).toContain(`secret/${name}-verified`);
    await world.kubectl(['delete', 'namespace', ACCOUNTS, '--timeout=120s']);
  });
});

function valuesWith(values: Record<string, unknown>): Record<string, unknown> {
  const extraArgs = [...(world.values['extraArgs'] as string[]), CONFIRM_AFTER];
  return { ...world.values, extraArgs, replicas: 2, ...values };
}

function isReady({ status }: Awaited<ReturnType<World['pods']>>[number]): boolean {
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

async function rollout(): Promise<void> {
  await world.kubectl([
    ...['rollout', 'status', `deployment/${FULL_NAME}`],
    ...[`--namespace=${SYSTEM}`, '--timeout=150s'],
  ]);
}

async function bringSecret({ name, provider, secret, scenario }: Example): Promise<void> {
  const index = await world.bringSecret({
    name,
    provider,
    secret: secret.metadata.name,
    ...(scenario.token && { token: scenario.token }),
  });
  const url = world.cloud(provider);
  if (scenario.revoked) await control(url, 'revoke', { token: index });
  if (scenario.unreachable)
    await control(url, 'fault', { fault: { kind: 'reset' }, scope: { token: index } });
}

async function tokenOf(name: string): Promise<number | undefined> {
  return (await world.calls()).get(name)?.[0]?.token;
}

/** Asks for a recheck of accounts while something happens, and waits until all are answered. */
async function recheck(id: string, meanwhile: () => Promise<unknown>, names = GOOD): Promise<void> {
  const happening = meanwhile();
  await Promise.all([happening, requestRecheck(names, id)]);
  for (const name of names) {
    await accountWith(name, account => account.status?.lastHandledRecheck === id, `the answer to "${id}"`);
  }
}

async function requestRecheck(names: readonly string[], id: string): Promise<void> {
  await world.kubectl([
    ...['annotate', 'cloudaccount', ...names, `--namespace=${ACCOUNTS}`],
    ...['--overwrite', `strackt.io/recheck-requested=${id}`],
  ]);
}

async function accountWith(
  name: string,
  accept: (account: CloudAccount) => boolean,
  what: string,
): Promise<void> {
  await eventually(
    async () => (await world.accounts()).get(name),
    account => account !== undefined && accept(account),
    `${name}: ${what}`,
    90_000,
  );
}

async function callCounts(): Promise<ReadonlyMap<string, number>> {
  return new Map(Array.from(await world.calls(), ([name, entries]) => [name, entries.length]));
}

/** Calls and versions of the good accounts; others may be tried again at any time. */
async function goodAccounts(): Promise<string[]> {
  const calls = await callCounts();
  const accounts = await world.accounts();
  return GOOD.map(
    name => `${name}: ${calls.get(name)} calls, version ${accounts.get(name)?.metadata.resourceVersion}`,
  );
}

function difference(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) {
  return new Map(Array.from(after, ([name, count]) => [name, count - (before.get(name) ?? 0)]));
}

function expectCosts(spent: ReadonlyMap<string, number>, names: readonly string[]): void {
  const of = (counts: ReadonlyMap<string, number>) => names.map(name => `${name}: ${counts.get(name)}`);
  expect(of(spent)).toEqual(of(costs));
}

/** How the operator's container looks from inside. */
async function insideOfPod(): Promise<{ uid: number; process1: string[]; writable: string[] }> {
  const program = `
    const fs = require('node:fs');
    const writable = ['/', '/app', '/app/dist', '/tmp', '/home', '/var/tmp'].filter(folder => {
      try { fs.writeFileSync(folder + '/probe', ''); return true; } catch { return false; }
    });
    const process1 = fs.readFileSync('/proc/1/cmdline', 'utf8').split('\\0').slice(0, -1)
      .filter((arg, index, all) => index <= all.indexOf('/app/dist/operator.mjs'));
    console.log(JSON.stringify({ uid: process.getuid(), process1, writable }));`;
  // Not the Deployment's: that may be one on its way out.
  const [pod] = await world.pods();
  const output = await world.kubectl([
    ...['exec', `${pod?.metadata.name}`, `--namespace=${SYSTEM}`, '--', 'node', '--eval', program],
  ]);
  return JSON.parse(output) as Awaited<ReturnType<typeof insideOfPod>>;
}
