import type { Access } from '../api/names.ts';
import type { AccountIdentity, CheckRequest, Outcome, Permissions } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderAnswer, ProviderHttp } from './http.ts';
import { idValue, nameWithoutEmail, shownUser } from './identity.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { holdsSecret } from './redact.ts';
import { tokenCharactersProblem } from './token.ts';

/** Rows that hold for every call. 429, 408, 5xx and whatever is no JSON never get here (`http.ts`). */
const COMMON_ANSWERS: readonly ClassificationRow[] = [
  {
    code: 'AUTHENTICATION_REQUIRED',
    means: 'unexpected',
    source:
      'seen live when no credential was sent: our fault or that of something between, none of the credential',
  },
  {
    status: 401,
    code: 'AUTHENTICATION_FAILED',
    means: 'rejected',
    source: 'UpCloudLtd/upcloud-go-api upcloud/error_codes.go; its README shows the text',
  },
  {
    status: 401,
    code: 'INVALID_CREDENTIALS',
    means: 'rejected',
    source: 'UpCloudLtd/upcloud-cli internal/clierrors/invalid_credentials.go',
  },
  {
    code: 'SERVICE_ERROR',
    means: 'unexpected',
    source:
      'recorded with 403 in an SDK fixture: the code alone decides nothing (with 5xx it is unreachable)',
  },
  {
    status: 402,
    code: 'INSUFFICIENT_CREDITS',
    means: 'accountLocked',
    source: 'UpCloudLtd/upcloud-go-api upcloud/error_codes.go',
  },
  {
    status: 403,
    code: 'TRIAL_PLAN',
    means: 'accountLocked',
    source: 'UpCloudLtd/upcloud-go-api upcloud/error_codes.go',
  },
];

const FORBIDDEN = ['ACTION_FORBIDDEN', 'ACCOUNT_FORBIDDEN'];

/** Answers of `GET /1.3/account` other than 200. */
export const UPCLOUD_ACCOUNT_ANSWERS: readonly ClassificationRow[] = [
  ...COMMON_ANSWERS,
  {
    status: 401,
    means: 'rejected',
    source: 'RFC 9110 section 15.5.2, for a code that is not known yet: no row above speaks against it',
  },
  ...FORBIDDEN.map((code): ClassificationRow => ({
    status: 403,
    code,
    means: 'accountLocked',
    source:
      'UpCloudLtd/upcloud-go-api upcloud/error_codes.go; every user may read its own account (developers.upcloud.com/1.3 "Accounts"), so no right is missing: API access is off, or all of it is blocked',
  })),
];

/** Answers of the calls after it. A 401 is about the credential only where it says so. */
export const UPCLOUD_FURTHER_ANSWERS: readonly ClassificationRow[] = [
  ...COMMON_ANSWERS,
  ...FORBIDDEN.map((code): ClassificationRow => ({
    status: 403,
    code,
    means: 'missingPermission',
    source:
      'UpCloudLtd/upcloud-go-api upcloud/error_codes.go: UpCloud does not tell this to this user; it refuses nothing that is needed',
  })),
];

/**
 * Rows of `GET /1.3/permission` that prove what a subaccount may do (developers.upcloud.com/1.3 "Permissions"). There
 * is no right that only looks: for ReadOnly any server or tag will do. `options.storage` of a server row is not asked
 * for, since `storage *` holds the disks of every server. Where rows are missing nothing is known: a subaccount gets
 * rows for what it creates by itself, and nothing documents that ordering needs any.
 */
const PROVE_WRITING = ['network', 'server', 'storage'] as const;
const PROVE_READING = ['server', 'tag_access'];

/** The most that a page of tokens holds; 20 by default (UpCloudLtd/upcloud-openapi-spec, account tokens). */
const TOKEN_PAGE = 100;

type Get = (path: string) => Promise<ProviderAnswer>;

/** What a call told, or the outcome of a check that did not get it. */
type Told<T> = { value: T } | { failed: Outcome };

interface Details {
  type: 'main' | 'sub';
  /** User name of the main account. */
  mainAccount: string;
  company?: string;
}

/**
 * Both formats, told apart by the body: the old one was seen under `application/problem+json`.
 * Old: `{"error":{"error_code","error_message"}}`; RFC 7807: `{"type":"https://…/1.3/errors#ERROR_X","title"}`
 * (UpCloudLtd/upcloud-go-api upcloud/problem.go).
 */
