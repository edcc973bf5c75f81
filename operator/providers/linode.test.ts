import { describe, expect, test } from '@jest/globals';
import type { Access } from '../api/names.ts';
import type { CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ProviderAnswer } from './http.ts';
import { linode } from './linode.ts';
import { answer, scriptedHttp } from './scripted-http.ts';

const token = 'ab12cd34'.repeat(8);
const EUUID = 'E1AF5EEC-526F-487D-B317EBEB34C87D71';
const USER = { ids: ['user:1234'] };
const ACCOUNT = { ids: [`euuid:${EUUID}`, 'user:1234'], name: 'ACME' };
const SUFFICIENT = { state: 'Sufficient', missing: [] };
const UNKNOWN = { state: 'Unknown', missing: [] };

function profile(scopes?: string, restricted = false, customer?: string): ProviderAnswer {
  const headers = {
    ...(scopes !== undefined && { 'x-oauth-scopes': scopes }),
    ...(customer !== undefined && { 'x-customer-uuid': customer }),
  };
  return answer(200, { uid: 1234, username: 'ops', email: 'ops@example.com', restricted }, headers);
}

function failure(status: number, reason: string, name?: string): ProviderAnswer {
  return answer(status, { errors: [{ reason, ...(name !== undefined && { field: name }) }] });
}

const account = answer(200, { euuid: EUUID, company: 'ACME', email: 'ops@example.com' });
const instances = answer(200, { data: [], page: 1, pages: 1, results: 0 });
const outage: ProviderAnswer = { ok: false, outcome: { kind: 'unreachable', cause: 'ConnectionReset' } };
const throttled: ProviderAnswer = { ok: false, outcome: { kind: 'throttled', retryAfterMs: 7000 } };
const blocked = answer(403, { id: 'blocked', message: 'Blocked by egress policy' });
const noSuchCall = failure(404, 'Not found');
const IAM = '/v4/iam/users/ops/permissions/account';
const notActivated = failure(403, 'Your account must be activated before you can use this endpoint');
const lacksScope = failure(401, 'Your OAuth token is not authorized to use this endpoint.');

function tokens(...data: unknown[]): ProviderAnswer {
  return answer(200, { data, page: 1, pages: 1, results: data.length });
}

function grants(addLinodes: boolean | undefined, accountAccess: string | null): ProviderAnswer {
  return answer(200, { global: { add_linodes: addLinodes, account_access: accountAccess }, linode: [] });
}

async function check(
  access: Access,
  depth: 'first' | 'recheck' | 'recheckWithoutExpiry',
  ...answers: ProviderAnswer[]
): Promise<{ outcome: Outcome; paths: string[] }> {
  const http = scriptedHttp(...answers);
  const request: CheckRequest =
    depth === 'first'
      ? { access, depth }
      : { access, depth: 'recheck', expiryKnown: depth === 'recheck', knownIds: USER.ids };
  const outcome = await linode.verify({ token }, request, http);
  for (const request of http.requests) {
    expect(request).toMatchObject({ method: 'GET', headers: { authorization: `Bearer ${token}` } });
  }
  return { outcome, paths: http.requests.map(request => request.path) };
}

