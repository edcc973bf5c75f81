import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { answer, scriptedHttp } from './scripted-http.ts';
import type { ProviderAnswer } from './http.ts';
import type { Outcome } from '../domain/outcome.ts';
import { vultr } from './vultr.ts';

const token = 'ABCD1234'.repeat(5).slice(0, 36);
const EMAIL = 'Ops@Example.com';
const ID = `email-sha256:${createHash('sha256').update('ops@example.com').digest('hex').slice(0, 16)}`;
const UNKNOWN = { state: 'Unknown', missing: [] };
const ACCOUNT = { account: { name: 'ACME', email: EMAIL, acls: ['subscriptions_view'], balance: -1.5 } };
const INSTANCES = { instances: [], meta: { total: 0, links: { next: '', prev: '' } } };
const FORBIDDEN = answer(403, { error: 'Forbidden', status: 403 });

function verify(...answers: ProviderAnswer[]): Promise<Outcome> {
  return vultr.verify({ token }, { access: 'ReadWrite', depth: 'first' }, scriptedHttp(...answers));
}

describe('verifying a Vultr key', () => {
  test.each(['first', 'recheck'] as const)('the account alone is enough (%s)', async depth => {
    const http = scriptedHttp(answer(200, ACCOUNT));
    const outcome = await vultr.verify({ token }, { access: 'ReadWrite', depth }, http);
    expect(outcome).toEqual({ kind: 'accepted', account: { ids: [ID], name: 'ACME' }, permissions: UNKNOWN });
    expect(http.requests).toEqual([
      { method: 'GET', path: '/v2/account', headers: { authorization: `Bearer ${token}` } },
    ]);
  });

  test('no e-mail address leaves the module', async () => {
    const account = { account: { ...ACCOUNT.account, name: `Jo <${EMAIL}>` } };
    const outcome = await verify(answer(200, account, { 'x-user': EMAIL }));
    expect(JSON.stringify(outcome)).not.toMatch(/@|example/i);
    expect(outcome).toMatchObject({ account: { ids: [ID] } });
  });

  test('the identity comes from the header x-user where the body has none', async () => {
    const outcome = await verify(answer(200, { account: { name: 'ACME', email: '' } }, { 'x-user': EMAIL }));
    expect(outcome).toMatchObject({ kind: 'accepted', account: { ids: [ID], name: 'ACME' } });
  });

  test('an account without a usable address is accepted without identity', async () => {
    const outcome = await verify(answer(200, { account: { name: 'ACME', email: '' } }, { 'x-user': 'api' }));
    expect(outcome).toEqual({ kind: 'accepted', permissions: UNKNOWN });
  });

  test.each([
    ['Unauthorized IP address: 207.246.105.116', '207.246.105.116'],
    ['Unauthorized IP address: 2001:19f0:7002:1::5', '2001:19f0:7002:1::5'],
  ])('401 "%s" is about the caller, not about the key', async (error, address) => {
    const outcome = await verify(answer(401, { error, status: 401 }));
    expect(outcome).toEqual({ kind: 'sourceNotAllowed', address, detail: error });
  });

  test('an address refusal is one under any status', async () => {
    const outcome = await verify(answer(403, { error: 'Unauthorized IP address: 192.0.2.1', status: 403 }));
    expect(outcome).toMatchObject({ kind: 'sourceNotAllowed', address: '192.0.2.1' });
  });

  test('an address refusal that names no address is still no rejection', async () => {
    const outcome = await verify(answer(401, { error: 'Unauthorized IP address', status: 401 }));
    expect(outcome).toEqual({ kind: 'sourceNotAllowed', detail: 'Unauthorized IP address' });
  });

  test.each([
    ['the documented text', { error: 'Invalid API token.', status: 401 }, { detail: 'Invalid API token.' }],
    ['an unknown text', { error: 'Key expired', status: 401 }, { detail: 'Key expired' }],
    ['a body of another shape', { message: 'no' }, {}],
    ['an empty body', undefined, {}],
  ])('401 with %s is rejected', async (_name, json, detail) => {
    expect(await verify(answer(401, json))).toEqual({ kind: 'rejected', ...detail });
  });

  test('a user who may not see the account is judged by listing one server', async () => {
    const http = scriptedHttp(FORBIDDEN, answer(200, INSTANCES, { 'x-user': EMAIL }));
    const outcome = await vultr.verify({ token }, { access: 'ReadWrite', depth: 'first' }, http);
    expect(outcome).toEqual({ kind: 'accepted', account: { ids: [ID] }, permissions: UNKNOWN });
    expect(http.requests.map(request => request.path)).toEqual(['/v2/account', '/v2/instances?per_page=1']);
  });

  test('a key that is refused both calls is Vultr’s to explain, in its own words', async () => {
    expect(await verify(FORBIDDEN, FORBIDDEN)).toEqual({ kind: 'accountLocked', detail: 'Forbidden' });
  });

  test.each([
    ['first', [answer(403, { error: 'Blocked by policy' })]],
    ['second', [FORBIDDEN, answer(403, { error: 'Blocked by policy' })]],
  ])('a 403 without Vultr’s own status in it is no verdict (%s call)', async (_name, replies) => {
    expect(await verify(...replies)).toEqual({ kind: 'unexpected', detail: 'HTTP 403' });
  });

  test.each<[string, ProviderAnswer, Outcome]>([
    [
      'a refused address',
      answer(401, { error: 'Unauthorized IP address: 192.0.2.1', status: 401 }),
      { kind: 'sourceNotAllowed', address: '192.0.2.1', detail: 'Unauthorized IP address: 192.0.2.1' },
    ],
    [
      'a refused key',
      answer(401, { error: 'Invalid API token.' }),
      { kind: 'rejected', detail: 'Invalid API token.' },
    ],
    [
      'an outage',
      { ok: false, outcome: { kind: 'unreachable', cause: 'ConnectTimeout' } },
      { kind: 'unreachable', cause: 'ConnectTimeout' },
    ],
    ['a 200 of somebody else', answer(200, {}), { kind: 'unexpected', detail: 'HTTP 200 without instances' }],
    ['an empty 200', answer(200), { kind: 'unreachable', cause: 'EmptyBody' }],
  ])('after a 403, the second call decides: %s', async (_name, second, expected) => {
    expect(await verify(FORBIDDEN, second)).toEqual(expected);
  });

  test.each([
    ['403 that is not Vultr’s own', answer(403, { message: 'blocked' }), 'HTTP 403'],
    ['400', answer(400, { error: 'Bad', status: 400 }), 'HTTP 400: Bad'],
    ['a 200 of somebody else', answer(200, { ok: true }), 'HTTP 200 without an account'],
  ])('%s is not understood, and nothing more is asked', async (_name, reply, detail) => {
    expect(await verify(reply)).toEqual({ kind: 'unexpected', detail });
  });
});

test('no shape is promised, so only what no header can carry is refused', () => {
  expect(vultr.checkShape({ token: 'anything' })).toBeUndefined();
  expect(vultr.checkShape({ token: 'two words' })?.check).toBe('vultr-key-characters');
});

test('the hint is the end of the key, and nothing of a short one', () => {
  expect(vultr.hint({ token: `${'Q'.repeat(32)}AB12` })).toBe('••••AB12');
  expect(vultr.hint({ token: 'Q'.repeat(19) })).toBe('••••');
});
