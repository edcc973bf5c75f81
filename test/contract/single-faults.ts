import type { ProviderName } from '../../operator/api/names.ts';
import type { Fault } from '../clouds/faults.ts';
import type { Cloud, CloudToken, TokenOptions } from '../clouds/kit.ts';

/** A credential whose first check makes all the calls that its provider may be asked. */
export interface Check {
  provider: ProviderName;
  token: TokenOptions;
  arrange?: (cloud: Cloud, token: CloudToken) => void;
  /** As the routes of the cloud name them, in order. */
  calls: readonly string[];
}

export const CHECKS: readonly Check[] = [
  { provider: 'Hetzner', token: {}, calls: ['/v1/locations'] },
  { provider: 'DigitalOcean', token: {}, calls: ['/v2/account', '/v1/oauth/token/info'] },
  { provider: 'Vultr', token: {}, calls: ['/v2/account'] },
  {
    provider: 'Linode',
    // Restricted, and with roles that its grants know nothing of.
    token: {
      extra: {
        restricted: true,
        addLinodes: false,
        permissions: ['create_linode', 'view_account'],
      },
    },
    arrange: (_cloud, { account }) => void Object.assign(account, { iam: true }),
    calls: [
      '/v4/profile',
      '/v4/profile/grants',
      '/v4/iam/users/:username/permissions/account',
      '/v4/account',
      '/v4/profile/tokens',
    ],
  },
  { provider: 'TransIP', token: {}, calls: ['/v6/auth', '/v6/api-test'] },
  { provider: 'Hostinger', token: {}, calls: ['/api/vps/v1/data-centers'] },
  {
    provider: 'UpCloud',
    token: { extra: { username: 'sub_user' } },
    calls: ['/1.3/account', '/1.3/account/details/:username', '/1.3/permission', '/1.3/account/tokens'],
  },
];

export interface SingleFault {
  name: string;
  fault: Fault;
  /** What it means; only of those that are played on Kubernetes as well, which once ended as a verdict. */
  played?: 'unreachable' | 'unexpected';
}

const CLOUDFLARE = { title: 'Error 1010', status: 403, error_code: 1010, cloudflare_error: true };

/** What may happen to one call of a check while the others are answered well. None of it comes from the provider's API. */
export const SINGLE_FAULTS: readonly SingleFault[] = [
  { name: 'a reset', fault: { kind: 'reset' }, played: 'unreachable' },
  { name: 'an answer that is cut short', fault: { kind: 'truncate', afterBytes: 100 } },
  { name: 'a body that is cut short', fault: { kind: 'answer', status: 200, body: '{"data":[{"id":1' } },
  { name: 'an empty body', fault: { kind: 'empty', status: 200 } },
  { name: 'HTTP 500', fault: { kind: 'status', status: 500 } },
  { name: 'HTTP 503 with Retry-After', fault: { kind: 'status', status: 503, retryAfter: '7' } },
  { name: 'HTTP 429 with Retry-After', fault: { kind: 'throttle', retryAfter: '7' } },
  { name: 'HTML with 200', fault: { kind: 'html', status: 200 } },
  { name: 'HTML with 403', fault: { kind: 'html', status: 403 } },
  {
    name: 'a filter’s own JSON with 403',
    fault: json(403, { id: 'blocked', message: 'Blocked by egress policy' }),
    played: 'unexpected',
  },
  { name: 'a filter’s own JSON with 200', fault: json(200, { message: 'Blocked by egress policy' }) },
  { name: 'Cloudflare’s JSON with 403', fault: json(403, CLOUDFLARE) },
];

/** Over when the deadline of the check is. */
export const TIMEOUT: SingleFault = { name: 'no answer at all', fault: { kind: 'hang' } };

function json(status: number, body: object): Fault {
  return {
    kind: 'answer',
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}
