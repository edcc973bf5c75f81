/** Hostinger as openapi.json (v1.42.5) of hostinger/api describes it. */
import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions } from './kit.ts';
import type { Ids } from './ids.ts';
import { json } from './answer.ts';
import { ALPHANUMERIC, createIds } from './ids.ts';
import { bearer, createCloud, isExpired } from './kit.ts';

/** No call tells anything of the account. */
export type HostingerCloud = Cloud;

/** Limits exist, figures are not published (openapi.json "Rate Limiting"). */
const LIMIT = 100;
const WINDOW_MS = 60_000;

// Schema VPS.V1.DataCenter.DataCenterResource; the first is its example.
const DATA_CENTERS = [
  { id: 29, name: 'phx', location: 'us', city: 'Phoenix', continent: 'North America' },
  { id: 9, name: 'fra', location: 'de', city: 'Frankfurt', continent: 'Europe' },
];

const correlation: Ids = createIds('Hostinger correlation');

/** `{"message","correlation_id"}`: Common.Response.ErrorResponse and UnauthorizedResponse. */
export function hostingerError(status: number, message: string): Answer {
  return json(status, { message, correlation_id: correlation.uuid() });
}

const definition: CloudDefinition<object, object> = {
  name: 'Hostinger',
  // "Tokens will have same permissions as the owning user" (openapi.json "Authentication").
  allScopes: [],
  newAccount: () => ({}),
  // No shape is documented.
  newToken: ids => ({ credential: { token: ids.text(48, ALPHANUMERIC) }, extra: {} }),
  identify: (request, cloud) => cloud.find('token', bearer(request) ?? ''),
  refuse(token, _request, cloud) {
    // Common.Response.UnauthorizedResponse. An expired token is assumed to answer the same.
    if (token === undefined || token.revoked || isExpired(token, cloud.now())) {
      return hostingerError(401, 'Unauthenticated');
    }
    return undefined;
  },
  routes: [
    // VPS_getDataCenterListV1: a plain array, no pages.
    { method: 'GET', path: '/api/vps/v1/data-centers', handle: () => json(200, DATA_CENTERS) },
    // VPS_getVirtualMachinesV1: a plain array, no pages.
    { method: 'GET', path: '/api/vps/v1/virtual-machines', handle: () => json(200, []) },
  ],
  // Codes in brackets in the text are what live answers carry.
  notFound: () => hostingerError(404, '[VPS:2002] Route is not found.'),
  // "Rate limit headers are included in the response" (openapi.json); the names are those of its framework, unconfirmed.
  headers(token, _request, cloud): Record<string, string> {
    if (token === undefined) return {};
    const { count } = cloud.used(`token ${token.index}`, WINDOW_MS);
    return {
      'X-RateLimit-Limit': String(LIMIT),
      'X-RateLimit-Remaining': String(Math.max(0, LIMIT - count)),
    };
  },
  error: hostingerError,
  // openapi.json "Rate Limiting": 429 Too Many Requests.
  throttled: () => hostingerError(429, 'Too Many Attempts.'),
  maintenance: () => hostingerError(503, 'Service Unavailable'),
};

export function createHostingerCloud(options: CloudOptions = {}): HostingerCloud {
  return createCloud(definition, options);
}
