import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { KubeClient } from '../../../operator/kube/client.ts';
import { isNotFound } from '../../../operator/kube/errors.ts';
import { runAsLeader } from '../../../operator/kube/lease.ts';
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

function start(client: KubeClient, identity: string): { outcome: Promise<string>; stop(): void } {
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