describe('a token that is accepted', () => {
  test('first: profile, account and own expiry', async () => {
    const list = tokens(
      { token: 'ffff000011112222', expiry: '2027-01-01T00:00:00' },
      { token: token.slice(0, 16), expiry: '2026-03-01T13:46:32' },
    );
    expect(await check('ReadWrite', 'first', profile('*'), account, list)).toEqual({
      outcome: {
        kind: 'accepted',
        account: ACCOUNT,
        permissions: SUFFICIENT,
        expiresAt: Date.UTC(2026, 2, 1, 13, 46, 32),
      },
      paths: ['/v4/profile', '/v4/account', '/v4/profile/tokens?page_size=500'],
    });
  });

  test('recheck: two calls, the rights are in the header of the first', async () => {
    expect(
      await check('ReadWrite', 'recheck', profile('account:read_only linodes:read_write'), account),
    ).toEqual({
      outcome: { kind: 'accepted', account: ACCOUNT, permissions: SUFFICIENT },
      paths: ['/v4/profile', '/v4/account'],
    });
  });

  test('without the account scope the servers are asked for, and neither account nor expiry is known', async () => {
    expect(await check('ReadOnly', 'first', profile('linodes:read_only'), instances)).toEqual({
      outcome: { kind: 'accepted', account: USER, permissions: SUFFICIENT },
      paths: ['/v4/profile', '/v4/linode/instances?page_size=25'],
    });
  });

  test('without the header of scopes the rights to write are unknown, never missing', async () => {
    const list = tokens({ token: token.slice(0, 16), expiry: null });
    const { outcome } = await check('ReadWrite', 'first', profile(), account, list);
    expect(outcome).toEqual({
      kind: 'accepted',
      account: ACCOUNT,
      permissions: UNKNOWN,
      expiresAt: null,
    });
  });

  test('without the header of scopes the list of servers proves the right to look', async () => {
    const { outcome } = await check('ReadOnly', 'recheck', profile('unknown'), account, instances);
    expect(outcome).toEqual({ kind: 'accepted', account: ACCOUNT, permissions: SUFFICIENT });
  });

  test('an account that may not be read after all is made up for by the servers', async () => {
    const { outcome, paths } = await check('ReadWrite', 'first', profile('*'), lacksScope, instances);
    expect(outcome).toEqual({ kind: 'accepted', account: USER, permissions: SUFFICIENT });
    expect(paths).toEqual(['/v4/profile', '/v4/account', '/v4/linode/instances?page_size=25']);
  });

  test.each<[string, ProviderAnswer]>([
    ['is refused', lacksScope],
    ['does not hold the own token', tokens({ token: 'ffff000011112222', expiry: null })],
    ['holds it twice', tokens(...[1, 2].map(() => ({ token: token.slice(0, 16), expiry: null })))],
    ['has no date that can be read', tokens({ token: token.slice(0, 16), expiry: 'soon' })],
    ['has an impossible date', tokens({ token: token.slice(0, 16), expiry: '2026-13-01T00:00:00' })],
  ])('the expiry stays absent where the list of tokens %s', async (_name, list) => {
    const { outcome } = await check('ReadWrite', 'first', profile('*'), account, list);
    expect(outcome).toEqual({ kind: 'accepted', account: ACCOUNT, permissions: SUFFICIENT });
  });

  test.each([null, '2999-12-12T05:00:00'])('a token made with "Never" (%s) does not expire', async expiry => {
    const list = tokens({ token: token.slice(0, 16), expiry });
    const { outcome } = await check('ReadWrite', 'first', profile('*'), account, list);
    expect(outcome).toMatchObject({ kind: 'accepted', expiresAt: null });
  });

  test('no e-mail address leaves the module', async () => {
    const named = answer(200, { euuid: EUUID, company: 'ops@example.com', email: 'ops@example.com' });
    const { outcome } = await check('ReadWrite', 'recheck', profile('*'), named);
    expect(outcome).toEqual({ kind: 'accepted', account: { ids: ACCOUNT.ids }, permissions: SUFFICIENT });
  });
});

