import { describe, expect, test } from '@jest/globals';
import type { Access } from '../api/names.ts';
import type { Outcome } from '../domain/outcome.ts';
import { hetzner } from './hetzner.ts';
import type { ProviderAnswer } from './http.ts';
import { answer, scriptedHttp } from './scripted-http.ts';

const token = 'Ab1'.repeat(22).slice(0, 64);
const LOCATIONS = { locations: [{ id: 1, name: 'fsn1' }], meta: { pagination: { page: 1 } } };
const ACCEPTED = { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } };

function verify(reply: ProviderAnswer, access: Access = 'ReadWrite'): Promise<Outcome> {
  return hetzner.verify({ token }, { access, depth: 'first' }, scriptedHttp(reply));
}

function refusal(status: number, code: string, message = 'text'): ProviderAnswer {
  return answer(status, { error: { code, message, details: null } });
}

describe('verifying a Hetzner token', () => {
  test.each(['first', 'recheck'] as const)('asks once, for the locations (%s)', async depth => {
    const http = scriptedHttp(answer(200, LOCATIONS));
    const outcome = await hetzner.verify({ token }, { access: 'ReadWrite', depth }, http);
    expect(outcome).toEqual(ACCEPTED);
    expect(http.requests).toEqual([
      { method: 'GET', path: '/v1/locations', headers: { authorization: `Bearer ${token}` } },
    ]);
  });

  test('a token that Hetzner does not know is rejected, with its text', async () => {
    const outcome = await verify(refusal(401, 'unauthorized', 'unable to authenticate'));
    expect(outcome).toEqual({ kind: 'rejected', detail: 'unable to authenticate' });
  });

  test.each([
    ['an unknown code', { error: { code: 'token_retired', message: 'gone' } }, { detail: 'gone' }],
    ['a body of another shape', { message: 'no' }, {}],
    ['an empty body', undefined, {}],
  ])('401 with %s is rejected', async (_name, json, detail) => {
    expect(await verify(answer(401, json))).toEqual({ kind: 'rejected', ...detail });
  });

  test('401 token_readonly is a valid token without the right to write', async () => {
    const readonly = refusal(401, 'token_readonly', 'token only allowed to perform GET requests');
    expect(await verify(readonly, 'ReadWrite')).toEqual({
      kind: 'missingPermission',
      missing: ['Read & Write'],
      detail: 'token only allowed to perform GET requests',
    });
    expect(await verify(readonly, 'ReadOnly')).toEqual(ACCEPTED);
  });

  test.each(['ReadOnly', 'ReadWrite'] as const)(
    '403 forbidden on a call that needs no right is no missing permission (%s)',
    async access => {
      const outcome = await verify(refusal(403, 'forbidden', 'insufficient permissions'), access);
      expect(outcome).toEqual({ kind: 'accountLocked', detail: 'insufficient permissions' });
    },
  );

  test('a resource that only support can unlock is a locked account', async () => {
    expect(await verify(refusal(403, 'resource_locked'))).toEqual({ kind: 'accountLocked', detail: 'text' });
  });

  test.each([
    [403, 'maintenance', 'Maintenance'],
    [401, 'maintenance', 'Maintenance'],
    [423, 'locked', 'Locked'],
    [409, 'conflict', 'Conflict'],
    [401, 'server_error', 'ServerError'],
    [400, 'bad_gateway', 'BadGateway'],
    [400, 'timeout', 'Timeout'],
    [403, 'unavailable', 'Unavailable'],
  ])('%i %s says nothing about the token', async (status, code, cause) => {
    expect(await verify(refusal(status, code))).toEqual({ kind: 'unreachable', cause });
  });

  test('the rate limit says nothing about the token, whatever its status', async () => {
    expect(await verify(refusal(403, 'rate_limit_exceeded'))).toEqual({ kind: 'throttled' });
  });

  test.each([
    [403, 'resource_limit_exceeded'],
    [403, 'some_new_code'],
    [422, 'json_error'],
    [410, 'deprecated_api_endpoint'],
  ])('%i %s is not understood', async (status, code) => {
    expect(await verify(refusal(status, code))).toEqual({
      kind: 'unexpected',
      detail: `HTTP ${status}: ${code}: text`,
    });
  });

  test.each([
    ['a gateway’s 200', { ok: true }, { kind: 'unexpected', detail: 'HTTP 200 without locations' }],
    ['an array', [], { kind: 'unexpected', detail: 'HTTP 200 without locations' }],
    ['an empty body', undefined, { kind: 'unreachable', cause: 'EmptyBody' }],
  ])('200 with %s accepts nothing', async (_name, json, expected) => {
    expect(await verify(answer(200, json))).toEqual(expected);
  });

  test('what the transport says is passed on', async () => {
    const outcome = { kind: 'throttled', retryAfterMs: 5000 } as const;
    expect(await verify({ ok: false, outcome })).toBe(outcome);
  });
});

describe('the shape of a Hetzner token', () => {
  test.each([
    ['the identifier from the console', token.slice(0, 32), 'hetzner-token-identifier'],
    ['a token cut short', token.slice(1), 'hetzner-token-length'],
    ['two tokens', token + token, 'hetzner-token-length'],
    [
      'a token broken over two lines',
      `${token.slice(0, 32)}\n${token.slice(33)}`,
      'hetzner-token-characters',
    ],
    ['a dash of a word processor', `${token.slice(1)}–`, 'hetzner-token-characters'],
  ])('%s is refused offline', (_name, value, check) => {
    const problem = hetzner.checkShape({ token: value });
    expect(problem?.check).toBe(check);
    expect(problem?.message).not.toContain(value.slice(0, 6));
  });

  test('64 characters of any kind that a header can carry are fine', () => {
    expect(hetzner.checkShape({ token })).toBeUndefined();
    expect(hetzner.checkShape({ token: `${token.slice(2)}-_` })).toBeUndefined();
  });
});

test('the hint is the start of the public half, never the secret end', () => {
  expect(hetzner.hint({ token })).toBe('Ab1A••••');
  expect(hetzner.hint({ token: 'short' })).toBe('••••');
});
