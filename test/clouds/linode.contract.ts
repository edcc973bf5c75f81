import type { CloudContract, ContractRow } from './contract.ts';
import type { CloudToken } from './kit.ts';
import type { LinodeAccount, LinodeExtra } from './linode.ts';
import { createLinodeCloud } from './linode.ts';

type Token = CloudToken<LinodeAccount, LinodeExtra>;
type LinodeCloud = ReturnType<typeof createLinodeCloud>;

const SUFFICIENT = { state: 'Sufficient', missing: [] };
const UNKNOWN = { state: 'Unknown', missing: [] };
const NOT_ACTIVATED = 'Your account must be activated before you can use this endpoint';
const LACKS_SCOPE = 'Your OAuth token is not authorized to use this endpoint.';

/** What the profile tells: the header names the account. */
function user({ account, extra }: Token): { ids: string[] } {
  return { ids: [`euuid:${account.euuid}`, `user:${extra.uid}`] };
}

function identity(token: Token): object {
  return { ...user(token), name: token.account.company };
}

function accepted(token: Token): object {
  return { kind: 'accepted', account: identity(token), permissions: SUFFICIENT, expiresAt: null };
}

/** Accepted without the name of the account and without the expiry, which need the same scope. */
function acceptedUser(token: Token): object {
  return { kind: 'accepted', account: user(token), permissions: SUFFICIENT };
}

/** A restricted user who may order by roles alone: a check makes all the calls that there are. */
const BY_ROLE = {
  extra: { restricted: true, addLinodes: false, permissions: ['create_linode', 'view_account'] },
};

function answerOnce(cloud: LinodeCloud, path: string, status: number, body: object): void {
  cloud.inject({ kind: 'answer', status, body: JSON.stringify(body) }, { path, times: 1 });
}

