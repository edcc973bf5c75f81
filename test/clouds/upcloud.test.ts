import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { createUpCloudCloud } from './upcloud.ts';

let cloud: ReturnType<typeof createUpCloudCloud>;

beforeEach(async () => {
  cloud = createUpCloudCloud();
  await cloud.listen();
});

afterEach(() => cloud.close());

function get(path: string, authorization?: string): Promise<Response> {
  return fetch(`${cloud.url}${path}`, authorization === undefined ? {} : { headers: { authorization } });
}

function basic({ username, password }: Record<string, string>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

test('takes a token, or a user name with its password', async () => {
  const { token } = cloud.createToken().credential;
  expect((await get('/1.3/account', `Bearer ${token}`)).status).toBe(200);
  const user = cloud.createToken({ extra: { basic: true } }).credential;
  expect((await get('/1.3/account', basic(user))).status).toBe(200);
  expect((await get('/1.3/account', basic({ ...user, password: 'wrong' }))).status).toBe(401);
});

test('errors come in two formats, and the old one under either media type', async () => {
  const bearer = await get('/1.3/account', 'Bearer ucat_unknown');
  expect(await bearer.json()).toMatchObject({ type: expect.stringMatching(/#ERROR_AUTHENTICATION_FAILED$/) });
  const password = await get('/1.3/account', basic({ username: 'x', password: 'y' }));
  expect(await password.json()).toMatchObject({ error: { error_code: 'AUTHENTICATION_FAILED' } });
  const none = await get('/1.3/nowhere');
  expect(none.headers.get('content-type')).toBe('application/problem+json');
  expect(await none.json()).toMatchObject({ error: { error_code: 'AUTHENTICATION_REQUIRED' } });
});

test('a subaccount reads itself and its own permissions, the main account those of all', async () => {
  const main = cloud.createToken({ name: 'main' });
  const sub = cloud.createToken({ extra: { username: 'sub', permissions: { server: '*' } } });
  cloud.createToken({ extra: { username: 'other', permissions: { storage: '*' } } });
  const asMain = `Bearer ${main.credential['token']}`;
  const asSub = `Bearer ${sub.credential['token']}`;
  const details = await (await get('/1.3/account/details/sub', asSub)).json();
  expect(details).toMatchObject({ account: { type: 'sub', main_account: main.account.main } });
  expect((await get(`/1.3/account/details/${main.account.main}`, asSub)).status).toBe(403);
  expect(await (await get('/1.3/permission', asSub)).json()).toEqual({
    permissions: {
      permission: [
        { options: { storage: 'yes' }, target_identifier: '*', target_type: 'server', user: 'sub' },
      ],
    },
  });
  const all = await (await get('/1.3/permission', asMain)).json();
  expect(all).toMatchObject({ permissions: { permission: [{ user: 'sub' }, { user: 'other' }] } });
});

test('the list of tokens comes in pages of 20 to 100, with sessions of the control panel unless they are left out', async () => {
  const { token } = cloud.createToken().credential;
  cloud.createToken({ extra: { gui: true } });
  for (let more = 0; more < 120; more++) cloud.createToken();
  const list = async (query: string): Promise<{ gui: boolean }[]> =>
    (await (await get(`/1.3/account/tokens${query}`, `Bearer ${token}`)).json()) as { gui: boolean }[];
  expect((await list('')).filter(({ gui }) => gui)).toHaveLength(1);
  expect(await list('')).toHaveLength(20);
  expect(await list('?limit=100')).toHaveLength(100);
  expect(await list('?limit=100&offset=100')).toHaveLength(22);
  expect((await list('?limit=100&gui=false')).filter(({ gui }) => gui)).toHaveLength(0);
});

test('a blocked address and switched-off API access answer as a bad token', async () => {
  for (const options of [{ addresses: ['192.0.2.1'] }, { extra: { allowApi: false } }]) {
    const { token } = cloud.createToken(options).credential;
    const answer = await get('/1.3/account', `Bearer ${token}`);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({
      type: expect.stringMatching(/#ERROR_AUTHENTICATION_FAILED$/),
    });
  }
});

test('the list of tokens never shows a token', async () => {
  const { token = '' } = cloud.createToken().credential;
  const text = await (await get('/1.3/account/tokens', `Bearer ${token}`)).text();
  expect(JSON.parse(text)).toHaveLength(1);
  expect(text).not.toContain(token.slice('ucat_'.length));
});
