import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { KubeClient } from '../../../operator/kube/client.ts';
import { isNotFound } from '../../../operator/kube/errors.ts';
import { type LeaseOptions, runAsLeader } from '../../../operator/kube/lease.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { createNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { adminClient, faultProxyFor, powerfulToken, tokenClient, until } from './support.ts';

const TIMEOUT_MS = 60_000;
const LEASES = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

interface Lease {
  metadata: { uid: string };
  spec: { holderIdentity: string; leaseTransitions: number };
}

let controlPlane: ControlPlane;
let admin: KubeClient;
let namespace: string;
let token: string;
let working: string[];
let most: number;

beforeAll(async () => {
  controlPlane = sharedControlPlane();
  admin = adminClient(controlPlane);
  token = await powerfulToken(controlPlane, await createNamespace(controlPlane, 'kube'));
}, TIMEOUT_MS);

afterAll(() => admin.close());

beforeEach(async () => {
  namespace = await createNamespace(controlPlane, 'kube');
  working = [];
  most = 0;
});

function start(
  client: KubeClient,
  identity: string,
  options: Partial<LeaseOptions> = {},
): { outcome: Promise<string>; stop(): void } {
  const stop = new AbortController();
  const outcome = runAsLeader(
    {
      client,
      namespace,
      name: 'leader',
      identity,
      leaseDurationMs: 3000,
      renewDeadlineMs: 2000,
      retryPeriodMs: 200,
      ...options,
    },
    async ({ signal }) => {
      working.push(identity);
      most = Math.max(most, working.length);
      await until(() => signal.aborted);
      working = working.filter(other => other !== identity);
    },
    stop.signal,
  );
  return { outcome, stop: () => stop.abort() };
}

async function currentLease(): Promise<Lease | undefined> {
  try {
    return await admin.get<Lease>(LEASES, { namespace, name: 'leader' });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

test(
  'a leader whose connection is half-open stops before the other begins',
  async () => {
    const proxy: FaultProxy = await faultProxyFor(controlPlane);
    const cutOff = tokenClient(controlPlane, proxy.url, token);
    const first = start(cutOff, 'first');
    await until(() => working.length === 1);
    const second = start(admin, 'second');
    proxy.stallAll();
    expect(await first.outcome).toBe('lost');
    await until(() => working.includes('second'));
    expect(most).toBe(1);
    second.stop();
    expect(await second.outcome).toBe('stopped');
    expect((await currentLease())?.spec).toMatchObject({ holderIdentity: '', leaseTransitions: 1 });
    await cutOff.close();
    await proxy.close();
  },
  TIMEOUT_MS,
);

test(
  'a renewal whose answer is lost, and a lease that somebody deletes, cost nobody the lead',
  async () => {
    const proxy: FaultProxy = await faultProxyFor(controlPlane);
    const client = tokenClient(controlPlane, proxy.url, token);
    const first = start(client, 'first');
    await until(() => working.length === 1);

    const lost = proxy.addRule({ method: 'PUT', times: 2, action: { kind: 'reset', when: 'after' } });
    await until(() => lost.hits === 2);
    const before = await currentLease();
    await admin.delete(LEASES, { namespace, name: 'leader' });
    await until(async () => {
      const lease = await currentLease();
      return lease !== undefined && lease.metadata.uid !== before?.metadata.uid;
    });
    expect(working).toEqual(['first']);
    first.stop();
    expect(await first.outcome).toBe('stopped');
    await client.close();
    await proxy.close();
  },
  TIMEOUT_MS,
);

test(
  'a lease that is given back is noticed by the watch, long before the next try',
  async () => {
    const patient = { leaseDurationMs: 300_000, renewDeadlineMs: 200_000, retryPeriodMs: 100_000 };
    const first = start(admin, 'first', { ...patient, watch: false });
    await until(() => working.length === 1);
    const second = start(admin, 'second', patient);
    const third = start(admin, 'third', { ...patient, watch: false });
    await until(async () => (await controlPlane.requests({ namespace, verbs: ['watch'] })).length === 1);
    first.stop();
    await first.outcome;
    await until(() => working.length === 1);
    expect(working).toEqual(['second']);
    expect(most).toBe(1);
    for (const candidate of [second, third]) candidate.stop();
    await Promise.all([second.outcome, third.outcome]);
  },
  TIMEOUT_MS,
);

test(
  'without the right to watch the lease, the tries find out',
  async () => {
    const proxy: FaultProxy = await faultProxyFor(controlPlane);
    const client = tokenClient(controlPlane, proxy.url, token);
    proxy.addRule({
      path: /fieldSelector/,
      action: {
        kind: 'answer',
        status: 403,
        body: JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden' }),
      },
    });
    const first = start(admin, 'first');
    await until(() => working.length === 1);
    const second = start(client, 'second');
    await until(() => proxy.count({ path: /fieldSelector/ }) > 0);
    first.stop();
    await first.outcome;
    await until(() => working.includes('second'));
    expect(most).toBe(1);
    second.stop();
    expect(await second.outcome).toBe('stopped');
    await client.close();
    await proxy.close();
  },
  TIMEOUT_MS,
);
