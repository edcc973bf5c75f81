import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { AccountIdentity, CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ClassificationRow, ProviderError } from './classification.ts';
import { classify, withoutPromised } from './classification.ts';
import type { ProviderHttp } from './http.ts';
import { idValue, shownUser } from './identity.ts';
import { field, textField } from './json.ts';
import type { Credential, Provider, ShapeProblem } from './provider.ts';
import { scrub } from './redact.ts';
import { fingerprint, readKey, signature } from './transip-key.ts';

const LABEL_TAKEN = /label .*already used in another active access token/i;
const SESSION_OVER = /access token has (?:been revoked|expired)/i;

/** Rows that hold for both calls. TransIP has no codes, only texts, and their status is not always documented. */
const COMMON_ANSWERS: readonly ClassificationRow[] = [
  {
    text: /Remote IP is not authorized for this request(?:; called from IP (?<address>[0-9A-Fa-f.:]+[0-9A-Fa-f]))?/i,
    means: 'sourceNotAllowed',
    source: 'benkonrath/python-transip#46, transip/tipctl#15: sent with 401',
  },
  {
    text: /API is not enabled/i,
    means: 'accountLocked',
    source: 'transip/gotransip authenticator/authenticator_test.go: sent with 409',
  },
  {
    status: 409,
    means: 'unreachable',
    cause: 'Conflict',
    source: 'api.transip.nl/rest/docs.html "HTTP status codes": the resource is locked by another action',
  },
];

/** Answers of `POST /v6/auth` other than 200 and 201. */
export const TRANSIP_AUTH_ANSWERS: readonly ClassificationRow[] = [
  ...COMMON_ANSWERS,
  {
    text: LABEL_TAKEN,
    means: 'unexpected',
    source:
      'go-acme/lego PR 1104: the login is asked for once more with another label, so this is the second time',
  },
  {
    text: /Please specify a (?:nonce|signature)/i,
    means: 'unexpected',
    source: 'stalwartlabs/dns-update#59: our request is at fault, or something between changed it',
  },
  {
    status: 401,
    means: 'rejected',
    source:
      'api.transip.nl/rest/docs.html "Authentication": unknown login, or a signature by no key of it (texts vary)',
  },
];

/** Answers of `GET /v6/api-test` other than 200. The token is minutes old and ours: a 401 is not about the key. */
export const TRANSIP_TEST_ANSWERS: readonly ClassificationRow[] = [
  ...COMMON_ANSWERS,
  {
    text: SESSION_OVER,
    means: 'unexpected',
    source:
      'transip/transip-api-php src/Exception/HttpBadResponseException.php: a new login was tried in between',
  },
];

/** The session serves one check: long enough for a slow one, short enough not to pile up in the control panel. */
const EXPIRATION_TIME = '10 minutes';

type Login = { ok: true; jwt: string } | { ok: false; labelTaken: boolean; outcome: Outcome };

/** `{"error":"text"}`, api.transip.nl/rest/docs.html "Errors". */
function readError(json: unknown): ProviderError {
  const text = textField(json, 'error');
  return text === undefined ? {} : { text };
}

/**
 * A signed login proves the key, `GET /v6/api-test` that its session works. A taken label or a session that ended in
 * between is repaired once, so there are at most 4 calls.
 */
async function verify(credential: Credential, _request: CheckRequest, http: ProviderHttp): Promise<Outcome> {
  const { login = '', privateKey = '' } = credential;
  const reading = readKey(privateKey);
  if ('problem' in reading) return { kind: 'malformed', ...reading.problem };

  let mayRepair = true;
  for (;;) {
    const session = await signIn(login, reading.key, http);
    if (!session.ok) {
      if (!session.labelTaken || !mayRepair) return session.outcome;
      mayRepair = false;
      continue;
    }
    const test = await http.call({
      method: 'GET',
      path: '/v6/api-test',
      headers: { authorization: `Bearer ${session.jwt}` },
    });
    if (!test.ok) return test.outcome;
    if (test.status === 200) {
      if (textField(test.json, 'ping') !== 'pong') return withoutPromised(test.json, 'a pong');
      return {
        kind: 'accepted',
        account: identity(login, session.jwt),
        // Keys have no scopes: whoever signs may ask for a session that writes (knowledge base 77).
        permissions: { state: 'Sufficient', missing: [] },
        // The session expires, the key does not.
        expiresAt: null,
      };
    }
    const error = readError(test.json);
    if (!mayRepair || test.status !== 401 || !SESSION_OVER.test(error.text ?? '')) {
      // The session is a secret as well, of which the caller knows nothing: an echo of it goes no further.
      return scrub(classify(TRANSIP_TEST_ANSWERS, test.status, error, []), { token: session.jwt });
    }
    mayRepair = false;
  }
}

