import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { KubeClient } from '../../../operator/kube/client.ts';
import { isNotFound } from '../../../operator/kube/errors.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { createNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { CONFIG_MAPS, adminClient, configMap, faultProxyFor, powerfulToken, tokenClient } from './support.ts';

const TIMEOUT_MS = 60_000;

let controlPlane: ControlPlane;
let proxy: FaultProxy;
let admin: KubeClient;
let client: KubeClient;
let namespace: string;

beforeAll(async () => {
  controlPlane = sharedControlPlane();
  proxy = await faultProxyFor(controlPlane);
  admin = adminClient(controlPlane);
  namespace = await createNamespace(controlPlane, 'kube');
  client = tokenClient(controlPlane, proxy.url, await powerfulToken(controlPlane, namespace));
}, TIMEOUT_MS);

afterAll(async () => {
  await Promise.all([client.close(), admin.close()]);
  await proxy.close();
});

beforeEach(() => {
  proxy.clearRules();
  proxy.requests.length = 0;
});

async function exists(name: string): Promise<boolean> {
  try {
    await admin.get(CONFIG_MAPS, { namespace, name });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

test.each(['reset', 'fin'] as const)('%s before: the API server has not seen the write', async kind => {
  proxy.addRule({ method: 'POST', times: 1, action: { kind, when: 'before' } });
  await expect(client.create(CONFIG_MAPS, configMap(namespace, `before-${kind}`))).rejects.toMatchObject({
    code: 'KUBE_CONNECTION',
  });
  expect(await exists(`before-${kind}`)).toBe(false);
});

test.each(['reset', 'fin'] as const)('%s after: the write has happened, its answer is lost', async kind => {
  proxy.addRule({ method: 'POST', times: 1, action: { kind, when: 'after' } });
  await expect(client.create(CONFIG_MAPS, configMap(namespace, `after-${kind}`))).rejects.toMatchObject({
    code: 'KUBE_CONNECTION',
  });
  expect(await exists(`after-${kind}`)).toBe(true);
});

test('hooks run while the client waits: before the API server sees the write, and after it has done it', async () => {
  const seen: unknown[] = [];
  proxy.addRule({
    method: 'POST',
    action: {
      kind: 'hook',
      before: async () => void seen.push(await exists('hooked')),
      after: async (request, status) => void seen.push(await exists('hooked'), status, request.method),
    },
  });
  await client.create(CONFIG_MAPS, configMap(namespace, 'hooked'));
  expect(seen).toEqual([false, true, 201, 'POST']);
});

test('a rule can let requests pass first, and strike a given number of times', async () => {
  const path = `/api/v1/namespaces/${namespace}/configmaps/hooked`;
  const rule = proxy.addRule({
    path,
    skip: 1,
    times: 2,
    action: { kind: 'answer', status: 409, body: '{}' },
  });
  const outcomes: unknown[] = [];
  for (let index = 0; index < 4; index++) {
    outcomes.push(
      await client
        .request('PUT', path, { body: {} })
        .then(undefined, (error: { status: number }) => error.status),
    );
  }
  // What passes is refused by the API server itself, as an object without a name.
  expect(outcomes).toEqual([400, 409, 409, 400]);
  expect(rule.hits).toBe(2);
  expect(proxy.count({ path, method: 'PUT' })).toBe(4);
});
