import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { HetznerCloud } from './hetzner.ts';
import { createHetznerCloud } from './hetzner.ts';

let cloud: HetznerCloud;

beforeEach(async () => {
  cloud = createHetznerCloud({ now: () => 1_800_000_000_000 });
  await cloud.listen();
});

afterEach(() => cloud.close());

function call(path: string, token: string | undefined, method = 'GET'): Promise<Response> {
  return fetch(`${cloud.url}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
}

test('pages the locations', async () => {
  const { token } = cloud.createToken().credential;
  const response = await call('/v1/locations?per_page=4&page=2', token);
  expect(await response.json()).toMatchObject({
    locations: [{ name: 'hil' }, { name: 'sin' }],
    meta: {
      pagination: { page: 2, per_page: 4, previous_page: 1, next_page: null, last_page: 2, total_entries: 6 },
    },
  });
});

test('tokens of one project share its rate limit', async () => {
  const first = cloud.createToken({ account: 'a' }).credential['token'];
  const second = cloud.createToken({ account: 'a' }).credential['token'];
  const elsewhere = cloud.createToken({ account: 'b' }).credential['token'];
  await call('/v1/locations', first);
  const headers = (await call('/v1/locations', second)).headers;
  expect(headers.get('ratelimit-remaining')).toBe('3598');
  expect(headers.get('ratelimit-reset')).toBe('1800000002');
  expect((await call('/v1/locations', elsewhere)).headers.get('ratelimit-remaining')).toBe('3599');
});

test('a read token may read and is told so with 401 when it writes', async () => {
  const { token } = cloud.createToken({ scopes: ['read'] }).credential;
  expect((await call('/v1/servers', token)).status).toBe(200);
  const refused = await call('/v1/servers', token, 'POST');
  expect(refused.status).toBe(401);
  expect(await refused.json()).toMatchObject({ error: { code: 'token_readonly' } });
});
