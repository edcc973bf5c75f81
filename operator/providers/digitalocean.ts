import type { AccountIdentity, CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import { judgeScopes, readsAccount, REBUILD_SCOPE } from './digitalocean-scopes.ts';
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
    // Says that the token lacks `account:read`, which no `access` needs, if another call proves that it is the API's.
    status: 403,
    text: /./,
    means: 'missingPermission',
    source:
      'digitalocean/doctl#1635 "You are not authorized to perform this operation"; vitodeploy/vito#556: custom scopes without account:read',
  },
];

/** `{"id","message"}`, digitalocean/openapi shared/models/error.yml. */
function readError(json: unknown): ProviderError {
  const code = textField(json, 'id');
  const text = textField(json, 'message');
  return { ...(code !== undefined && { code }), ...(text !== undefined && { text }) };
}

/**
 * `GET /v2/account` is the verdict and gives the identity; then the token's own information for scopes and expiry.
 * That endpoint is what the official CLI asks (digitalocean/doctl do/oauth.go), on another host and documented nowhere:
 * where it is not (any more), scopes and expiry cannot be told. Any other failure there is no verdict.
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
  const token = await readTokenInfo(headers, http);
  if ('kind' in token) return token;
  // A filter on the way can say 403 as well. Where the scopes of the token hold account:read, DigitalOcean itself says no
  // only for the role of its user, and then by the documented id.
  if (account === undefined && readsAccount(token.scopes)) {
    const error = readError(answer.json);
    if (!/^forbidden$/i.test(error.code ?? '')) return classify([], answer.status, error, []);
  }
  // For the same reason a 403 proves nothing without another call that was good.
  if (account === undefined && !token.proven) {
    const unproven = await listDroplets(headers, http);
    if (unproven !== undefined) return unproven;
  }
  const permissions = judgeScopes(request.access, token.scopes);
  const known = account === undefined ? {} : { account };
  if (permissions.state === 'Missing') {
    return { kind: 'missingPermission', missing: permissions.missing, ...known };
  }
  const expiresAt = readExpiry(token.expiresInSeconds, http.now());
  return { kind: 'accepted', ...known, permissions, ...(expiresAt !== undefined && { expiresAt }) };
}

interface TokenInfo {
  /** DigitalOcean knows the token: the information is not just missing. */
  proven: boolean;
  scopes?: unknown;
  expiresInSeconds?: unknown;
}

/** What the token's own information says, or why it is not known. */
async function readTokenInfo(headers: Headers, http: ProviderHttp): Promise<TokenInfo | Outcome> {
  const path = '/v1/oauth/token/info';
  const info = await http.call({ method: 'GET', origin: 'oauth', path, headers, statusAlone: NOT_THERE });
  if (!info.ok) return atConsole(info.outcome);
  if (NOT_THERE.includes(info.status)) return { proven: false };
  if (info.status !== 200) return atConsole(classify([], info.status, readError(info.json), []));
  const scopes = field(info.json, 'scopes');
  const expiresInSeconds = field(info.json, 'expires_in_seconds');
  if (scopes === undefined && expiresInSeconds === undefined) {
    return atConsole(withoutPromised(info.json, 'token information'));
  }
  return { proven: true, scopes, expiresInSeconds };
}

/** `undefined` when the token lists droplets, which every `access` needs; else why it is not proven. */
async function listDroplets(headers: Headers, http: ProviderHttp): Promise<Outcome | undefined> {
  const answer = await http.call({ method: 'GET', path: '/v2/droplets?per_page=1', headers });
  if (!answer.ok) return answer.outcome;
  if (answer.status !== 200) return classify([], answer.status, readError(answer.json), []);
  if (!Array.isArray(field(answer.json, 'droplets'))) return withoutPromised(answer.json, 'droplets');
  return undefined;
}

type Headers = Record<string, string>;

/** That the endpoint does not exist. */
const NOT_THERE: readonly number[] = [404, 405, 410];

const CONSOLE_HOST = 'cloud.digitalocean.com';

/** A person looks at the API's host for an outage, unless told that it is the other one. */
function atConsole(outcome: Outcome): Outcome {
  if (outcome.kind === 'unreachable') return { ...outcome, host: CONSOLE_HOST };
  if (outcome.kind === 'unexpected') return { ...outcome, detail: `${outcome.detail} (${CONSOLE_HOST})` };
  return outcome;
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
        'Choose "Full Access", or "Custom Scopes" with account:read, droplet (create, read, update, delete, admin), ssh_key (create, read) and tag (create, read). Without droplet:admin a server cannot be rebuilt.',
    },
    furtherRights: { [REBUILD_SCOPE]: 'rebuilding a server' },
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
  origins: { api: 'https://api.digitalocean.com', oauth: `https://${CONSOLE_HOST}` },
  checkShape,
  hint,
  verify,
};
