import type { CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderHttp } from './http.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { tokenCharactersProblem } from './token.ts';

/**
 * Answers of `GET /v1/locations` other than 200. 429, 408, 5xx and whatever is no JSON never get here (`http.ts`).
 * Codes first: Hetzner sends 401 and 403 for things that are no fault of the credential.
 */
export const HETZNER_ANSWERS: readonly ClassificationRow[] = [
  {
    code: 'token_readonly',
    means: 'missingPermission',
    source: 'docs.hetzner.cloud "Errors": the token is only allowed to perform GET requests, sent with 401',
  },
  {
    code: 'maintenance',
    means: 'unreachable',
    cause: 'Maintenance',
    source: 'docs.hetzner.cloud "Errors": cannot perform operation due to maintenance, sent with 403',
  },
  {
    // The locations need no right that a token could lack.
    code: 'forbidden',
    means: 'accountLocked',
    source: 'docs.hetzner.cloud "Errors": insufficient permissions for this request, sent with 403',
  },
  {
    code: 'resource_locked',
    means: 'accountLocked',
    source: 'hetznercloud/hcloud-go hcloud/error.go: the caller should contact support (no status given)',
  },
  {
    code: 'locked',
    means: 'unreachable',
    cause: 'Locked',
    source: 'docs.hetzner.cloud "Errors": another action is running, sent with 423',
  },
  {
    code: 'conflict',
    means: 'unreachable',
    cause: 'Conflict',
    source: 'hetznercloud/hcloud-go hcloud/error.go: changed during the request, please retry',
  },
  {
    code: 'rate_limit_exceeded',
    means: 'throttled',
    source: 'docs.hetzner.cloud "Errors"; for the code under another status than 429',
  },
  {
    code: 'server_error',
    means: 'unreachable',
    cause: 'ServerError',
    source: 'docs.hetzner.cloud "Errors"; for the code under another status than 5xx',
  },
  {
    code: 'bad_gateway',
    means: 'unreachable',
    cause: 'BadGateway',
    source: 'hetznercloud/hcloud-go hcloud/error.go: not answered by the backend, please retry',
  },
  {
    code: 'timeout',
    means: 'unreachable',
    cause: 'Timeout',
    source: 'hetznercloud/hcloud-go hcloud/error.go: not answered in time, please retry',
  },
  {
    code: 'unavailable',
    means: 'unreachable',
    cause: 'Unavailable',
    source: 'docs.hetzner.cloud "Errors": a service or product is currently not available',
  },
  {
    status: 401,
    code: 'unauthorized',
    means: 'rejected',
    source:
      'docs.hetzner.cloud "Errors"; text "unable to authenticate" in hetznercloud/hcloud-go hcloud/error_test.go',
  },
  {
    status: 401,
    means: 'rejected',
    source: 'RFC 9110 section 15.5.2, for a code that is not known yet: no row above speaks against it',
  },
];

/** `{"error":{"code","message"}}`, docs.hetzner.cloud "Errors". */
function readError(json: unknown): ProviderError {
  const error = field(json, 'error');
  const code = textField(error, 'code');
  const text = textField(error, 'message');
  return { ...(code !== undefined && { code }), ...(text !== undefined && { text }) };
}

function checkShape({ token = '' }: Credential): ShapeProblem | undefined {
  const problem = tokenCharactersProblem('hetzner-token-characters', token);
  if (problem !== undefined) return problem;
  // hetznercloud/cli#159: the console goes on showing the first half, and people take it for the token.
  if (token.length === 32) {
    return {
      check: 'hetzner-token-identifier',
      message:
        'This is the identifier that Hetzner Console shows in its list of tokens (32 characters), not the token (64 characters). The token is shown only once: generate a new one and copy it then.',
    };
  }
  // The official CLI refuses every other length: hetznercloud/cli internal/cmd/context/create.go.
  if (token.length !== 64) {
    return {
      check: 'hetzner-token-length',
      message: 'A Hetzner Cloud API token has exactly 64 characters. Copy it again, or generate a new one.',
    };
  }
  return undefined;
}

/** The start: the first 32 characters are a public identifier, the last 32 the secret (docs.hetzner.com FAQ). */
function hint({ token = '' }: Credential): string {
  return token.length < 20 ? '••••' : `${token.slice(0, 4)}••••`;
}

/**
 * One call: `GET /v1/locations` asks for no right but needs a valid token, and is what the maintainers advise
 * (hetznercloud/csi-driver#35). Hetzner names neither project nor rights nor expiry, so nothing else is asked.
 */
async function verify(credential: Credential, request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const answer = await http.call({
    method: 'GET',
    path: '/v1/locations',
    headers: { authorization: `Bearer ${credential.token}` },
  });
  if (!answer.ok) return answer.outcome;
  if (answer.status === 200) {
    return Array.isArray(field(answer.json, 'locations'))
      ? ACCEPTED
      : withoutPromised(answer.json, 'locations');
  }
  const error = readError(answer.json);
  // A read-only token is a valid one: good enough for an account that only looks.
  if (error.code === 'token_readonly' && request.access === 'ReadOnly') return ACCEPTED;
  return classify(HETZNER_ANSWERS, answer.status, error, ['Read & Write']);
}

const ACCEPTED: Outcome = { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } };

export const hetzner: Provider = {
  name: 'Hetzner',
  fieldSets: [['token']],
  // A token is bound to one project, and no call names it (docs.hetzner.cloud "Authentication").
  identityKinds: [],
  guide: {
    consoleUrl: 'https://console.hetzner.com/',
    consolePath: 'project → Security → API tokens → Generate API token',
    permissions: {
      ReadOnly: 'Choose "Read". "Read & Write" works as well, but may do more than is needed.',
      ReadWrite: 'Choose "Read & Write": ordering, rebuilding, switching and deleting servers all need it.',
    },
    notes: [
      'A token belongs to one project: make it in the project that the servers are to live in.',
      'The token (64 characters) is shown only once; what the console lists afterwards is its identifier, the first 32 characters.',
      'Hetzner does not tell which project a token belongs to, so a token of another project cannot be noticed by itself.',
      'Hetzner does not tell whether a token may write: a "Read" token is accepted here and found out with the first order.',
    ],
  },
  // 3,600 requests an hour a project, refilled one a second (docs.hetzner.cloud "Rate Limiting"). The bucket is
  // shared with everything else that works in the project, so only a small part of it is taken at once.
  budget: { scope: 'credential', ratePerSecond: 1, burst: 100 },
  origins: { api: 'https://api.hetzner.cloud' },
  checkShape,
  hint,
  verify,
};
