import type { CloudContract, ContractRow } from './contract.ts';
import type { CloudToken } from './kit.ts';
import type { UpCloudAccount, UpCloudExtra } from './upcloud.ts';
import { createUpCloudCloud } from './upcloud.ts';

type Token = CloudToken<UpCloudAccount, UpCloudExtra>;
type UpCloudCloud = ReturnType<typeof createUpCloudCloud>;

const SUFFICIENT = { state: 'Sufficient', missing: [] };
const UNKNOWN = { state: 'Unknown', missing: [] };
const REFUSED = 'Authentication failed using the given username and password.';
const SUB = { username: 'sub_user' };
const BASIC_SUB = { username: 'sub_user', basic: true };

function identity({ account, extra }: Token): { ids: string[]; name: string } {
  return { ids: [`account:${account.main}`, `user:${extra.username}`], name: account.company };
}

/** Every token expires after 365 days at the latest. */
function expiry({ createdAt, expiresAt }: Token): number {
  return expiresAt ?? createdAt + 365 * 86_400_000;
}

function accepted(token: Token): object {
  return { ...acceptedPassword(token), expiresAt: expiry(token) };
}

/** Without an expiry: a password has none that could be read. */
function acceptedPassword(token: Token): object {
  return { kind: 'accepted', account: identity(token), permissions: SUFFICIENT };
}

function answerOnce(cloud: UpCloudCloud, path: string, status: number, body: object): void {
  cloud.inject({ kind: 'answer', status, body: JSON.stringify(body) }, { path, times: 1 });
}

/** What UpCloud says where a user may not know. */
function forbidOnce(cloud: UpCloudCloud, path: string, code: string): void {
  answerOnce(cloud, path, 403, { error: { error_code: code, error_message: 'The action is forbidden.' } });
}

/** What every call is refused with, in the format of a token and in that of a password. */
function refused(
  status: number,
  code: string,
  expected: object,
): ContractRow<UpCloudAccount, UpCloudExtra>[] {
  return [false, true].map(basic => ({
    name: `${status} ${code} in the ${basic ? 'old' : 'new'} format`,
    token: { extra: { basic } },
    arrange: (_cloud, { account }) => void (account.refusal = { status, code, message: 'Text.' }),
    expected: { ...expected, detail: 'Text.' },
  }));
}

/** Refusals that say nothing definitive. */
function notUnderstood(status: number, code: string): ContractRow<UpCloudAccount, UpCloudExtra> {
  return {
    name: `${status} ${code}`,
    arrange: (_cloud, { account }) => void (account.refusal = { status, code, message: 'Text.' }),
    expected: { kind: 'unexpected', detail: `HTTP ${status}: ${code}: Text.` },
  };
}

