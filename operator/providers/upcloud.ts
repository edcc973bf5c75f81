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

/**
 * Answers of `GET /1.3/account` other than 200. 429, 408, 5xx and whatever is no JSON never get here (`http.ts`).
 * Every user may read its own account, so a FORBIDDEN here is about all that the credential could do.
 */
export const UPCLOUD_ANSWERS: readonly ClassificationRow[] = [
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
    status: 401,
    means: 'rejected',
    source: 'RFC 9110 section 15.5.2, for a code that is not known yet: no row above speaks against it',
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
  {
    status: 403,
    code: 'ACTION_FORBIDDEN',
    means: 'missingPermission',
    source: 'developers.upcloud.com/1.3 "Accounts"; UpCloudLtd/upcloud-go-api upcloud/error_codes.go',
  },
  {
    status: 403,
    code: 'ACCOUNT_FORBIDDEN',
    means: 'missingPermission',
    source: 'developers.upcloud.com/1.3 "Accounts"; UpCloudLtd/upcloud-go-api upcloud/error_codes.go',
  },
];

/**
 * Rows of `GET /1.3/permission` that a subaccount needs (developers.upcloud.com/1.3 "Permissions"). There is no
 * right that only looks: for ReadOnly any server or tag will do. `options.storage` of a server row is not asked for,
 * since `storage *` holds the disks of every server. Widening these demotes accounts that work.
 */
const NEEDED_FOR_WRITING = ['network', 'server', 'storage'] as const;
const READS_SERVERS = ['server', 'tag_access'];

type Get = (path: string) => Promise<ProviderAnswer>;

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
 * subaccount may do and when the token expires are information: they never refuse by failing. At most 4 calls.
 */
async function verify(credential: Credential, request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const headers = { authorization: authorization(credential) };
  const get: Get = path => http.call({ method: 'GET', path, headers });

  const answer = await get('/1.3/account');
  if (!answer.ok) return answer.outcome;
  if (answer.status !== 200)
    return classify(UPCLOUD_ANSWERS, answer.status, readError(answer.json), ['account']);
  const username = textField(field(answer.json, 'account'), 'username');
  if (username === undefined) return withoutPromised(answer.json, 'an account');
  // The name goes into an address, and addresses into the logs of whatever stands between: a credential that was told
  // back as a name must not.
  if (username !== credential.username && holdsSecret(username, credential))
    return { kind: 'unexpected', detail: 'HTTP 200 without a user name' };

  const known = request.depth === 'recheck' ? knownDetails(username, request.knownIds ?? []) : undefined;
  const details = known ?? (await readDetails(get, username));
  const account = identity(username, details);
  const permissions = await readPermissions(get, username, details, request.access);
  if (permissions.state === 'Missing') {
    return { kind: 'missingPermission', missing: permissions.missing, account };
  }
  const expiresAt =
    request.depth === 'first' && credential.token !== undefined
      ? await readExpiry(get, http.now())
      : undefined;
  return { kind: 'accepted', account, permissions, ...(expiresAt !== undefined && { expiresAt }) };
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

/** Undefined where they could not be read this time. A subaccount may read its own. */
async function readDetails(get: Get, username: string): Promise<Details | undefined> {
  const answer = await get(`/1.3/account/details/${encodeURIComponent(username)}`);
  if (!answer.ok || answer.status !== 200) return undefined;
  const account = field(answer.json, 'account');
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

/** A main account may do everything; for a subaccount its rows are the whole truth, and none means no rights. */
async function readPermissions(
  get: Get,
  username: string,
  details: Details | undefined,
  access: Access,
): Promise<Permissions> {
  if (details?.type === 'main') return { state: 'Sufficient', missing: [] };
  const answer = details === undefined ? undefined : await get('/1.3/permission');
  const all =
    answer?.ok && answer.status === 200 ? field(field(answer.json, 'permissions'), 'permission') : undefined;
  if (!Array.isArray(all)) return { state: 'Unknown', missing: [] };

  const own = all.filter(row => field(row, 'user') === username);
  const missing =
    access === 'ReadOnly'
      ? own.some(row => READS_SERVERS.includes(textField(row, 'target_type') ?? ''))
        ? []
        : ['server']
      : NEEDED_FOR_WRITING.filter(
          type =>
            !own.some(row => field(row, 'target_type') === type && field(row, 'target_identifier') === '*'),
        ).map(type => `${type} *`);
  return { state: missing.length === 0 ? 'Sufficient' : 'Missing', missing };
}

/**
 * Milliseconds since the epoch; undefined where it cannot be told. The list does not say which token asks, and
 * `last_used_at` of another one in use may be as fresh: only where all that are still valid expire together (mostly:
 * there is one) is it the own expiry.
 */
async function readExpiry(get: Get, now: number): Promise<number | undefined> {
  const answer = await get('/1.3/account/tokens');
  if (!answer.ok || answer.status !== 200 || !Array.isArray(answer.json)) return undefined;
  const expiries = answer.json.map(token => Date.parse(textField(token, 'expires_at') ?? ''));
  // NaN stays in: a token whose expiry cannot be read may be the own one.
  const valid = new Set(expiries.filter(time => !(time <= now)));
  const [only] = valid;
  return valid.size === 1 && only !== undefined && !Number.isNaN(only) ? only : undefined;
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

export const upcloud: Provider = {
  name: 'UpCloud',
  fieldSets: [['token'], ['username', 'password']],
  identityKinds: ['account', 'user'],
  guide: {
    consoleUrl: 'https://hub.upcloud.com/',
    consolePath: 'Account → API Tokens → Add new API token',
    permissions: {
      ReadOnly:
        'UpCloud has no right that only looks. Make a subaccount with "Allow API connections" and permission for the servers that are to be seen, and generate the token as that subaccount.',
      ReadWrite:
        'A token of the main account may do everything. Better: make a subaccount with "Allow API connections" and permission for all servers (with their storage), all storages and all networks, and generate the token as that subaccount.',
    },
    notes: [
      'Every token expires, at the latest after 365 days: replace it before that.',
      'A token works only from its allowed IP ranges; an empty list allows none. Allow the addresses that the cluster calls from.',
      'The token is shown only once.',
      'A user name and password work as well, but not for an account with two-factor login; a token is better.',
    ],
  },
  // No limit is documented: gentle, and shared by all accounts, since it may count by caller.
  budget: { scope: 'unknown', ratePerSecond: 5, burst: 50 },
  origins: { api: 'https://api.upcloud.com' },
  checkShape,
  hint,
  verify,
};
