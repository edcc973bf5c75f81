import { describe, expect, test } from '@jest/globals';
import type { Access } from '../api/names.ts';
import type { Outcome } from '../domain/outcome.ts';
import { digitalocean } from './digitalocean.ts';
import type { ProviderAnswer } from './http.ts';
import { answer, scriptedHttp } from './scripted-http.ts';

const token = `dop_v1_${'0123456789abcdef'.repeat(4)}`;
const NOW = Date.UTC(2026, 0, 1);
const TEAM = { uuid: '5df3', name: 'ACME' };
const IDENTITY = { ids: ['team:5df3', 'account:b6fr'], name: 'ACME' };
const UNKNOWN = { state: 'Unknown', missing: [] };
const UNREACHABLE: ProviderAnswer = { ok: false, outcome: { kind: 'unreachable', cause: 'ConnectionReset' } };
const NEEDED = ['create', 'read', 'update', 'delete']
  .map(deed => `droplet:${deed}`)
  .concat('ssh_key:read', 'ssh_key:create', 'tag:read', 'tag:create');
const FORBIDDEN = answer(403, {
  id: 'forbidden',
  message: 'You are not authorized to perform this operation',
});

function account(changes: object = {}): ProviderAnswer {
  const details = {
    uuid: 'b6fr',
    name: 'Sammy',
    email: 's@example.com',
    status: 'active',
    status_message: ' ',
  };
  return answer(200, { account: { ...details, team: TEAM, ...changes } });
}

function info(scopes: unknown, expires: unknown = null): ProviderAnswer {
  return answer(200, { scopes, expires_in_seconds: expires });
}

function verify(answers: ProviderAnswer[], access: Access = 'ReadWrite'): Promise<Outcome> {
  return digitalocean.verify({ token }, { access, depth: 'first' }, scriptedHttp(...answers));
}

describe('verifying a DigitalOcean token', () => {
  test.each(['first', 'recheck'] as const)(
    'asks for the account, then for scopes and expiry (%s)',
    async depth => {
      const http = scriptedHttp(account(), info(['read', 'write'], 3600));
      expect(await digitalocean.verify({ token }, { access: 'ReadWrite', depth }, http)).toEqual({
        kind: 'accepted',
        account: IDENTITY,
        permissions: { state: 'Sufficient', missing: [] },
        expiresAt: NOW + 3_600_000,
      });
      const headers = { authorization: `Bearer ${token}` };
      expect(http.requests).toEqual([
        { method: 'GET', path: '/v2/account', headers },
        {
          method: 'GET',
          origin: 'oauth',
          path: '/v1/oauth/token/info',
          headers,
          statusAlone: [404, 405, 410],
        },
      ]);
    },
  );

  test.each([
    ['the documented body', { id: 'unauthorized', message: 'Unable to authenticate you' }],
    ['an unknown id', { id: '', message: 'Unable to authenticate you' }],
  ])('401 with %s is rejected, with the text', async (_name, json) => {
    expect(await verify([answer(401, json)])).toEqual({
      kind: 'rejected',
      detail: 'Unable to authenticate you',
    });
  });

  test.each([undefined, {}, { error: 'no' }])('a bare 401 is rejected: %j', async json => {
    expect(await verify([answer(401, json)])).toEqual({ kind: 'rejected' });
  });

  test('a token that may not read the account is accepted without an identity', async () => {
    expect(await verify([FORBIDDEN, info(['droplet:read'])], 'ReadOnly')).toEqual({
      kind: 'accepted',
      permissions: { state: 'Sufficient', missing: [] },
      expiresAt: null,
    });
  });

  test.each([undefined, {}, { error: 'blocked by policy' }])(
    '403 in another shape is unexpected: %j',
    async json => {
      expect(await verify([answer(403, json)])).toEqual({ kind: 'unexpected', detail: 'HTTP 403' });
    },
  );

  test('a locked account says why', async () => {
    const detail = 'Please contact support';
    expect(await verify([account({ status: 'locked', status_message: detail })])).toEqual({
      kind: 'accountLocked',
      detail,
    });
    expect(await verify([account({ status: 'locked' })])).toEqual({ kind: 'accountLocked' });
  });

  test.each(['warning', 'something new'])('account status "%s" is no refusal', async status => {
    expect(await verify([account({ status }), info(['write', 'read'])])).toMatchObject({ kind: 'accepted' });
  });

  test('a personal account has no team, and an e-mail address is no name', async () => {
    const personal = account({ team: undefined, name: 'sammy@example.com' });
    expect(await verify([personal, info(['read', 'write'])])).toMatchObject({
      account: { ids: ['account:b6fr'] },
    });
    expect(JSON.stringify(await verify([personal, info(['read'])]))).not.toContain('@');
  });

  test.each([
    ['an empty body', undefined, { kind: 'unreachable', cause: 'EmptyBody' }],
    ['another body', { ok: true }, { kind: 'unexpected', detail: 'HTTP 200 without an account' }],
  ])('200 with %s is no acceptance', async (_name, json, outcome) => {
    expect(await verify([answer(200, json)])).toEqual(outcome);
  });

  test.each([404, 422])('%i on the account is unexpected', async status => {
    expect(await verify([answer(status, { id: 'not_found', message: 'gone' })])).toEqual({
      kind: 'unexpected',
      detail: `HTTP ${status}: not_found: gone`,
    });
  });

  test('what the transport could not get is passed on', async () => {
    expect(await verify([UNREACHABLE])).toEqual({ kind: 'unreachable', cause: 'ConnectionReset' });
  });
});

