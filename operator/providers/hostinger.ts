import type { CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderHttp } from './http.ts';
import { textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { lastFourHint, tokenCharactersProblem } from './token.ts';

/**
 * Answers of `GET /api/vps/v1/data-centers` other than 200. 429, 408, 5xx (530 of the CDN, hostinger/api#44) and
 * whatever is no JSON never get here (`http.ts`). The official document has no 403: it is not understood, and so
 * refuses nobody.
 */
export const HOSTINGER_ANSWERS: readonly ClassificationRow[] = [
  {
    status: 401,
    text: /^unauthenticated/i,
    means: 'rejected',
    source: 'hostinger/api openapi.json, Common.Response.UnauthorizedResponse',
  },
  {
    status: 401,
    means: 'rejected',
    source:
      'hostinger/api openapi.json, "Authentication"; for a text that is not known yet (an expired token)',
  },
];

/** `{"message","correlation_id"}`; the introduction of the official document names the field `error`. */
function readError(json: unknown): ProviderError {
  const text = textField(json, 'message') ?? textField(json, 'error');
  return text === undefined ? {} : { text };
}

// Hostinger promises no shape at all.
function checkShape({ token = '' }: Credential): ShapeProblem | undefined {
  return tokenCharactersProblem('hostinger-token-characters', token);
}

function hint({ token = '' }: Credential): string {
  return lastFourHint(token);
}

/** One call: the small catalogue of data centers proves the token. Identity, rights and expiry cannot be read. */
async function verify(credential: Credential, _request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const answer = await http.call({
    method: 'GET',
    path: '/api/vps/v1/data-centers',
    headers: { authorization: `Bearer ${credential.token}` },
  });
  if (!answer.ok) return answer.outcome;
  if (answer.status !== 200) return classify(HOSTINGER_ANSWERS, answer.status, readError(answer.json), []);
  if (!Array.isArray(answer.json)) return withoutPromised(answer.json, 'a list of data centers');
  return { kind: 'accepted', permissions: { state: 'Unknown', missing: [] } };
}

const ALL_RIGHTS =
  'There is nothing to choose: a token has all rights of its user, purchases included. Set an expiry date if the token is to end by itself.';

export const hostinger: Provider = {
  name: 'Hostinger',
  fieldSets: [['token']],
  // No call names the account; only the answer to an order carries a billing address (hostinger/api openapi.json).
  identityKinds: [],
  guide: {
    consoleUrl: 'https://hpanel.hostinger.com/profile/api',
    consolePath: 'hPanel → Account → API → Generate token',
    permissions: { ReadOnly: ALL_RIGHTS, ReadWrite: ALL_RIGHTS },
    notes: [
      'Hostinger has no read-only tokens: with access ReadOnly the operator orders nothing, but whoever has the token can.',
      'Hostinger does not tell which account a token belongs to, so a token of another account cannot be noticed by itself.',
      'Hostinger does not tell when a token expires: note the date that you chose.',
    ],
  },
  // Limits exist, figures are not published, and exceeding them repeatedly blocks the address (openapi.json, "Rate
  // Limiting"): so all accounts share one careful bucket.
  budget: { scope: 'unknown', ratePerSecond: 5, burst: 50 },
  origins: { api: 'https://developers.hostinger.com' },
  checkShape,
  hint,
  verify,
};
