import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { HostingerCloud } from './hostinger.ts';
import { createHostingerCloud } from './hostinger.ts';

let cloud: HostingerCloud;

beforeEach(async () => {
  cloud = createHostingerCloud();
  await cloud.listen();
});

afterEach(() => cloud.close());

function get(path: string, token?: string): Promise<Response> {
  return fetch(`${cloud.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
}

test('lists are plain arrays', async () => {
  const { token } = cloud.createToken().credential;
  expect(await (await get('/api/vps/v1/data-centers', token)).json()).toMatchObject([{ id: 29 }, { id: 9 }]);
  expect(await (await get('/api/vps/v1/virtual-machines', token)).json()).toEqual([]);
});

test('errors carry a message and a correlation id', async () => {
  const refused = await get('/api/vps/v1/data-centers', 'unknown');
  expect(refused.status).toBe(401);
  expect(await refused.json()).toEqual({
    message: 'Unauthenticated',
    correlation_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  const { token } = cloud.createToken().credential;
  expect((await get('/api/vps/v1/nothing', token)).status).toBe(404);
});
