import { expect, test } from '@jest/globals';
import { transip } from '../providers/transip.ts';
import { vultr } from '../providers/vultr.ts';
import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { extractCredential, inspectSource } from './source.ts';

function data(values: Record<string, string | Buffer>): { data: Record<string, string> } {
  const encoded = Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return { data: Object.fromEntries(encoded) as Record<string, string> };
}

test('white space around a value is no part of it', () => {
  expect(extractCredential(data({ token: ' \r\nabc\n' }), vultr, {})).toEqual({ token: 'abc' });
});

test('more than any credential has is refused by the name of its key, before anybody looks into it', () => {
  expect(extractCredential(data({ token: 'a'.repeat(16_384) }), vultr, {})).toHaveProperty('token');
  const refused = extractCredential(data({ KEY: 'a'.repeat(16_385) }), vultr, { token: 'KEY' });
  expect(refused).toMatch(/^the key "KEY" holds more than 16 KiB/);
  // The pattern of a PEM takes minutes for this.
  const frames = '-----BEGIN PRIVATE KEY-----'.repeat(30_000);
  expect(extractCredential(data({ login: 'a', privateKey: frames }), transip, {})).toMatch(/16 KiB/);
});

test('bytes that are no text are refused by the name of their key', () => {
  expect(extractCredential(data({ token: Buffer.from([0xff, 0x41]) }), vultr, {})).toMatch(
    /^the key "token" does not hold UTF-8 text/,
  );
});

test('keys and types that every object has are nothing special', () => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    expect(extractCredential(data({ [name]: 'abc' }), vultr, { token: name })).toEqual({ token: 'abc' });
    expect(extractCredential({ data: {} }, vultr, { token: name })).toMatch(/is missing or empty/);
    const secret = {
      metadata: { name: 's', uid: 'u', resourceVersion: '1' },
      type: name,
      ...data({ token: 'abc' }),
    };
    const account = { spec: { credentialsSecretRef: { name: 's' } } } as CloudAccount;
    expect(inspectSource(secret, account, vultr, () => 'print').credential).toEqual({ token: 'abc' });
  }
});
