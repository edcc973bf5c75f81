import { describe, expect, test } from '@jest/globals';
import type { Outcome } from '../domain/outcome.ts';
import { hostinger } from './hostinger.ts';
import type { ProviderAnswer } from './http.ts';
import { answer, scriptedHttp } from './scripted-http.ts';

const token = 'aB3x'.repeat(12);

function verify(reply: ProviderAnswer): Promise<Outcome> {
  return hostinger.verify({ token }, { access: 'ReadWrite', depth: 'first' }, scriptedHttp(reply));
}

describe('verifying a Hostinger token', () => {
  test.each(['first', 'recheck'] as const)('asks once, for the data centers (%s)', async depth => {
    const http = scriptedHttp(answer(200, [{ id: 29, name: 'phx' }]));
    const outcome = await hostinger.verify({ token }, { access: 'ReadOnly', depth }, http);
    expect(outcome).toEqual({ kind: 'accepted', permissions: { state: 'Unknown', missing: [] } });
    expect(http.requests).toEqual([
      { method: 'GET', path: '/api/vps/v1/data-centers', headers: { authorization: `Bearer ${token}` } },
    ]);
  });

  test.each([
    [
      'the documented text',
      { message: 'Unauthenticated', correlation_id: 'x' },
      { detail: 'Unauthenticated' },
    ],
    ['the field of the introduction', { error: 'Unauthenticated.' }, { detail: 'Unauthenticated.' }],
    ['an unknown text', { message: 'Token expired' }, { detail: 'Token expired' }],
    ['an empty body', undefined, {}],
  ])('401 with %s is rejected', async (_name, json, detail) => {
    expect(await verify(answer(401, json))).toEqual({ kind: 'rejected', ...detail });
  });

  test.each([
    ['403, which nobody documents', answer(403, { message: 'Forbidden' }), 'HTTP 403: Forbidden'],
    [
      '422',
      answer(422, { message: 'The name field is required.', errors: {} }),
      'HTTP 422: The name field is required.',
    ],
    [
      '404 with a code in the text',
      answer(404, { message: '[VPS:2002] Route is not found.' }),
      'HTTP 404: [VPS:2002] Route is not found.',
    ],
    ['a 200 of somebody else', answer(200, { ok: true }), 'HTTP 200 without a list of data centers'],
  ])('%s is not understood and refuses nobody', async (_name, reply, detail) => {
    expect(await verify(reply)).toEqual({ kind: 'unexpected', detail });
  });

  test('an empty 200 is a broken answer', async () => {
    expect(await verify(answer(200))).toEqual({ kind: 'unreachable', cause: 'EmptyBody' });
  });

  test('what the transport says is passed on', async () => {
    const outcome = { kind: 'unreachable', cause: 'NotJson' } as const;
    expect(await verify({ ok: false, outcome })).toBe(outcome);
  });
});

test('no shape is promised, so only what no header can carry is refused', () => {
  expect(hostinger.checkShape({ token: 'x' })).toBeUndefined();
  expect(hostinger.checkShape({ token: 'a b' })?.check).toBe('hostinger-token-characters');
});

test('the hint is the end of the token, and nothing of a short one', () => {
  expect(hostinger.hint({ token })).toBe('••••aB3x');
  expect(hostinger.hint({ token: 'q'.repeat(19) })).toBe('••••');
});
