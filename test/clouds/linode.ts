/**
 * Simulated Linode API v4. Bodies follow linode/linode-api-docs@40e7c7d `openapi.yaml` v4.189.0 (stored in
 * `specs/linode`) and recordings of linode/linodego@676b9db `test/integration/fixtures`.
 */
import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions, CloudRequest, CloudToken, RoutedRequest } from './kit.ts';
import { empty, json } from './answer.ts';
import { HEX } from './ids.ts';
import { bearer, createCloud, isExpired, page, queryNumber } from './kit.ts';

export interface LinodeAccount {
  euuid: string;
  company: string;
  email: string;
  /** An account under review answers 403 everywhere but on the profile. */
  activated: boolean;
  linodes: { id: number; label: string; status: string }[];
  /** Identity and Access is enabled: roles decide, and grants know nothing of them. */
  iam: boolean;
}

export interface LinodeExtra {
  id: number;
  /** The user that the token acts as. */
  uid: number;
  username: string;
  restricted: boolean;
  /** Grants of a restricted user. */
  addLinodes: boolean;
  accountAccess: 'read_only' | 'read_write' | null;
  /** Permissions in the account by the roles of a restricted user, where Identity and Access is enabled. */
  permissions: string[];
  /** Only a recorded shortcoming: the header of granted scopes is left out. */
  withoutScopeHeader: boolean;
  /** The header with the account is left out, as in the recordings of the SDK. */
  withoutCustomerHeader: boolean;
}

type Account = LinodeAccount;
type Extra = LinodeExtra;
type Token = CloudToken<Account, Extra>;
type Request = RoutedRequest<Account, Extra>;
type LinodeCloud = Cloud<Account, Extra>;

/** Scope that each path asks for [spec `security`]; none for the profile and its grants. */
const NEEDED: Record<string, string> = {
  '/v4/account': 'account:read_only',
  '/v4/profile/tokens': 'account:read_only',
  '/v4/linode/instances': 'linodes:read_only',
};

/** For the calls of Identity and Access, assumed [techdocs get-iam-users-role-permissions names none]. */
function neededFor(path: string): string | undefined {
  return path.startsWith('/v4/iam/') ? 'account:read_only' : NEEDED[path];
}

/** [techdocs.akamai.com "Rate limits"] 1,600 a minute, 200 for paginated lists. */
const MINUTE_MS = 60_000;

