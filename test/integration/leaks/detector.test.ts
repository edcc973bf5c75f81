import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { assertNoLeak, createDetector } from './detector.ts';

const token = randomBytes(32).toString('hex');
const password = 'p/ä+"W<0rd>&;%_x9Q!zT7';
const privateKey = generateKeyPairSync('rsa', { modulusLength: 1024 })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const detector = createDetector([
  { name: 'token', value: `dop_v1_${token}` },
  { name: 'password', value: password },
  { name: 'key', value: privateKey },
]);

function found(text: string): string[] {
  return detector.find({ channel: 'here', text }).map(({ canary }) => canary);
}

/** As a log line or an object holds it. */
function inJson(text: string): string {
  return JSON.stringify({ level: 20, message: `it says: ${text}, and more` });
}

const characters = (text: string) => Array.from(text);
const FORMS: [name: string, encode: (text: string) => string][] = [
  ['plain', text => text],
  ['in another case', text => text.toUpperCase()],
  ['base64', text => Buffer.from(text).toString('base64')],
  ['base64 of a header', text => Buffer.from(`Bearer ${text}`).toString('base64')],
  ['base64 of a pair', text => Buffer.from(`me:${text}`).toString('base64')],
  ['base64url', text => Buffer.from(text).toString('base64url')],
  ['hexadecimal', text => Buffer.from(text).toString('hex')],
  ['escaped for a URL', encodeURIComponent],
  [
    'escaped for a URL, all of it',
    text => Array.from(Buffer.from(text), b => `%${b.toString(16).padStart(2, '0')}`).join(''),
  ],
  ['escaped for JSON', text => JSON.stringify(text)],
  [
    'escaped for JSON, all of it',
    text =>
      characters(text)
        .map(c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
        .join(''),
  ],
  ['escaped for HTML', text => text.replace(/[^a-z0-9]/gi, c => `&#x${c.charCodeAt(0).toString(16)};`)],
  [
    'escaped for HTML, all of it',
    text =>
      characters(text)
        .map(c => `&#${c.charCodeAt(0)};`)
        .join(''),
  ],
  ['separated by dashes', text => characters(text).join('-')],
  ['separated by line breaks', text => characters(text).join('\n')],
];

describe.each([
  ['token', token],
  ['password', password],
  ['key', privateKey],
])('a leaked %s', (name, value) => {
  test.each(FORMS)('is found %s', (_form, encode) => {
    expect(found(encode(value))).toContain(name);
    expect(found(inJson(encode(value)))).toContain(name);
  });
});

test('every part of 8 characters is found', () => {
  for (let at = 0; at + 8 <= token.length; at += 1) {
    expect(found(inJson(`…${token.slice(at, at + 8)}…`))).toEqual(['token']);
  }
});

test('every line of a private key is found alone', () => {
  for (const line of privateKey.trim().split('\n').slice(1, -1)) {
    expect(found(inJson(line))).toContain('key');
  }
});

test('hints, ids, times and frames of keys are no leaks', () => {
  const hint = `dop_v1_••••${token.slice(-4)}`;
  const id = `${token.slice(0, 8)}-${token.slice(8, 12)}-${token.slice(12, 16)}-${token.slice(16, 20)}-${token.slice(20, 32)}`;
  const innocent = [hint, id, '2026-09-01T12:00:00.123Z', '-----BEGIN PRIVATE KEY-----', 'dop_v1_'];
  for (const text of innocent) expect(found(inJson(text))).toEqual([]);
});

test('a leak names its channel and whose it is', () => {
  const outlets = [
    { channel: 'standard output', text: inJson('nothing') },
    { channel: 'event x', text: inJson(token.slice(20, 40)) },
  ];
  expect(() => assertNoLeak(detector, outlets)).toThrow(/event x: token in/);
  expect(() => assertNoLeak(detector, outlets.slice(0, 1))).not.toThrow();
});