describe('a 403 on the account', () => {
  const BLOCKED = answer(403, { id: 'blocked', message: 'Blocked by egress policy' });

  // With a pin `team:…` an acceptance without the team was DifferentAccount, counted and demoted.
  test.each([['read', 'write'], ['api:read'], ['account:read', 'droplet:read']])(
    'is no answer of the API where the token holds account:read: %s',
    async (...scopes) => {
      expect(await verify([BLOCKED, info(scopes)], 'ReadOnly')).toEqual({
        kind: 'unexpected',
        detail: 'HTTP 403: blocked: Blocked by egress policy',
      });
    },
  );
  const DROPLETS = answer(200, { droplets: [], meta: { total: 0 } });
  const GONE = answer(404);

  test.each(['first', 'recheck'] as const)(
    'from an egress filter that says the same to everything never accepts a made-up token (%s)',
    async depth => {
      const http = scriptedHttp(BLOCKED, BLOCKED, BLOCKED, BLOCKED, BLOCKED);
      expect(await digitalocean.verify({ token }, { access: 'ReadWrite', depth }, http)).toEqual({
        kind: 'unexpected',
        detail: 'HTTP 403: blocked: Blocked by egress policy (cloud.digitalocean.com)',
      });
    },
  );

  test.each([404, 405, 410])(
    'is proven by listing droplets where token info is absent (%i)',
    async status => {
      const http = scriptedHttp(FORBIDDEN, answer(status), DROPLETS);
      const outcome = await digitalocean.verify({ token }, { access: 'ReadOnly', depth: 'first' }, http);
      expect(outcome).toEqual({ kind: 'accepted', permissions: UNKNOWN });
      expect(http.requests.at(-1)).toMatchObject({ method: 'GET', path: '/v2/droplets?per_page=1' });
    },
  );

  test.each<[string, ProviderAnswer[], Outcome]>([
    [
      'token info says 401',
      [answer(401)],
      { kind: 'unexpected', detail: 'HTTP 401 (cloud.digitalocean.com)' },
    ],
    [
      'token info says 200 to everybody',
      [answer(200, { ok: true })],
      { kind: 'unexpected', detail: 'HTTP 200 without token information (cloud.digitalocean.com)' },
    ],
    [
      'listing says 403 as well',
      [GONE, BLOCKED],
      { kind: 'unexpected', detail: 'HTTP 403: blocked: Blocked by egress policy' },
    ],
    ['listing says 401', [GONE, answer(401)], { kind: 'unexpected', detail: 'HTTP 401' }],
    [
      'listing lists nothing',
      [GONE, answer(200, {})],
      { kind: 'unexpected', detail: 'HTTP 200 without droplets' },
    ],
    ['listing fails', [GONE, UNREACHABLE], { kind: 'unreachable', cause: 'ConnectionReset' }],
  ])('proves nothing where %s', async (_name, further, expected) => {
    expect(await verify([FORBIDDEN, ...further])).toEqual(expected);
  });
});

