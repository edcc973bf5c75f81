import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createEventRecorder } from '../../../operator/kube/events.ts';
import type { KubeClient } from '../../../operator/kube/client.ts';
import {
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isInvalid,
  isNotFound,
} from '../../../operator/kube/errors.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { createNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { CONFIG_MAPS, adminClient, configMap, type ConfigMap } from './support.ts';

const TIMEOUT_MS = 60_000;

let controlPlane: ControlPlane;
let client: KubeClient;
let namespace: string;

beforeAll(async () => {
  controlPlane = sharedControlPlane();
  client = adminClient(controlPlane);
  namespace = await createNamespace(controlPlane, 'kube');
}, TIMEOUT_MS);

afterAll(() => client.close());

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'it did not fail',
    (error: unknown) => error,
  );
}

describe('writes', () => {
  test('create, replace and delete, each guarded', async () => {
    const made = await client.create<ConfigMap>(CONFIG_MAPS, configMap(namespace, 'a', { x: '1' }));
    expect(isAlreadyExists(await errorOf(client.create(CONFIG_MAPS, configMap(namespace, 'a'))))).toBe(true);

    const replaced = await client.replace<ConfigMap>(CONFIG_MAPS, { ...made, data: { y: '2' } });
    expect(replaced.data).toEqual({ y: '2' });
    expect(isConflict(await errorOf(client.replace(CONFIG_MAPS, { ...made, data: {} })))).toBe(true);

    const key = { namespace, name: 'a' };
    const wrongUid = { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } };
    expect(isConflict(await errorOf(client.delete(CONFIG_MAPS, key, wrongUid)))).toBe(true);
    await client.delete(CONFIG_MAPS, key, { preconditions: { uid: made.metadata.uid } });
    expect(isNotFound(await errorOf(client.get(CONFIG_MAPS, key)))).toBe(true);
  });

  test('apply: fields left out go, a repeated apply writes nothing, an old resourceVersion is refused', async () => {
    const options = { fieldManager: 'tester', force: true };
    const first = await client.apply<ConfigMap>(
      CONFIG_MAPS,
      configMap(namespace, 'b', { x: '1', y: '1' }),
      options,
    );
    const same = await client.apply<ConfigMap>(
      CONFIG_MAPS,
      configMap(namespace, 'b', { x: '1', y: '1' }),
      options,
    );
    expect(same.metadata.resourceVersion).toBe(first.metadata.resourceVersion);

    const second = await client.apply<ConfigMap>(CONFIG_MAPS, configMap(namespace, 'b', { y: '2' }), options);
    expect(second.data).toEqual({ y: '2' });

    const { resourceVersion } = first.metadata;
    const stale = { metadata: { namespace, name: 'b', resourceVersion }, data: { y: '3' } };
    expect(isConflict(await errorOf(client.apply(CONFIG_MAPS, stale, options)))).toBe(true);
    expect((await client.get<ConfigMap>(CONFIG_MAPS, { namespace, name: 'b' })).data).toEqual({ y: '2' });
  });

  test('refusals come with their kind', async () => {
    const tooLong = { metadata: { namespace, name: 'A_wrong_name' } };
    expect(isInvalid(await errorOf(client.create(CONFIG_MAPS, tooLong)))).toBe(true);
    expect(isNotFound(await errorOf(client.create(CONFIG_MAPS, configMap('no-such-namespace', 'a'))))).toBe(
      true,
    );
    const quota = {
      group: '',
      version: 'v1',
      plural: 'resourcequotas',
      kind: 'ResourceQuota',
      namespaced: true,
    };
    const crowded = await createNamespace(controlPlane, 'kube');
    const spec = { hard: { 'count/configmaps': '0' } };
    await client.create(quota, { metadata: { namespace: crowded, name: 'none' }, spec });
    let refused: unknown;
    // The quota counts once its controller has seen it.
    for (let index = 0; !isForbidden(refused); index++) {
      refused = await errorOf(client.create(CONFIG_MAPS, configMap(crowded, `c-${index}`)));
    }
    expect(String(refused)).toContain('quota');
  });

  test('a resource version from before is 410', async () => {
    const pages = client.listPages(CONFIG_MAPS, {
      namespace,
      resourceVersion: '1',
      resourceVersionMatch: 'Exact',
    });
    await controlPlane.compact();
    expect(isExpired(await errorOf(pages.next()))).toBe(true);
  });

  test('metadata of one object, without its body', async () => {
    await client.create(CONFIG_MAPS, configMap(namespace, 'm', { x: '1' }));
    const metadata = await client.getMetadata(CONFIG_MAPS, { namespace, name: 'm' });
    expect(metadata.kind).toBe('PartialObjectMetadata');
    expect(metadata).not.toHaveProperty('data');
  });
});

interface EventList {
  items: { reason: string; note: string; series?: { count: number }; regarding: { name: string } }[];
}

test('events are taken by the API server, counted as a series, and shown with their object', async () => {
  const object = await client.create<ConfigMap>(CONFIG_MAPS, configMap(namespace, 'regarded'));
  const dropped: unknown[] = [];
  const recorder = createEventRecorder({
    client,
    reportingController: 'example.com/tester',
    reportingInstance: 'tester-1',
    onDropped: why => dropped.push(why),
  });
  const regarding = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace,
    name: 'regarded',
    uid: object.metadata.uid,
  };
  for (let index = 0; index < 3; index++) {
    recorder.record(regarding, { type: 'Warning', reason: 'Tested', action: 'Test', note: '€'.repeat(1000) });
  }
  await recorder.flush();
  recorder.stop();
  const events = await client.request<EventList>(
    'GET',
    `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
    {
      query: { fieldSelector: 'regarding.name=regarded' },
    },
  );
  expect(dropped).toEqual([]);
  expect(events.items).toHaveLength(1);
  expect(events.items[0]).toMatchObject({ reason: 'Tested', series: { count: 3 } });
});
