import type { Access } from '../api/names.ts';
import type { AccountIdentity, CheckRequest, Outcome, Permissions } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderAnswer, ProviderHttp } from './http.ts';
import { nameWithoutEmail } from './identity.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { lastFourHint, tokenCharactersProblem } from './token.ts';

/** Rows that hold for every call. 429, 408, 5xx and whatever is no JSON never get here (`http.ts`). */
const COMMON_ANSWERS: readonly ClassificationRow[] = [
  {
    status: 400,
    text: /^Linode busy/i,
    means: 'unreachable',
    cause: 'Busy',
    source: 'linode/linodego retries.go: "Linode busy." is retried',
  },
  {
    code: 'field',
    means: 'unexpected',
    source:
      'linode/linode-api-docs openapi.yaml "Errors": an error with a `field` is about that field of the request',
  },
  {
    status: 403,
    text: /account must be activated/i,
    means: 'accountLocked',
    source: 'linode/manager packages/manager/src/request.tsx; every endpoint but /profile answers so',
  },
];

/** Answers of `GET /v4/profile` other than 200. The call needs no scope and no grant, so a 401 is about the token. */
export const LINODE_PROFILE_ANSWERS: readonly ClassificationRow[] = [
  ...COMMON_ANSWERS,
  {
    status: 401,
    means: 'rejected',
    source:
      'openapi.yaml `getProfile`: always accessible, no matter what OAuth scopes; "Invalid Token" in linode/linodego test/integration/fixtures/TestReservedIPAddresses_InsufficientPermissions.yaml',
  },
];

/** Answers of the calls after it. A 401 is no longer about the token, except where it says so. */
export const LINODE_FURTHER_ANSWERS: readonly ClassificationRow[] = [
  ...COMMON_ANSWERS,
  {
    status: 401,
    text: /^Invalid Token/i,
    means: 'rejected',
    source:
      'linode/linodego test/integration/fixtures/TestReservedIPAddresses_InsufficientPermissions.yaml: revoked since the first call',
  },
  {
    text: /OAuth token is not authorized to use this endpoint/i,
    means: 'missingPermission',
    source: 'linode/linode-cli#142, trailofbits/algo PR 14348: sent with 401 when the token lacks the scope',
  },
  {
    status: 403,
    text: /./,
    means: 'missingPermission',
    source: 'linode/linode-api-docs openapi.yaml "Errors": 403, the user lacks a grant',
  },
];

/** Scopes of `security` in linode/linode-api-docs openapi.yaml. Widening these demotes accounts that work. */
const NEEDED_SCOPE = { ReadOnly: 'linodes:read_only', ReadWrite: 'linodes:read_write' } as const;

/** Tokens made with "Never" carry this year: linode/linodego test/integration/fixtures/TestToken_GetNoExpiry.yaml. */
const NEVER = Date.UTC(2900, 0);

/** `/profile/tokens` shows this many characters of a token (openapi.yaml `PersonalAccessToken.token`). */
const SHOWN_TOKEN_LENGTH = 16;

interface User {
  id: string;
  restricted: boolean;
}

interface Grants {
  addLinodes: boolean;
  readsAccount: boolean;
}

type Get = (path: string) => Promise<ProviderAnswer>;

/** `{"errors":[{"reason","field"?}]}`, openapi.yaml `ErrorObject`. `code` is `field` where the error names one. */
function readError(json: unknown): ProviderError {
  const errors = field(json, 'errors');
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  const text = textField(first, 'reason');
  return {
    ...(textField(first, 'field') !== undefined && { code: 'field' }),
    ...(text !== undefined && { text }),
  };
}

/**
 * `GET /v4/profile` first: it works with any scope and so tells a dead token from one that lacks a right. An account
 * that is not activated passes it, so a second call that such an account fails belongs to the verdict.
 * At most 4 calls: profile, grants (restricted users), account or servers, own expiry.
 */