describe('the token information', () => {
  test.each<[string, ProviderAnswer, Outcome]>([
    [
      'cannot be reached',
      UNREACHABLE,
      { kind: 'unreachable', cause: 'ConnectionReset', host: 'cloud.digitalocean.com' },
    ],
    [
      'asks for patience',
      { ok: false, outcome: { kind: 'throttled', retryAfterMs: 5000 } },
      { kind: 'throttled', retryAfterMs: 5000 },
    ],
    [
      'leads elsewhere',
      { ok: false, outcome: { kind: 'unexpected', detail: 'redirect (HTTP 302)' } },
      { kind: 'unexpected', detail: 'redirect (HTTP 302) (cloud.digitalocean.com)' },
    ],
    ['refuses the token', answer(401), { kind: 'unexpected', detail: 'HTTP 401 (cloud.digitalocean.com)' }],
    ['is forbidden', answer(403), { kind: 'unexpected', detail: 'HTTP 403 (cloud.digitalocean.com)' }],
    [
      'is of another kind',
      answer(200, { ok: true }),
      { kind: 'unexpected', detail: 'HTTP 200 without token information (cloud.digitalocean.com)' },
    ],
    ['is empty', answer(200), { kind: 'unreachable', cause: 'EmptyBody', host: 'cloud.digitalocean.com' }],
  ])('that %s leaves the check without a verdict, and names the host', async (_name, reply, expected) => {
    for (const depth of ['first', 'recheck'] as const) {
      const http = scriptedHttp(account(), reply);
      expect(await digitalocean.verify({ token }, { access: 'ReadWrite', depth }, http)).toEqual(expected);
    }
  });

  test.each([
    ['is gone', answer(404, { id: 'not_found', message: 'gone' })],
    ['is not to be read', answer(405)],
    ['is gone for good', answer(410)],
    ['has no scopes', info(undefined, 0)],
    ['has scopes in another form', info('read write', 'soon')],
    ['has an empty list of scopes', info([], 0)],
    ['names no scope that is known', info(['droplets.read', 'droplet:look', 'api:everything'], 0)],
  ])('that %s cannot tell, and refuses nothing', async (_name, reply) => {
    const outcome = await verify([account(), reply]);
    expect(outcome).toEqual({ kind: 'accepted', account: IDENTITY, permissions: UNKNOWN });
  });

  test.each([
    ['api:read and api:write', ['api:read', 'api:write'], []],
    ['everything needed', [...NEEDED, 'droplet:admin'], []],
    ['all but droplet:admin, which only rebuilding needs', NEEDED, ['droplet:admin']],
  ])('of a token with %s is sufficient', async (_name, scopes, missing) => {
    const outcome = await verify([account(), info(scopes)]);
    expect(outcome).toMatchObject({ kind: 'accepted', permissions: { state: 'Sufficient', missing } });
  });

  test('is asked for nothing beyond reading where reading is enough', async () => {
    const outcome = await verify([account(), info(['api:read'])], 'ReadOnly');
    expect(outcome).toMatchObject({ permissions: { state: 'Sufficient', missing: [] } });
  });

  test('of a token for something else refuses it', async () => {
    const outcome = await verify([account(), info(['domain:read'])], 'ReadOnly');
    expect(outcome).toMatchObject({ kind: 'missingPermission', missing: ['droplet:read'] });
  });

  test.each([
    [
      'ReadWrite',
      ['read'],
      ['droplet:create', 'droplet:delete', 'droplet:update', 'ssh_key:create', 'tag:create'],
    ],
    [
      'ReadWrite',
      ['api:read'],
      ['droplet:create', 'droplet:delete', 'droplet:update', 'ssh_key:create', 'tag:create'],
    ],
    ['ReadWrite', ['read', 'write', 'account:read'], []],
    ['ReadOnly', ['read'], []],
    ['ReadOnly', ['account:read'], ['droplet:read']],
  ] as const)('%s with the scopes %j lacks %j', async (access, scopes, missing) => {
    const outcome = await verify([account(), info(scopes)], access);
    if (missing.length > 0)
      expect(outcome).toEqual({ kind: 'missingPermission', missing, account: IDENTITY });
    else
      expect(outcome).toMatchObject({ kind: 'accepted', permissions: { state: 'Sufficient', missing: [] } });
  });

  test.each([
    [null, null],
    [60, NOW + 60_000],
    [0, undefined],
    [-1, undefined],
    [1e300, undefined],
    ['60', undefined],
  ])('expires_in_seconds %j is the expiry %j', async (seconds, expiresAt) => {
    const outcome = await verify([account(), info(['read', 'write'], seconds)]);
    expect('expiresAt' in outcome ? outcome.expiresAt : undefined).toBe(expiresAt);
  });
});

describe('the shape of a DigitalOcean token', () => {
  test('a refresh token is told from an access token', () => {
    expect(digitalocean.checkShape({ token: token.replace('dop', 'dor') })).toMatchObject({
      check: 'digitalocean-refresh-token',
    });
  });

  test.each([token, token.replace('dop', 'doo'), 'a'.repeat(64), 'x'])('%s is not refused', value => {
    expect(digitalocean.checkShape({ token: value })).toBeUndefined();
  });

  test('a line break inside is refused', () => {
    expect(digitalocean.checkShape({ token: `${token}\n${token}` })).toMatchObject({
      check: 'digitalocean-token-characters',
    });
  });

  test.each([
    [token, 'dop_v1_••••cdef'],
    ['a'.repeat(60) + '1234', '••••1234'],
    ['dop_v1_123456789', '••••'],
  ])('the hint of %s is %s', (value, hint) => {
    expect(digitalocean.hint({ token: value })).toBe(hint);
  });
});