const definition: CloudDefinition<Account, Extra> = {
  name: 'Linode',
  // "*" is what a token with every right carries [linodego TestTokens_List.yaml].
  allScopes: ['*'],

  newAccount: (ids, name) => ({
    // Three dashes, upper case [spec `Account.euuid`, example].
    euuid: [8, 4, 4, 16].map(length => ids.text(length, HEX).toUpperCase()).join('-'),
    company: `Company ${name}`,
    email: `${ids.text(8, 'abcdefghij')}@example.com`,
    activated: true,
    linodes: [],
    iam: false,
  }),

  // 64 hex digits [linodego TestTokens_List.yaml].
  newToken: ids => ({
    credential: { token: ids.text(64, HEX) },
    extra: {
      id: 50_000_000 + ids.number(10_000_000),
      uid: 1_000_000 + ids.number(1_000_000),
      username: `user-${ids.text(6, HEX)}`,
      restricted: false,
      addLinodes: true,
      accountAccess: 'read_only',
      permissions: [],
      withoutScopeHeader: false,
      withoutCustomerHeader: false,
    },
  }),

  identify: (request, cloud) => cloud.find('token', bearer(request) ?? ''),

  refuse(token, request, cloud) {
    // [linodego TestReservedIPAddresses_InsufficientPermissions.yaml]
    if (token === undefined || token.revoked || isExpired(token, cloud.now()))
      return error(401, 'Invalid Token');
    // [linode/manager cypress/e2e/core/account/account-activation.spec.ts: most endpoints except /v4/profile]
    if (!token.account.activated && request.path !== '/v4/profile') {
      return error(403, 'Your account must be activated before you can use this endpoint');
    }
    const needed = neededFor(request.path);
    if (needed !== undefined && !has(token, needed)) {
      // [linode-cli#142, trailofbits/algo PR 14348]
      return error(401, 'Your OAuth token is not authorized to use this endpoint.');
    }
    return undefined;
  },

  routes: [
    { method: 'GET', path: '/v4/profile', handle: profile },
    { method: 'GET', path: '/v4/profile/grants', handle: grants },
    { method: 'GET', path: '/v4/profile/tokens', handle: tokens },
    { method: 'GET', path: '/v4/iam/users/:username/permissions/account', handle: permissions },
    { method: 'GET', path: '/v4/account', handle: account },
    { method: 'GET', path: '/v4/linode/instances', handle: instances },
  ],

  // [spec `Errors`: 404]
  notFound: () => error(404, 'Not found'),

  headers(token, request, cloud) {
    const limit = request.path.endsWith('/tokens') || request.path.endsWith('/instances') ? 200 : 1600;
    const used = cloud.used(
      token === undefined ? `address ${request.address}` : `token ${token.index}`,
      MINUTE_MS,
    );
    const known = token !== undefined && !token.revoked && !isExpired(token, cloud.now());
    return {
      // Scopes of the token, `unknown` for a bad one [spec v4.169 introduction; linodego recordings].
      ...(token?.extra.withoutScopeHeader !== true && {
        'X-OAuth-Scopes': known ? token.scopes.join(' ') : 'unknown',
      }),
      'X-Accepted-OAuth-Scopes': neededFor(request.path) ?? '*',
      // For who may not read the account [linode/manager request.tsx].
      ...(known && !token.extra.withoutCustomerHeader && { 'X-Customer-UUID': token.account.euuid }),
      // [techdocs.akamai.com "Rate limits"]
      'X-RateLimit-Limit': String(limit),
      'X-RateLimit-Remaining': String(Math.max(0, limit - used.count)),
      'X-RateLimit-Reset': String(Math.ceil((used.oldest + MINUTE_MS) / 1000)),
    };
  },

  error: (status, message) => error(status, message),
  // [spec `Errors`: 429]
  throttled: () => error(429, 'Too many requests'),
  // [linodego retries.go]
  maintenance: () =>
    json(503, { errors: [{ reason: 'Currently in maintenance mode.' }] }, { 'X-Maintenance-Mode': 'all' }),
};

export function createLinodeCloud(options?: CloudOptions): LinodeCloud {
  return createCloud(definition, options);
}

/** [spec `ErrorObject`] */
function error(status: number, reason: string): Answer {
  return json(status, { errors: [{ reason }] });
}

/**
 * `*` holds everything, `read_write` holds `read_only` [spec "OAuth scopes"]. Older tokens have `view`, which is
 * `read_only`, and `create`, `modify`, `delete`, which are `read_write` [linode/manager APITokens/utils.ts].
 */
function has(token: Token, needed: string): boolean {
  const [category = '', level] = needed.split(':');
  const writing = ['read_write', 'create', 'modify', 'delete'];
  const levels = level === 'read_only' ? [...writing, 'read_only', 'view'] : writing;
  return token.scopes.some(scope => scope === '*' || levels.some(other => scope === `${category}:${other}`));
}

/** [spec `Profile`; linodego TestProfile_Get.yaml] */
function profile({ token: { account, extra } }: Request): Answer {
  return json(200, {
    uid: extra.uid,
    username: extra.username,
    email: account.email,
    verified_phone_number: null,
    timezone: 'GMT',
    email_notifications: true,
    referrals: { code: '', url: '', total: 0, completed: 0, pending: 0, credit: 0 },
    ip_whitelist_enabled: false,
    lish_auth_method: 'password_keys',
    authorized_keys: null,
    two_factor_auth: true,
    restricted: extra.restricted,
    authentication_type: 'password',
  });
}

