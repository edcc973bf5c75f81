import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { KubeClient } from '../../../operator/kube/client.ts';
import { isExpired } from '../../../operator/kube/errors.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { startControlPlane } from '../../control-plane/start.ts';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { createNamespace } from '../support/control-plane.ts';
import {
  CONFIG_MAPS,
  adminClient,
  configMap,
  contentOf,
  faultProxyFor,
  powerfulToken,
  tokenClient,
  until,
  untilInSync,
  watchConfigMaps,
  type Watched,
} from './support.ts';

const TIMEOUT_MS = 120_000;

/** Of its own: these tests stop the API server, which others must not feel. */
let controlPlane: ControlPlane;
let proxy: FaultProxy;
let admin: KubeClient;
let token: string;
let namespace: string;
let client: KubeClient;
let watched: Watched;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  proxy = await faultProxyFor(controlPlane);
  admin = adminClient(controlPlane);
  token = await powerfulToken(controlPlane, 'default');
}, TIMEOUT_MS);

afterAll(async () => {
  await admin.close();
  await proxy.close();
  await controlPlane.stop();
}, TIMEOUT_MS);

beforeEach(async () => {
  namespace = await createNamespace(controlPlane, 'kube');
  for (const name of ['stays', 'goes']) await admin.create(CONFIG_MAPS, configMap(namespace, name));
  client = tokenClient(controlPlane, proxy.url, token);
  watched = watchConfigMaps(client, namespace);
  await untilInSync(watched, admin, namespace);
}, TIMEOUT_MS);

afterEach(async () => {
  proxy.clearRules();
  await watched.stop();
  await client.close();
  proxy.requests.length = 0;
});

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'the API server restarts (%s): the store follows again',
  async signal => {
    await controlPlane.apiServer.stop(signal);
    await until(() => watched.faults.length > 2);
    // What was known stays known while nobody can be asked.
    expect(watched.store.get(`${namespace}/stays`)).toBeDefined();
    await controlPlane.apiServer.start();
    await admin.delete(CONFIG_MAPS, { namespace, name: 'goes' });
    await admin.create(CONFIG_MAPS, configMap(namespace, 'comes'));
    await untilInSync(watched, admin, namespace);
    expect(watched.store.get(`${namespace}/goes`)).toBeUndefined();
  },
  TIMEOUT_MS,
);

test(
  'etcd is compacted while the watch is away: the real 410 leads to a list that finds what was deleted',
  async () => {
    const changes: string[] = [];
    watched.store.subscribe(({ type, object: { metadata } }) => {
      // kube-controller-manager's own, whenever it comes to it.
      if (metadata.name !== 'kube-root-ca.crt') changes.push(`${type} ${metadata.name}`);
    });
    const away = proxy.addRule({ action: { kind: 'reset', when: 'before' } });
    proxy.breakConnections('reset');
    await away.firstHit;
    await admin.delete(CONFIG_MAPS, { namespace, name: 'goes' });
    await admin.create(CONFIG_MAPS, configMap(namespace, 'comes'));
    await controlPlane.compact();
    // The API server's cache would still serve the old watch.
    await controlPlane.apiServer.restart();
    // etcd's revisions move on, so that the cache of the restarted server begins behind the compaction.
    await admin.create(CONFIG_MAPS, configMap(namespace, 'later'));
    away.remove();
    await untilInSync(watched, admin, namespace);
    expect(watched.faults.some(isExpired)).toBe(true);
    expect(changes.sort()).toEqual(['added comes', 'added later', 'deleted goes']);
  },
  TIMEOUT_MS,
);

test(
  'many faults at once while the world changes: in the end the store is what the API server has',
  async () => {
    // What a subscriber was told adds up to what is there: no lost, doubled or ghostly change.
    const told = new Map(watched.store.list().map(object => [object.metadata.name, object]));
    let contradictions = 0;
    watched.store.subscribe(({ type, object }) => {
      const { name } = object.metadata;
      if (told.has(name) === (type === 'added')) contradictions++;
      if (type === 'deleted') told.delete(name);
      else told.set(name, object);
    });

    const deadline = performance.now() + 8000;
    const isOver = (): boolean => performance.now() > deadline;
    const breakThings = async (): Promise<void> => {
      const actions = [
        { kind: 'reset', when: 'before' },
        { kind: 'fin', when: 'after' },
        { kind: 'reset', afterBytes: 700 },
        { kind: 'answer', status: 500 },
        { kind: 'answer', status: 410, body: '{"kind":"Status","code":410,"reason":"Expired"}' },
        { kind: 'inject', bytes: '{"type"\n' },
      ] as const;
      for (let round = 0; !isOver(); round++) {
        proxy.addRule({ times: 1, action: actions[round % actions.length] ?? actions[0] });
        if (round % 3 === 0) proxy.breakConnections(round % 2 === 0 ? 'reset' : 'fin');
        await new Promise(resolve => setTimeout(resolve, 60));
      }
    };
    const change = async (): Promise<void> => {
      for (let round = 0; !isOver(); round++) {
        const name = `object-${round % 7}`;
        const { resourceVersion } = (
          await admin.create<{ metadata: { resourceVersion: string } }>(
            CONFIG_MAPS,
            configMap(namespace, name),
          )
        ).metadata;
        await admin.patch(CONFIG_MAPS, { namespace, name }, { data: { round: resourceVersion } });
        await admin.delete(CONFIG_MAPS, { namespace, name });
        if (round % 10 === 9) await admin.create(CONFIG_MAPS, configMap(namespace, `kept-${round}`));
      }
    };
    await Promise.all([breakThings(), change()]);
    proxy.clearRules();
    await untilInSync(watched, admin, namespace);
    expect(contradictions).toBe(0);
    expect(contentOf(told.values())).toBe(contentOf(watched.store.list()));
    expect(watched.faults.length).toBeGreaterThan(10);
  },
  TIMEOUT_MS,
);
