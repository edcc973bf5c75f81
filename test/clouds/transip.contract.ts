import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';

import { forgedKey, pemOf } from './forged-key.ts';
import { BLOCKS } from './blocks.ts';
import type { CloudContract } from './contract.ts';
import type { CloudToken } from './kit.ts';
import type { TransipAccount, TransipCloud, TransipExtra } from './transip.ts';
import { createTransipCloud } from './transip.ts';

type Key = CloudToken<TransipAccount, TransipExtra>;
type Cloud = Pick<TransipCloud, 'inject'>;

const REFUSED = 'Authentication failed, invalid signature';
const LABEL_TAKEN = "The label 'x' is already used in another active access token.";

function accepted({ account }: Key): object {
  return {
    kind: 'accepted',
    account: { ids: [`customer:${account.customerId}`, `login:${account.login}`] },
    permissions: { state: 'Sufficient', missing: [] },
    expiresAt: null,
  };
}

function answer(cloud: Cloud, path: string, times: number, status: number, error: string): void {
  cloud.inject({ kind: 'answer', status, body: JSON.stringify({ error }) }, { path, times });
}

export const transipContract: CloudContract<TransipAccount, TransipExtra> = {
  create: createTransipCloud,
  accepted,
  calls: { first: 2, recheck: 2 },
  hint: ({ account, extra }) => {
    const spki = extra.publicKey.export({ type: 'spki', format: 'der' });
    return `${account.login} (key ${createHash('sha256').update(spki).digest('hex').slice(0, 8)})`;
  },
  rows: [
    {
      name: 'a key pair that was removed',
      arrange: (cloud, key) => cloud.revoke(key.index),
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'another login’s key',
      arrange: (_cloud, { account }) => void (account.login = 'someone-else'),
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'a bare 401 on the login',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: '/v6/auth' }),
      expected: { kind: 'rejected' },
    },
    {
      name: 'an address that is not on the whitelist',
      token: { addresses: ['203.0.113.7'] },
      expected: {
        kind: 'sourceNotAllowed',
        address: '127.0.0.1',
        detail: 'Remote IP is not authorized for this request; called from IP 127.0.0.1',
      },
    },
    {
      name: 'an API that is switched off: 409, but definitive',
      arrange: (_cloud, { account }) => void (account.apiEnabled = false),
      expected: { kind: 'accountLocked', detail: 'Authentication failed, API is not enabled for customer' },
    },
    {
      name: 'a resource that is locked',
      arrange: cloud => answer(cloud, '/v6/auth', 1, 409, 'The resource is locked'),
      expected: { kind: 'unreachable', cause: 'Conflict' },
    },
    {
      name: 'a label that is taken: once more with another',
      arrange: cloud => answer(cloud, '/v6/auth', 1, 406, LABEL_TAKEN),
      expected: accepted,
    },
    {
      name: 'a label that is taken again, sent as 401',
      arrange: cloud => answer(cloud, '/v6/auth', 2, 401, LABEL_TAKEN),
      expected: { kind: 'unexpected', detail: `HTTP 401: ${LABEL_TAKEN}` },
    },
    {
      name: 'a nonce that got lost',
      arrange: cloud => answer(cloud, '/v6/auth', 1, 401, 'Please specify a nonce in the body'),
      expected: { kind: 'unexpected', detail: 'HTTP 401: Please specify a nonce in the body' },
    },
    {
      name: 'a signature that got lost',
      arrange: cloud => answer(cloud, '/v6/auth', 1, 401, 'Please specify a signature in the header'),
      expected: { kind: 'unexpected', detail: 'HTTP 401: Please specify a signature in the header' },
    },
    {
      name: 'a parameter that is refused',
      arrange: cloud => answer(cloud, '/v6/auth', 1, 406, 'Missing parameter'),
      expected: { kind: 'unexpected', detail: 'HTTP 406: Missing parameter' },
    },
    {
      name: 'a session that was revoked in between: one new login',
      arrange: cloud => answer(cloud, '/v6/api-test', 1, 401, 'Your access token has been revoked.'),
      expected: accepted,
    },
    {
      name: 'a session that expires at once, again and again',
      arrange: cloud => answer(cloud, '/v6/api-test', 2, 401, 'Your access token has expired.'),
      expected: { kind: 'unexpected', detail: 'HTTP 401: Your access token has expired.' },
    },
    {
      name: 'a bare 401 after the login',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: '/v6/api-test' }),
      expected: { kind: 'unexpected', detail: 'HTTP 401' },
    },
    {
      name: 'the page of a gateway after the login',
      arrange: cloud => void cloud.inject({ kind: 'html', status: 403 }, { path: '/v6/api-test' }),
      expected: { kind: 'unreachable', cause: 'HtmlAnswer' },
    },
    ...['/v6/auth', '/v6/api-test'].flatMap(path => [
      {
        name: `a filter that blocks ${path} in JSON`,
        arrange: (cloud: Cloud): void => void cloud.inject(BLOCKS.egress, { path }),
        expected: { kind: 'unexpected', detail: 'HTTP 403' },
      },
      {
        name: `${path} down alone, at a recheck`,
        depth: 'recheck' as const,
        arrange: (cloud: Cloud): void => void cloud.inject({ kind: 'status', status: 500 }, { path }),
        expected: { kind: 'unreachable', cause: 'Http500' },
      },
    ]),
    {
      name: '200 without a token',
      arrange: cloud =>
        void cloud.inject({ kind: 'answer', status: 200, body: '{"ok":true}' }, { path: '/v6/auth' }),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without a token' },
    },
    {
      name: '200 without a pong',
      arrange: cloud =>
        void cloud.inject({ kind: 'answer', status: 200, body: '{"ok":true}' }, { path: '/v6/api-test' }),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without a pong' },
    },
  ],
  malformed: [
    {
      name: 'something that is no key',
      spoil: credential => ({ ...credential, privateKey: 'secret' }),
      check: 'transip-key-no-pem',
    },
    {
      name: 'a key that lost a line',
      spoil: ({ privateKey = '', ...rest }) => ({ ...rest, privateKey: privateKey.replace(/\n.+\n/, '\n') }),
      check: 'transip-key-unreadable',
    },
    {
      name: 'a key longer than any that TransIP gives out',
      spoil: credential => ({ ...credential, privateKey: pemOf(forgedKey(16_384)) }),
      check: 'transip-key-too-long',
    },
    {
      name: 'a key of random numbers',
      spoil: credential => ({ ...credential, privateKey: pemOf(forgedKey(4_096)) }),
      check: 'transip-key-unreadable',
    },
    {
      name: 'the public key',
      spoil: ({ privateKey = '', ...rest }) => ({
        ...rest,
        privateKey: createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString(),
      }),
      check: 'transip-key-public',
    },
    {
      name: 'a key of another kind',
      spoil: credential => ({
        ...credential,
        privateKey: generateKeyPairSync('ed25519')
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
      }),
      check: 'transip-key-not-rsa',
    },
    {
      name: 'an access token of the control panel',
      spoil: credential => ({ ...credential, privateKey: 'eyJ0eXAiOiJKV1QifQ.e30.c2ln' }),
      check: 'transip-key-access-token',
    },
  ],
};
