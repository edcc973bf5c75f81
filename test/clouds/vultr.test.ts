import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { VultrCloud } from './vultr.ts';
import { createVultrCloud } from './vultr.ts';

let cloud: VultrCloud;

beforeEach(async () => {
  cloud = createVultrCloud();
  await cloud.listen();
});

afterEach(() => cloud.close());

function get(path: string, token?: string): Promise<Response> {
  return fetch(`${cloud.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
}

test('the account needs the ACL billing, servers an ACL of subscriptions', async () => {
  const { token } = cloud.createToken({ name: 'key' }).credential;
  expect((await get('/v2/account', token)).status).toBe(200);
  cloud.change('key', { scopes: ['subscriptions_view'] });
  expect((await get('/v2/account', token)).status).toBe(403);
  expect((await get('/v2/instances', token)).status).toBe(200);
  cloud.change('key', { scopes: ['dns'] });
  expect((await get('/v2/instances', token)).status).toBe(403);
});

test('a policy allows actions, by wildcards as well, and shows no ACLs', async () => {
  const { token } = cloud.createToken({ name: 'key', scopes: ['compute.instance.*'] }).credential;
  expect((await get('/v2/account', token)).status).toBe(403);
  expect((await get('/v2/instances', token)).status).toBe(200);
  cloud.change('key', { scopes: ['compute.baremetal.*', 'account.billing.Read'] });
  expect(await (await get('/v2/account', token)).json()).toMatchObject({ account: { acls: [] } });
  expect((await get('/v2/instances', token)).status).toBe(403);
});

test('users of one organization have addresses of their own', async () => {
  const owner = cloud.createToken();
  const other = cloud.createToken({ extra: { email: 'deploy@example.com' } });
  expect(other.account).toBe(owner.account);
  const headers = (await get('/v2/account', other.credential['token'])).headers;
  expect(headers.get('x-user')).toBe('deploy@example.com');
});

test('names a caller’s address that is not on the list', async () => {
  const { token } = cloud.createToken({ addresses: ['203.0.113.7'] }).credential;
  const response = await get('/v2/account', token);
  expect(response.status).toBe(401);
  expect(await response.json()).toEqual({ error: 'Unauthorized IP address: 127.0.0.1', status: 401 });
});

test('sends the user’s address with answers to a known key only', async () => {
  const { credential, account } = cloud.createToken();
  expect((await get('/v2/account', credential['token'])).headers.get('x-user')).toBe(account.email);
  expect((await get('/v2/account', 'unknown')).headers.has('x-user')).toBe(false);
});

test('answers the regions without any key: they prove nothing', async () => {
  const response = await get('/v2/regions');
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ meta: { total: 1, links: { next: '', prev: '' } } });
});
