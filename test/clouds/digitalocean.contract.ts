import { BLOCKS } from './blocks.ts';
import type { CloudContract } from './contract.ts';
import type { DigitalOceanAccount, DigitalOceanExtra } from './digitalocean.ts';
import type { CloudToken } from './kit.ts';
import { createDigitalOceanCloud } from './digitalocean.ts';

type DigitalOceanCloud = ReturnType<typeof createDigitalOceanCloud>;
type Token = CloudToken<DigitalOceanAccount, DigitalOceanExtra>;

const SUFFICIENT = { state: 'Sufficient', missing: [] };
const UNKNOWN = { state: 'Unknown', missing: [] };
const TOKEN_INFO = '/v1/oauth/token/info';
const CONSOLE_HOST = 'cloud.digitalocean.com';
const NEEDED = ['droplet:read', 'droplet:create', 'droplet:update', 'droplet:delete', 'droplet:admin'];
const NEEDED_BESIDE = ['ssh_key:read', 'ssh_key:create', 'tag:read', 'tag:create'];

function identity({ account }: Token): object {
  const ids = [...(account.team ? [`team:${account.team.uuid}`] : []), `account:${account.uuid}`];
  return { ids, name: account.team?.name ?? account.name };
}

function accepted(token: Token): object {
  return { kind: 'accepted', account: identity(token), permissions: SUFFICIENT, expiresAt: null };
}

