/**
 * Simulated UpCloud API 1.3. Bodies follow developers.upcloud.com/1.3 and UpCloudLtd/upcloud-go-api@f64673e, its
 * types and its recordings (`upcloud/service/fixtures`).
 */
import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions, CloudRequest, CloudToken, RoutedRequest } from './kit.ts';
import { json } from './answer.ts';
import { HEX, UPPER_ALPHANUMERIC } from './ids.ts';
import { bearer, createCloud, isAllowedFrom, isExpired, queryNumber } from './kit.ts';

export interface UpCloudAccount {
  /** User name of the main account. */
  main: string;
  company: string;
  credits: number;
  /** Code and text that every call is refused with; `TRIAL_PLAN` and the like. */
  refusal?: { status: number; code: string; message: string };
}

export interface UpCloudExtra {
  /** The user that the token acts as; the main account's by default. */
  username: string;
  /** User name and password instead of a token. */
  basic: boolean;
  id: string;
  /** Permissions of a subaccount: target type to identifier, such as `server` to `*`. */
  permissions: Record<string, string>;
  /** "Allow API connections" of the user. */
  allowApi: boolean;
  /** A session of the control panel: it is listed among the tokens. */
  gui: boolean;
}

type Account = UpCloudAccount;
type Extra = UpCloudExtra;
type Token = CloudToken<Account, Extra>;
type Request = RoutedRequest<Account, Extra>;
type UpCloudCloud = Cloud<Account, Extra>;

const definition: CloudDefinition<Account, Extra> = {
  name: 'UpCloud',
  // Rights are the user's, not the token's.
  allScopes: [],

  newAccount: (ids, name) => ({
    main: `main_${ids.text(6, HEX)}`,
    company: `Company ${name}`,
    credits: 9972.2324,
  }),

  newToken(ids, options, account) {
    const username = options.extra?.username ?? account.main;
    const basic = options.extra?.basic ?? false;
    return {
      // Prefix [upcloud.com/docs/guides/getting-started-upcloud-api], 26 characters [docs 24-api-tokens, sample].
      credential: basic
        ? { username, password: ids.text(24, UPPER_ALPHANUMERIC) }
        : { token: `ucat_${ids.text(26, UPPER_ALPHANUMERIC)}` },
      extra: {
        username,
        basic,
        id: ids.uuid(),
        permissions: { server: '*', storage: '*', network: '*' },
        allowApi: true,
        gui: false,
      },
    };
  },

  identify(request, cloud) {
    const token = bearer(request);
    if (token !== undefined) return cloud.find('token', token);
    const [username, password] = basic(request) ?? [];
    const found = username === undefined ? undefined : cloud.find('username', username);
    return found?.credential['password'] === password ? found : undefined;
  },

  refuse(token, request, cloud) {
    if (request.headers['authorization'] === undefined) {
      // Seen live: the old format under the new media type, before the path is looked at.
      return json(
        401,
        {
          error: {
            error_code: 'AUTHENTICATION_REQUIRED',
            error_message:
              'The UpCloud API requires authentication. Create your account at https://www.upcloud.com/.',
          },
        },
        { 'content-type': 'application/problem+json' },
      );
    }
    // That an expired token answers as an unknown one is assumed. So are a blocked address and switched-off API access:
    // the case that is the hardest to tell.
    const usable = token !== undefined && !token.revoked && !isExpired(token, cloud.now());
    if (!usable || !token.extra.allowApi || !isAllowedFrom(token, request.address)) {
      // Text: UpCloudLtd/upcloud-go-api README.
      return failure(
        request,
        401,
        'AUTHENTICATION_FAILED',
        'Authentication failed using the given username and password.',
      );
    }
    const { refusal } = token.account;
    return refusal === undefined
      ? undefined
      : failure(request, refusal.status, refusal.code, refusal.message);
  },

  routes: [
    { method: 'GET', path: '/1.3/account', handle: account },
    { method: 'GET', path: '/1.3/account/details/:username', handle: details },
    { method: 'GET', path: '/1.3/account/tokens', handle: tokens },
    { method: 'GET', path: '/1.3/permission', handle: permissions },
    // [docs 8-servers]
    { method: 'GET', path: '/1.3/server', handle: () => json(200, { servers: { server: [] } }) },
  ],

  notFound: () => old(404, 'NOT_FOUND', 'The requested resource was not found.'),
  // [upcloud-go-api error_codes.go] SERVICE_ERROR; no rate limit is documented, nor headers for one.
  error: (status, message) => old(status, 'SERVICE_ERROR', message),
  throttled: () => old(429, 'TOO_MANY_REQUESTS', 'Too many requests.'),
  maintenance: () => old(503, 'SERVICE_ERROR', 'The service is temporarily unavailable.'),
};

export function createUpCloudCloud(options?: CloudOptions): UpCloudCloud {
  return createCloud(definition, options);
}

