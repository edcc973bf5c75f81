import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { DigitalOceanAccount, DigitalOceanExtra } from './digitalocean.ts';
import type { Cloud } from './kit.ts';
import { control } from './control.ts';
import { createDigitalOceanCloud } from './digitalocean.ts';
import { createUpCloudCloud } from './upcloud.ts';

let cloud: Cloud<DigitalOceanAccount, DigitalOceanExtra>;
let time = 1_800_000_000_000;

beforeEach(async () => {
  cloud = createDigitalOceanCloud({ now: () => time });
  await cloud.listen();
});

afterEach(() => cloud.close());

function get(path: string, token = cloud.tokens[0]?.credential['token'] ?? 'none'): Promise<Response> {
  return fetch(`${cloud.url}${path}`, { redirect: 'manual', headers: { authorization: `Bearer ${token}` } });
}

describe('a simulated cloud', () => {
  test('answers a token with the facts of its account and rate-limit headers', async () => {
    cloud.createToken();
    const response = await get('/v2/account');
    expect(response.status).toBe(200);
    expect(response.headers.get('ratelimit-remaining')).toBe('4999');
    expect(await response.json()).toMatchObject({ account: { status: 'active' } });
  });

  test('refuses unknown, revoked and expired tokens, and callers from elsewhere', async () => {
    const token = cloud.createToken({ expiresInSeconds: 60 });
    expect((await get('/v2/account', 'other')).status).toBe(401);
    expect((await get('/v2/account')).status).toBe(200);
    time += 60_000;
    expect((await get('/v2/account')).status).toBe(401);
    delete token.expiresAt;
    cloud.change(0, { addresses: ['203.0.113.7'] });
    expect((await get('/v2/account')).status).toBe(403);
    cloud.change(0, { addresses: ['127.0.0.1'] });
    expect((await get('/v2/account')).status).toBe(200);
    cloud.revoke(0);
    expect((await get('/v2/account')).status).toBe(401);
  });

  test('counts calls by token and path, and keeps no credential in its log', async () => {
    cloud.createToken();
    await get('/v2/account');
    await get('/v2/account', 'other');
    await get('/v2/droplets?page=1');
    expect(cloud.calls()).toBe(3);
    expect(cloud.calls({ token: 0, path: '/v2/account' })).toBe(1);
    expect(JSON.stringify(cloud.log)).not.toContain(cloud.tokens[0]?.credential['token']);
  });

  test('gives the same credentials for the same seed and others for another', () => {
    const same = createDigitalOceanCloud().createToken().credential;
    expect(createDigitalOceanCloud().createToken().credential).toEqual(same);
    expect(createDigitalOceanCloud({ seed: 'x' }).createToken().credential).not.toEqual(same);
  });

  test('pages lists with links to the next page', async () => {
    const token = cloud.createToken();
    token.account.droplets = Array.from({ length: 3 }, (_, id) => ({
      id,
      name: `web-${id}`,
      status: 'active',
    }));
    const first = (await (await get('/v2/droplets?per_page=2')).json()) as {
      links: { pages: { next: string } };
    };
    expect(first).toMatchObject({ droplets: [{ id: 0 }, { id: 1 }], meta: { total: 3 } });
    const next = new URL(first.links.pages.next);
    expect(await (await get(next.pathname + next.search)).json()).toMatchObject({
      droplets: [{ id: 2 }],
      links: {},
    });
  });
});

test('a call is told apart by the door that it came through', async () => {
  const door = await cloud.openDoor();
  await fetch(`${door}/v2/account`);
  await get('/v2/account');
  expect(cloud.log.map(({ port }) => String(port))).toEqual([new URL(door).port, new URL(cloud.url).port]);
});