describe('a restricted user', () => {
  test('may order with the grant, in four calls', async () => {
    const list = tokens({ token: token.slice(0, 16), expiry: null });
    const { outcome, paths } = await check(
      'ReadWrite',
      'first',
      profile('*', true),
      grants(true, 'read_only'),
      account,
      list,
    );
    expect(outcome).toMatchObject({
      kind: 'accepted',
      account: ACCOUNT,
      permissions: SUFFICIENT,
      expiresAt: null,
    });
    expect(paths).toHaveLength(4);
    expect(paths[1]).toBe('/v4/profile/grants');
  });

  test.each<[string, ProviderAnswer]>([
    ['do not say so', grants(false, 'read_only')],
    ['say nothing of it', grants(undefined, 'read_only')],
    ['are not told to this user', failure(403, 'Unauthorized')],
    ['are not there any more', noSuchCall],
  ])('may order with Identity and Access though the grants %s, in five calls', async (_name, reply) => {
    const list = tokens({ token: token.slice(0, 16), expiry: null });
    const { outcome, paths } = await check(
      'ReadWrite',
      'first',
      profile('*', true),
      reply,
      answer(200, ['create_linode', 'view_account']),
      account,
      list,
    );
    expect(outcome).toMatchObject({ kind: 'accepted', account: ACCOUNT, permissions: SUFFICIENT });
    expect(paths).toEqual([
      '/v4/profile',
      '/v4/profile/grants',
      IAM,
      '/v4/account',
      '/v4/profile/tokens?page_size=500',
    ]);
  });

  test('may not order where Identity and Access says so', async () => {
    const { outcome, paths } = await check(
      'ReadWrite',
      'recheck',
      profile('*', true, EUUID),
      grants(false, 'read_only'),
      answer(200, ['view_account']),
    );
    expect(outcome).toEqual({
      kind: 'missingPermission',
      missing: ['create_linode'],
      account: { ids: [`euuid:${EUUID}`, 'user:1234'] },
    });
    expect(paths).toEqual(['/v4/profile', '/v4/profile/grants', IAM]);
  });

  test.each<[string, ProviderAnswer]>([
    ['there is none', noSuchCall],
    ['the user may not see it', failure(403, 'Unauthorized')],
    ['the token lacks the scope', lacksScope],
  ])('has unknown rights where the grants deny and of Identity and Access %s', async (_name, reply) => {
    const { outcome } = await check(
      'ReadWrite',
      'recheck',
      profile('*', true),
      grants(false, 'read_only'),
      reply,
      account,
    );
    expect(outcome).toEqual({ kind: 'accepted', account: ACCOUNT, permissions: UNKNOWN });
  });

  test('needs no grant to look', async () => {
    const { outcome } = await check(
      'ReadOnly',
      'recheck',
      profile('*', true),
      grants(false, null),
      instances,
    );
    expect(outcome).toEqual({ kind: 'accepted', account: USER, permissions: SUFFICIENT });
  });

  test('who may not read the account still learns the own expiry', async () => {
    const list = tokens({ token: token.slice(0, 16), expiry: null });
    const { outcome } = await check(
      'ReadOnly',
      'first',
      profile('*', true),
      grants(false, null),
      instances,
      list,
    );
    expect(outcome).toMatchObject({ kind: 'accepted', account: USER, expiresAt: null });
  });

  test('who is no longer restricted (204) may do everything', async () => {
    const { outcome } = await check('ReadWrite', 'recheck', profile('*', true), answer(204), account);
    expect(outcome).toEqual({ kind: 'accepted', account: ACCOUNT, permissions: SUFFICIENT });
  });
});

