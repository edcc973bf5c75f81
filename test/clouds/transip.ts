/**
 * Simulated TransIP API v6, after api.transip.nl/rest/docs.html and the official libraries
 * (transip/transip-api-php@19d26ea, transip/gotransip@f98077f). A token of this cloud is a key pair of an account;
 * what a login gives is a session, and its signature is checked for real. Texts of errors that no source tells are
 * marked as assumed.
 */
import { createVerify, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import type { Answer } from './answer.ts';
import type { Cloud, CloudDefinition, CloudOptions, CloudRequest, CloudToken, RoutedRequest } from './kit.ts';
import { json } from './answer.ts';
import { ALPHANUMERIC, HEX } from './ids.ts';
import { bearer, createCloud, isAllowedFrom, isExpired, page, queryNumber } from './kit.ts';

export interface TransipAccount {
  login: string;
  customerId: string;
  /** The switch at the top of the API page of the control panel. */
  apiEnabled: boolean;
  /** Addresses that sessions without `global_key` work from; none until listed. */
  whitelist: string[];
  vpses: { name: string; description: string; status: string }[];
}

export interface TransipExtra {
  publicKey: KeyObject;
}

/** An access token as the control panel lists it. */
export interface TransipSession {
  jwt: string;
  key: CloudToken<TransipAccount, TransipExtra>;
  label: string;
  readOnly: boolean;
  globalKey: boolean;
  /** Milliseconds since the epoch. */
  expiresAt: number;
  revoked: boolean;
}

export interface TransipCloud extends Cloud<TransipAccount, TransipExtra> {
  sessions: TransipSession[];
}

type Account = TransipAccount;
type Extra = TransipExtra;
type Key = CloudToken<Account, Extra>;

/** [docs "Rate limit"] 1,000 requests in 15 minutes a user. */
const LIMIT = 1000;
const WINDOW_MS = 900_000;

const UNIT_SECONDS: Record<string, number> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
};
const MONTH_SECONDS = 31 * 86_400;

/**
 * Making an RSA key takes a tenth of a second and more, so the nth key pairs of all accounts are one: their logins
 * differ. An account with very many gets shorter ones, which are made ten times as fast.
 */
const pool: { publicKey: KeyObject; privateKey: string }[] = [];
const LONG_KEYS = 12;

function keyPair(nth: number): { publicKey: KeyObject; privateKey: string } {
  return (pool[nth] ??= generate(nth < LONG_KEYS ? 2048 : 1024));
}

/** PKCS#8 in PEM, as the control panel shows it [knowledge base 77]. */
function generate(modulusLength: number): { publicKey: KeyObject; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength });
  return { publicKey, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString().trim() };
}

export function createTransipCloud(options?: CloudOptions): TransipCloud {
  const sessions = new Map<string, TransipSession>();
  const nonces = new Set<string>();
  const keysOf = new Map<Account, number>();

  const definition: CloudDefinition<Account, Extra> = {
    name: 'TransIP',
    // Key pairs have no scopes: a session is read-only or not, as its login asks.
    allScopes: [],

    newAccount: ids => ({
      login: `acme${ids.text(6, HEX)}`,
      customerId: String(10_000 + ids.number(90_000)),
      apiEnabled: true,
      whitelist: [],
      vpses: [],
    }),

    newToken(_ids, _options, account) {
      const nth = keysOf.get(account) ?? 0;
      keysOf.set(account, nth + 1);
      const { publicKey, privateKey } = keyPair(nth);
      return { credential: { login: account.login, privateKey }, extra: { publicKey } };
    },

    identify(request, cloud) {
      if (request.path === '/v6/auth') return signer(request, cloud);
      return sessions.get(bearer(request) ?? '')?.key;
    },

    refuse(_key, request, cloud) {
      const session = sessions.get(bearer(request) ?? '');
      // Text assumed.
      if (session === undefined) return error(401, 'Your access token is invalid.');
      // [transip-api-php src/Exception/HttpBadResponseException.php]
      if (session.revoked || session.key.revoked) return error(401, 'Your access token has been revoked.');
      if (session.expiresAt <= cloud.now()) return error(401, 'Your access token has expired.');
      const { whitelist } = session.key.account;
      if (!session.globalKey && !whitelist.includes(request.address)) return wrongAddress(request);
      // [docs "HTTP status codes": 403; the text is assumed]
      if (session.readOnly && request.method !== 'GET') return error(403, 'This access token is read-only.');
      return undefined;
    },

    open: [{ method: 'POST', path: '/v6/auth', handle: authenticate }],

    routes: [
      // [docs "API Test"]
      { method: 'GET', path: '/v6/api-test', handle: () => json(200, { ping: 'pong' }) },
      { method: 'GET', path: '/v6/vps', handle: vpses },
    ],

    // [docs "Errors": {"error":"text"}; text assumed]
    notFound: () => error(404, 'Resource not found'),

    headers(key, request, cloud) {
      const used = cloud.used(
        key === undefined ? `address ${request.address}` : `token ${key.index}`,
        WINDOW_MS,
      );
      // [docs "Rate limit"; transip-api-php src/HttpClient/HttpClient.php]
      return {
        'X-Rate-Limit-Limit': String(LIMIT),
        'X-Rate-Limit-Remaining': String(Math.max(0, LIMIT - used.count)),
        'X-Rate-Limit-Reset': String(Math.ceil((used.oldest + WINDOW_MS) / 1000)),
      };
    },

    error,
    // [docs "HTTP status codes": 429]
    throttled: () => error(429, 'Too many requests'),
    // [docs "HTTP status codes": 503; text assumed]
    maintenance: () => error(503, 'The API is currently in maintenance.'),
  };

  const cloud = createCloud(definition, options);
  return Object.defineProperty(cloud, 'sessions', { get: () => [...sessions.values()] }) as TransipCloud;

  /** [docs "Authentication"] */
  function authenticate(request: CloudRequest, cloud: Cloud<Account, Extra>): Answer {
    const body = parse(request.body);
    const { nonce, label, expiration_time: lifetime, read_only: readOnly, global_key: globalKey } = body;
    // Texts [stalwartlabs/dns-update#59]; no source tells the status, and 401 is the one that misleads most.
    if (typeof nonce !== 'string') return error(401, 'Please specify a nonce in the body');
    if (request.headers['signature'] === undefined)
      return error(401, 'Please specify a signature in the header');

    const key = signer(request, cloud);
    // Text assumed: no source tells it for an unknown login nor for a wrong signature.
    if (key === undefined || key.revoked || isExpired(key, cloud.now())) {
      return error(401, 'Authentication failed, invalid signature');
    }
    // [gotransip authenticator/authenticator_test.go]
    if (!key.account.apiEnabled) return error(409, 'Authentication failed, API is not enabled for customer');
    if (!isAllowedFrom(key, request.address)) return wrongAddress(request);

    // 6 to 32 characters, never again [docs]; texts and status assumed.
    if (nonce.length < 6 || nonce.length > 32) return error(406, 'The nonce must have 6 to 32 characters');
    if (nonces.has(nonce)) return error(401, 'The nonce was already used');
    nonces.add(nonce);
    const seconds = lifetimeSeconds(lifetime);
    if (seconds === undefined) return error(406, 'The expiration time is not valid');
    const active = [...sessions.values()].filter(
      other => other.key.account === key.account && !other.revoked && other.expiresAt > cloud.now(),
    );
    if (typeof label !== 'string' || active.some(other => other.label === label)) {
      // Text [go-acme/lego PR 1104]; status assumed.
      return error(406, `The label '${String(label)}' is already used in another active access token.`);
    }
    const session = {
      key,
      label,
      readOnly: readOnly === true,
      globalKey: globalKey === true,
      expiresAt: cloud.now() + seconds * 1000,
      revoked: false,
    };
    const jwt = issue(session, cloud);
    sessions.set(jwt, { ...session, jwt });
    return json(201, { token: jwt });
  }
}