export const linodeContract: CloudContract<LinodeAccount, LinodeExtra> = {
  create: createLinodeCloud,
  accepted,
  // Its expiry is "never", which status does not hold, and so it is asked for again.
  calls: { first: 3, recheck: 3 },
  hint: ({ credential }) => `••••${credential['token']?.slice(-4)}`,
  rows: [
    {
      name: 'a revoked token',
      arrange: (cloud, token) => cloud.revoke(token.index),
      expected: { kind: 'rejected', detail: 'Invalid Token' },
    },
    {
      name: 'an expired token',
      arrange: (cloud, token) => cloud.expire(token.index),
      expected: { kind: 'rejected', detail: 'Invalid Token' },
    },
    {
      name: 'a bare 401 on the profile',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: '/v4/profile' }),
      expected: { kind: 'rejected' },
    },
    {
      name: 'a token that is revoked between the two calls',
      arrange: cloud => answerOnce(cloud, '/v4/account', 401, { errors: [{ reason: 'Invalid Token' }] }),
      expected: { kind: 'rejected', detail: 'Invalid Token' },
    },
    {
      name: 'a bare 401 on the second call',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }, { path: '/v4/account' }),
      expected: { kind: 'unexpected', detail: 'HTTP 401' },
    },
    {
      name: 'a token without the scope of the account',
      token: { scopes: ['linodes:read_write'] },
      expected: acceptedUser,
    },
    {
      name: 'a token without the scope of the account, checked again',
      token: { scopes: ['linodes:read_write'] },
      depth: 'recheck',
      expected: acceptedUser,
    },
    {
      name: 'a read-only token for an account that only looks',
      token: { scopes: ['linodes:read_only', 'account:read_only'] },
      access: 'ReadOnly',
      expected: accepted,
    },
    {
      name: 'a read-only token for an account that orders: 401 by Linode, but no bad credential',
      token: { scopes: ['linodes:read_only'] },
      expected: token => ({
        kind: 'missingPermission',
        missing: ['linodes:read_write'],
        account: user(token),
      }),
    },
    {
      name: 'a token for other things',
      token: { scopes: ['domains:read_write'] },
      access: 'ReadOnly',
      expected: token => ({
        kind: 'missingPermission',
        missing: ['linodes:read_only'],
        account: user(token),
      }),
    },
    {
      name: 'a missing scope that only the second call tells of',
      token: { scopes: ['domains:read_write'], extra: { withoutScopeHeader: true } },
      access: 'ReadOnly',
      expected: token => ({
        kind: 'missingPermission',
        missing: ['linodes:read_only'],
        account: user(token),
        detail: LACKS_SCOPE,
      }),
    },
    {
      name: 'answers without the header of scopes',
      token: { extra: { withoutScopeHeader: true } },
      expected: token => ({ ...accepted(token), permissions: UNKNOWN }),
    },
    {
      name: 'an account that is not activated',
      arrange: (_cloud, { account }) => void (account.activated = false),
      expected: { kind: 'accountLocked', detail: NOT_ACTIVATED },
    },
    {
      name: 'an account that is not activated, checked again without its scope',
      token: { scopes: ['linodes:read_write'] },
      depth: 'recheck',
      arrange: (_cloud, { account }) => void (account.activated = false),
      expected: { kind: 'accountLocked', detail: NOT_ACTIVATED },
    },
    { name: 'a restricted user with the grants', token: { extra: { restricted: true } }, expected: accepted },
    {
      name: 'a restricted user whose grants do not allow to order: of roles they know nothing',
      token: { extra: { restricted: true, addLinodes: false } },
      expected: token => ({ ...accepted(token), permissions: UNKNOWN }),
    },
    {
      name: 'a restricted user who may order by a role, which grants know nothing of',
      token: {
        extra: {
          restricted: true,
          addLinodes: false,
          accountAccess: null,
          permissions: ['create_linode', 'view_account'],
        },
      },
      arrange: (_cloud, { account }) => void (account.iam = true),
      expected: accepted,
    },
    {
      name: 'a restricted user without a role to order',
      token: { extra: { restricted: true, addLinodes: false, permissions: ['view_account'] } },
      arrange: (_cloud, { account }) => void (account.iam = true),
      expected: token => ({ kind: 'missingPermission', missing: ['create_linode'], account: user(token) }),
    },
    {
      name: 'a restricted user who only looks',
      token: { extra: { restricted: true, addLinodes: false, accountAccess: null } },
      access: 'ReadOnly',
      expected: token => ({ ...accepted(token), account: user(token) }),
    },
    {
      name: 'an older token that may order',
      token: { scopes: ['linodes:view', 'linodes:create', 'account:view'] },
      expected: accepted,
    },
    {
      name: 'an older token that may look',
      token: { scopes: ['linodes:view'] },
      expected: token => ({
        kind: 'missingPermission',
        missing: ['linodes:read_write'],
        account: user(token),
      }),
    },
    {
      name: 'a token that neither scope nor header tells the account of',
      token: { scopes: ['linodes:read_write'], extra: { withoutCustomerHeader: true } },
      expected: ({ extra }) => ({
        kind: 'accepted',
        account: { ids: [`user:${extra.uid}`] },
        permissions: SUFFICIENT,
      }),
    },
    ...[
      ['/v4/profile/grants', 'grants'],
      ['/v4/iam/users/:username/permissions/account', 'permissions'],
      ['/v4/account', 'an account'],
      ['/v4/profile/tokens', 'a list of tokens'],
    ].flatMap(([path = '', promised]): ContractRow<LinodeAccount, LinodeExtra>[] => [
      {
        name: `500 on ${path}`,
        token: BY_ROLE,
        arrange: (cloud, { account }) => {
          account.iam = true;
          cloud.inject({ kind: 'status', status: 500 }, { path });
        },
        expected: { kind: 'unreachable', cause: 'Http500' },
      },
      {
        name: `a filter that blocks ${path} in JSON`,
        token: BY_ROLE,
        arrange: (cloud, { account }) => {
          account.iam = true;
          answerOnce(cloud, path, 403, { id: 'blocked', message: 'Blocked by policy' });
        },
        expected: { kind: 'unexpected', detail: 'HTTP 403' },
      },
      {
        name: `200 on ${path} that tells something else`,
        token: BY_ROLE,
        arrange: (cloud, { account }) => {
          account.iam = true;
          answerOnce(cloud, path, 200, { ok: true });
        },
        expected: { kind: 'unexpected', detail: `HTTP 200 without ${promised}` },
      },
    ]),
    {
      name: 'an account that may not be read after all',
      arrange: cloud => answerOnce(cloud, '/v4/account', 403, { errors: [{ reason: 'Unauthorized' }] }),
      expected: acceptedUser,
    },
    {
      name: 'a token with an expiry',
      token: { expiresInSeconds: 86_400 },
      // Linode tells whole seconds.
      expected: token => ({
        ...accepted(token),
        expiresAt: Math.floor((token.expiresAt ?? 0) / 1000) * 1000,
      }),
    },
    {
      name: 'an API that is busy',
      arrange: cloud => answerOnce(cloud, '/v4/account', 400, { errors: [{ reason: 'Linode busy.' }] }),
      expected: { kind: 'unreachable', cause: 'Busy' },
    },
    {
      name: 'an error about a field',
      arrange: cloud =>
        answerOnce(cloud, '/v4/account', 403, { errors: [{ reason: 'Not valid', field: 'page' }] }),
      expected: { kind: 'unexpected', detail: 'HTTP 403: field: Not valid' },
    },
    {
      name: '403 in a form that is not the API’s',
      arrange: cloud => answerOnce(cloud, '/v4/profile', 403, { error: 'blocked by policy' }),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: '200 without a profile',
      arrange: cloud => answerOnce(cloud, '/v4/profile', 200, { ok: true }),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without a profile' },
    },
  ],
  malformed: [
    {
      name: 'two lines',
      spoil: ({ token = '' }) => ({ token: `${token}\n${token}` }),
      check: 'linode-token-characters',
    },
  ],
};
