import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { KubeClient } from '../../../operator/kube/client.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import type { Action, FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { startTcpProxy } from '../../fault-proxy/tcp-proxy.ts';
import { createNamespace, sharedControlPlane } from '../support/control-plane.ts';
import {
  CONFIG_MAPS,
  adminClient,
  configMap,
  faultProxyFor,
  powerfulToken,
  tokenClient,
  until,
  untilInSync,
  watchConfigMaps,
  type Watched,
} from './support.ts';

const TIMEOUT_MS = 60_000;

let controlPlane: ControlPlane;
let proxy: FaultProxy;
let admin: KubeClient;
let client: KubeClient;
let token: string;
let namespace: string;
let watched: Watched | undefined;

beforeAll(async () => {
  controlPlane = sharedControlPlane();
  proxy = await faultProxyFor(controlPlane);
  admin = adminClient(controlPlane);
  token = await powerfulToken(controlPlane, await createNamespace(controlPlane, 'kube'));
}, TIMEOUT_MS);

afterAll(async () => {
  await admin.close();
  await proxy.close();
});

beforeEach(async () => {
  client = tokenClient(controlPlane, proxy.url, token);
  namespace = await createNamespace(controlPlane, 'kube');
  await create('first');
}, TIMEOUT_MS);

afterEach(async () => {
  proxy.resume();
  proxy.clearRules();
  await watched?.stop();
  watched = undefined;
  await client.close();
  proxy.requests.length = 0;
});

async function create(...names: string[]): Promise<void> {
  for (const name of names) await admin.create(CONFIG_MAPS, configMap(namespace, name));
}

const path = (): string => `/api/v1/namespaces/${namespace}/configmaps`;

/** Started, in sync, and its watch accepted by the API server. */
async function watching(options: Parameters<typeof watchConfigMaps>[2] = {}): Promise<Watched> {
  const started = watchConfigMaps(client, namespace, options);
  watched = started;
  await until(() => proxy.requests.some(request => request.isWatch && request.outcome === 200));
  await create('seen');
  await until(() => started.store.get(`${namespace}/seen`) !== undefined);
  return started;
}

function counts(): { lists: number; watches: number } {
  return {
    lists: proxy.count({ path: path(), isWatch: false }),
    watches: proxy.count({ path: path(), isWatch: true }),
  };
}

describe('connections that break under a watch', () => {
  test.each(['reset', 'fin'] as const)(
    '%s: it goes on without a list, and nothing that happened meanwhile is missed',
    async how => {
      const current = await watching();
      // Kept away while the world changes.
      const refusal = proxy.addRule({ isWatch: true, action: { kind: 'reset', when: 'before' } });
      proxy.breakConnections(how);
      await refusal.firstHit;
      await create('meanwhile');
      await admin.delete(CONFIG_MAPS, { namespace, name: 'first' });
      refusal.remove();
      await untilInSync(current, admin, namespace);
      expect(current.store.get(`${namespace}/first`)).toBeUndefined();
      expect(counts().lists).toBe(1);
      expect(new Set(current.faults.map(fault => fault.code))).toEqual(new Set(['KUBE_CONNECTION']));
    },
    TIMEOUT_MS,
  );

  test(
    'half-open: no byte comes, and after the idle limit it connects anew',
    async () => {
      const current = await watching({ idleTimeoutMs: 1000 });
      // Every answer under way stalls; new connections work.
      proxy.stallAll();
      await create('unheard');
      await until(() => current.faults.length > 0);
      expect(current.faults[0]?.code).toBe('KUBE_TIMEOUT');
      proxy.resume();
      await untilInSync(current, admin, namespace);
      expect(counts().lists).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'half-open below TLS, where the proxy is only a wire',
    async () => {
      const wire = await startTcpProxy({ port: Number(new URL(controlPlane.server).port) });
      const overWire = tokenClient(controlPlane, `https://127.0.0.1:${wire.port}`, token);
      const current = watchConfigMaps(overWire, namespace, { idleTimeoutMs: 1000 });
      try {
        await current.reflector.synced;
        // Made after the list: only a watch that runs tells of it.
        await create('heard');
        await untilInSync(current, admin, namespace);
        wire.stall();
        await create('unheard');
        await until(() => current.faults.some(fault => fault.code === 'KUBE_TIMEOUT'));
        wire.resume();
        await untilInSync(current, admin, namespace);
      } finally {
        await current.stop();
        await overWire.close();
        await wire.close();
      }
    },
    TIMEOUT_MS,
  );

  test(
    'cut at any byte of the stream, again and again: never a wrong or missing object',
    async () => {
      for (let bytes = 1; bytes < 2000; bytes += 97) {
        proxy.addRule({ isWatch: true, times: 1, action: { kind: 'reset', afterBytes: bytes } });
      }
      const current = watchConfigMaps(client, namespace);
      watched = current;
      await current.reflector.synced;
      for (let index = 0; index < 40; index++) await create(`object-${index}`);
      await untilInSync(current, admin, namespace);
      expect(current.faults.length).toBeGreaterThan(5);
      expect(counts().lists).toBe(1);
    },
    TIMEOUT_MS,
  );
});

const status = (code: number, reason: string): string =>
  JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: reason });