async function verify(
  { token = '' }: Credential,
  request: CheckRequest,
  http: ProviderHttp,
): Promise<Outcome> {
  const get: Get = path => http.call({ method: 'GET', path, headers: { authorization: `Bearer ${token}` } });

  const profile = await get('/v4/profile');
  if (!profile.ok) return profile.outcome;
  if (profile.status !== 200) {
    return classify(LINODE_PROFILE_ANSWERS, profile.status, readError(profile.json), []);
  }
  const user = readUser(profile.json);
  if (user === undefined) return withoutPromised(profile.json, 'a profile');
  const userOnly: AccountIdentity = { ids: [user.id] };

  const scopes = readScopes(profile.headers['x-oauth-scopes']);
  if (scopes !== undefined && !holds(scopes, NEEDED_SCOPE[request.access])) {
    return { kind: 'missingPermission', missing: [NEEDED_SCOPE[request.access]], account: userOnly };
  }

  const grants = user.restricted ? await readGrants(get) : undefined;
  if (request.access === 'ReadWrite' && grants?.addLinodes === false) {
    return { kind: 'missingPermission', missing: ['add_linodes'], account: userOnly };
  }

  const readsAccount =
    scopes !== undefined &&
    holds(scopes, 'account:read_only') &&
    (!user.restricted || grants?.readsAccount === true);
  const second = await secondVerdict(get, readsAccount, userOnly);
  if (second.kind !== 'accepted') return second;

  const permissions = judge(request.access, scopes, user, grants);
  // Own expiry needs the scope that the account needs as well; without it the list of tokens is refused.
  const ownExpiry =
    request.depth === 'first' && second.account !== userOnly ? await readExpiry(get, token) : undefined;
  return { ...second, permissions, ...(ownExpiry !== undefined && { expiresAt: ownExpiry }) };
}

/** Fails for an account that is not activated; names the account where the credential may see it. */
async function secondVerdict(get: Get, readsAccount: boolean, userOnly: AccountIdentity): Promise<Outcome> {
  if (readsAccount) {
    const answer = await get('/v4/account');
    if (!answer.ok) return answer.outcome;
    if (answer.status === 200) {
      const euuid = textField(answer.json, 'euuid');
      if (euuid === undefined) return withoutPromised(answer.json, 'an account');
      const name = nameWithoutEmail(textField(answer.json, 'company'));
      return {
        kind: 'accepted',
        account: { ids: [`euuid:${euuid}`, ...userOnly.ids], ...(name !== undefined && { name }) },
      };
    }
    const outcome = classify(LINODE_FURTHER_ANSWERS, answer.status, readError(answer.json), [
      'account:read_only',
    ]);
    // No need of ours, only the better identity: the servers tell as well whether the account is active.
    if (outcome.kind !== 'missingPermission') return outcome;
  }
  // 25 is the smallest page (openapi.yaml `page_size`).
  const answer = await get('/v4/linode/instances?page_size=25');
  if (!answer.ok) return answer.outcome;
  if (answer.status === 200) {
    if (!Array.isArray(field(answer.json, 'data'))) return withoutPromised(answer.json, 'a list of servers');
    return { kind: 'accepted', account: userOnly };
  }
  const outcome = classify(LINODE_FURTHER_ANSWERS, answer.status, readError(answer.json), [
    NEEDED_SCOPE.ReadOnly,
  ]);
  return outcome.kind === 'missingPermission' ? { ...outcome, account: userOnly } : outcome;
}

function readUser(json: unknown): User | undefined {
  const uid = field(json, 'uid');
  const restricted = field(json, 'restricted');
  if (!Number.isSafeInteger(uid) || typeof restricted !== 'boolean') return undefined;
  return { id: `user:${String(uid)}`, restricted };
}

/**
 * Granted scopes, space separated (introduction of openapi.yaml v4.169). Undefined where the header is absent,
 * empty or `unknown`: then the further calls tell.
 */
function readScopes(header: string | undefined): string[] | undefined {
  const scopes = (header ?? '').split(/[\s,]+/).filter(scope => scope !== '' && scope !== 'unknown');
  return scopes.length === 0 ? undefined : scopes;
}

