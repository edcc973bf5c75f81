/** Hetzner Cloud as docs.hetzner.cloud, hetznercloud/hcloud-go and MaximilianKoestler/hcloud-openapi describe it. */
import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions, CloudRequest, CloudToken } from './kit.ts';
import { json } from './answer.ts';
import { ALPHANUMERIC } from './ids.ts';
import { bearer, createCloud, isExpired, page, queryNumber } from './kit.ts';

/** A project: tokens belong to one, and no call names it (docs.hetzner.cloud "Authentication"). */
export interface HetznerProject {
  locked: boolean;
}

export type HetznerCloud = Cloud<HetznerProject>;

/** Tokens are "Read" or "Read & Write", there is nothing finer (docs.hetzner.com "Generating an API token"). */
const SCOPES = ['read', 'write'] as const;

/** 3,600 requests an hour a project, refilled one a second (docs.hetzner.cloud "Rate Limiting"). */
const LIMIT = 3600;
const WINDOW_MS = 3_600_000;

// docs.hetzner.cloud "List locations"; schema `location` of MaximilianKoestler/hcloud-openapi.
const LOCATIONS = [
  location(1, 'fsn1', 'Falkenstein DC Park 1', 'DE', 'Falkenstein', 50.47612, 12.370071, 'eu-central'),
  location(2, 'nbg1', 'Nuremberg DC Park 1', 'DE', 'Nuremberg', 49.452102, 11.076665, 'eu-central'),
  location(3, 'hel1', 'Helsinki DC Park 1', 'FI', 'Helsinki', 60.169855, 24.938379, 'eu-central'),
  location(4, 'ash', 'Ashburn, VA', 'US', 'Ashburn, VA', 39.045821, -77.487073, 'us-east'),
  location(5, 'hil', 'Hillsboro, OR', 'US', 'Hillsboro, OR', 45.54222, -122.951924, 'us-west'),
  location(6, 'sin', 'Singapore', 'SG', 'Singapore', 1.283333, 103.833333, 'ap-southeast'),
];

function location(
  id: number,
  name: string,
  description: string,
  country: string,
  city: string,
  latitude: number,
  longitude: number,
  networkZone: string,
): object {
  return { id, name, description, country, city, latitude, longitude, network_zone: networkZone };
}

/** `{"error":{"code","message","details"}}`: docs.hetzner.cloud "Errors", schema `error_response`. */
export function hetznerError(status: number, code: string, message: string): Answer {
  return json(status, { error: { code, message, details: null } });
}

/** A page of a list with its `meta.pagination`: docs.hetzner.cloud "Pagination", schema `pagination`. */
function list(request: CloudRequest, name: string, all: readonly object[]): Answer {
  const number = queryNumber(request, 'page', 1, Number.MAX_SAFE_INTEGER);
  const size = queryNumber(request, 'per_page', 25, 50);
  const { items, pages } = page(all, number, size);
  const pagination = {
    page: number,
    per_page: size,
    previous_page: number > 1 ? number - 1 : null,
    next_page: number < pages ? number + 1 : null,
    last_page: pages,
    total_entries: all.length,
  };
  return json(200, { [name]: items, meta: { pagination } });
}

function usedByProject(cloud: HetznerCloud, token: CloudToken<HetznerProject>): number {
  return cloud.tokens
    .filter(other => other.account === token.account)
    .reduce((sum, other) => sum + cloud.used(`token ${other.index}`, WINDOW_MS).count, 0);
}

const definition: CloudDefinition<HetznerProject, object> = {
  name: 'Hetzner',
  allScopes: SCOPES,
  newAccount: () => ({ locked: false }),
  // Exactly 64 characters: hetznercloud/cli internal/cmd/context/create.go. Letters and digits in every example.
  newToken: ids => ({ credential: { token: ids.text(64, ALPHANUMERIC) }, extra: {} }),
  identify: (request, cloud) => cloud.find('token', bearer(request) ?? ''),
  refuse(token, request, cloud) {
    // Catalogue calls need a token as well: hetznercloud/cli#1213.
    if (token === undefined || token.revoked || isExpired(token, cloud.now())) {
      // Code and text: example of `error_response`, hetznercloud/hcloud-go hcloud/error_test.go.
      return hetznerError(401, 'unauthorized', 'unable to authenticate');
    }
    if (token.account.locked) {
      // hetznercloud/hcloud-go hcloud/error.go gives the code and its meaning; no source gives the status.
      return hetznerError(403, 'resource_locked', 'resource is locked, please contact support');
    }
    if (request.method !== 'GET' && !token.scopes.includes('write')) {
      // docs.hetzner.cloud "Errors": 401 token_readonly, the token is only allowed to perform GET requests.
      return hetznerError(401, 'token_readonly', 'token only allowed to perform GET requests');
    }
    return undefined;
  },
  routes: [
    { method: 'GET', path: '/v1/locations', handle: request => list(request, 'locations', LOCATIONS) },
    { method: 'GET', path: '/v1/servers', handle: request => list(request, 'servers', []) },
  ],
  // docs.hetzner.cloud "Errors": 404 not_found.
  notFound: () => hetznerError(404, 'not_found', 'route not found'),
  // hetznercloud/hcloud-go hcloud/client_handler_rate_limit.go: the second in which the bucket is full again.
  headers(token, _request, cloud) {
    const used = token === undefined ? 0 : usedByProject(cloud, token);
    return {
      'RateLimit-Limit': String(LIMIT),
      'RateLimit-Remaining': String(Math.max(0, LIMIT - used)),
      'RateLimit-Reset': String(Math.ceil(cloud.now() / 1000) + used),
      'X-Correlation-Id': cloud.ids.text(16, '0123456789abcdef'),
    };
  },
  error: (status, message) => hetznerError(status, status >= 500 ? 'server_error' : 'invalid_input', message),
  // docs.hetzner.cloud "Errors": 429 rate_limit_exceeded; no Retry-After is documented.
  throttled: () => hetznerError(429, 'rate_limit_exceeded', 'rate limit exceeded'),
  // docs.hetzner.cloud "Errors": 403 maintenance.
  maintenance: () => hetznerError(403, 'maintenance', 'cannot perform operation due to maintenance'),
};

export function createHetznerCloud(options: CloudOptions = {}): HetznerCloud {
  return createCloud(definition, options);
}
