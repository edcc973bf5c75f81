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
    means: 'missingPermission',
    source: 'www.vultr.com/api, 403: the API key is valid, but not allowed to do this (no text documented)',
  },
];

/** `{"error":"text","status":n}`, www.vultr.com/api "Response Codes". */
function readError(json: unknown): ProviderError {
  const text = textField(json, 'error');
  return text === undefined ? {} : { text };
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
 * `GET /v2/account` is the verdict and gives the identity. Whether a sub-user without the ACL `billing` may call it is
 * not documented, so a 403 there only says that the key was recognised: listing servers, which every `access` needs,
 * then decides. `/v2/regions`, `/v2/plans` and `/v2/os` answer without a key and would prove nothing.
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
  const outcome = classify(VULTR_ANSWERS, account.status, readError(account.json), []);
  if (outcome.kind !== 'missingPermission') return outcome;

  const instances = await get(http, credential, '/v2/instances?per_page=1');
  if (!instances.ok) return instances.outcome;
  if (instances.status === 200) {
    if (!Array.isArray(field(instances.json, 'instances'))) {
      return withoutPromised(instances.json, 'instances');
    }
    return accepted(identity(instances.headers['x-user'] ?? account.headers['x-user'], undefined));
  }
  return classify(VULTR_ANSWERS, instances.status, readError(instances.json), [LIST_SERVERS_ACL]);
}

/** ACL that lets a user list servers (docs.vultr.com "Add Service User"); Vultr publishes no table of them. */
const LIST_SERVERS_ACL = 'subscriptions_view';

/** ACLs of `/v2/account` are not judged: it is not documented which call needs which, nor how IAM policies show. */
function accepted(account: AccountIdentity | undefined): Outcome {
  const permissions = { state: 'Unknown', missing: [] as string[] } as const;
  return account === undefined
    ? { kind: 'accepted', permissions }
    : { kind: 'accepted', account, permissions };
}

/**
 * Vultr's only identity is the e-mail address of the key's user, in `/v2/account` and in the header `x-user`. It leaves
 * this module only as a short hash: enough to tell accounts apart, too little to be of use to anybody else.
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
    consoleUrl: 'https://my.vultr.com/settings/#settingsapi',
    consolePath: 'Account → API → Enable API',
    permissions: {
      ReadOnly:
        'A key has all rights of its user. Make a user of its own (or a service user) with the permission "subscriptions_view" alone, and use the key of that user.',
      ReadWrite:
        'A key has all rights of its user. Make a user of its own (or a service user) with the permissions "subscriptions_view", "subscriptions", "provisioning" and "upgrade", and use the key of that user.',
    },
    notes: [
      'Under Access Control, allow the addresses that the cluster calls from, IPv4 and IPv6: Vultr answers calls from others with "Unauthorized IP address".',
      'Vultr does not publish which permission allows which call, so a missing one may be found out only with the first order.',
      'Keys made with Vultr IAM may have an expiry date, which the key itself cannot read.',
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