function error(status: number, text: string): Answer {
  return json(status, { error: text });
}

/** [python-transip#46, transip/tipctl#15] */
function wrongAddress({ address }: CloudRequest): Answer {
  return error(401, `Remote IP is not authorized for this request; called from IP ${address}`);
}

function parse(body: string): Record<string, unknown> {
  try {
    return (JSON.parse(body) ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The key pair of the login in the body that signed exactly these bytes: RSA-PKCS1-v1_5 over SHA-512 [docs]. */
function signer(request: CloudRequest, cloud: Cloud<Account, Extra>): Key | undefined {
  const signature = Buffer.from(request.headers['signature'] ?? '', 'base64');
  const { login } = parse(request.body);
  return cloud.tokens.find(
    key =>
      key.account.login === login &&
      createVerify('RSA-SHA512').update(request.body, 'utf8').verify(key.extra.publicKey, signature),
  );
}

/** `30 minutes` (the default), `1 day`, `4 weeks`; at most a month [docs]. */
function lifetimeSeconds(text: unknown): number | undefined {
  const match = /^(\d+) (second|minute|hour|day|week)s?$/.exec(
    typeof text === 'string' ? text : '30 minutes',
  );
  const seconds = Number(match?.[1]) * (UNIT_SECONDS[match?.[2] ?? ''] ?? NaN);
  return seconds > 0 && seconds <= MONTH_SECONDS ? seconds : undefined;
}

/** Claims as in the public demo token of both libraries. Nobody but TransIP can check the signature. */
function issue(session: Omit<TransipSession, 'jwt'>, cloud: Cloud<Account, Extra>): string {
  const jti = cloud.ids.text(20, ALPHANUMERIC);
  const issuedAt = Math.floor(cloud.now() / 1000);
  const header = { typ: 'JWT', alg: 'RS256', jti };
  const claims = {
    iss: 'api.transip.nl',
    aud: 'api.transip.nl',
    jti,
    iat: issuedAt,
    nbf: issuedAt,
    exp: Math.floor(session.expiresAt / 1000),
    cid: session.key.account.customerId,
    ro: session.readOnly,
    gk: session.globalKey,
    kv: true,
  };
  const parts = [header, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url'));
  return [...parts, cloud.ids.text(342, ALPHANUMERIC)].join('.');
}

/** [docs "VPS"]; everything unless paged, no total. */
function vpses(request: RoutedRequest<Account, Extra>, cloud: Cloud<Account, Extra>): Answer {
  const all = request.token.account.vpses;
  if (request.query.get('pageSize') === null) return json(200, { vpss: all });
  const size = queryNumber(request, 'pageSize', 25, 10_000);
  const number = queryNumber(request, 'page', 1, 10_000);
  const { items, pages } = page(all, number, size);
  const link = (rel: string, to: number): object => ({
    rel,
    link: `${cloud.url}/v6/vps?pageSize=${size}&page=${to}`,
  });
  return json(200, {
    vpss: items,
    _links: {
      pages: [link('first', 1), ...(number < pages ? [link('next', number + 1)] : []), link('last', pages)],
    },
  });
}
