import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import type { Outcome } from '../domain/outcome.ts';
import { safeText, scrub } from './redact.ts';

const TOKEN = `dop_v1_${'9f3c61e07ab258d4'.repeat(4)}`;

/** How a provider may echo something. */
const FORMS: Record<string, (text: string) => string> = {
  plain: text => text,
  'in upper case': text => text.toUpperCase(),
  base64: text => Buffer.from(text).toString('base64'),
  base64url: text => Buffer.from(text).toString('base64url'),
  'base64 with something before it': text => Buffer.from(`me:${text}`).toString('base64'),
  'base64 twice': text => Buffer.from(Buffer.from(text).toString('base64')).toString('base64'),
  hexadecimal: text => Buffer.from(text).toString('hex'),
  'URL-encoded': text =>
    Array.from(Buffer.from(text), byte => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  'JSON-escaped': text =>
    Array.from(text, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  'HTML, decimal': text => Array.from(text, c => `&#${c.charCodeAt(0)};`).join(''),
  'HTML, hexadecimal': text => Array.from(text, c => `&#x${c.charCodeAt(0).toString(16)};`).join(''),
  'separated by dashes': text => Array.from(text).join('-'),
  'separated by spaces': text => Array.from(text).join(' '),
  'separated by zero-width spaces': text => Array.from(text).join('\u200b'),
  'full width': text => Array.from(text, c => String.fromCharCode(c.charCodeAt(0) + 0xfee0)).join(''),
  'on several lines': text => Array.from(text).join('\n'),
};

const secret = fc.string({ unit: fc.constantFrom(...'abcXYZ0189'), minLength: 6, maxLength: 80 });
const surrounding = fc.string({ maxLength: 20 });

describe('a text that echoes a part of a secret is not shown', () => {
  test.each(Object.entries(FORMS))('%s', (_name, form) => {
    const part = TOKEN.slice(10, 22);
    expect(safeText(`sent ${form(part)} to us`, { token: TOKEN })).toBeUndefined();
    expect(safeText(form(TOKEN), { token: TOKEN })).toBeUndefined();
  });

  test.each(Object.entries(FORMS))('%s, whatever the secret is', (_name, form) => {
    fc.assert(
      fc.property(secret, surrounding, surrounding, (token, before, after) => {
        // Letters beside it would become part of an encoded run and shift it: that is another text then.
        expect(safeText(`${before} ${form(token)} ${after}`, { token })).toBeUndefined();
      }),
    );
  });

  test('any run of six characters, and passwords of punctuation', () => {
    fc.assert(
      fc.property(secret, fc.nat(), (password, at) => {
        const from = at % (password.length - 5);
        expect(safeText(`no ${password.slice(from, from + 6)}!`, { password })).toBeUndefined();
      }),
    );
    expect(safeText('not #!?$%&/() at all', { password: '(!)#!?$%&/()=' })).toBeUndefined();
    expect(safeText('not abc at all', { password: 'abc' })).toBeUndefined();
  });

  test('the key of a PEM, but the words of its frame are no secret', () => {
    const lines = [TOKEN.slice(7, 47), TOKEN.slice(20, 60)];
    const privateKey = `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----`;
    expect(safeText('The private key is wrong', { privateKey })).toBe('The private key is wrong');
    expect(safeText(`no ${lines[1]?.slice(3, 12)}`, { privateKey })).toBeUndefined();
  });
});

describe('a text that may be shown', () => {
  test.each([
    'Unable to authenticate you',
    'You do not have access for the attempted action.',
    'Unauthorized IP address: 207.246.105.116',
    "The label 'x' is already used in another active access token.",
  ])('%s', text => {
    expect(safeText(text, { token: TOKEN })).toBe(text);
  });

  test('is on one line and without control characters', () => {
    expect(safeText('  Unable\r\n\tto\u0007 log\u202ein\u2028 ', { token: TOKEN })).toBe('Unable to log in');
  });

  test('has at most 200 characters and no e-mail address', () => {
    expect(safeText('no '.repeat(66), { token: TOKEN })).toHaveLength(197);
    expect(safeText('no '.repeat(68), { token: TOKEN })).toBeUndefined();
    expect(safeText('no '.repeat(100_000), { token: TOKEN })).toBeUndefined();
    expect(safeText('user a@example.com is blocked', { token: TOKEN })).toBeUndefined();
    expect(safeText(' \n ', { token: TOKEN })).toBeUndefined();
  });

  test('names are no secrets', () => {
    expect(
      safeText('user production-7 is blocked', { username: 'production-7', login: 'production-7' }),
    ).toBe('user production-7 is blocked');
  });
});

describe('scrubbing an outcome', () => {
  const credential = { token: TOKEN };
  const part = TOKEN.slice(10, 24);

  test.each([
    [{ kind: 'rejected', detail: part }, { kind: 'rejected' }],
    [{ kind: 'accountLocked', detail: part }, { kind: 'accountLocked' }],
    [
      { kind: 'unexpected', detail: part },
      { kind: 'unexpected', detail: 'an answer that cannot be shown' },
    ],
    [
      { kind: 'missingPermission', missing: ['droplet:read', part], account: { ids: [`team:${part}`] } },
      { kind: 'missingPermission', missing: ['droplet:read'] },
    ],
    [
      { kind: 'accepted', account: { ids: ['team:5df3', `account:${part}`], name: part } },
      { kind: 'accepted', account: { ids: ['team:5df3'] } },
    ],
    [{ kind: 'sourceNotAllowed', address: part, detail: part }, { kind: 'sourceNotAllowed' }],
    [
      { kind: 'sourceNotAllowed', address: `${TOKEN.slice(8, 12)}:${TOKEN.slice(12, 16)}::1` },
      { kind: 'sourceNotAllowed' },
    ],
  ] satisfies [Outcome, Outcome][])('%j becomes %j', (outcome, scrubbed) => {
    expect(scrub(outcome, credential)).toEqual(scrubbed);
  });

  test.each([
    { kind: 'rejected', detail: 'Unable to authenticate you' },
    { kind: 'accepted', account: { ids: ['team:5df3'], name: 'ACME' }, expiresAt: null },
    { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } },
    { kind: 'sourceNotAllowed', address: '2001:db8::7' },
    { kind: 'missingPermission', missing: [] },
    { kind: 'throttled', retryAfterMs: 5 },
    { kind: 'unreachable', cause: 'Http503' },
    { kind: 'malformed', check: 'x', message: 'y' },
    { kind: 'unexpected', detail: 'HTTP 404' },
  ] satisfies Outcome[])('%j stays as it is', outcome => {
    expect(scrub(outcome, credential)).toEqual(outcome);
  });
});

test.each([-1, 0, Date.UTC(10_000, 0), 8.64e15])(
  'an expiry of %d is none that status can tell',
  expiresAt => {
    expect(scrub({ kind: 'accepted', expiresAt }, { token: TOKEN })).toEqual({ kind: 'accepted' });
  },
);

test.each([null, 1, Date.UTC(2030, 0)])('an expiry of %p stays', expiresAt => {
  expect(scrub({ kind: 'accepted', expiresAt }, { token: TOKEN })).toEqual({ kind: 'accepted', expiresAt });
});
