import { describe, expect, test } from '@jest/globals';
import {
  errorOfStatus,
  isAlreadyExists,
  isConflict,
  isExpired,
  isNamespaceTerminating,
  isNotFound,
  parseRetryAfter,
} from './errors.ts';

describe('errorOfStatus', () => {
  test('takes reason, causes and the wait from the Status', () => {
    const error = errorOfStatus('POST /x', 429, {
      kind: 'Status',
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
    expect(errorOfStatus('GET /x', 502, { message: '<html>' }).message).toBe('GET /x: 502 without a reason');
  });

  test('tells a taken name from a lost race', () => {
    const taken = errorOfStatus('x', 409, { kind: 'Status', reason: 'AlreadyExists' });
    const raced = errorOfStatus('x', 409, { kind: 'Status', reason: 'Conflict' });
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
