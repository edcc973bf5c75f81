import type { Access } from '../api/names.ts';
import type { AccountIdentity, CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderAnswer, ProviderHttp } from './http.ts';
import { nameWithoutEmail } from './identity.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { holdsSecret } from './redact.ts';
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
const LINODE_FURTHER_ANSWERS: readonly ClassificationRow[] = [
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

/** Answers of the calls about a user's rights, of which an account may have one or the other. */
export const LINODE_RIGHTS_ANSWERS: readonly ClassificationRow[] = [
  ...LINODE_FURTHER_ANSWERS,
  {
    status: 404,
    text: /^Not found/i,
    means: 'missingPermission',
    source:
      'linode/linode-api-docs openapi.yaml "Errors": 404; an account without Identity and Access has none of its calls (techdocs.akamai.com get-iam-users-role-permissions)',
  },
];

/** Scopes of `security` in linode/linode-api-docs openapi.yaml. Widening these demotes accounts that work. */
const NEEDED_SCOPE = { ReadOnly: 'linodes:read_only', ReadWrite: 'linodes:read_write' } as const;

/** Tokens made with "Never" carry this year: linode/linodego test/integration/fixtures/TestToken_GetNoExpiry.yaml. */
const NEVER = Date.UTC(2900, 0);

/** `/profile/tokens` shows this many characters of a token (openapi.yaml `PersonalAccessToken.token`). */
const SHOWN_TOKEN_LENGTH = 16;

/**
 * Form of `Account.euuid` in openapi.yaml. The header `X-Customer-UUID` tells it to those who may not read the account
 * (linode/manager packages/manager/src/request.tsx); in another form it would look like another account.
 */
const EUUID = /^[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{16}$/;

/** Levels of scopes; the last four are of older tokens (linode/manager APITokens/utils.ts). */
const SCOPE = /^(?:\*|\w+:(?:\*|read_only|read_write|view|create|modify|delete))$/;
const WRITING_LEVELS = ['*', 'read_write', 'create', 'modify', 'delete'];
const READING_LEVELS = [...WRITING_LEVELS, 'read_only', 'view'];

interface User {
  id: string;
  name: string;
  restricted: boolean;
}

/** What a user may do in the account, beside the scopes of the token. */
interface Rights {
  /** Undefined where Linode does not tell. */
  createsLinodes?: boolean;
  readsAccount: boolean;
}

const UNRESTRICTED: Rights = { createsLinodes: true, readsAccount: true };

type Get = (path: string) => Promise<ProviderAnswer>;

/** What a call told, that Linode does not tell it to this token, or the outcome of a check that did not get it. */
type Told<T> = { value: T } | { refused: Outcome } | { failed: Outcome };

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
 * that is not activated passes it, so a second call that such an account fails belongs to the verdict. An acceptance
 * needs an answer of Linode to each call that is made. At most 5: profile, grants and permissions (restricted users),
 * account or servers, own expiry.
 */
async function verify(credential: Credential, request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const { token = '' } = credential;
  const get: Get = path => http.call({ method: 'GET', path, headers: { authorization: `Bearer ${token}` } });

  const profile = await get('/v4/profile');
  if (!profile.ok) return profile.outcome;
  if (profile.status !== 200) {
    return classify(LINODE_PROFILE_ANSWERS, profile.status, readError(profile.json), []);
  }
  const user = readUser(profile.json);
  if (user === undefined) return withoutPromised(profile.json, 'a profile');
  // The name goes into an address, and addresses into the logs of whatever stands between.
  if (holdsSecret(user.name, credential))
    return { kind: 'unexpected', detail: 'HTTP 200 without a user name' };
  const seen = seenIdentity(user, profile.headers['x-customer-uuid']);

  const needed = NEEDED_SCOPE[request.access];
  const scopes = readScopes(profile.headers['x-oauth-scopes']);
  if (scopes !== undefined && !holds(scopes, needed)) {
    return { kind: 'missingPermission', missing: [needed], account: seen };
  }
  const rights = user.restricted ? await readRights(get, user, request.access) : { value: UNRESTRICTED };
  if ('failed' in rights) return rights.failed;
  const { createsLinodes, readsAccount } = rights.value;
  if (request.access === 'ReadWrite' && createsLinodes === false) {
    return { kind: 'missingPermission', missing: ['create_linode'], account: seen };
  }

  const hasAccountScope = scopes === undefined || holds(scopes, 'account:read_only');
  const asksAccount = hasAccountScope && readsAccount;
  const account = asksAccount ? await readAccount(get, user) : undefined;
  if (account !== undefined && 'failed' in account) return account.failed;
  const identity = account !== undefined && 'value' in account ? account.value : undefined;
  // Where the account told nothing, the servers tell whether it is active; without scopes, also whether they may be read.
  if (identity === undefined || (request.access === 'ReadOnly' && scopes === undefined)) {
    const servers = await readServers(get);
    if ('failed' in servers) return servers.failed;
    if ('refused' in servers) return { ...servers.refused, account: identity ?? seen } as Outcome;
  }
  const known =
    request.access === 'ReadOnly' || (scopes !== undefined && createsLinodes === true)
      ? 'Sufficient'
      : 'Unknown';
  // Where Linode just refused the account for want of a scope, it refuses the tokens as well.
  const asksExpiry =
    request.expiryKnown !== true && hasAccountScope && (!asksAccount || identity !== undefined);
  const expiry = asksExpiry ? await readExpiry(get, token) : { value: undefined };
  if ('failed' in expiry) return expiry.failed;
  const expiresAt = 'value' in expiry ? expiry.value : undefined;
  return {
    kind: 'accepted',
    account: identity ?? seen,
    permissions: { state: known, missing: [] },
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

/** What `shape` reads from a 200 or a 204; `missing` names the right that a refusal is about. */
async function ask<T>(
  get: Get,
  path: string,
  promised: string,
  shape: (json: unknown, status: number) => T | undefined,
  { table = LINODE_FURTHER_ANSWERS, missing = [] as string[] } = {},
): Promise<Told<T>> {
  const answer = await get(path);
  if (!answer.ok) return { failed: answer.outcome };
  if (answer.status === 200 || answer.status === 204) {
    const value = shape(answer.json, answer.status);
    return value === undefined ? { failed: withoutPromised(answer.json, promised) } : { value };
  }
  const outcome = classify(table, answer.status, readError(answer.json), missing);
  return outcome.kind === 'missingPermission' ? { refused: outcome } : { failed: outcome };
}

/** Of an account only where the token may see it. */
function readAccount(get: Get, user: User): Promise<Told<AccountIdentity>> {
  return ask(get, '/v4/account', 'an account', json => {
    const euuid = textField(json, 'euuid');
    if (euuid === undefined) return undefined;
    const name = nameWithoutEmail(textField(json, 'company'));
    return { ids: [`euuid:${euuid}`, user.id], ...(name !== undefined && { name }) };
  });
}

/** 25 is the smallest page (openapi.yaml `page_size`). */
function readServers(get: Get): Promise<Told<unknown[]>> {
  return ask(
    get,
    '/v4/linode/instances?page_size=25',
    'a list of servers',
    json => listOf(field(json, 'data')),
    { missing: [NEEDED_SCOPE.ReadOnly] },
  );
}

/** What the profile itself tells: the header names the account for those who may not read it (see `EUUID`). */
function seenIdentity(user: User, customer = ''): AccountIdentity {
  return { ids: EUUID.test(customer) ? [`euuid:${customer}`, user.id] : [user.id] };
}

/**
 * Grants decide where they allow. Where they do not, the account may have Identity and Access in their place, of which
 * grants know nothing (techdocs.akamai.com cloud-iam-rbac-vs-grant-linodes): its permissions decide, where Linode tells
 * them; else nothing is known.
 */
async function readRights(
  get: Get,
  user: User,
  access: Access,
): Promise<{ value: Rights } | { failed: Outcome }> {
  const grants = await readGrants(get);
  if ('failed' in grants) return grants;
  const granted = 'value' in grants ? grants.value : { readsAccount: false };
  if (access === 'ReadOnly' || granted.createsLinodes === true) return { value: granted };
  const path = `/v4/iam/users/${encodeURIComponent(user.name)}/permissions/account`;
  const permissions = await ask(get, path, 'permissions', listOf, { table: LINODE_RIGHTS_ANSWERS });
  if ('failed' in permissions) return permissions;
  if ('refused' in permissions) return { value: granted };
  return {
    value: {
      createsLinodes: permissions.value.includes('create_linode'),
      readsAccount: granted.readsAccount || permissions.value.includes('view_account'),
    },
  };
}

/** `GrantsResponse`, or 204 for a user who is not restricted (any more) (openapi.yaml `getProfileGrants`). */
function readGrants(get: Get): Promise<Told<Rights>> {
  return ask(get, '/v4/profile/grants', 'grants', shapeGrants, { table: LINODE_RIGHTS_ANSWERS });
}

function shapeGrants(json: unknown, status: number): Rights | undefined {
  if (status === 204) return UNRESTRICTED;
  const global = field(json, 'global');
  if (typeof global !== 'object' || global === null) return undefined;
  return {
    ...(field(global, 'add_linodes') === true && { createsLinodes: true }),
    readsAccount: textField(global, 'account_access') !== undefined,
  };
}

function readUser(json: unknown): User | undefined {
  const uid = field(json, 'uid');
  const name = textField(json, 'username');
  const restricted = field(json, 'restricted');
  if (!Number.isSafeInteger(uid) || name === undefined || typeof restricted !== 'boolean') return undefined;
  return { id: `user:${String(uid)}`, name, restricted };
}

/**
 * Granted scopes, space separated (introduction of openapi.yaml v4.169). Undefined where the header is absent, empty,
 * `unknown`, or of a form that is not known: then the further calls tell.
 */
function readScopes(header = ''): string[] | undefined {
  const scopes = header.split(/[\s,]+/).filter(scope => scope !== '');
  const ofServers = scopes.filter(scope => scope.startsWith('linodes:'));
  const understood = scopes.some(scope => SCOPE.test(scope)) && ofServers.every(scope => SCOPE.test(scope));
  return understood ? scopes : undefined;
}

/** `*` holds everything, `read_write` holds `read_only` (openapi.yaml "OAuth scopes"). */
function holds(scopes: string[], needed: string): boolean {
  const [category, level] = needed.split(':');
  const levels = level === 'read_only' ? READING_LEVELS : WRITING_LEVELS;
  return scopes.includes('*') || levels.some(other => scopes.includes(`${category}:${other}`));
}

/** Milliseconds since the epoch, null for a token that never expires, undefined where it cannot be told. */
async function readExpiry(get: Get, token: string): Promise<Told<number | null | undefined>> {
  const tokens = await ask(get, '/v4/profile/tokens?page_size=500', 'a list of tokens', json =>
    listOf(field(json, 'data')),
  );
  return 'value' in tokens ? { value: ownExpiry(tokens.value, token) } : tokens;
}

function ownExpiry(tokens: unknown[], token: string): number | null | undefined {
  if (token.length < SHOWN_TOKEN_LENGTH) return undefined;
  const own = tokens.filter(entry => textField(entry, 'token') === token.slice(0, SHOWN_TOKEN_LENGTH));
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

function listOf(json: unknown): unknown[] | undefined {
  return Array.isArray(json) ? json : undefined;
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
      'A restricted user needs a right to order servers as well. Where the account has Identity and Access, an administrator assigns the role "account_linode_creator" (to order), or "account_linode_admin" (everything with servers), and "account_viewer", so that the account is recognised. Where it does not, it is "Can add Linodes to this account" under Users & Grants.',
      'Grants that do not allow it are not believed, because they know nothing of roles: what a restricted user may order is then not known before it is tried, unless Linode tells the permissions of the user.',
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