describe('half an answer is none', () => {
  const NO_ANSWERS: [string, ProviderAnswer, Outcome][] = [
    ['a reset', outage, { kind: 'unreachable', cause: 'ConnectionReset' }],
    ['a 429', throttled, { kind: 'throttled', retryAfterMs: 7000 }],
    ['a block in JSON', blocked, { kind: 'unexpected', detail: 'HTTP 403' }],
    ['an unknown 401', answer(401, {}), { kind: 'unexpected', detail: 'HTTP 401' }],
  ];
  const shapeless = (missing: string): [string, ProviderAnswer, Outcome] => [
    'another shape',
    answer(200, { ok: true }),
    { kind: 'unexpected', detail: `HTTP 200 without ${missing}` },
  ];

  // With a pin `euuid:…` an identity of the user alone was DifferentAccount, counted and demoted.
  test.each([...NO_ANSWERS, shapeless('grants')])(
    '%s instead of the grants',
    async (_name, reply, expected) => {
      for (const depth of ['first', 'recheck'] as const) {
        for (const access of ['ReadOnly', 'ReadWrite'] as const) {
          expect((await check(access, depth, profile('*', true), reply)).outcome).toEqual(expected);
        }
      }
    },
  );

  test.each([...NO_ANSWERS, shapeless('permissions')])(
    '%s instead of the permissions of Identity and Access',
    async (_name, reply, expected) => {
      for (const depth of ['first', 'recheck'] as const) {
        const denied = grants(false, 'read_only');
        expect((await check('ReadWrite', depth, profile('*', true), denied, reply)).outcome).toEqual(
          expected,
        );
      }
    },
  );

  test.each([...NO_ANSWERS, shapeless('an account')])(
    '%s instead of the account',
    async (_name, reply, expected) => {
      for (const depth of ['first', 'recheck'] as const) {
        expect((await check('ReadWrite', depth, profile('*'), reply)).outcome).toEqual(expected);
      }
    },
  );

  test.each([...NO_ANSWERS, shapeless('a list of servers')])(
    '%s instead of the servers',
    async (_name, reply, expected) => {
      const scopes = 'linodes:read_write';
      expect((await check('ReadWrite', 'recheck', profile(scopes), reply)).outcome).toEqual(expected);
    },
  );

  test.each([...NO_ANSWERS, shapeless('a list of tokens')])(
    '%s instead of the tokens',
    async (_name, reply, expected) => {
      for (const depth of ['first', 'recheckWithoutExpiry'] as const) {
        expect((await check('ReadWrite', depth, profile('*'), account, reply)).outcome).toEqual(expected);
      }
    },
  );
});

describe('the account in a header', () => {
  test('is known where the token may not read it', async () => {
    const { outcome } = await check(
      'ReadWrite',
      'first',
      profile('linodes:read_write', false, EUUID),
      instances,
    );
    expect(outcome).toMatchObject({ account: { ids: [`euuid:${EUUID}`, 'user:1234'] } });
  });

  test.each([EUUID.toLowerCase(), '42', ''])('is not taken for one in another form: "%s"', async customer => {
    const { outcome } = await check(
      'ReadWrite',
      'first',
      profile('linodes:read_write', false, customer),
      instances,
    );
    expect(outcome).toMatchObject({ account: USER });
  });
});

test.each<[Access, string]>([
  ['ReadOnly', 'linodes:view'],
  ['ReadOnly', 'linodes:delete'],
  ['ReadWrite', 'linodes:view,linodes:create'],
  ['ReadWrite', 'linodes:modify events:view'],
])('%s is held by the scopes of an older token: %s', async (access, scopes) => {
  const { outcome } = await check(access, 'recheck', profile(scopes), instances);
  expect(outcome).toMatchObject({ kind: 'accepted', permissions: SUFFICIENT });
});

test.each(['linodes:manage account:read_only', 'everything'])(
  'scopes in a form that is not known refuse nothing: %s',
  async scopes => {
    const { outcome } = await check('ReadWrite', 'recheck', profile(scopes), account);
    expect(outcome).toEqual({ kind: 'accepted', account: ACCOUNT, permissions: UNKNOWN });
  },
);

test('a token that is told back as a user name is asked nothing with', async () => {
  const echoing = answer(200, { uid: 1, username: token, restricted: true }, { 'x-oauth-scopes': '*' });
  const { outcome, paths } = await check('ReadWrite', 'first', echoing);
  expect(outcome).toEqual({ kind: 'unexpected', detail: 'HTTP 200 without a user name' });
  expect(paths).toEqual(['/v4/profile']);
});

