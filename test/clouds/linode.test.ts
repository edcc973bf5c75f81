import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { createLinodeCloud } from './linode.ts';

let cloud: ReturnType<typeof createLinodeCloud>;

beforeEach(async () => {
  cloud = createLinodeCloud();
  await cloud.listen();
});

afterEach(() => cloud.close());

function get(path: string, token?: string): Promise<Response> {
  return fetch(`${cloud.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
}

test('the profile needs no scope and tells the scopes of the token', async () => {
  const { token } = cloud.createToken({ scopes: ['domains:read_only', 'linodes:read_only'] }).credential;
  const response = await get('/v4/profile', token);
  expect(response.status).toBe(200);
  expect(response.headers.get('x-oauth-scopes')).toBe('domains:read_only linodes:read_only');
});

test('a bad token and a missing scope are both 401, with different texts', async () => {
  const { token } = cloud.createToken({ scopes: ['linodes:read_only'] }).credential;
  const bad = await get('/v4/profile', 'unknown');
  expect([bad.status, bad.headers.get('x-oauth-scopes')]).toEqual([401, 'unknown']);
  expect(await bad.json()).toEqual({ errors: [{ reason: 'Invalid Token' }] });
  const lacking = await get('/v4/account', token);
  expect(lacking.status).toBe(401);
  expect(await lacking.json()).toEqual({
    errors: [{ reason: 'Your OAuth token is not authorized to use this endpoint.' }],
  });
});

test('an account that is not activated fails everywhere but on the profile', async () => {
  const { credential, account } = cloud.createToken();
  account.activated = false;
  expect((await get('/v4/profile', credential['token'])).status).toBe(200);
  expect((await get('/v4/account', credential['token'])).status).toBe(403);
  expect((await get('/v4/linode/instances', credential['token'])).status).toBe(403);
});

test('the list of tokens shows 16 characters of each, and only the user’s own', async () => {
  const own = cloud.createToken({ name: 'own', expiresInSeconds: 60 });
  cloud.createToken({ name: 'colleague' });
  const response = await get('/v4/profile/tokens', own.credential['token']);
  expect(await response.json()).toMatchObject({
    data: [{ label: 'own', token: own.credential['token']?.slice(0, 16), scopes: '*' }],
    results: 1,
  });
});

test('a user that is not restricted has no grants', async () => {
  const { token } = cloud.createToken().credential;
  expect((await get('/v4/profile/grants', token)).status).toBe(204);
});

test('Identity and Access decides in place of the grants, which know nothing of it', async () => {
  const extra = { restricted: true, addLinodes: false, permissions: ['create_linode'] };
  const { credential, account, extra: user } = cloud.createToken({ extra });
  const path = `/v4/iam/users/${user.username}/permissions/account`;
  expect((await get(path, credential['token'])).status).toBe(404);
  expect((await get('/v4/account', credential['token'])).status).toBe(200);
  account.iam = true;
  expect(await (await get(path, credential['token'])).json()).toEqual(['create_linode']);
  expect((await get('/v4/iam/users/other/permissions/account', credential['token'])).status).toBe(403);
  expect((await get('/v4/account', credential['token'])).status).toBe(403);
  const grants = await (await get('/v4/profile/grants', credential['token'])).json();
  expect(grants).toMatchObject({ global: { add_linodes: false, account_access: 'read_only' } });
});

test('older scopes are held to what they stand for', async () => {
  const { token } = cloud.createToken({ scopes: ['linodes:view', 'account:modify'] }).credential;
  expect((await get('/v4/linode/instances', token)).status).toBe(200);
  expect((await get('/v4/account', token)).status).toBe(200);
});

test('lists come in pages of 25 to 500', async () => {
  const { credential, account } = cloud.createToken();
  for (let id = 1; id <= 30; id++) account.linodes.push({ id, label: `web-${id}`, status: 'running' });
  const last = await get('/v4/linode/instances?page=2&page_size=25', credential['token']);
  expect(await last.json()).toMatchObject({
    data: [{ id: 26 }, {}, {}, {}, {}],
    page: 2,
    pages: 2,
    results: 30,
  });
  expect((await get('/v4/linode/instances?page_size=1', credential['token'])).status).toBe(400);
});
