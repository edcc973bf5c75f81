import { describe, expect, test } from '@jest/globals';
import {
  errorOfStatus,
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isInvalid,
  isNamespaceTerminating,
  isNotFound,
  parseRetryAfter,
} from './errors.ts';

describe('errorOfStatus', () => {
  test('takes reason, causes and the wait from the Status', () => {
    const error = errorOfStatus('POST /x', 429, {
      kind: 'Status',
      code: 429,
      reason: 'TooManyRequests',
      message: 'slow down',
      details: { retryAfterSeconds: 2, causes: [{ reason: 'A' }, null, { message: 'without' }] },
    });
    expect(error).toMatchObject({
      code: 'KUBE_HTTP',
      status: 429,
      reason: 'TooManyRequests',
      retryAfterMs: 2000,
    });
    expect(error.causes).toEqual(['A']);
    expect(error.message).toBe('POST /x: 429 TooManyRequests: slow down');
  });

  test('does not quote a page that is no Status', () => {
    const error = errorOfStatus('GET /x', 502, { message: '<html>' }, { retryAfterMs: 3 });
    expect(error).toMatchObject({ code: 'KUBE_FOREIGN', status: 502, reason: undefined, retryAfterMs: 3 });
    expect(error.message).toBe("GET /x: 502 that is not the API server's own");
  });

  test('tells a taken name from a lost race', () => {
    const taken = errorOfStatus('x', 409, { kind: 'Status', code: 409, reason: 'AlreadyExists' });
    const raced = errorOfStatus('x', 409, { kind: 'Status', code: 409, reason: 'Conflict' });
    expect([isAlreadyExists(taken), isConflict(taken)]).toEqual([true, false]);
    expect([isAlreadyExists(raced), isConflict(raced)]).toEqual([false, true]);
  });

  test('helpers answer false for anything else', () => {
    for (const other of [undefined, new Error('404'), { status: 404 }]) {
      expect([isNotFound(other), isExpired(other), isNamespaceTerminating(other)]).toEqual([
        false,
        false,
        false,
      ]);
    }
  });
});

describe('only Kubernetes speaks for Kubernetes', () => {
  const known: [string, number, string, (error: unknown) => boolean][] = [
    ['isNotFound', 404, 'NotFound', isNotFound],
    ['isConflict', 409, 'Conflict', isConflict],
    ['isAlreadyExists', 409, 'AlreadyExists', isAlreadyExists],
    ['isForbidden', 403, 'Forbidden', isForbidden],
    ['isExpired', 410, 'Expired', isExpired],
    ['isExpired, as old servers say it', 410, 'Gone', isExpired],
    ['isInvalid', 422, 'Invalid', isInvalid],
  ];

  test.each(known)('%s: by a Status with its number and its reason', (_name, code, reason, is) => {
    expect(is(errorOfStatus('x', code, { kind: 'Status', code, reason }))).toBe(true);
  });

  test.each(
    known.flatMap(([name, code, reason, is]) =>
      Object.entries<unknown>({
        'a page that is no JSON': undefined,
        null: null,
        'a gateway that answers in JSON': { code, reason, message: reason },
        'a Status of another number': { kind: 'Status', code: 500, reason },
        'a Status without a number': { kind: 'Status', reason },
      }).map(([what, body]) => [name, what, code, is, body] as const),
    ),
  )('%s: not by %s', (_name, _what, code, is, body) => {
    const error = errorOfStatus('x', code, body);
    expect(error).toMatchObject({ code: 'KUBE_FOREIGN', status: code });
    expect(is(error)).toBe(false);
  });

  test.each(known.filter(([name]) => name !== 'isForbidden'))(
    '%s: not by a Status with a reason that a webhook made up',
    (_name, code, _reason, is) => {
      for (const reason of ['', 'the lookup failed', undefined])
        expect(is(errorOfStatus('x', code, { kind: 'Status', code, reason }))).toBe(false);
    },
  );

  test('a denial is one whatever reason the webhook gives', () => {
    expect(
      isForbidden(errorOfStatus('x', 403, { kind: 'Status', code: 403, reason: 'not on Fridays' })),
    ).toBe(true);
  });
});

describe('parseRetryAfter', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  test.each([
    ['3', 3000],
    ['0', 0],
    ['Thu, 01 Jan 2026 00:00:05 GMT', 5000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('%s', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});
