/**
 * Simulated DigitalOcean API v2. Bodies follow digitalocean/openapi@7c1300c (stored in `specs/digitalocean`), the
 * token information what doctl reads (digitalocean/doctl@168188d `do/oauth.go`): that endpoint is in no document.
 */
import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions, CloudRequest, CloudToken, RoutedRequest } from './kit.ts';
import { empty, html, json } from './answer.ts';
import { HEX } from './ids.ts';
import { bearer, createCloud, isAllowedFrom, isExpired, page, queryNumber } from './kit.ts';

export interface DigitalOceanAccount {
  uuid: string;
  name: string;
  email: string;
  status: 'active' | 'warning' | 'locked';
  statusMessage: string;
  team?: { uuid: string; name: string };
  droplets: { id: number; name: string; status: string }[];
}

export interface DigitalOceanExtra {
  /** Number of the owner in token information. */
  ownerId: number;
}

type Account = DigitalOceanAccount;
type Extra = DigitalOceanExtra;

/** Custom scopes that servers need. There are also two pairs for everything, see `has`. */
const SCOPES = [
  'account:read',
  'droplet:read',
  'droplet:create',
  'droplet:update',
  'droplet:delete',
  'droplet:admin',
  'ssh_key:read',
  'ssh_key:create',
  'tag:read',
  'tag:create',
];

/** [spec `description.yml`: 5,000 an hour and 250 a minute per token] */
const HOURLY_LIMIT = 5000;
const HOUR_MS = 3_600_000;

const definition: CloudDefinition<Account, Extra> = {
  name: 'DigitalOcean',
  allScopes: SCOPES,

  newAccount: (ids, name) => ({
    uuid: ids.text(40, HEX),
    name: 'Sammy the Shark',
    email: 'sammy@example.com',
    status: 'active',
    statusMessage: '',
    team: { uuid: ids.text(40, HEX), name: `Team ${name}` },
    droplets: [],
  }),

  // Personal access token: prefix [spec security scheme], 64 hex digits [doctl `commands/auth.go`: 71 in all].
  newToken: ids => ({
    credential: { token: `dop_v1_${ids.text(64, HEX)}` },
    extra: { ownerId: 1_000_000 + ids.number(1_000_000) },
  }),

  identify: (request, cloud) => cloud.find('token', bearer(request) ?? ''),

  refuse(token, request, cloud) {
    // A blocked address meets the CDN's security page and not the API.
    if (token !== undefined && !isAllowedFrom(token, request.address)) return html(403, 'Access denied');
    if (token === undefined || token.revoked || isExpired(token, cloud.now())) return unauthorized(request);
    return undefined;
  },

  routes: [
    { method: 'GET', path: '/v2/account', handle: scoped('account:read', account) },
    { method: 'GET', path: '/v2/droplets', handle: scoped('droplet:read', droplets) },
    { method: 'GET', path: '/v1/oauth/token/info', handle: tokenInfo },
  ],

  // [spec `shared/responses/not_found.yml`]
  notFound: () => error(404, 'not_found', 'The resource you requested could not be found.'),

  headers(token, request, cloud) {
    const used = cloud.used(
      token === undefined ? `address ${request.address}` : `token ${token.index}`,
      HOUR_MS,
    );
    // Names and meaning: [spec `shared/headers.yml`]; reset is when the oldest request expires.
    return {
      'ratelimit-limit': String(HOURLY_LIMIT),
      'ratelimit-remaining': String(Math.max(0, HOURLY_LIMIT - used.count)),
      'ratelimit-reset': String(Math.ceil((used.oldest + HOUR_MS) / 1000)),
      'x-request-id': cloud.ids.uuid(),
    };
  },

  // Ids as in the examples of `shared/responses/*.yml`; live ones vary, so the operator must not lean on them.
  error: (status, message) => error(status, ERROR_IDS[status] ?? 'server_error', message),
  throttled: () => error(429, 'too_many_requests', 'API rate limit exceeded.'),
  maintenance: () => error(503, 'service_unavailable', 'Server is temporarily unavailable.'),
};

const ERROR_IDS: Record<number, string> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  422: 'unprocessable_entity',
  429: 'too_many_requests',
  503: 'service_unavailable',
};

export function createDigitalOceanCloud(options?: CloudOptions): Cloud<Account, Extra> {
  return createCloud(definition, options);
}

/** [spec `shared/models/error.yml`] */
function error(status: number, id: string, message: string): Answer {
  return json(status, { id, message });
}

function unauthorized(request: CloudRequest): Answer {
  // doctl's own tests expect a bare 401 here [doctl `integration/auth_test.go`].
  if (request.path.startsWith('/v1/oauth/')) return empty(401);
  return error(401, 'unauthorized', 'Unable to authenticate you'); // [spec `shared/responses/unauthorized.yml`]
}

type Handler = (request: RoutedRequest<Account, Extra>, cloud: Cloud<Account, Extra>) => Answer;

/**
 * Tokens for everything have `read` and, with full access, `write`; the umbrella scopes `api:read` and `api:write` stand
 * for the same [docs reference/api/scopes].
 */
function scoped(scope: string, handler: Handler): Handler {
  return (request, cloud) => {
    if (has(request.token, scope)) return handler(request, cloud);
    // Text seen live [doctl#1635].
    return error(403, 'forbidden', 'You are not authorized to perform this operation');
  };
}

function has(token: CloudToken, scope: string): boolean {
  const deed = scope.endsWith(':read') ? 'read' : 'write';
  return [scope, deed, `api:${deed}`].some(granting => token.scopes.includes(granting));
}

/** [spec `resources/account/models/account.yml`] */
function account({ token }: RoutedRequest<Account, Extra>): Answer {
  const { uuid, name, email, status, statusMessage, team } = token.account;
  return json(200, {
    account: {
      ...(has(token, 'droplet:read') && { droplet_limit: 25 }),
      ...(has(token, 'reserved_ip:read') && { floating_ip_limit: 5 }),
      email,
      name,
      uuid,
      email_verified: true,
      status,
      status_message: statusMessage,
      ...(team && { team }),
    },
  });
}

/** [spec `resources/droplets/responses/all_droplets.yml`], the fields that identify a droplet. */
function droplets(request: RoutedRequest<Account, Extra>, cloud: Cloud<Account, Extra>): Answer {
  const size = queryNumber(request, 'per_page', 20, 200);
  const number = queryNumber(request, 'page', 1, 10_000);
  const all = request.token.account.droplets;
  const { items, pages } = page(all, number, size);
  const link = (to: number): string => `${cloud.url}/v2/droplets?page=${to}&per_page=${size}`;
  return json(200, {
    droplets: items,
    links: number < pages ? { pages: { next: link(number + 1), last: link(pages) } } : {},
    meta: { total: all.length },
  });
}

/** [doctl `do/oauth.go`]; null for a token that never expires is assumed, doctl reads it as 0. */
function tokenInfo({ token }: RoutedRequest<Account, Extra>, cloud: Cloud<Account, Extra>): Answer {
  return json(200, {
    resource_owner_id: token.extra.ownerId,
    scopes: token.scopes,
    expires_in_seconds:
      token.expiresAt === undefined ? null : Math.floor((token.expiresAt - cloud.now()) / 1000),
    application: { uid: null },
    created_at: Math.floor(token.createdAt / 1000),
  });
}