/** [spec `getProfileGrants`: 204 for a user that is not restricted] */
function grants({ token: { account, extra } }: Request): Answer {
  if (!extra.restricted) return empty(204);
  const linode = account.linodes.map(({ id, label }) => ({ id, label, permissions: 'read_write' }));
  return json(200, {
    global: {
      account_access: extra.accountAccess,
      add_databases: false,
      add_domains: false,
      add_firewalls: false,
      add_images: false,
      add_linodes: extra.addLinodes,
      add_longview: false,
      add_nodebalancers: false,
      add_stackscripts: false,
      add_volumes: false,
      add_vpcs: false,
      cancel_account: false,
      child_account_access: false,
      longview_subscription: false,
    },
    database: [],
    domain: [],
    firewall: [],
    image: [],
    linode,
    longview: [],
    nodebalancer: [],
    stackscript: [],
    volume: [],
    vpc: [],
  });
}

/**
 * [linode/manager packages/api-v4 iam.ts `getUserAccountPermissions`]: a bare list. That an account without Identity and
 * Access has no such call is assumed [techdocs get-iam-users-role-permissions: "doesn't work for you"].
 */
function permissions({ token: { account, extra }, params }: Request): Answer {
  if (!account.iam) return error(404, 'Not found');
  if (params['username'] !== extra.username) return error(403, 'Unauthorized');
  return json(200, extra.restricted ? extra.permissions : ['create_linode', 'view_account']);
}

/** [spec `getPersonalAccessTokens`]; the year of "Never" [linodego TestToken_GetNoExpiry.yaml]. */
function tokens(request: Request, cloud: LinodeCloud): Answer {
  const own = cloud.tokens.filter(
    ({ account, revoked, extra }) =>
      account === request.token.account && !revoked && extra.uid === request.token.extra.uid,
  );
  return list(
    request,
    own.map(({ extra, name, scopes, createdAt, expiresAt, credential }) => ({
      id: extra.id,
      scopes: scopes.join(' '),
      created: timeText(createdAt),
      label: name,
      // The first 16 characters.
      token: credential['token']?.slice(0, 16),
      expiry: expiresAt === undefined ? '2999-12-12T05:00:00' : timeText(expiresAt),
    })),
  );
}

/** UTC without a suffix [spec `PersonalAccessToken.expiry`]. */
function timeText(time: number): string {
  return new Date(time).toISOString().slice(0, 19);
}

/** [spec `Account`; linodego TestAccount_Get.yaml] */
function account({ token }: Request): Answer {
  // A restricted user needs the grant `account_access` [spec `GrantsResponse`]; the text is assumed.
  // With Identity and Access the permission `view_account` instead [techdocs iam-linode-api-rbac].
  const { restricted, accountAccess, permissions: held } = token.extra;
  const mayRead = token.account.iam ? held.includes('view_account') : accountAccess !== null;
  if (restricted && !mayRead) return error(403, 'Unauthorized');
  return json(200, {
    company: token.account.company,
    email: token.account.email,
    first_name: 'John',
    last_name: 'Smith',
    address_1: '123 Main Street',
    address_2: 'Suite A',
    city: 'Philadelphia',
    state: 'PA',
    zip: '19102-1234',
    country: 'US',
    phone: '215-555-1212',
    balance: 0,
    balance_uninvoiced: 0,
    tax_id: '',
    billing_source: 'linode',
    credit_card: { last_four: null, expiry: null },
    active_since: '2018-01-02T03:04:05',
    capabilities: ['Linodes', 'Block Storage'],
    active_promotions: [],
    euuid: token.account.euuid,
  });
}

/** [spec `getLinodeInstances`], the fields that identify a server. */
function instances(request: Request): Answer {
  return list(request, request.token.account.linodes);
}

/** [spec `PaginationEnvelope`]: pages of 25 to 500, 100 by default. */
function list(request: CloudRequest, all: readonly object[]): Answer {
  const wanted = request.query.get('page_size');
  if (wanted !== null && !(Number(wanted) >= 25 && Number(wanted) <= 500)) {
    return json(400, { errors: [{ reason: 'Must be 25-500', field: 'page_size' }] });
  }
  const number = queryNumber(request, 'page', 1, 10_000);
  const { items, pages } = page(all, number, queryNumber(request, 'page_size', 100, 500));
  return json(200, { data: items, page: number, pages, results: all.length });
}