describe('faults', () => {
  test('hit one token or path, and only as often as asked', async () => {
    cloud.createToken();
    const other = cloud.createToken().credential['token'];
    cloud.inject({ kind: 'status', status: 503 }, { token: 0, path: '/v2/account', times: 1 });
    expect((await get('/v2/account', other)).status).toBe(200);
    expect((await get('/v2/droplets')).status).toBe(200);
    expect((await get('/v2/account')).status).toBe(503);
    expect((await get('/v2/account')).status).toBe(200);
  });

  test('hit the calls of a route by its pattern, and are not taken for a call that there is not', async () => {
    const upcloud = createUpCloudCloud();
    await upcloud.listen();
    try {
      const { token = '' } = upcloud.createToken().credential;
      const ask = async (path: string): Promise<number> =>
        (await fetch(`${upcloud.url}${path}`, { headers: { authorization: `Bearer ${token}` } })).status;
      await control(upcloud.url, 'fault', {
        fault: { kind: 'status', status: 503 },
        scope: { path: '/1.3/account/details/:username' },
      });
      expect([await ask('/1.3/account/details/anybody'), await ask('/1.3/account')]).toEqual([503, 200]);
      await expect(
        control(upcloud.url, 'fault', { fault: { kind: 'reset' }, scope: { path: '/1.3/acount' } }),
      ).rejects.toThrow('has no call /1.3/acount; there are /1.3/account');
    } finally {
      await upcloud.close();
    }
  });

  test('that cut an answer are told in the log, and those that only slow it down are not', async () => {
    cloud.createToken();
    cloud.inject({ kind: 'truncate', afterBytes: 60 }, { times: 1 });
    await expect(get('/v2/account').then(answer => answer.text())).rejects.toThrow();
    cloud.inject({ kind: 'drip', everyMs: 0 });
    await get('/v2/account');
    expect(cloud.log.map(({ cut }) => cut)).toEqual([true, undefined]);
  });

  test('can be switched off one by one and all at once', async () => {
    cloud.createToken();
    const off = cloud.inject({ kind: 'maintenance' });
    cloud.inject({ kind: 'throttle', retryAfter: '7' });
    const throttled = await get('/v2/account');
    expect([throttled.status, throttled.headers.get('retry-after')]).toEqual([429, '7']);
    off();
    expect((await get('/v2/account')).status).toBe(429);
    cloud.clearFaults();
    expect((await get('/v2/account')).status).toBe(200);
  });

  test.each([
    ['reset before the answer', { kind: 'reset' }],
    ['reset within the answer', { kind: 'reset', afterBytes: 300 }],
    ['truncation', { kind: 'truncate', afterBytes: 400 }],
    ['truncation of chunks', { kind: 'truncate', afterBytes: 400, framing: 'chunked' }],
  ] as const)('%s breaks the call', async (_name, fault) => {
    cloud.createToken();
    cloud.inject(fault);
    await expect(get('/v2/account').then(response => response.text())).rejects.toThrow();
    expect(cloud.log[0]?.bytes).toBeGreaterThan(400);
  });

  test.each([
    { kind: 'wire', encoding: 'gzip' },
    { kind: 'wire', encoding: 'br', framing: 'chunked' },
    { kind: 'wire', encoding: 'deflate', framing: 'close' },
    { kind: 'drip', everyMs: 0 },
    { kind: 'latency', ms: 5 },
  ] as const)('$kind $encoding $framing leaves the answer as it is', async fault => {
    cloud.createToken();
    cloud.inject(fault);
    expect(await (await get('/v2/account')).json()).toMatchObject({ account: { status: 'active' } });
  });

  test('hang leaves the connection open and silent', async () => {
    cloud.createToken();
    cloud.inject({ kind: 'hang' });
    await expect(fetch(cloud.url, { signal: AbortSignal.timeout(100) })).rejects.toThrow(/timeout/);
  });

  test.each(['plain', 'base64', 'url', 'json', 'html', 'separated'] as const)('echo as %s', async as => {
    const token = cloud.createToken().credential['token'] ?? '';
    cloud.inject({ kind: 'echo', as, status: 403 });
    const response = await get('/v2/account');
    const text = await response.text();
    expect(response.status).toBe(403);
    expect(response.headers.get('x-echo')?.length).toBeGreaterThan(70);
    expect(text.includes(token)).toBe(as === 'plain');
  });
});

describe('the control API', () => {
  test('makes, limits, revokes and restores tokens without ever listing their bytes', async () => {
    const made = await control(cloud.url, 'create-token', { name: 'demo', scopes: ['read'] });
    expect(made).toMatchObject({
      name: 'demo',
      credential: { token: cloud.token('demo').credential['token'] },
    });
    await control(cloud.url, 'revoke', { token: 'demo' });
    expect((await get('/v2/account')).status).toBe(401);
    await control(cloud.url, 'restore', { token: 'demo' });
    expect((await get('/v2/account')).status).toBe(200);
    await control(cloud.url, 'addresses', { token: 'demo', addresses: ['203.0.113.7'] });
    expect((await get('/v2/account')).status).toBe(403);
    const listed = JSON.stringify(await control(cloud.url, 'tokens'));
    expect(listed).toContain('demo');
    expect(listed).not.toContain(cloud.token('demo').credential['token']);
  });

  test('changes accounts and switches faults', async () => {
    cloud.createToken({ name: 'demo' });
    await control(cloud.url, 'account', { token: 'demo', changes: { status: 'locked' } });
    expect(await (await get('/v2/account')).json()).toMatchObject({ account: { status: 'locked' } });
    await control(cloud.url, 'fault', { fault: { kind: 'html', status: 401 }, scope: { token: 'demo' } });
    expect((await get('/v2/account')).headers.get('content-type')).toContain('text/html');
    await control(cloud.url, 'clear-faults');
    expect((await get('/v2/account')).status).toBe(200);
  });

  test('says what is wrong with a command', async () => {
    await expect(control(cloud.url, 'nonsense')).rejects.toThrow('no command nonsense');
    await expect(control(cloud.url, 'revoke', { token: 'nobody' })).rejects.toThrow('has no token nobody');
  });
});
