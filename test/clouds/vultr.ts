/** Vultr as www.vultr.com/api, docs.vultr.com and vultr/govultr describe it. */
import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions, CloudRequest, CloudToken } from './kit.ts';
import { json } from './answer.ts';
import { UPPER_ALPHANUMERIC } from './ids.ts';
import { bearer, createCloud, isAllowedFrom, isExpired, queryNumber } from './kit.ts';

/** An organization; keys belong to its users (docs.vultr.com "Manage User API Access"). */
export interface VultrAccount {
  name: string;
  /** Of the user who owns it. */
  email: string;
}

export interface VultrExtra {
  /** Of the key's user; default: the owner of the organization. */
  email: string;
}

export type VultrCloud = Cloud<VultrAccount, VultrExtra>;
type Token = CloudToken<VultrAccount, VultrExtra>;

/** ACLs of a user: docs.vultr.com/reference/vultr-cli/users/create. */
const ACLS = [
  'abuse',
  'alerts',
  'billing',
  'dns',
  'firewall',
  'loadbalancer',
  'manage_users',
  'objstore',
  'provisioning',
  'subscriptions',
  'subscriptions_view',
  'support',
  'upgrade',
] as const;

/** `{"error":"text","status":n}`: www.vultr.com/api "Response Codes", vultr/vultr-csi#97. */
export function vultrError(status: number, error: string): Answer {
  return json(status, { error, status });
}

// No source tells the text of a 403, nor which ACL a call needs: the names suggest these. The IAM actions are documented
// (docs.vultr.com "IAM Policy Actions Map"), wildcards included.
function forbidden(): Answer {
  return vultrError(403, 'Forbidden');
}

/** One page with the cursor in `meta.links`, empty at the ends: www.vultr.com/api "Meta and Pagination". */
function list(request: CloudRequest, name: string, all: readonly object[]): Answer {
  const size = queryNumber(request, 'per_page', 100, 500);
  const cursor = Buffer.from(request.query.get('cursor') ?? '', 'base64url').toString();
  const from = /^next__\d+$/.test(cursor) ? Number(cursor.slice('next__'.length)) : 0;
  const link = (at: number): string =>
    at > 0 && at < all.length ? Buffer.from(`next__${at}`).toString('base64url') : '';
  const links = { next: link(from + size), prev: link(from - size) };
  return json(200, { [name]: all.slice(from, from + size), meta: { total: all.length, links } });
}

/** By an ACL of an older account, or by a policy that allows the action. */
function has({ scopes }: Token, acls: readonly (typeof ACLS)[number][], action: string): boolean {
  return scopes.some(
    scope =>
      acls.some(acl => acl === scope) ||
      scope === action ||
      (scope.endsWith('*') && action.startsWith(scope.slice(0, -1))),
  );
}

const definition: CloudDefinition<VultrAccount, VultrExtra> = {
  name: 'Vultr',
  allScopes: ACLS,
  newAccount: (ids, name) => ({ name: `Account ${name}`, email: `${ids.text(8, 'abcdefghij')}@example.com` }),
  // 36 characters A-Z0-9: samples of vultr/govultr, trufflehog's detector `vultrapikey`.
  newToken: (ids, _options, { email }) => ({
    credential: { token: ids.text(36, UPPER_ALPHANUMERIC) },
    extra: { email },
  }),
  identify: (request, cloud) => cloud.find('token', bearer(request) ?? ''),
  refuse(token, request, cloud) {
    if (token === undefined || token.revoked || isExpired(token, cloud.now())) {
      // Text: apache/libcloud libcloud/test/compute/test_vultr_v2.py. An expired key is assumed to answer the same.
      return vultrError(401, 'Invalid API token.');
    }
    if (!isAllowedFrom(token, request.address)) {
      // vultr/vultr-csi#97: {"error":"Unauthorized IP address: 207.246.105.116","status":401}.
      return vultrError(401, `Unauthorized IP address: ${request.address}`);
    }
    return undefined;
  },
  routes: [
    {
      method: 'GET',
      path: '/v2/account',
      handle({ token }) {
        if (!has(token, ['billing'], 'account.billing.Read')) return forbidden();
        // www.vultr.com/api "Get Account Info", vultr/govultr account_test.go.
        return json(200, {
          account: {
            name: token.account.name,
            email: token.extra.email,
            // Whether IAM policies show here is documented nowhere.
            acls: token.scopes.filter(scope => ACLS.some(acl => acl === scope)),
            balance: -100.55,
            pending_charges: 60.25,
            last_payment_date: '2020-10-10T01:56:20+00:00',
            last_payment_amount: -1.25,
          },
        });
      },
    },
    {
      method: 'GET',
      path: '/v2/instances',
      handle: request =>
        has(request.token, ['subscriptions_view', 'subscriptions'], 'compute.instance.List')
          ? list(request, 'instances', [])
          : forbidden(),
    },
  ],
  open: [
    {
      // www.vultr.com/api "List Regions": needs no key.
      method: 'GET',
      path: '/v2/regions',
      handle: request =>
        list(request, 'regions', [
          { id: 'ams', city: 'Amsterdam', country: 'NL', continent: 'Europe', options: [] },
        ]),
    },
  ],
  notFound: () => vultrError(404, 'Invalid URI'),
  // The address of the key's user comes back with every answer to a known key.
  headers: (token): Record<string, string> => (token === undefined ? {} : { 'X-User': token.extra.email }),
  error: vultrError,
  // {"status":429,"error":"rate limit exceeded"}, beyond 30 requests a second an address (docs.vultr.com); no rate-limit headers are documented.
  throttled: () => vultrError(429, 'rate limit exceeded'),
  // www.vultr.com/api "Response Codes": 503.
  maintenance: () => vultrError(503, 'Service unavailable'),
};

export function createVultrCloud(options: CloudOptions = {}): VultrCloud {
  return createCloud(definition, options);
}
