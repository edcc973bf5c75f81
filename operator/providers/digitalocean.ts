import type { Access } from '../api/names.ts';
import type { AccountIdentity, CheckRequest, Outcome, Permissions } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderHttp } from './http.ts';
import { nameWithoutEmail } from './identity.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { lastFourHint, tokenCharactersProblem } from './token.ts';

/**
 * Answers of `GET /v2/account` other than 200. 429, 408, 5xx and whatever is no JSON never get here (`http.ts`).
 * By status, not by `id`: live ids vary (`internal_server_error`, `service_unavailable`) and may be empty.
 */
export const DIGITALOCEAN_ANSWERS: readonly ClassificationRow[] = [
  {
    status: 401,
    means: 'rejected',
    source: 'digitalocean/openapi shared/responses/unauthorized.yml: "Unable to authenticate you"',
  },
  {
    // Only says that the token lacks `account:read`, which no `access` needs: `verify` makes an acceptance of it.
    status: 403,
    text: /./,
    means: 'missingPermission',
    source:
      'digitalocean/doctl#1635 "You are not authorized to perform this operation"; vitodeploy/vito#556: custom scopes without account:read',
  },
];

/**
 * Scopes that listing, and ordering and managing servers, ask for: `security` of each path in digitalocean/openapi.
 * Widening these demotes accounts that work.
 */
const NEEDED_SCOPES: Record<Access, readonly string[]> = {
  ReadOnly: ['droplet:read'],
  ReadWrite: [
    'droplet:read',
    'droplet:create',
    'droplet:update',
    'droplet:delete',
    'ssh_key:read',
    'ssh_key:create',
    'tag:read',
    'tag:create',
  ],
};

/** `{"id","message"}`, digitalocean/openapi shared/models/error.yml. */
function readError(json: unknown): ProviderError {
  const code = textField(json, 'id');
  const text = textField(json, 'message');
  return { ...(code !== undefined && { code }), ...(text !== undefined && { text }) };
}

/**
 * `GET /v2/account` is the verdict and gives the identity; then the token's own information for scopes and expiry.
 * That endpoint is what the official CLI asks (digitalocean/doctl do/oauth.go), but it is documented nowhere, so
 * nothing that it answers refuses a credential except a list of scopes that lacks one.
 */
async function verify(credential: Credential, request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const headers = { authorization: `Bearer ${credential.token}` };
  const answer = await http.call({ method: 'GET', path: '/v2/account', headers });
  if (!answer.ok) return answer.outcome;
  let account: AccountIdentity | undefined;
  if (answer.status === 200) {
    const details = field(answer.json, 'account');
    if (textField(details, 'uuid') === undefined) return withoutPromised(answer.json, 'an account');
    if (field(details, 'status') === 'locked') return locked(textField(details, 'status_message'));
    account = identity(details);
  } else {
    const outcome = classify(DIGITALOCEAN_ANSWERS, answer.status, readError(answer.json), []);
    if (outcome.kind !== 'missingPermission') return outcome;
  }
  const info = await http.call({ method: 'GET', origin: 'oauth', path: '/v1/oauth/token/info', headers });
  const token = info.ok && info.status === 200 ? info.json : undefined;
  const permissions = judge(request.access, field(token, 'scopes'));
  const known = account === undefined ? {} : { account };
  if (permissions.state === 'Missing') {
    return { kind: 'missingPermission', missing: permissions.missing, ...known };
  }
  const expiresAt = readExpiry(field(token, 'expires_in_seconds'), http.now());
  return { kind: 'accepted', ...known, permissions, ...(expiresAt !== undefined && { expiresAt }) };
}

function locked(message: string | undefined): Outcome {
  // An account without a message has a single space there (digitalocean/openapi account.yml, example).
  return message === undefined || message.trim() === ''
    ? { kind: 'accountLocked' }
    : { kind: 'accountLocked', detail: message };
}