/** `POST /v6/auth` for a session that can only read, from anywhere (a check must not depend on the whitelist of one). */
async function signIn(login: string, key: KeyObject, http: ProviderHttp): Promise<Login> {
  // Signed as these bytes and sent as these bytes.
  const body = JSON.stringify({
    login,
    // 6 to 32 characters, never used again.
    nonce: randomBytes(16).toString('hex'),
    read_only: true,
    expiration_time: EXPIRATION_TIME,
    // Unique among the active ones; shown in the control panel.
    label: `cloud-account-operator-${randomBytes(6).toString('hex')}`,
    global_key: true,
  });
  const answer = await http.call({
    method: 'POST',
    path: '/v6/auth',
    headers: { signature: await signature(key, body) },
    body,
  });
  if (!answer.ok) return { ok: false, labelTaken: false, outcome: answer.outcome };
  // 201 by the documentation, 200 was seen.
  if (answer.status === 200 || answer.status === 201) {
    const jwt = textField(answer.json, 'token');
    if (jwt !== undefined && /^[\x21-\x7e]+$/.test(jwt)) return { ok: true, jwt };
    return { ok: false, labelTaken: false, outcome: withoutPromised(answer.json, 'a token') };
  }
  const error = readError(answer.json);
  return {
    ok: false,
    labelTaken: LABEL_TAKEN.test(error.text ?? ''),
    outcome: classify(TRANSIP_AUTH_ANSWERS, answer.status, error, []),
  };
}

/** There is no account endpoint: the login was proven, and the session names the customer. */
function identity(login: string, jwt: string): AccountIdentity {
  const customer = customerOf(jwt);
  return { ids: [...(customer === undefined ? [] : [`customer:${customer}`]), `login:${idValue(login)}`] };
}

/**
 * Claim `cid`. The signature is not checked, and no key for it is published: the bytes came from TransIP itself, in
 * the answer to our login over TLS, and nothing but the identity is taken from them.
 */
function customerOf(jwt: string): string | undefined {
  const payload = jwt.split('.')[1] ?? '';
  try {
    const cid = field(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')), 'cid');
    return typeof cid === 'number' || typeof cid === 'string' ? idValue(String(cid)) || undefined : undefined;
  } catch {
    return undefined;
  }
}

function checkShape({ privateKey = '' }: Credential): ShapeProblem | undefined {
  const reading = readKey(privateKey);
  return 'problem' in reading ? reading.problem : undefined;
}

/** `acme (key 1a2b3c4d)`: the login, unless it is an e-mail address, and the fingerprint of the public key. */
function hint({ login = '', privateKey = '' }: Credential): string {
  const reading = readKey(privateKey);
  if ('problem' in reading) return '••••';
  return `${shownUser(login)} (key ${fingerprint(reading.key)})`;
}

export const transip: Provider = {
  name: 'TransIP',
  fieldSets: [['login', 'privateKey']],
  identityKinds: ['customer', 'login'],
  guide: {
    consoleUrl: 'https://www.transip.nl/cp/account/api',
    consolePath: 'My account → API → switch the API on → Key pairs → Add key pair',
    permissions: {
      ReadOnly:
        'A key pair has no permissions to choose and may always order. Checks only ever ask for read-only sessions.',
      ReadWrite: 'A key pair has no permissions to choose and may order and manage servers.',
    },
    notes: [
      'Leave "only accept IP addresses from the whitelist" off, or add the addresses that the cluster calls from to the whitelist.',
      'Put the account name that you log in with into the field login, and the private key, whole, into the field privateKey. It is shown only once.',
      'Every check leaves a read-only access token in the control panel, named cloud-account-operator-…, which expires after 10 minutes.',
      'A ready-made access token of the control panel cannot be used: it expires and cannot be renewed.',
    ],
  },
  // 1,000 requests in 15 minutes a user (api.transip.nl/rest/docs.html "Rate limit"): 100 at once and one a second
  // stay under it, and share it with whatever else the user runs.
  budget: { scope: 'credential', ratePerSecond: 1, burst: 100 },
  origins: { api: 'https://api.transip.nl' },
  checkShape,
  hint,
  verify,
};
