import { createHash, generateKeyPairSync, randomBytes, verify as verifySignature } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Outcome } from '../domain/outcome.ts';
import { forgedKey, pemOf } from '../../test/clouds/forged-key.ts';
import type { ProviderAnswer, ProviderRequest } from './http.ts';
import { answer, scriptedHttp } from './scripted-http.ts';
import { transip } from './transip.ts';

// 1024 bits: quick to make. No key is written down here, so that none can be found by a scanner.
let rsa: { publicKey: KeyObject; privateKey: KeyObject };
let pkcs8: string;
let pkcs1: string;
beforeAll(() => {
  rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  pkcs8 = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  pkcs1 = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
});

const REMOTE_IP = 'Remote IP is not authorized for this request; called from IP 192.0.2.7';
const outage: ProviderAnswer = { ok: false, outcome: { kind: 'unreachable', cause: 'ConnectTimeout' } };
const pong = answer(200, { ping: 'pong' });

function failure(status: number, error: string): ProviderAnswer {
  return answer(status, { error });
}

function jwt(claims: unknown): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
  return `${part({ typ: 'JWT', alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
}

function session(claims: unknown = { cid: '60449', ro: true, gk: true }): ProviderAnswer {
  return answer(201, { token: jwt(claims) });
}

const labelTaken = failure(406, "The label 'x' is already used in another active access token.");
const sessionRevoked = failure(401, 'Your access token has been revoked.');

async function check(
  ...answers: ProviderAnswer[]
): Promise<{ outcome: Outcome; requests: ProviderRequest[] }> {
  const http = scriptedHttp(...answers);
  const outcome = await transip.verify(
    { login: 'acme', privateKey: pkcs8 },
    { access: 'ReadWrite', depth: 'first' },
    http,
  );
  return { outcome, requests: http.requests };
}

const ACCEPTED = {
  kind: 'accepted',
  account: { ids: ['customer:60449', 'login:acme'] },
  permissions: { state: 'Sufficient', missing: [] },
  expiresAt: null,
};

function bodyOf(request: ProviderRequest | undefined): Record<string, unknown> {
  return JSON.parse(request?.body ?? '{}') as Record<string, unknown>;
}

describe('a login', () => {
  test('is signed over the bytes that are sent, and asks for a short session that only reads', async () => {
    const { outcome, requests } = await check(session(), pong);
    expect(outcome).toEqual(ACCEPTED);
    const [auth, ping] = requests;
    expect(auth).toMatchObject({ method: 'POST', path: '/v6/auth' });
    const signed = Buffer.from(auth?.headers?.['signature'] ?? '', 'base64');
    expect(verifySignature('RSA-SHA512', Buffer.from(auth?.body ?? '', 'utf8'), rsa.publicKey, signed)).toBe(
      true,
    );
    expect(bodyOf(auth)).toEqual({
      login: 'acme',
      nonce: expect.stringMatching(/^[0-9a-f]{32}$/),
      read_only: true,
      expiration_time: '10 minutes',
      label: expect.stringMatching(/^cloud-account-operator-[0-9a-f]{12}$/),
      global_key: true,
    });
    expect(ping).toEqual({
      method: 'GET',
      path: '/v6/api-test',
      headers: { authorization: `Bearer ${jwt({ cid: '60449', ro: true, gk: true })}` },
    });
  });

  test('answered with 200 instead of 201 is one as well', async () => {
    const { outcome } = await check(answer(200, { token: jwt({ cid: 60449 }) }), pong);
    expect(outcome).toEqual(ACCEPTED);
  });

  test('never repeats a label or a nonce', async () => {
    const bodies = [];
    for (let i = 0; i < 20; i++) bodies.push(bodyOf((await check(session(), pong)).requests[0]));
    expect(new Set(bodies.map(body => body['label'])).size).toBe(20);
    expect(new Set(bodies.map(body => body['nonce'])).size).toBe(20);
  });

  test.each<[string, string]>([
    ['is no token', 'opaque'],
    ['has no claims', 'a.bm90IGpzb24.c'],
    ['names no customer', jwt({ ro: true })],
  ])('whose session %s proves the login alone', async (_name, token) => {
    const { outcome } = await check(answer(201, { token }), pong);
    expect(outcome).toEqual({ ...ACCEPTED, account: { ids: ['login:acme'] } });
  });

  test('with a taken label is tried once more with another', async () => {
    const { outcome, requests } = await check(labelTaken, session(), pong);
    expect(outcome).toEqual(ACCEPTED);
    expect(bodyOf(requests[1])['label']).not.toBe(bodyOf(requests[0])['label']);
    expect(bodyOf(requests[1])['nonce']).not.toBe(bodyOf(requests[0])['nonce']);
  });

  test('with a taken label again is no verdict, whatever the status', async () => {
    const taken = failure(401, "The label 'x' is already used in another active access token.");
    const { outcome, requests } = await check(taken, taken);
    expect(outcome).toMatchObject({ kind: 'unexpected' });
    expect(requests).toHaveLength(2);
  });

  test.each<[string, ProviderAnswer, Outcome]>([
    [
      'a wrong signature or an unknown login',
      failure(401, 'Invalid signature'),
      { kind: 'rejected', detail: 'Invalid signature' },
    ],
    ['an empty 401', answer(401), { kind: 'rejected' }],
    [
      'an address that is not on the whitelist',
      failure(401, REMOTE_IP),
      { kind: 'sourceNotAllowed', address: '192.0.2.7', detail: REMOTE_IP },
    ],
    [
      'an address in IPv6 at the end of a sentence',
      failure(401, 'Remote IP is not authorized for this request; called from IP 2001:db8::7.'),
      {
        kind: 'sourceNotAllowed',
        address: '2001:db8::7',
        detail: 'Remote IP is not authorized for this request; called from IP 2001:db8::7.',
      },
    ],
    [
      'an address that is not named',
      failure(403, 'Remote IP is not authorized for this request'),
      { kind: 'sourceNotAllowed', detail: 'Remote IP is not authorized for this request' },
    ],
    [
      'an API that is switched off',
      failure(409, 'Authentication failed, API is not enabled for customer'),
      { kind: 'accountLocked', detail: 'Authentication failed, API is not enabled for customer' },
    ],
    ['a locked resource', failure(409, 'Locked'), { kind: 'unreachable', cause: 'Conflict' }],
    [
      'a nonce that got lost, even with 401',
      failure(401, 'Please specify a nonce in the body'),
      { kind: 'unexpected', detail: 'HTTP 401: Please specify a nonce in the body' },
    ],
    [
      'a signature that got lost',
      failure(400, 'Please specify a signature in the header'),
      { kind: 'unexpected', detail: 'HTTP 400: Please specify a signature in the header' },
    ],
    ['a parameter that is refused', failure(406, 'Bad'), { kind: 'unexpected', detail: 'HTTP 406: Bad' }],
    ['an outage', outage, { kind: 'unreachable', cause: 'ConnectTimeout' }],
    ['a 200 of somebody else', answer(200, {}), { kind: 'unexpected', detail: 'HTTP 200 without a token' }],
    ['an empty 201', answer(201), { kind: 'unreachable', cause: 'EmptyBody' }],
  ])('refused with %s ends the check', async (_name, reply, expected) => {
    const { outcome, requests } = await check(reply);
    expect(outcome).toEqual(expected);
    expect(requests).toHaveLength(1);
  });
});

describe('the session', () => {
  test.each(['Your access token has been revoked.', 'Your access token has expired.'])(
    'that ended in between ("%s") is made anew once',
    async text => {
      const { outcome, requests } = await check(session(), failure(401, text), session(), pong);
      expect(outcome).toEqual(ACCEPTED);
      expect(requests).toHaveLength(4);
    },
  );

  test('that ends twice says nothing of the key', async () => {
    const { outcome } = await check(session(), sessionRevoked, session(), sessionRevoked);
    expect(outcome).toEqual({ kind: 'unexpected', detail: 'HTTP 401: Your access token has been revoked.' });
  });

  test('is not made anew after a label was: four calls are the limit', async () => {
    const { outcome, requests } = await check(labelTaken, session(), sessionRevoked);
    expect(outcome).toMatchObject({ kind: 'unexpected' });
    expect(requests).toHaveLength(3);
  });

  test('that ended because the key was removed ends in a rejection', async () => {
    const { outcome } = await check(session(), sessionRevoked, failure(401, 'Invalid signature'));
    expect(outcome).toEqual({ kind: 'rejected', detail: 'Invalid signature' });
  });

  test.each<[string, ProviderAnswer, Outcome]>([
    ['an unknown 401', failure(401, 'Hm'), { kind: 'unexpected', detail: 'HTTP 401: Hm' }],
    ['an empty 401', answer(401), { kind: 'unexpected', detail: 'HTTP 401' }],
    [
      'an address that is not on the whitelist',
      failure(401, REMOTE_IP),
      { kind: 'sourceNotAllowed', address: '192.0.2.7', detail: REMOTE_IP },
    ],
    ['an outage', outage, { kind: 'unreachable', cause: 'ConnectTimeout' }],
    ['a 200 of somebody else', answer(200, {}), { kind: 'unexpected', detail: 'HTTP 200 without a pong' }],
    ['an empty 200', answer(200), { kind: 'unreachable', cause: 'EmptyBody' }],
  ])('answered with %s belongs to the verdict', async (_name, reply, expected) => {
    expect((await check(session(), reply)).outcome).toEqual(expected);
  });
});

test('a session that is echoed goes no further', async () => {
  const token = jwt({ cid: '60449' });
  const { outcome } = await check(answer(201, { token }), failure(401, `You sent Bearer ${token}`));
  expect(outcome).toMatchObject({ kind: 'unexpected' });
  expect(JSON.stringify(outcome)).not.toContain(token.slice(0, 10));
});

describe('a private key', () => {
  test.each<[string, (pem: string) => string]>([
    ['as it is', pem => pem],
    ['on one line', pem => pem.replaceAll('\n', '')],
    ['with spaces instead of line breaks', pem => pem.replaceAll('\n', ' ')],
    ['with Windows line breaks', pem => pem.replaceAll('\n', '\r\n')],
    ['with escaped line breaks', pem => pem.replaceAll('\n', '\\n')],
    ['indented', pem => pem.replaceAll('\n', '\n    ')],
    ['with no space left at all', pem => pem.replace(/\s/g, '')],
    [
      'under the other label',
      pem =>
        pem.replaceAll('BEGIN PRIVATE', 'BEGIN RSA PRIVATE').replaceAll('END PRIVATE', 'END RSA PRIVATE'),
    ],
  ])('%s signs', async (_name, mangle) => {
    const credential = { login: 'acme', privateKey: mangle(pkcs8) };
    expect(transip.checkShape(credential)).toBeUndefined();
    const http = scriptedHttp(session(), pong);
    expect(await transip.verify(credential, { access: 'ReadOnly', depth: 'recheck' }, http)).toEqual(
      ACCEPTED,
    );
    const [auth] = http.requests;
    const signed = Buffer.from(auth?.headers?.['signature'] ?? '', 'base64');
    expect(verifySignature('RSA-SHA512', Buffer.from(auth?.body ?? ''), rsa.publicKey, signed)).toBe(true);
  });

  test('in PKCS#1 is the same key', () => {
    expect(transip.checkShape({ login: 'acme', privateKey: pkcs1 })).toBeUndefined();
    expect(transip.hint({ login: 'acme', privateKey: pkcs1 })).toBe(
      transip.hint({ login: 'acme', privateKey: pkcs8 }),
    );
  });

  test.each<[string, () => string]>([
    ['transip-key-no-pem', () => 'not a key'],
    ['transip-key-no-pem', () => pkcs8.slice(0, 300)],
    ['transip-key-access-token', () => jwt({ cid: '60449' })],
    ['transip-key-public', () => rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    ['transip-key-unreadable', () => pkcs8.replace(/\n.+\n/, '\n')],
    ['transip-key-unreadable', () => pkcs8.replace(/\n.{4}/, '\n{x}')],
    [
      'transip-key-encrypted',
      () =>
        rsa.privateKey
          .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
          .toString(),
    ],
    [
      'transip-key-encrypted',
      () =>
        rsa.privateKey
          .export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
          .toString(),
    ],
    [
      'transip-key-not-rsa',
      () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
    [
      'transip-key-not-rsa',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'P-256' })
          .privateKey.export({ type: 'sec1', format: 'pem' })
          .toString(),
    ],
    [
      'transip-key-too-short',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 512 })
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
    ],
    ['transip-key-too-long', () => pemOf(forgedKey(16_384))],
    ['transip-key-unreadable', () => pemOf(forgedKey(4_096))],
    ['transip-key-unreadable', () => pemOf(forgedKey(2_048, randomBytes(256)))],
    ['transip-key-no-pem', () => '-----BEGIN PRIVATE KEY-----'.repeat(600)],
  ])('is refused offline: %s', async (expected, make) => {
    const credential = { login: 'acme', privateKey: make().trim() };
    const problem = transip.checkShape(credential);
    expect(problem?.check).toBe(expected);
    const http = scriptedHttp();
    const outcome = await transip.verify(credential, { access: 'ReadWrite', depth: 'first' }, http);
    expect(outcome).toEqual({ kind: 'malformed', ...problem });
    expect(http.requests).toEqual([]);
  });
});

// One signature with such a key took more than a second, in the thread that answers the kubelet.
test.each<[string, () => string]>([
  ['forged, of 16,384 bits', () => pemOf(forgedKey(16_384))],
  ['forged, of 8,192 bits', () => pemOf(forgedKey(8_192))],
  ['forged, of 4,096 bits', () => pemOf(forgedKey(4_096))],
  ['forged, with a long exponent', () => pemOf(forgedKey(4_096, randomBytes(512)))],
  ['of many beginnings', () => '-----BEGIN PRIVATE KEY-----'.repeat(600)],
  ['of a long label', () => `-----BEGIN ${'A'.repeat(16_000)}`],
  ['of line breaks', () => `-----BEGIN PRIVATE KEY-----${'\\n'.repeat(8_000)}`],
])('a key %s takes milliseconds', async (_name, make) => {
  const privateKey = make();
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const startedAt = performance.now();
    const checked = transip.verify(
      { login: 'acme', privateKey },
      { access: 'ReadOnly', depth: 'first' },
      scriptedHttp(session(), pong),
    );
    times.push(performance.now() - startedAt);
    await checked;
  }
  // The best of them: other programs may run beside it.
  expect(Math.min(...times)).toBeLessThan(50);
});

test('the hint is the login and the fingerprint of the public key', () => {
  const spki = rsa.publicKey.export({ type: 'spki', format: 'der' });
  const digits = createHash('sha256').update(spki).digest('hex').slice(0, 8);
  expect(transip.hint({ login: 'acme', privateKey: pkcs8 })).toBe(`acme (key ${digits})`);
  expect(transip.hint({ login: 'acme', privateKey: 'short' })).toBe('••••');
});

test('an e-mail address as login leaves the module only as a hash', async () => {
  const login = 'Ops@Example.com';
  const hash = createHash('sha256').update('ops@example.com').digest('hex').slice(0, 16);
  const outcome = await transip.verify(
    { login, privateKey: pkcs8 },
    { access: 'ReadWrite', depth: 'first' },
    scriptedHttp(session(), pong),
  );
  expect(outcome).toMatchObject({ account: { ids: ['customer:60449', `login:email-sha256:${hash}`] } });
  expect(transip.hint({ login, privateKey: pkcs8 })).toMatch(/^•••• \(key [0-9a-f]{8}\)$/);
});
