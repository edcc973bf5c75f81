import { describe, expect, test } from '@jest/globals';

import { parseProviderBudget, parseProviderEndpoint } from './options.ts';

describe('--provider-endpoint', () => {
  test.each([
    ['Hetzner=http://127.0.0.1:9001', 'http://127.0.0.1:9001'],
    ['Hetzner=http://localhost:9001/', 'http://localhost:9001'],
    ['Hetzner=http://[::1]:9001', 'http://[::1]:9001'],
    ['Hetzner=https://gateway.example.com', 'https://gateway.example.com'],
  ])('%s', (text, origin) => {
    expect(parseProviderEndpoint(text)).toEqual({ provider: 'Hetzner', origin });
  });

  test.each([
    ['Hetzner', 'NAME=VALUE is needed'],
    ['hetzner=http://127.0.0.1', 'unknown provider "hetzner"; there are Hetzner, DigitalOcean'],
    ['Hetzner=127.0.0.1:9001', 'not a URL'],
    ['Hetzner=ftp://127.0.0.1', 'ftp: is not supported'],
    ['Hetzner=https://me:secret@example.com', 'a user in it'],
    ['Hetzner=https://example.com/v1', 'without a path'],
    ['Hetzner=https://example.com?x=1', 'without a path'],
    ['Hetzner=http://example.com', '--insecure-provider-endpoints'],
    ['Hetzner=http://127.0.0.1.example.com', '--insecure-provider-endpoints'],
  ])('%s is refused: %s', (text, message) => {
    expect(() => parseProviderEndpoint(text)).toThrow(message);
    expect(() => parseProviderEndpoint(text)).not.toThrow(/secret/);
  });

  test('plain http to another machine needs to be asked for', () => {
    expect(parseProviderEndpoint('Hetzner=http://example.com:81', true)).toEqual({
      provider: 'Hetzner',
      origin: 'http://example.com:81',
    });
  });
});

describe('--provider-budget', () => {
  test.each([
    ['Vultr=20/30', { ratePerSecond: 20, burst: 30 }],
    ['Vultr=0.5/1', { ratePerSecond: 0.5, burst: 1 }],
  ])('%s', (text, budget) => {
    expect(parseProviderBudget(text)).toEqual({ provider: 'Vultr', budget });
  });

  test.each(['Vultr=', 'Vultr=20', 'Vultr=20/0', 'Vultr=0/5', 'Vultr=a/b', 'Vultr=1/2/3', 'Vultr=-1/5'])(
    '%s is refused',
    text => {
      expect(() => parseProviderBudget(text)).toThrow('RATE/BURST is needed');
    },
  );
});
