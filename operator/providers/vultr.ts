import type { AccountIdentity, CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderAnswer, ProviderHttp } from './http.ts';
import { emailHash, nameWithoutEmail } from './identity.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { lastFourHint, tokenCharactersProblem } from './token.ts';

/** Answers other than 200. 429, 408, 5xx and whatever is no JSON never get here (`http.ts`). */
export const VULTR_ANSWERS: readonly ClassificationRow[] = [
  {
    text: /^unauthorized ip address(?:: *(?<address>[0-9a-f.:]*[0-9a-f:]))?/i,
    means: 'sourceNotAllowed',
    source:
      'vultr/vultr-csi#97: {"error":"Unauthorized IP address: 207.246.105.116","status":401}; the text decides',
  },
  {
    status: 401,
    text: /^invalid api token/i,
    means: 'rejected',
    source: 'apache/libcloud libcloud/test/compute/test_vultr_v2.py `_v2_ssh_keys_UNAUTHORIZED`',
  },
  {
    status: 401,
    means: 'rejected',
    source: 'www.vultr.com/api, 401; for a text that is not known yet: no row above speaks against it',
  },
  {
    status: 403,
    text: /./,
    means: 'accountLocked',
    source: 'www.vultr.com/api, 403: the API key is valid, but not allowed to do this (no text documented)',
  },
];

/**
 * `{"error":"text","status":n}`, www.vultr.com/api "Response Codes". A 403 is Vultr's own only with its number in the
 * body: filters and gateways say `{"error":"…"}` as well, and would have every key refused.
 */
function readError(status: number, json: unknown): ProviderError {
  const text = textField(json, 'error');
  const isOwn = status !== 403 || field(json, 'status') === status;
  return text === undefined || !isOwn ? {} : { text };
}

// Vultr promises no shape: 36 characters A-Z0-9 is only what everybody has seen.
function checkShape({ token = '' }: Credential): ShapeProblem | undefined {
  return tokenCharactersProblem('vultr-key-characters', token);
}

function hint({ token = '' }: Credential): string {
  return lastFourHint(token);
}

function get(http: ProviderHttp, credential: Credential, path: string): Promise<ProviderAnswer> {
  return http.call({ method: 'GET', path, headers: { authorization: `Bearer ${credential.token}` } });
}

/**
 * `GET /v2/account` is the verdict and gives the identity. It needs a right of its own (action `account.billing.Read`,
 * which older accounts call `billing`) that no `access` needs, so after a 403 listing servers decides. A 403 to that
 * too is told in Vultr's own words: it may be a missing right, or an API that is switched off. `/v2/regions`,
 * `/v2/plans` and `/v2/os` answer without a key and would prove nothing.
 */
async function verify(credential: Credential, _request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const account = await get(http, credential, '/v2/account');
  if (!account.ok) return account.outcome;
  if (account.status === 200) {
    const details = field(account.json, 'account');
    if (field(details, 'name') === undefined && field(details, 'email') === undefined) {
      return withoutPromised(account.json, 'an account');
    }
    return accepted(
      identity(textField(details, 'email') ?? account.headers['x-user'], textField(details, 'name')),
    );
  }
  const outcome = classify(VULTR_ANSWERS, account.status, readError(account.status, account.json), []);
  if (outcome.kind !== 'accountLocked') return outcome;

  const instances = await get(http, credential, '/v2/instances?per_page=1');
  if (!instances.ok) return instances.outcome;
  if (instances.status === 200) {
    if (!Array.isArray(field(instances.json, 'instances'))) {
      return withoutPromised(instances.json, 'instances');
    }
    return accepted(identity(instances.headers['x-user'] ?? account.headers['x-user'], undefined));
  }
  return classify(VULTR_ANSWERS, instances.status, readError(instances.status, instances.json), []);
}

/**
 * ACLs of `/v2/account` are not judged: it is not documented which call needs which, nor how IAM policies show there. A
 * key may end on a date, but whether `GET /v2/apikeys` names that of the key itself is documented nowhere.
 */
function accepted(account: AccountIdentity | undefined): Outcome {
  const permissions = { state: 'Unknown', missing: [] as string[] } as const;
  return account === undefined
    ? { kind: 'accepted', permissions }
    : { kind: 'accepted', account, permissions };
}

/**
 * Vultr's only identity is the e-mail address of the key's user, in `/v2/account` and in the header `x-user`: it says who
 * the key is of, not which organization. It leaves this module only as a short hash: enough to tell users apart, too
 * little to be of use to anybody else.
 */
function identity(email: string | undefined, name: string | undefined): AccountIdentity | undefined {
  const address = email?.trim();
  if (address === undefined || !/^[^@\s]+@[^@\s]+$/.test(address)) return undefined;
  const account: AccountIdentity = { ids: [emailHash(address)] };
  const shownName = nameWithoutEmail(name);
  return shownName === undefined ? account : { ...account, name: shownName };
}

export const vultr: Provider = {
  name: 'Vultr',
  fieldSets: [['token']],
  identityKinds: ['email-sha256'],
  guide: {
    consoleUrl: 'https://console.vultr.com/',
    consolePath: 'organization → Manage Organization → Users → the user → API Access → Create API Key',
    permissions: {
      ReadOnly:
        'A key has all rights of its user. Make a user of its own, with a policy that allows compute.instance.List and compute.instance.Read (in older accounts: the permission "subscriptions_view"), and a key of that user.',
      ReadWrite:
        'A key has all rights of its user. Make a user of its own, with a policy that allows compute.instance.* (Create, Delete, List, Read, Update; in older accounts: the permissions "subscriptions_view", "subscriptions", "provisioning" and "upgrade"), and a key of that user.',
    },
    notes: [
      'account.billing.Read (in older accounts: "billing") is not required: it lets the key read the account information, and so the name of the account.',
      'Under API Access, in the Access Control List, allow the addresses that the cluster calls from, IPv4 and IPv6: Vultr answers calls from others with "Unauthorized IP address", and without any allowed address no key works at all.',
      'A user may have several keys, each with an expiry date if you choose one. A key cannot read its own: note the date.',
      'A service user is made with the API only and cannot log in to the console: an administrator makes its keys.',
      'Vultr tells which user a key belongs to, not which organization: keys of two users cannot be compared.',
      'Vultr does not tell a key what its user may do, so a missing right may be found out only with the first order.',
    ],
  },
  // 30 requests a second an address (docs.vultr.com, rate limits), shared with everything else that leaves through it.
  // Burst and refill together stay under that in every second.
  budget: { scope: 'egress', ratePerSecond: 14, burst: 14 },
  origins: { api: 'https://api.vultr.com' },
  checkShape,
  hint,
  verify,
};
