import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { createTestbed, type RunningOperator, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { faultProxyFor } from './support.ts';

/** A gateway in front of the API server that answers a single request itself, as gateways do while they are reloaded. */

const TIMEOUT_MS = 60_000;
const STATUSES = [403, 404, 409, 410, 422];
const HTML = { 'content-type': 'text/html' };
const PAGE = '<html><body>nginx</body></html>';

let bed: Testbed;
let proxy: FaultProxy;
let operator: RunningOperator;
let count = 0;

beforeAll(async () => {
  bed = await createTestbed();
  proxy = await faultProxyFor(bed.controlPlane);
  operator = await bed.start({ server: proxy.url });
}, TIMEOUT_MS);

beforeEach(() => {
  proxy.requests.length = 0;
});

afterEach(() => proxy.clearRules());

afterAll(async () => {
  await bed.close();
  await proxy.close();
}, TIMEOUT_MS);

interface Connected {
  name: string;
  copy: string;
  token: string;
  calls: () => number;
}

async function connect(): Promise<Connected> {
  const name = `account-${count++}`;
  const token = bed.cloud('Hetzner').createToken();
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'Hetzner');
  await bed.until(name, ({ status }) => status?.health === 'Connected');
  return {
    name,
    copy: `${name}-verified`,
    token: token.credential['token'] ?? '',
    calls: () => bed.cloud('Hetzner').calls({ token: token.index }),
  };
}

function strike(method: string, path: string | RegExp, status: number) {
  return proxy.addRule({
    method,
    path,
    times: 1,
    action: { kind: 'answer', status, headers: HTML, body: PAGE },
  });
}

async function recheck(name: string): Promise<void> {
  const value = `again-${count++}`;
  await bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': value } } });
  await bed.until(name, ({ status }) => status?.lastHandledRecheck === value, 'rechecked');
}

/** Health of every status that was written since. */
function healthsWritten(name: string): unknown[] {
  return proxy.requests
    .filter(({ method, path }) => method === 'PATCH' && path.includes(`/cloudaccounts/${name}/status`))
    .map(({ body }) => (JSON.parse(body) as { status: { health: unknown } }).status.health);
}

describe.each(STATUSES)('a page with status %d', status => {
  test(
    'for a read of the copy: it stays in force, and the account Connected',
    async () => {
      const { name, copy, token, calls } = await connect();
      const uid = (await bed.secret(copy))?.metadata.uid;
      const path = `/api/v1/namespaces/${bed.namespace}/secrets/${copy}`;
      proxy.requests.length = 0;
      const struck = strike('GET', path, status);
      // It is not as it was recorded, so it is read.
      await bed.patchSecret(copy, { metadata: { labels: { touched: String(count++) } } });
      await struck.firstHit;
      await eventually(
        () => proxy.count({ method: 'GET', path }),
        reads => reads > 1,
        'another read',
      );
      await recheck(name);
      expect(new Set(healthsWritten(name))).toEqual(new Set(['Connected']));
      expect((await bed.secret(copy))?.metadata.uid).toBe(uid);
      expect(await bed.published(copy)).toBe(token);
      // The recheck that was asked for, and no judgement of what was thought to be lost.
      expect(calls()).toBe(2);
    },
    TIMEOUT_MS,
  );

  test(
    'for a read of the source: it is not taken for deleted',
    async () => {
      const { name } = await connect();
      const path = `/api/v1/namespaces/${bed.namespace}/secrets/${name}-token`;
      const struck = strike('GET', path, status);
      proxy.requests.length = 0;
      await bed.patchSecret(`${name}-token`, { metadata: { labels: { touched: String(count++) } } });
      await struck.firstHit;
      await recheck(name);
      const reasons = proxy.requests.filter(
        ({ method, body }) => method === 'PATCH' && body.includes('SecretNotFound'),
      );
      expect(reasons).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'for the write of status: the account is not forgotten, and it is written without another call',
    async () => {
      const { name, calls } = await connect();
      const path = `/apis/strackt.io/v1alpha1/namespaces/${bed.namespace}/cloudaccounts/${name}/status`;
      const struck = strike('PATCH', path, status);
      await recheck(name);
      expect(struck.hits).toBe(1);
      expect(operator.controller.context.accounts.get(`${bed.namespace}/${name}`)).toBeDefined();
      expect(calls()).toBe(2);
    },
    TIMEOUT_MS,
  );

  test(
    'for the write of the copy: it is decided again, and nothing is asked twice',
    async () => {
      const name = `account-${count++}`;
      const token = bed.cloud('Hetzner').createToken();
      const struck = strike('POST', `/api/v1/namespaces/${bed.namespace}/secrets`, status);
      await bed.putSecret(`${name}-token`, token.credential);
      await bed.putAccount(name, 'Hetzner');
      await bed.until(name, account => account.status?.health === 'Connected');
      expect(struck.hits).toBe(1);
      expect(bed.cloud('Hetzner').calls({ token: token.index })).toBe(1);
      const published = await bed.published(`${name}-verified`);
      expect(published).toBe(token.credential['token']);
    },
    TIMEOUT_MS,
  );
});

test(
  'the write that the gateway answered had happened all the same: decided again, no second copy, no second call',
  async () => {
    const name = `account-${count++}`;
    const token = bed.cloud('Hetzner').createToken();
    const rule = proxy.addRule({
      method: 'POST',
      path: `/api/v1/namespaces/${bed.namespace}/secrets`,
      times: 1,
      action: { kind: 'replace-answer', status: 404, headers: HTML, body: PAGE },
    });
    await bed.putSecret(`${name}-token`, token.credential);
    await bed.putAccount(name, 'Hetzner');
    await bed.until(name, account => account.status?.health === 'Connected');
    expect(rule.hits).toBe(1);
    expect(bed.cloud('Hetzner').calls({ token: token.index })).toBe(1);
  },
  TIMEOUT_MS,
);