export const digitaloceanContract: CloudContract<DigitalOceanAccount, DigitalOceanExtra> = {
  create: createDigitalOceanCloud,
  accepted,
  calls: { first: 2, recheck: 2 },
  hint: ({ credential }) => `dop_v1_••••${credential['token']?.slice(-4)}`,
  rows: [
    {
      name: 'a token that is not known (any more)',
      arrange: (_cloud, token) => void (token.revoked = true),
      expected: { kind: 'rejected', detail: 'Unable to authenticate you' },
    },
    {
      name: 'an expired token',
      arrange: (cloud, token) => cloud.expire(token.index),
      expected: { kind: 'rejected', detail: 'Unable to authenticate you' },
    },
    {
      name: 'a bare 401',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: '/v2/account' }),
      expected: { kind: 'rejected' },
    },
    {
      name: '401 with an id that is in no document',
      arrange: cloud => answerOnce(cloud, 401, '{"id":"","message":"translation missing"}'),
      expected: { kind: 'rejected', detail: 'translation missing' },
    },
    {
      name: 'custom scopes without account:read',
      token: { scopes: [...NEEDED, ...NEEDED_BESIDE] },
      expected: { kind: 'accepted', permissions: SUFFICIENT, expiresAt: null },
    },
    {
      name: 'custom scopes without droplet:admin, which only rebuilding needs',
      token: {
        scopes: [...NEEDED, ...NEEDED_BESIDE, 'account:read'].filter(scope => scope !== 'droplet:admin'),
      },
      expected: token => ({
        ...accepted(token),
        permissions: { state: 'Sufficient', missing: ['droplet:admin'] },
      }),
    },
    {
      name: 'umbrella scopes',
      token: { scopes: ['api:read', 'api:write'] },
      expected: accepted,
    },
    {
      name: 'the umbrella scope for reading where orders are wanted',
      token: { scopes: ['api:read'] },
      expected: token => ({
        kind: 'missingPermission',
        missing: ['droplet:create', 'droplet:delete', 'droplet:update', 'ssh_key:create', 'tag:create'],
        account: identity(token),
      }),
    },
    { name: 'a legacy token with write access', token: { scopes: ['read', 'write'] }, expected: accepted },
    {
      name: 'a read-only token for an account that only looks',
      token: { scopes: ['read'] },
      access: 'ReadOnly',
      expected: accepted,
    },
    {
      name: 'a read-only token for an account that orders',
      token: { scopes: ['read'] },
      expected: token => ({
        kind: 'missingPermission',
        missing: ['droplet:create', 'droplet:delete', 'droplet:update', 'ssh_key:create', 'tag:create'],
        account: identity(token),
      }),
    },
    {
      name: 'a locked account',
      arrange: (_cloud, { account }) => {
        account.status = 'locked';
        account.statusMessage = 'Your account is locked. Please contact support.';
      },
      expected: { kind: 'accountLocked', detail: 'Your account is locked. Please contact support.' },
    },
    {
      name: 'an account with a warning',
      arrange: (_cloud, { account }) => void (account.status = 'warning'),
      expected: accepted,
    },
    {
      name: 'a user without a team',
      arrange: (_cloud, { account }) => void delete account.team,
      expected: accepted,
    },
    {
      name: 'a token with an expiry',
      token: { expiresInSeconds: 86_400 },
      expected: token => ({ ...accepted(token), expiresAt: token.expiresAt }),
    },
    {
      name: 'token information that is down',
      arrange: cloud => void cloud.inject({ kind: 'status', status: 500 }, { path: TOKEN_INFO }),
      expected: { kind: 'unreachable', cause: 'Http500', host: CONSOLE_HOST },
    },
    {
      name: 'token information that is down at a recheck',
      depth: 'recheck',
      arrange: cloud => void cloud.inject({ kind: 'reset' }, { path: TOKEN_INFO }),
      expected: { kind: 'unreachable', cause: 'ConnectionReset', host: CONSOLE_HOST },
    },
    {
      name: 'token information that is throttled',
      arrange: cloud => void cloud.inject({ kind: 'throttle', retryAfter: '7' }, { path: TOKEN_INFO }),
      expected: { kind: 'throttled', retryAfterMs: 7000 },
    },
    {
      name: 'token information that refuses what the API accepts',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: TOKEN_INFO }),
      expected: { kind: 'unexpected', detail: `HTTP 401 (${CONSOLE_HOST})` },
    },
    ...[404, 405, 410].flatMap(status => [
      {
        name: `token information that is not there (${status}, HTML)`,
        arrange: (cloud: DigitalOceanCloud): void =>
          void cloud.inject({ kind: 'html', status }, { path: TOKEN_INFO }),
        expected: (token: Token) => ({ kind: 'accepted', account: identity(token), permissions: UNKNOWN }),
      },
      {
        name: `neither account:read nor token information (${status}): listing droplets proves the token`,
        token: { scopes: [...NEEDED, ...NEEDED_BESIDE] },
        arrange: (cloud: DigitalOceanCloud): void =>
          void cloud.inject({ kind: 'status', status }, { path: TOKEN_INFO }),
        expected: { kind: 'accepted', permissions: UNKNOWN },
      },
    ]),
    {
      name: 'a made-up token behind a filter that blocks everything in JSON',
      arrange: (cloud, token) => {
        token.revoked = true;
        cloud.inject(BLOCKS.egress);
      },
      expected: {
        kind: 'unexpected',
        detail: `HTTP 403: blocked: Blocked by egress policy (${CONSOLE_HOST})`,
      },
    },
    {
      name: 'the same filter, which knows nothing of the console host',
      arrange: (cloud, token) => {
        token.revoked = true;
        cloud.inject(BLOCKS.egress);
        cloud.inject({ kind: 'html', status: 404 }, { path: TOKEN_INFO });
      },
      expected: { kind: 'unexpected', detail: 'HTTP 403: blocked: Blocked by egress policy' },
    },
    {
      name: '403 on the account, then 401 on the token information',
      token: { scopes: NEEDED },
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: TOKEN_INFO }),
      expected: { kind: 'unexpected', detail: `HTTP 401 (${CONSOLE_HOST})` },
    },
    {
      name: 'the security page that a blocked address gets',
      token: { addresses: ['203.0.113.7'] },
      expected: { kind: 'unreachable', cause: 'HtmlAnswer' },
    },
    {
      name: '403 in a form that is not the API’s',
      arrange: cloud => answerOnce(cloud, 403, '{"error":"blocked by policy"}'),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: '404 on the account',
      arrange: cloud => answerOnce(cloud, 404, '{"id":"not_found","message":"gone"}'),
      expected: { kind: 'unexpected', detail: 'HTTP 404: not_found: gone' },
    },
    {
      name: '200 without an account',
      arrange: cloud => answerOnce(cloud, 200, '{"ok":true}'),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without an account' },
    },
  ],
  malformed: [
    {
      name: 'a refresh token',
      spoil: ({ token = '' }) => ({ token: token.replace('dop_', 'dor_') }),
      check: 'digitalocean-refresh-token',
    },
    {
      name: 'two lines',
      spoil: ({ token = '' }) => ({ token: `${token}\n${token}` }),
      check: 'digitalocean-token-characters',
    },
  ],
};

function answerOnce(cloud: DigitalOceanCloud, status: number, body: string): void {
  cloud.inject({ kind: 'answer', status, body }, { path: '/v2/account', times: 1 });
}