/** A token acts within one team; the account is the user who made it, who may be in several. */
function identity(details: unknown): AccountIdentity {
  const team = field(details, 'team');
  const teamId = textField(team, 'uuid');
  const name = nameWithoutEmail(textField(team, 'name') ?? textField(details, 'name'));
  return {
    ids: [...(teamId === undefined ? [] : [`team:${teamId}`]), `account:${textField(details, 'uuid')}`],
    ...(name !== undefined && { name }),
  };
}

function judge(access: Access, scopes: unknown): Permissions {
  // A token without any scope cannot be made, so an empty list means that the format is another one.
  if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every(scope => typeof scope === 'string')) {
    return { state: 'Unknown', missing: [] };
  }
  const missing = NEEDED_SCOPES[access].filter(scope => !grants(scopes, scope)).sort();
  return { state: missing.length === 0 ? 'Sufficient' : 'Missing', missing };
}

/** Tokens with full access, and those from before custom scopes, have `read` and `write` (docs reference/api/scopes). */
function grants(scopes: readonly string[], needed: string): boolean {
  return scopes.includes(needed) || scopes.includes(needed.endsWith(':read') ? 'read' : 'write');
}

/** Milliseconds since the epoch, null for a token that never expires, undefined where it cannot be told. */
function readExpiry(expiresInSeconds: unknown, now: number): number | null | undefined {
  if (expiresInSeconds === null) return null;
  // doctl reads "never" as 0, so 0 is no expiry that anything may be built on.
  if (typeof expiresInSeconds !== 'number' || !(expiresInSeconds > 0)) return undefined;
  const time = now + expiresInSeconds * 1000;
  return Number.isNaN(new Date(time).getTime()) ? undefined : time;
}

function checkShape({ token = '' }: Credential): ShapeProblem | undefined {
  // The prefixes are promised: digitalocean/openapi DigitalOcean-public.v2.yaml, security scheme `bearer_auth`.
  if (token.startsWith('dor_v1_')) {
    return {
      check: 'digitalocean-refresh-token',
      message:
        'This is an OAuth refresh token (it starts with dor_v1_), which cannot be used for calls. Use a personal access token (dop_v1_).',
    };
  }
  return tokenCharactersProblem('digitalocean-token-characters', token);
}

/** The prefix is public; the end is what people compare. */
function hint({ token = '' }: Credential): string {
  const prefix = /^do[a-z]_v1_/.exec(token)?.[0] ?? '';
  return token.length < 20 ? '••••' : `${prefix}${lastFourHint(token)}`;
}

export const digitalocean: Provider = {
  name: 'DigitalOcean',
  fieldSets: [['token']],
  identityKinds: ['team', 'account'],
  guide: {
    consoleUrl: 'https://cloud.digitalocean.com/account/api/tokens',
    consolePath: 'team → API → Tokens → Generate New Token',
    permissions: {
      ReadOnly: 'Choose "Read Only", or "Custom Scopes" with account:read and droplet:read.',
      ReadWrite:
        'Choose "Full Access", or "Custom Scopes" with account:read, droplet (create, read, update, delete), ssh_key (create, read) and tag (create, read). Rebuilding a server also needs droplet:admin.',
    },
    notes: [
      'A token belongs to the team that it was made in: switch to the right team first.',
      'account:read is not required: with it the team is recognised when a token is replaced.',
      'A token may have an expiry; an expired one disappears from the list of tokens.',
      'The token is shown only once.',
    ],
  },
  // 250 requests a minute and 5,000 an hour per token (digitalocean/openapi description.yml), shared with everything
  // else that uses it: 50 at once and 1 a second stay under both with room for others.
  budget: { scope: 'credential', ratePerSecond: 1, burst: 50 },
  origins: { api: 'https://api.digitalocean.com', oauth: 'https://cloud.digitalocean.com' },
  checkShape,
  hint,
  verify,
};