/** `*` holds everything, `read_write` holds `read_only` (openapi.yaml "OAuth scopes"). */
function holds(scopes: string[], needed: string): boolean {
  const category = needed.slice(0, needed.indexOf(':'));
  return ['*', `${category}:*`, `${category}:read_write`, needed].some(scope => scopes.includes(scope));
}

/** Undefined where they could not be read this time. */
async function readGrants(get: Get): Promise<Grants | undefined> {
  const answer = await get('/v4/profile/grants');
  if (!answer.ok) return undefined;
  // 204: the user is not restricted (any more) (openapi.yaml `getProfileGrants`).
  if (answer.status === 204) return { addLinodes: true, readsAccount: true };
  const global = field(answer.json, 'global');
  const addLinodes = field(global, 'add_linodes');
  if (answer.status !== 200 || typeof addLinodes !== 'boolean') return undefined;
  return { addLinodes, readsAccount: textField(global, 'account_access') !== undefined };
}

function judge(
  access: Access,
  scopes: string[] | undefined,
  user: User,
  grants: Grants | undefined,
): Permissions {
  // ReadOnly without the header is proven by the list of servers, which was read instead of the account.
  const known = access === 'ReadOnly' || (scopes !== undefined && (!user.restricted || grants !== undefined));
  return { state: known ? 'Sufficient' : 'Unknown', missing: [] };
}

/** Milliseconds since the epoch, null for a token that never expires, undefined where it cannot be told. */
async function readExpiry(get: Get, token: string): Promise<number | null | undefined> {
  const answer = await get('/v4/profile/tokens?page_size=500');
  const data = answer.ok && answer.status === 200 ? field(answer.json, 'data') : undefined;
  if (!Array.isArray(data) || token.length < SHOWN_TOKEN_LENGTH) return undefined;
  const own = data.filter(entry => textField(entry, 'token') === token.slice(0, SHOWN_TOKEN_LENGTH));
  // Tokens of an OAuth application are not in the list.
  if (own.length !== 1) return undefined;
  const expiry = field(own[0], 'expiry');
  if (expiry === null) return null;
  // UTC without a suffix, such as 2018-01-01T13:46:32 (openapi.yaml `PersonalAccessToken.expiry`).
  if (typeof expiry !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(expiry)) return undefined;
  const time = Date.parse(`${expiry}Z`);
  if (Number.isNaN(time)) return undefined;
  return time >= NEVER ? null : time;
}

// No shape is promised, so only what cannot be sent in a header is refused.
function checkShape({ token = '' }: Credential): ShapeProblem | undefined {
  return tokenCharactersProblem('linode-token-characters', token);
}

export const linode: Provider = {
  name: 'Linode',
  fieldSets: [['token']],
  identityKinds: ['euuid', 'user'],
  guide: {
    consoleUrl: 'https://cloud.linode.com/profile/tokens',
    consolePath: 'profile → API Tokens → Create a Personal Access Token',
    permissions: {
      ReadOnly: 'Set "Linodes" to Read Only and "Account" to Read Only, everything else to No Access.',
      ReadWrite: 'Set "Linodes" to Read/Write and "Account" to Read Only, everything else to No Access.',
    },
    notes: [
      '"Account: Read Only" is not required: with it the account is recognised when a token is replaced, and the expiry of the token is known.',
      'A restricted user also needs the grant "Can add Linodes to this account" to order servers.',
      'A token cannot be renewed: choose an expiry that fits, and replace the token before it is over.',
      'The token is shown only once.',
    ],
  },
  // 200 requests a minute for paginated lists, 1,600 for others (techdocs.akamai.com "Rate limits"): 50 at once and
  // 2.5 a second stay under the smaller one in every minute.
  budget: { scope: 'credential', ratePerSecond: 2.5, burst: 50 },
  origins: { api: 'https://api.linode.com' },
  checkShape,
  hint: ({ token = '' }) => lastFourHint(token),
  verify,
};