function basic(request: CloudRequest): string[] | undefined {
  const encoded = /^Basic (.+)$/i.exec(request.headers['authorization'] ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return [text.slice(0, colon), text.slice(colon + 1)];
}

/** [docs 1.3 "Error responses"] */
function old(status: number, code: string, message: string): Answer {
  return json(status, { error: { error_code: code, error_message: message } });
}

/** [upcloud-go-api problem.go] */
function problem(status: number, code: string, title: string): Answer {
  return json(
    status,
    { type: `https://developers.upcloud.com/1.3/errors#ERROR_${code}`, title, status },
    { 'content-type': 'application/problem+json' },
  );
}

/** Both formats occur. Which one a Bearer token gets is in no source: here it is the newer. */
function failure(request: CloudRequest, status: number, code: string, message: string): Answer {
  return basic(request) === undefined ? problem(status, code, message) : old(status, code, message);
}

function forbidden(request: CloudRequest): Answer {
  return failure(request, 403, 'ACTION_FORBIDDEN', 'The action is forbidden.');
}

function isMain({ account, extra }: Token): boolean {
  return extra.username === account.main;
}

/** [upcloud-go-api account_test.go] */
function account({ token }: Request): Answer {
  return json(200, {
    account: {
      credits: token.account.credits,
      username: token.extra.username,
      resource_limits: {
        cores: 200,
        detached_floating_ips: 10,
        memory: 1048576,
        networks: 100,
        public_ipv4: 100,
        public_ipv6: 100,
        storage_hdd: 10240,
        storage_maxiops: 10240,
        storage_ssd: 10240,
      },
    },
  });
}

/** [upcloud-go-api account_test.go]; a subaccount may only read itself [docs 3-accounts]. */
function details(request: Request): Answer {
  const { token, params } = request;
  if (params['username'] !== token.extra.username) return forbidden(request);
  const all = { network: ['*'], server: [{ uuid: '*', storage: 'yes' }], storage: ['*'] };
  return json(200, {
    account: {
      main_account: token.account.main,
      type: isMain(token) ? 'main' : 'sub',
      username: token.extra.username,
      first_name: 'first',
      last_name: 'last',
      company: token.account.company,
      address: 'my address',
      postal_code: '00130',
      city: 'Helsinki',
      state: '',
      country: 'FIN',
      currency: 'EUR',
      language: 'en',
      phone: '+358.31245434',
      email: 'test@example.com',
      vat_number: '',
      timezone: 'UTC',
      campaigns: { campaign: [] },
      roles: { role: ['technical'] },
      allow_api: token.extra.allowApi ? 'yes' : 'no',
      allow_gui: 'yes',
      enable_3rd_party_services: 'yes',
      network_access: { network: isMain(token) ? all.network : [] },
      server_access: { server: isMain(token) ? all.server : [] },
      storage_access: { storage: isMain(token) ? all.storage : [] },
      tag_access: { tag: [] },
      ip_filters: { ip_filter: token.addresses ?? [] },
    },
  });
}

/**
 * [upcloud-go-api fixtures/token.yaml]: a bare array, without the tokens themselves; in pages of 20, at most 100, with
 * the sessions of the control panel unless they are filtered out [preview upcloudltd/upcloud-openapi-spec].
 */
function tokens(request: Request, cloud: UpCloudCloud): Answer {
  const { token, query } = request;
  const gui = query.get('gui');
  const own = cloud.tokens.filter(
    ({ extra, revoked }) =>
      extra.username === token.extra.username &&
      !extra.basic &&
      !revoked &&
      (gui === null || gui === String(extra.gui)),
  );
  const from = queryNumber(request, 'offset', 0, 1_000_000);
  return json(
    200,
    own.slice(from, from + queryNumber(request, 'limit', 20, 100)).map(other => ({
      id: other.extra.id,
      name: other.name,
      type: other.extra.gui ? 'pat' : 'workspace',
      created_at: new Date(other.createdAt).toISOString(),
      // Every token expires, at the latest after 365 days [docs 24-api-tokens].
      expires_at: new Date(other.expiresAt ?? other.createdAt + 365 * 86_400_000).toISOString(),
      last_used_at: new Date(cloud.now()).toISOString(),
      can_create_tokens: false,
      allowed_ip_ranges: other.addresses ?? ['0.0.0.0/0', '::/0'],
      gui: other.extra.gui,
    })),
  );
}

/** [docs 18-permissions; upcloud-go-api fixtures/permissions.yaml]: a main account sees all its subaccounts'. */
function permissions({ token }: Request, cloud: UpCloudCloud): Answer {
  const users = new Map(
    cloud.tokens
      .filter(other => other.account === token.account && !isMain(other))
      .filter(other => isMain(token) || other.extra.username === token.extra.username)
      .map(({ extra }) => [extra.username, extra.permissions]),
  );
  const permission = [...users].flatMap(([user, rows]) =>
    Object.entries(rows).map(([target_type, target_identifier]) => ({
      options: target_type === 'server' ? { storage: 'yes' } : {},
      target_identifier,
      target_type,
      user,
    })),
  );
  return json(200, { permissions: { permission } });
}