export const upcloudContract: CloudContract<UpCloudAccount, UpCloudExtra> = {
  create: createUpCloudCloud,
  accepted,
  calls: { first: 3, recheck: 1 },
  hint: ({ credential }) => `ucat_••••${credential['token']?.slice(-4)}`,
  rows: [
    {
      name: 'a revoked token',
      arrange: (cloud, token) => cloud.revoke(token.index),
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'an expired token',
      arrange: (cloud, token) => cloud.expire(token.index),
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'a password that was changed',
      token: { extra: { basic: true } },
      arrange: (cloud, token) => cloud.revoke(token.index),
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'an address that is not allowed: UpCloud does not tell it from a bad token',
      token: { addresses: ['192.0.2.1'] },
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'a subaccount without "Allow API connections"',
      token: { extra: { ...SUB, allowApi: false } },
      expected: { kind: 'rejected', detail: REFUSED },
    },
    {
      name: 'a bare 401',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: '/1.3/account' }),
      expected: { kind: 'rejected' },
    },
    ...refused(401, 'INVALID_CREDENTIALS', { kind: 'rejected' }),
    ...refused(401, 'SOMETHING_NEW', { kind: 'rejected' }),
    ...refused(402, 'INSUFFICIENT_CREDITS', { kind: 'accountLocked' }),
    ...refused(403, 'TRIAL_PLAN', { kind: 'accountLocked' }),
    ...refused(403, 'ACTION_FORBIDDEN', { kind: 'accountLocked' }),
    ...refused(403, 'ACCOUNT_FORBIDDEN', { kind: 'accountLocked' }),
    notUnderstood(401, 'AUTHENTICATION_REQUIRED'),
    notUnderstood(403, 'SERVICE_ERROR'),
    notUnderstood(403, 'IP_ADDRESS_FORBIDDEN'),
    notUnderstood(404, 'NOT_FOUND'),
    {
      name: 'user name and password of a main account',
      token: { extra: { basic: true } },
      expected: acceptedPassword,
    },
    { name: 'a token of a subaccount with all permissions', token: { extra: SUB }, expected: accepted },
    {
      name: 'a subaccount without any permission: it gets rows for what it creates',
      token: { extra: { ...SUB, permissions: {} } },
      expected: token => ({ ...accepted(token), permissions: UNKNOWN }),
    },
    {
      name: 'a subaccount with one server, for an account that orders',
      token: { extra: { ...BASIC_SUB, permissions: { server: '00a1', storage: '*', network: '*' } } },
      expected: token => ({ ...acceptedPassword(token), permissions: UNKNOWN }),
    },
    {
      name: 'a subaccount with one server, for an account that only looks',
      token: { extra: { ...BASIC_SUB, permissions: { server: '00a1' } } },
      access: 'ReadOnly',
      expected: acceptedPassword,
    },
    {
      name: 'a subaccount without servers, for an account that only looks',
      token: { extra: { ...BASIC_SUB, permissions: { storage: '*' } } },
      access: 'ReadOnly',
      expected: token => ({ ...acceptedPassword(token), permissions: UNKNOWN }),
    },
    {
      name: 'a main account that was known, checked again',
      depth: 'recheck',
      knownIds: token => identity(token).ids,
      expiryKnown: true,
      expected: token => ({
        kind: 'accepted',
        account: { ids: identity(token).ids },
        permissions: SUFFICIENT,
      }),
    },
    {
      name: 'an expiry that was not known yet, checked again',
      depth: 'recheck',
      knownIds: token => identity(token).ids,
      expected: token => ({
        kind: 'accepted',
        account: { ids: identity(token).ids },
        permissions: SUFFICIENT,
        expiresAt: expiry(token),
      }),
    },
    {
      name: 'a subaccount that lost a permission, checked again',
      token: { extra: { ...SUB, permissions: { server: '*', storage: '*' } } },
      depth: 'recheck',
      knownIds: token => identity(token).ids,
      expiryKnown: true,
      expected: token => ({
        kind: 'accepted',
        account: { ids: identity(token).ids },
        permissions: UNKNOWN,
      }),
    },
    {
      name: 'an account that was not known yet, checked again',
      token: { extra: SUB },
      depth: 'recheck',
      knownIds: ({ extra }) => [`user:${extra.username}`],
      expected: accepted,
    },
    ...['/1.3/account/details/:username', '/1.3/permission', '/1.3/account/tokens'].flatMap(
      (path): ContractRow<UpCloudAccount, UpCloudExtra>[] => [
        {
          name: `500 on ${path}`,
          token: { extra: SUB },
          arrange: cloud => void cloud.inject({ kind: 'status', status: 500 }, { path }),
          expected: { kind: 'unreachable', cause: 'Http500' },
        },
        {
          name: `a filter that blocks ${path} in JSON`,
          token: { extra: SUB },
          arrange: cloud => answerOnce(cloud, path, 403, { id: 'blocked', message: 'Blocked by policy' }),
          expected: { kind: 'unexpected', detail: 'HTTP 403' },
        },
        {
          name: `200 on ${path} that tells something else`,
          token: { extra: SUB },
          arrange: cloud => answerOnce(cloud, path, 200, { ok: true }),
          expected: {
            kind: 'unexpected',
            detail: `HTTP 200 without ${path.endsWith('tokens') ? 'a list of tokens' : path.endsWith('permission') ? 'permissions' : 'details of the account'}`,
          },
        },
      ],
    ),
    {
      name: 'details that UpCloud does not tell this user',
      token: { extra: SUB },
      arrange: cloud => forbidOnce(cloud, '/1.3/account/details/:username', 'ACTION_FORBIDDEN'),
      expected: token => ({ ...accepted(token), account: { ids: ['user:sub_user'] } }),
    },
    {
      name: 'permissions that UpCloud does not tell this user',
      token: { extra: SUB },
      arrange: cloud => forbidOnce(cloud, '/1.3/permission', 'ACTION_FORBIDDEN'),
      expected: token => ({ ...accepted(token), permissions: UNKNOWN }),
    },
    {
      name: 'a list of tokens that UpCloud does not tell this user',
      arrange: cloud => forbidOnce(cloud, '/1.3/account/tokens', 'ACCOUNT_FORBIDDEN'),
      expected: acceptedPassword,
    },
    {
      name: 'several tokens that cannot be told apart',
      arrange: cloud => void cloud.createToken({ expiresInSeconds: 86_400 }),
      expected: acceptedPassword,
    },
    {
      name: 'sessions of the control panel beside the token',
      arrange: cloud => {
        for (let more = 0; more < 30; more++)
          cloud.createToken({ expiresInSeconds: 3600, extra: { gui: true } });
      },
      expected: accepted,
    },
    {
      name: 'more tokens than one page of the list',
      arrange: cloud => {
        for (let more = 0; more < 110; more++) cloud.createToken();
      },
      expected: acceptedPassword,
    },
    {
      name: '403 in a form that is not the API’s',
      arrange: cloud => answerOnce(cloud, '/1.3/account', 403, { message: 'blocked by policy' }),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: '200 without an account',
      arrange: cloud => answerOnce(cloud, '/1.3/account', 200, { ok: true }),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without an account' },
    },
  ],
  malformed: [
    {
      name: 'something that is no token',
      spoil: ({ token = '' }) => ({ token: token.replace('ucat_', '') }),
      check: 'upcloud-token-prefix',
    },
    {
      name: 'two lines',
      spoil: ({ token = '' }) => ({ token: `${token}\n${token}` }),
      check: 'upcloud-token-characters',
    },
    {
      name: 'user name and password in one field',
      spoil: ({ token = '' }) => ({ username: `ops:${token}`, password: token }),
      check: 'upcloud-username-colon',
    },
  ],
};