const errorEvent = (code: number, reason: string): string =>
  `{"type":"ERROR","object":${status(code, reason)}}\n`;

describe('answers to a watch', () => {
  test.each<[string, Action, number]>([
    ['500', { kind: 'answer', status: 500, body: status(500, 'InternalError') }, 1],
    [
      '429',
      { kind: 'answer', status: 429, headers: { 'retry-after': '1' }, body: status(429, 'TooManyRequests') },
      1,
    ],
    ['410 as a status', { kind: 'answer', status: 410, body: status(410, 'Expired') }, 2],
    ['410 as an ERROR event', { kind: 'inject', bytes: errorEvent(410, 'Expired') }, 2],
    ['a malformed line', { kind: 'inject', bytes: '{"type":"MODIFIED","object":{"meta\n' }, 2],
  ])(
    '%s',
    async (_name, action, lists) => {
      const current = await watching();
      const rule = proxy.addRule({ isWatch: true, times: 1, action });
      const next = proxy.addRule({ isWatch: true, times: 1, action: { kind: 'delay', ms: 1 } });
      proxy.breakConnections('reset');
      await rule.firstHit;
      await create('afterwards');
      await admin.delete(CONFIG_MAPS, { namespace, name: 'first' });
      await next.firstHit;
      await untilInSync(current, admin, namespace);
      expect(current.store.get(`${namespace}/first`)).toBeUndefined();
      expect(counts().lists).toBe(lists);
    },
    TIMEOUT_MS,
  );

  test(
    '410 followed by a list that fails: it goes on trying, and keeps what it knew until then',
    async () => {
      const current = await watching();
      proxy.addRule({
        isWatch: true,
        times: 1,
        action: { kind: 'answer', status: 410, body: status(410, 'Expired') },
      });
      const failing = proxy.addRule({
        path: path(),
        isWatch: false,
        action: { kind: 'answer', status: 500, body: status(500, 'InternalError') },
      });
      proxy.breakConnections('fin');
      await until(() => failing.hits >= 4);
      expect(current.store.get(`${namespace}/first`)).toBeDefined();
      await admin.delete(CONFIG_MAPS, { namespace, name: 'first' });
      failing.remove();
      await untilInSync(current, admin, namespace);
      expect(current.store.get(`${namespace}/first`)).toBeUndefined();
    },
    TIMEOUT_MS,
  );
});

test(
  'stop while connecting to a server that accepts and says nothing ends promptly',
  async () => {
    const wire = await startTcpProxy({ port: Number(new URL(controlPlane.server).port) });
    wire.stall();
    const silent = tokenClient(controlPlane, `https://127.0.0.1:${wire.port}`, token);
    const current = watchConfigMaps(silent, namespace);
    await until(() => wire.openConnections() > 0);
    const stoppedAt = performance.now();
    await current.stop();
    await silent.close();
    expect(performance.now() - stoppedAt).toBeLessThan(3000);
    await wire.close();
  },
  TIMEOUT_MS,
);

test(
  'a very large list and very large objects arrive whole',
  async () => {
    const large = '€'.repeat(250_000);
    await admin.create(CONFIG_MAPS, configMap(namespace, 'large', { text: large }));
    const names = Array.from({ length: 1200 }, (_, index) => `object-${index}`);
    await Promise.all(
      names.map(name => admin.create(CONFIG_MAPS, configMap(namespace, name, { text: 'x'.repeat(10_000) }))),
    );
    const current = await watching();
    // 1,200 and some more in pages of 500.
    expect(counts().lists).toBe(3);
    expect(current.store.get(`${namespace}/large`)?.data?.['text']).toBe(large);
    await admin.patch(CONFIG_MAPS, { namespace, name: 'large' }, { data: { more: '€' } });
    await untilInSync(current, admin, namespace);
    expect(current.store.get(`${namespace}/large`)?.data).toEqual({ text: large, more: '€' });
    expect(current.faults).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  'metadata-only: the bodies never cross the wire',
  async () => {
    await admin.create(CONFIG_MAPS, configMap(namespace, 'body', { text: 'b'.repeat(100) }));
    const current = await watching({ metadataOnly: true });
    await admin.patch(CONFIG_MAPS, { namespace, name: 'body' }, { data: { text: 'c' } });
    await untilInSync(current, admin, namespace);
    expect(current.store.list().map(object => object.data)).toEqual(
      current.store.list().map(() => undefined),
    );
    expect(current.store.get(`${namespace}/body`)?.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
  },
  TIMEOUT_MS,
);
