import { createHash } from 'node:crypto';

import { BLOCKS } from './blocks.ts';
import type { CloudContract } from './contract.ts';
import type { CloudToken } from './kit.ts';
import type { VultrAccount, VultrCloud, VultrExtra } from './vultr.ts';
import { createVultrCloud, vultrError } from './vultr.ts';

type Token = CloudToken<VultrAccount, VultrExtra>;

const UNKNOWN = { state: 'Unknown', missing: [] };
const ACCOUNT = '/v2/account';
const INSTANCES = '/v2/instances';
/** A user who may list servers, but not see the account. */
const WITHOUT_BILLING = { scopes: ['subscriptions_view', 'subscriptions', 'provisioning'] };

function ids({ extra }: Token): string[] {
  return [`email-sha256:${createHash('sha256').update(extra.email).digest('hex').slice(0, 16)}`];
}

function accepted(token: Token): object {
  return { kind: 'accepted', account: { ids: ids(token), name: token.account.name }, permissions: UNKNOWN };
}

function answerOnce(cloud: VultrCloud, path: string, status: number, body: string): void {
  cloud.inject({ kind: 'answer', status, body }, { path, times: 1 });
}

function refuseOnce(cloud: VultrCloud, path: string, status: number, text: string): void {
  answerOnce(cloud, path, status, vultrError(status, text).body.toString());
}

export const vultrContract: CloudContract<VultrAccount, VultrExtra> = {
  create: createVultrCloud,
  accepted,
  calls: { first: 1, recheck: 1 },
  hint: ({ credential }) => `••••${credential['token']?.slice(-4)}`,
  rows: [
    {
      name: 'a key that is not known (any more)',
      arrange: (_cloud, token) => void (token.revoked = true),
      expected: { kind: 'rejected', detail: 'Invalid API token.' },
    },
    {
      name: 'an expired key',
      arrange: (cloud, token) => cloud.expire(token.index),
      expected: { kind: 'rejected', detail: 'Invalid API token.' },
    },
    {
      name: 'a bare 401',
      arrange: cloud => void cloud.inject({ kind: 'empty', status: 401 }),
      expected: { kind: 'rejected' },
    },
    {
      name: '401 with a text that is in no document',
      arrange: cloud => refuseOnce(cloud, ACCOUNT, 401, 'Key retired'),
      expected: { kind: 'rejected', detail: 'Key retired' },
    },
    {
      name: 'a caller who is not on the list',
      token: { addresses: ['203.0.113.7'] },
      expected: {
        kind: 'sourceNotAllowed',
        address: '127.0.0.1',
        detail: 'Unauthorized IP address: 127.0.0.1',
      },
    },
    {
      name: 'a caller with an IPv6 address who is not on the list',
      arrange: cloud => refuseOnce(cloud, ACCOUNT, 401, 'Unauthorized IP address: 2001:db8::5'),
      expected: {
        kind: 'sourceNotAllowed',
        address: '2001:db8::5',
        detail: 'Unauthorized IP address: 2001:db8::5',
      },
    },
    {
      name: 'a user who may not see the account, but lists servers',
      token: WITHOUT_BILLING,
      expected: token => ({ kind: 'accepted', account: { ids: ids(token) }, permissions: UNKNOWN }),
    },
    {
      name: 'the same user at a recheck',
      token: WITHOUT_BILLING,
      depth: 'recheck',
      knownIds: ids,
      expected: token => ({ kind: 'accepted', account: { ids: ids(token) }, permissions: UNKNOWN }),
    },
    {
      name: 'a user who may see neither account nor servers',
      token: { scopes: ['dns'] },
      access: 'ReadOnly',
      expected: { kind: 'accountLocked', detail: 'Forbidden' },
    },
    {
      name: 'a second user of the organization, who is another one to Vultr',
      token: { extra: { email: 'deploy@example.com' } },
      expected: accepted,
    },
    {
      name: 'a policy that allows servers, by a wildcard, and no account information',
      token: { scopes: ['compute.instance.*'] },
      expected: token => ({ kind: 'accepted', account: { ids: ids(token) }, permissions: UNKNOWN }),
    },
    {
      name: 'a policy that allows account information as well',
      token: { scopes: ['compute.instance.*', 'account.billing.Read'] },
      expected: accepted,
    },
    {
      name: 'a key with an expiry date, which it cannot read',
      token: { expiresInSeconds: 86_400 },
      expected: accepted,
    },
    {
      name: 'a user without any allowed address',
      token: { addresses: [] },
      expected: {
        kind: 'sourceNotAllowed',
        address: '127.0.0.1',
        detail: 'Unauthorized IP address: 127.0.0.1',
      },
    },
    {
      name: 'a filter that answers every call with 403 and JSON',
      arrange: cloud => void cloud.inject(BLOCKS.egress),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: 'the same in a form that is almost Vultr’s',
      arrange: cloud => void cloud.inject(BLOCKS.gateway),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: 'an outage at the second call, which belongs to the verdict',
      token: WITHOUT_BILLING,
      arrange: cloud => void cloud.inject({ kind: 'html', status: 403 }, { path: INSTANCES }),
      expected: { kind: 'unreachable', cause: 'HtmlAnswer' },
    },
    {
      name: 'a key that is revoked between the two calls',
      token: WITHOUT_BILLING,
      arrange: cloud => refuseOnce(cloud, INSTANCES, 401, 'Invalid API token.'),
      expected: { kind: 'rejected', detail: 'Invalid API token.' },
    },
    {
      name: 'a second call without instances',
      token: WITHOUT_BILLING,
      arrange: cloud => answerOnce(cloud, INSTANCES, 200, '{"ok":true}'),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without instances' },
    },
    {
      name: 'an e-mail address in the name, which is not shown',
      arrange: (_cloud, { account }) => void (account.name = `Jo <${account.email}>`),
      expected: token => ({ kind: 'accepted', account: { ids: ids(token) }, permissions: UNKNOWN }),
    },
    {
      name: '403 in a form that is not the API’s',
      arrange: cloud => answerOnce(cloud, ACCOUNT, 403, '{"message":"blocked by policy"}'),
      expected: { kind: 'unexpected', detail: 'HTTP 403' },
    },
    {
      name: '400',
      arrange: cloud => refuseOnce(cloud, ACCOUNT, 400, 'Bad request'),
      expected: { kind: 'unexpected', detail: 'HTTP 400: Bad request' },
    },
    {
      name: '200 without an account',
      arrange: cloud => answerOnce(cloud, ACCOUNT, 200, '{"ok":true}'),
      expected: { kind: 'unexpected', detail: 'HTTP 200 without an account' },
    },
  ],
  malformed: [
    {
      name: 'two lines',
      spoil: ({ token = '' }) => ({ token: `${token}\n${token}` }),
      check: 'vultr-key-characters',
    },
  ],
};
