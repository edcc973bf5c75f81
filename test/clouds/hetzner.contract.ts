import { BLOCKS } from './blocks.ts';
import type { CloudContract, ContractRow } from './contract.ts';
import type { HetznerCloud, HetznerProject } from './hetzner.ts';
import { createHetznerCloud, hetznerError } from './hetzner.ts';

const ACCEPTED = { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } };

/** Another answer of Hetzner's own form to the next call. */
function refuseOnce(cloud: HetznerCloud, status: number, code: string, message = 'text'): void {
  answerOnce(cloud, status, hetznerError(status, code, message).body.toString());
}

function answerOnce(cloud: HetznerCloud, status: number, body: string): void {
  cloud.inject({ kind: 'answer', status, body }, { path: '/v1/locations', times: 1 });
}

function codeRow(status: number, code: string, expected: object): ContractRow<HetznerProject, object> {
  return { name: `${status} ${code}`, arrange: cloud => refuseOnce(cloud, status, code), expected };
}

export const hetznerContract: CloudContract<HetznerProject, object> = {
  create: createHetznerCloud,
  accepted: () => ACCEPTED,
  calls: { first: 1, recheck: 1 },
  // The start: the first half of a token is its public identifier, the second half the secret.
  hint: ({ credential }) => `${credential['token']?.slice(0, 4)}••••`,
  rows: [
    {
      name: 'a read-only token for an account that only looks',
      token: { scopes: ['read'] },
      access: 'ReadOnly',
      expected: ACCEPTED,
    },
    {
      name: 'a read-only token, which Hetzner does not tell apart',
      token: { scopes: ['read'] },
      expected: ACCEPTED,
    },
    {
      name: 'a token that is not known (any more)',
      arrange: (_cloud, token) => void (token.revoked = true),
      expected: { kind: 'rejected', detail: 'unable to authenticate' },
    },
    {
      name: 'a bare 401',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }),
      expected: { kind: 'rejected' },
    },
    {
      name: '401 with a code that is in no document',
      arrange: cloud => refuseOnce(cloud, 401, 'token_retired'),
      expected: { kind: 'rejected', detail: 'text' },
    },
    codeRow(401, 'token_readonly', { kind: 'missingPermission', missing: ['Read & Write'], detail: 'text' }),
    {
      ...codeRow(401, 'token_readonly', ACCEPTED),
      name: '401 token_readonly where reading is enough',
      access: 'ReadOnly',
    },
    codeRow(403, 'forbidden', { kind: 'accountLocked', detail: 'text' }),
    {
      ...codeRow(403, 'forbidden', { kind: 'accountLocked', detail: 'text' }),
      name: '403 forbidden where reading is wanted',
      access: 'ReadOnly',
    },
    {
      name: 'a project that only support can unlock',
      arrange: (_cloud, { account }) => void (account.locked = true),
      expected: { kind: 'accountLocked', detail: 'resource is locked, please contact support' },
    },
    {
      name: 'maintenance, sent with 403',
      arrange: cloud => void cloud.inject({ kind: 'maintenance' }),
      expected: { kind: 'unreachable', cause: 'Maintenance' },
    },
    codeRow(423, 'locked', { kind: 'unreachable', cause: 'Locked' }),
    codeRow(409, 'conflict', { kind: 'unreachable', cause: 'Conflict' }),
    codeRow(403, 'rate_limit_exceeded', { kind: 'throttled' }),
    codeRow(401, 'server_error', { kind: 'unreachable', cause: 'ServerError' }),
    codeRow(403, 'bad_gateway', { kind: 'unreachable', cause: 'BadGateway' }),
    codeRow(403, 'timeout', { kind: 'unreachable', cause: 'Timeout' }),
    codeRow(403, 'unavailable', { kind: 'unreachable', cause: 'Unavailable' }),
    codeRow(403, 'resource_limit_exceeded', {
      kind: 'unexpected',
      detail: 'HTTP 403: resource_limit_exceeded: text',
    }),
    codeRow(422, 'json_error', { kind: 'unexpected', detail: 'HTTP 422: json_error: text' }),
    codeRow(410, 'deprecated_api_endpoint', {
      kind: 'unexpected',
      detail: 'HTTP 410: deprecated_api_endpoint: text',
    }),
    {
      name: '403 in a form that is not the API’s',
      arrange: cloud => answerOnce(cloud, 403, '{"message":"blocked by policy"}'),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: 'a filter that answers every call with 403 and JSON',
      arrange: cloud => void cloud.inject(BLOCKS.egress),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: '200 without locations',
      arrange: cloud => answerOnce(cloud, 200, '{"ok":true}'),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without locations' },
    },
  ],
  malformed: [
    {
      name: 'the identifier that the console shows',
      spoil: ({ token = '' }) => ({ token: token.slice(0, 32) }),
      check: 'hetzner-token-identifier',
    },
    {
      name: 'a token cut short',
      spoil: ({ token = '' }) => ({ token: token.slice(1) }),
      check: 'hetzner-token-length',
    },
    {
      name: 'a line break within',
      spoil: ({ token = '' }) => ({ token: `${token.slice(0, 32)}\n${token.slice(33)}` }),
      check: 'hetzner-token-characters',
    },
  ],
};