describe('a token that is refused', () => {
  test.each([
    ['the documented text', { errors: [{ reason: 'Invalid Token' }] }, { detail: 'Invalid Token' }],
    ['an unknown text', { errors: [{ reason: 'Token expired' }] }, { detail: 'Token expired' }],
    ['a body of another shape', { message: 'no' }, {}],
    ['an empty body', undefined, {}],
  ])('401 on the profile with %s is rejected', async (_name, json, detail) => {
    const { outcome } = await check('ReadWrite', 'first', answer(401, json));
    expect(outcome).toEqual({ kind: 'rejected', ...detail });
  });

  test.each<[Access, string, string]>([
    ['ReadWrite', 'linodes:read_only account:read_only', 'linodes:read_write'],
    ['ReadWrite', 'domains:read_write', 'linodes:read_write'],
    ['ReadOnly', 'account:read_write', 'linodes:read_only'],
    ['ReadWrite', 'linodes:view', 'linodes:read_write'],
  ])('%s with the scopes "%s" lacks %s, after one call', async (access, scopes, missing) => {
    const { outcome, paths } = await check(access, 'first', profile(scopes));
    expect(outcome).toEqual({ kind: 'missingPermission', missing: [missing], account: USER });
    expect(paths).toHaveLength(1);
  });

  test.each<[string, ProviderAnswer[]]>([
    ['account', [profile('*'), notActivated]],
    ['servers', [profile('linodes:read_write'), notActivated]],
  ])('an account that is not activated passes the profile and fails at the %s', async (_name, answers) => {
    const { outcome } = await check('ReadWrite', 'first', ...answers);
    expect(outcome).toEqual({
      kind: 'accountLocked',
      detail: 'Your account must be activated before you can use this endpoint',
    });
  });

  test.each<[string, ProviderAnswer, Outcome]>([
    ['revoked in between', failure(401, 'Invalid Token'), { kind: 'rejected', detail: 'Invalid Token' }],
    ['an unknown 401', failure(401, 'Hm'), { kind: 'unexpected', detail: 'HTTP 401: Hm' }],
    ['a 401 of somebody else', answer(401, {}), { kind: 'unexpected', detail: 'HTTP 401' }],
    ['an outage', outage, { kind: 'unreachable', cause: 'ConnectionReset' }],
    ['a busy API', failure(400, 'Linode busy.'), { kind: 'unreachable', cause: 'Busy' }],
    [
      'a 200 of somebody else',
      answer(200, {}),
      { kind: 'unexpected', detail: 'HTTP 200 without an account' },
    ],
    ['an empty 200', answer(200), { kind: 'unreachable', cause: 'EmptyBody' }],
  ])('the second call belongs to the verdict: %s', async (_name, second, expected) => {
    expect((await check('ReadWrite', 'first', profile('*'), second)).outcome).toEqual(expected);
  });

  test('without the header of scopes, the second call tells of a missing scope', async () => {
    const { outcome } = await check('ReadOnly', 'first', profile(), lacksScope, lacksScope);
    expect(outcome).toEqual({
      kind: 'missingPermission',
      missing: ['linodes:read_only'],
      account: USER,
      detail: 'Your OAuth token is not authorized to use this endpoint.',
    });
  });

  test('a 403 without Linode’s own error is no verdict', async () => {
    const { outcome } = await check(
      'ReadOnly',
      'first',
      profile('linodes:read_only'),
      answer(403, { message: 'blocked' }),
    );
    expect(outcome).toEqual({ kind: 'unexpected', detail: 'HTTP 403' });
  });

  test.each<[string, ProviderAnswer, string]>([
    ['a 403 on the profile', failure(403, 'Unauthorized'), 'HTTP 403: Unauthorized'],
    ['an error about a field', failure(403, 'Bad', 'page'), 'HTTP 403: field: Bad'],
    ['a 200 of somebody else', answer(200, { uid: '1234' }), 'HTTP 200 without a profile'],
  ])('%s is not understood', async (_name, reply, detail) => {
    expect((await check('ReadWrite', 'first', reply)).outcome).toEqual({ kind: 'unexpected', detail });
  });
});

test('no shape is promised, so only what no header can carry is refused', () => {
  expect(linode.checkShape({ token: 'anything' })).toBeUndefined();
  expect(linode.checkShape({ token: 'two words' })?.check).toBe('linode-token-characters');
});

test('the hint is the end of the token, and nothing of a short one', () => {
  expect(linode.hint({ token })).toBe('••••cd34');
  expect(linode.hint({ token: 'a'.repeat(19) })).toBe('••••');
});
