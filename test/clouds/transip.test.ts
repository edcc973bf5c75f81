import { createSign, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { TransipCloud } from './transip.ts';
import { createTransipCloud } from './transip.ts';

let cloud: TransipCloud;
let time: number;

beforeEach(async () => {
  time = Date.UTC(2026, 0, 1);
  cloud = createTransipCloud({ now: () => time });
  await cloud.listen();
});

afterEach(() => cloud.close());

interface Login {
  credential: Record<string, string>;
  changes?: object;
  /** Changes the bytes after they were signed. */
  tamper?: (body: string) => string;
}

async function login({ credential, changes, tamper = body => body }: Login): Promise<Response> {
  const body = JSON.stringify({
    login: credential['login'],
    nonce: randomBytes(8).toString('hex'),
    read_only: true,
    expiration_time: '10 minutes',
    label: randomBytes(8).toString('hex'),
    global_key: true,
    ...changes,
  });
  const signature = createSign('RSA-SHA512')
    .update(body)
    .sign(credential['privateKey'] ?? '', 'base64');
  return fetch(`${cloud.url}/v6/auth`, { method: 'POST', headers: { signature }, body: tamper(body) });
}

async function jwt(options: Login): Promise<string> {
  const response = await login(options);
  expect(response.status).toBe(201);
  return ((await response.json()) as { token: string }).token;
}

function call(token: string, method = 'GET'): Promise<Response> {
  return fetch(`${cloud.url}/v6/api-test`, { method, headers: { authorization: `Bearer ${token}` } });
}

test('a signed login gives a session with the claims that it asked for', async () => {
  const { credential, account } = cloud.createToken();
  const token = await jwt({ credential });
  const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toMatchObject({ cid: account.customerId, ro: true, gk: true, exp: time / 1000 + 600 });
  expect(await (await call(token)).json()).toEqual({ ping: 'pong' });
});

test('each key pair of an account signs for itself: removing one leaves the others', async () => {
  const keys = Array.from({ length: 14 }, () => cloud.createToken());
  expect(new Set(keys.map(({ credential }) => credential['privateKey'])).size).toBe(14);
  cloud.revoke(0);
  expect((await login({ credential: keys[0]?.credential ?? {} })).status).toBe(401);
  expect((await login({ credential: keys[13]?.credential ?? {} })).status).toBe(201);
  expect(cloud.log.map(({ token }) => token)).toEqual([0, 13]);
});

test('only the key of the login signs, and only the bytes that are sent', async () => {
  const { credential } = cloud.createToken({ account: 'a' });
  cloud.createToken({ account: 'b' });
  const other = cloud.createToken({ account: 'b' }).credential;
  expect((await login({ credential, tamper: body => `${body} ` })).status).toBe(401);
  const mixed = { login: credential['login'] ?? '', privateKey: other['privateKey'] ?? '' };
  expect((await login({ credential: mixed })).status).toBe(401);
  expect((await login({ credential: { ...mixed, login: 'nobody' } })).status).toBe(401);
});

test('neither a nonce nor the label of an active session is taken twice', async () => {
  const { credential } = cloud.createToken();
  await jwt({ credential, changes: { nonce: 'abcdef', label: 'mine' } });
  const nonce = await login({ credential, changes: { nonce: 'abcdef' } });
  expect(await nonce.json()).toEqual({ error: 'The nonce was already used' });
  const label = await login({ credential, changes: { label: 'mine' } });
  expect(await label.json()).toEqual({
    error: "The label 'mine' is already used in another active access token.",
  });
  time += 600_000;
  await jwt({ credential, changes: { label: 'mine' } });
});

test('a session ends with its time, its key or by itself', async () => {
  const { credential } = cloud.createToken({ name: 'key' });
  const [first, second] = [await jwt({ credential }), await jwt({ credential })];
  const session = cloud.sessions.find(({ jwt }) => jwt === first);
  if (session === undefined) throw new Error('the session is not listed');
  session.revoked = true;
  expect(await (await call(first)).json()).toEqual({ error: 'Your access token has been revoked.' });
  expect((await call(second)).status).toBe(200);
  time += 600_000;
  expect(await (await call(second)).json()).toEqual({ error: 'Your access token has expired.' });
});

test('a read-only session reads, and one without global_key works only from the whitelist', async () => {
  const { credential, account } = cloud.createToken();
  expect((await call(await jwt({ credential }), 'POST')).status).toBe(403);
  const bound = await jwt({ credential, changes: { global_key: false } });
  expect((await call(bound)).status).toBe(401);
  account.whitelist.push('127.0.0.1');
  expect((await call(bound)).status).toBe(200);
});

test.each(['10 minuten', '0 minutes', '5 weeks'])(
  'does not take "%s" for a lifetime',
  async expiration_time => {
    const { credential } = cloud.createToken();
    expect((await login({ credential, changes: { expiration_time } })).status).toBe(406);
  },
);