function readError(json: unknown): ProviderError {
  const old = field(json, 'error');
  const code = textField(old, 'error_code') ?? textField(json, 'type')?.replace(/^.*#(?:ERROR_)?/, '');
  const text = textField(old, 'error_message') ?? textField(json, 'title');
  return { ...(code !== undefined && { code }), ...(text !== undefined && { text }) };
}

/**
 * `GET /1.3/account` is the verdict (the call of the official Terraform provider). Whose account it is, what a
 * subaccount may do and when the token expires come from further calls, and an acceptance needs an answer of UpCloud
 * to each of them. At most 4 calls.
 */
async function verify(credential: Credential, request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const headers = { authorization: authorization(credential) };
  const get: Get = path => http.call({ method: 'GET', path, headers });

  const answer = await get('/1.3/account');
  if (!answer.ok) return answer.outcome;
  if (answer.status !== 200)
    return classify(UPCLOUD_ACCOUNT_ANSWERS, answer.status, readError(answer.json), []);
  const username = textField(field(answer.json, 'account'), 'username');
  if (username === undefined) return withoutPromised(answer.json, 'an account');
  // The name goes into an address, and addresses into the logs of whatever stands between: a credential that was told
  // back as a name must not.
  if (username !== credential.username && holdsSecret(username, credential))
    return { kind: 'unexpected', detail: 'HTTP 200 without a user name' };

  const known = request.depth === 'recheck' ? knownDetails(username, request.knownIds ?? []) : undefined;
  const details = known === undefined ? await readDetails(get, username) : { value: known };
  if ('failed' in details) return details.failed;
  const permissions = await readPermissions(get, username, details.value, request.access);
  if ('failed' in permissions) return permissions.failed;
  // A password has no expiry.
  const asksExpiry = credential.token !== undefined && request.expiryKnown !== true;
  const expiry = asksExpiry ? await readExpiry(get, http.now()) : { value: undefined };
  if ('failed' in expiry) return expiry.failed;
  return {
    kind: 'accepted',
    account: identity(username, details.value),
    permissions: permissions.value,
    ...(expiry.value !== undefined && { expiresAt: expiry.value }),
  };
}

/**
 * What `shape` reads from a 200. `refused` where UpCloud does not tell it to this user; whatever else comes is no
 * answer to the question, and ends the check.
 */
async function ask<T>(
  get: Get,
  path: string,
  promised: string,
  shape: (json: unknown) => T | undefined,
  refused: T,
): Promise<Told<T>> {
  const answer = await get(path);
  if (!answer.ok) return { failed: answer.outcome };
  if (answer.status === 200) {
    const value = shape(answer.json);
    return value === undefined ? { failed: withoutPromised(answer.json, promised) } : { value };
  }
  const outcome = classify(UPCLOUD_FURTHER_ANSWERS, answer.status, readError(answer.json), []);
  return outcome.kind === 'missingPermission' ? { value: refused } : { failed: outcome };
}

/** One of both, never both: the official client refuses that (UpCloudLtd/upcloud-go-api upcloud/client/client.go). */
function authorization({ token, username = '', password = '' }: Credential): string {
  if (token !== undefined) return `Bearer ${token}`;
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

/** What the first check of the same bytes learnt; a user does not move to another main account. */
function knownDetails(username: string, knownIds: string[]): Details | undefined {
  const user = idValue(username);
  const main = knownIds.find(id => id.startsWith('account:'))?.slice('account:'.length);
  if (main === undefined || !knownIds.includes(`user:${user}`)) return undefined;
  return { type: main === user ? 'main' : 'sub', mainAccount: main };
}

/** A subaccount may read its own (developers.upcloud.com/1.3 "Accounts"). Undefined where UpCloud does not tell. */
function readDetails(get: Get, username: string): Promise<Told<Details | undefined>> {
  const path = `/1.3/account/details/${encodeURIComponent(username)}`;
  return ask<Details | undefined>(
    get,
    path,
    'details of the account',
    json => shapeDetails(username, field(json, 'account')),
    undefined,
  );
}

function shapeDetails(username: string, account: unknown): Details | undefined {
  const type = field(account, 'type');
  const mainAccount = type === 'main' ? username : textField(account, 'main_account');
  if ((type !== 'main' && type !== 'sub') || mainAccount === undefined) return undefined;
  const company = nameWithoutEmail(textField(account, 'company'));
  return { type, mainAccount: idValue(mainAccount), ...(company !== undefined && { company }) };
}

function identity(username: string, details: Details | undefined): AccountIdentity {
  const user = `user:${idValue(username)}`;
  if (details === undefined) return { ids: [user] };
  return {
    ids: [`account:${details.mainAccount}`, user],
    ...(details.company !== undefined && { name: details.company }),
  };
}

/** A main account may do everything. For a subaccount its rows prove what it may do; missing ones prove nothing. */
async function readPermissions(
  get: Get,
  username: string,
  details: Details | undefined,
  access: Access,
): Promise<Told<Permissions>> {
  if (details?.type === 'main') return { value: { state: 'Sufficient', missing: [] } };
  const rows = await ask<unknown[]>(
    get,
    '/1.3/permission',
    'permissions',
    json => listOf(field(field(json, 'permissions'), 'permission')),
    [],
  );
  if ('failed' in rows) return rows;
  // A main account sees those of all its subaccounts.
  const own = rows.value.filter(row => field(row, 'user') === username);
  const proven =
    access === 'ReadOnly'
      ? own.some(row => PROVE_READING.includes(textField(row, 'target_type') ?? ''))
      : PROVE_WRITING.every(type =>
          own.some(row => field(row, 'target_type') === type && field(row, 'target_identifier') === '*'),
        );
  return { value: { state: proven ? 'Sufficient' : 'Unknown', missing: [] } };
}

/**
 * Milliseconds since the epoch; undefined where it cannot be told. The list does not say which token asks, and
 * `last_used_at` of another one in use may be as fresh: only where all that are still valid expire together (mostly:
 * there is one) is it the own expiry. Sessions of the control panel are in the list as well, with `gui: true`.
 */
async function readExpiry(get: Get, now: number): Promise<Told<number | undefined>> {
  const path = `/1.3/account/tokens?gui=false&limit=${TOKEN_PAGE}`;
  const tokens = await ask<unknown[]>(get, path, 'a list of tokens', listOf, []);
  if ('failed' in tokens) return tokens;
  // Behind a full page there may be others.
  if (tokens.value.length >= TOKEN_PAGE) return { value: undefined };
  const expiries = tokens.value
    .filter(token => field(token, 'gui') !== true)
    .map(token => Date.parse(textField(token, 'expires_at') ?? ''));
  // NaN stays in: a token whose expiry cannot be read may be the own one.
  const valid = new Set(expiries.filter(time => !(time <= now)));
  const [only] = valid;
  return { value: valid.size === 1 && only !== undefined && !Number.isNaN(only) ? only : undefined };
}

function listOf(json: unknown): unknown[] | undefined {
  return Array.isArray(json) ? json : undefined;
}

function checkShape({ token, username }: Credential): ShapeProblem | undefined {
  if (token !== undefined) {
    const problem = tokenCharactersProblem('upcloud-token-characters', token);
    if (problem !== undefined) return problem;
    // The prefix is promised (upcloud.com/docs/guides/getting-started-upcloud-api), the length is not.
    if (token.startsWith('ucat_')) return undefined;
    return {
      check: 'upcloud-token-prefix',
      message:
        'An UpCloud API token starts with "ucat_". Copy the token itself, not its name or id; a user name and password go into the fields username and password.',
    };
  }
  // RFC 7617 section 2: everything after the first colon would be taken for the password.
  if (username?.includes(':') === true) {
    return {
      check: 'upcloud-username-colon',
      message: 'An UpCloud user name holds no colon. Put the user name alone into the field username.',
    };
  }
  return undefined;
}

function hint({ token, username = '' }: Credential): string {
  if (token === undefined) return shownUser(username);
  return token.length < 20 ? '••••' : `ucat_••••${token.slice(-4)}`;
}

/** Two settings of a subaccount (developers.upcloud.com/1.3 "Accounts": `allow_api`, `allow_gui`), and one of a token. */
const ACCESS =
  'The subaccount needs "Allow API connections", which the token works with, and access to the control panel, where it is made. The allowed IP ranges of the token, and the IP filters of the account, must hold the addresses that the cluster calls from. Without these UpCloud may refuse a good token as if it were invalid.';

export const upcloud: Provider = {
  name: 'UpCloud',
  fieldSets: [['token'], ['username', 'password']],
  identityKinds: ['account', 'user'],
  guide: {
    consoleUrl: 'https://hub.upcloud.com/',
    consolePath: 'Account → API Tokens → Add new API token',
    permissions: {
      ReadOnly: `UpCloud has no right that only looks. Make a subaccount with permission for the servers that are to be seen, and generate the token as that subaccount. ${ACCESS}`,
      ReadWrite: `A token of the main account may do everything. Better: make a subaccount with permission for all servers (with their storage), all storages and all networks, and generate the token as that subaccount. ${ACCESS}`,
    },
    notes: [
      'Every token expires, at the latest after 365 days: replace it before that.',
      'An empty list of allowed IP ranges allows none.',
      'The token is shown only once.',
      'A user name and password work as well, but not for an account with two-factor login; a token is better.',
      'Where a subaccount has no permission for all servers, storages and networks, what it may order is not known before it is tried: "permissions.state" is then "Unknown".',
    ],
  },
  // No limit is documented: gentle, and shared by all accounts, since it may count by caller.
  budget: { scope: 'unknown', ratePerSecond: 5, burst: 50 },
  origins: { api: 'https://api.upcloud.com' },
  checkShape,
  hint,
  verify,
};
