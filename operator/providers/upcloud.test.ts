import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ProviderAnswer } from './http.ts';
import type { Credential } from './provider.ts';
import { answer, scriptedHttp } from './scripted-http.ts';
import { upcloud } from './upcloud.ts';

const TOKEN: Credential = { token: `ucat_${'01JH'.repeat(6)}GH` };
const BASIC: Credential = { username: 'ops', password: 'p:ä' };
const FIRST: CheckRequest = { access: 'ReadWrite', depth: 'first' };
const MAIN = { ids: ['account:acme', 'user:acme'], name: 'ACME' };
const SUB = { ids: ['account:acme', 'user:ops'], name: 'ACME' };
const SUFFICIENT = { state: 'Sufficient', missing: [] };
const UNKNOWN = { state: 'Unknown', missing: [] };
const outage: ProviderAnswer = { ok: false, outcome: { kind: 'unreachable', cause: 'ConnectionReset' } };
const throttled: ProviderAnswer = { ok: false, outcome: { kind: 'throttled', retryAfterMs: 7000 } };
/** Of the API itself, and of something that stands before it. */
const forbidden = answer(403, { error: { error_code: 'ACTION_FORBIDDEN', error_message: 'No.' } });
const blocked = answer(403, { id: 'blocked', message: 'Blocked by egress policy' });

function account(username: string): ProviderAnswer {
  return answer(200, { account: { username, credits: 10000, resource_limits: {} } });
}

const mainDetails = answer(200, {
  account: { type: 'main', main_account: 'acme', username: 'acme', company: 'ACME' },
});
const subDetails = answer(200, {
  account: { type: 'sub', main_account: 'acme', username: 'ops', company: 'ACME' },
});

function rows(user: string, ...types: string[]): unknown[] {
  return types.map(target_type => ({
    user,
    target_type,
    target_identifier: '*',
    options: { storage: 'no' },
  }));
}

function permission(...permissions: unknown[]): ProviderAnswer {
  return answer(200, { permissions: { permission: permissions } });
}

function tokens(...expiries: unknown[]): ProviderAnswer {
  return answer(
    200,
    expiries.map(expires_at => ({ id: 'x', name: 'ci', type: 'workspace', expires_at })),
  );
}

const everything = permission(...rows('ops', 'server', 'storage', 'network'));

/** Both formats of an error: they mean the same. */
const FORMATS: [string, (status: number, code: string) => ProviderAnswer][] = [
  ['old', (status, code) => answer(status, { error: { error_code: code, error_message: 'Text.' } })],
  [
    'RFC 7807',
    (status, code) =>
      answer(status, { type: `https://api.upcloud.com/1.3/errors#ERROR_${code}`, title: 'Text.', status }),
  ],
];

async function check(
  credential: Credential,
  request: CheckRequest,
  ...answers: ProviderAnswer[]
): Promise<{ outcome: Outcome; paths: string[]; authorizations: (string | undefined)[] }> {
  const http = scriptedHttp(...answers);
  const outcome = await upcloud.verify(credential, request, http);
  return {
    outcome,
    paths: http.requests.map(({ method, path }) => `${method} ${path}`),
    authorizations: http.requests.map(({ headers }) => headers?.['authorization']),
  };
}

describe('a credential that is accepted', () => {
  test('first, token of a main account: verdict, identity and expiry', async () => {
    const list = tokens('2026-12-01T00:00:00.00001Z');
    const result = await check(TOKEN, FIRST, account('acme'), mainDetails, list);
    expect(result.outcome).toEqual({
      kind: 'accepted',
      account: MAIN,
      permissions: SUFFICIENT,
      expiresAt: Date.UTC(2026, 11, 1),
    });
    expect(result.paths).toEqual([
      'GET /1.3/account',
      'GET /1.3/account/details/acme',
      'GET /1.3/account/tokens?gui=false&limit=100',
    ]);
    expect(new Set(result.authorizations)).toEqual(new Set([`Bearer ${TOKEN.token}`]));
  });

  test('first, token of a subaccount: its permissions as well, four calls in all', async () => {
    const list = tokens('2026-12-01T00:00:00Z');
    const { outcome, paths } = await check(TOKEN, FIRST, account('ops'), subDetails, everything, list);
    expect(outcome).toMatchObject({ kind: 'accepted', account: SUB, permissions: SUFFICIENT });
    expect(paths).toHaveLength(4);
    expect(paths[2]).toBe('GET /1.3/permission');
  });

  test('user name and password go as Basic in UTF-8, and the tokens of the account are not asked for', async () => {
    const { outcome, authorizations } = await check(BASIC, FIRST, account('ops'), subDetails, everything);
    expect(outcome).toEqual({ kind: 'accepted', account: SUB, permissions: SUFFICIENT });
    const expected = `Basic ${Buffer.from('ops:p:ä', 'utf8').toString('base64')}`;
    expect(authorizations).toEqual([expected, expected, expected]);
  });

  test('recheck of a main account is one call', async () => {
    const request: CheckRequest = {
      access: 'ReadWrite',
      depth: 'recheck',
      knownIds: MAIN.ids,
      expiryKnown: true,
    };
    const { outcome } = await check(TOKEN, request, account('acme'));
    expect(outcome).toEqual({ kind: 'accepted', account: { ids: MAIN.ids }, permissions: SUFFICIENT });
  });

  test('recheck of a subaccount asks for its permissions only', async () => {
    const request: CheckRequest = {
      access: 'ReadWrite',
      depth: 'recheck',
      knownIds: SUB.ids,
      expiryKnown: true,
    };
    const { outcome, paths } = await check(TOKEN, request, account('ops'), everything);
    expect(outcome).toEqual({ kind: 'accepted', account: { ids: SUB.ids }, permissions: SUFFICIENT });
    expect(paths).toEqual(['GET /1.3/account', 'GET /1.3/permission']);
  });

  test('what is known of another user is not used', async () => {
    const request: CheckRequest = { access: 'ReadWrite', depth: 'recheck', knownIds: MAIN.ids };
    const { outcome } = await check(BASIC, request, account('ops'), subDetails, everything);
    expect(outcome).toMatchObject({ kind: 'accepted', account: SUB });
  });

  test('recheck asks for the expiry until it is known', async () => {
    const list = tokens('2026-12-01T00:00:00Z');
    const request: CheckRequest = {
      access: 'ReadWrite',
      depth: 'recheck',
      knownIds: MAIN.ids,
      expiryKnown: false,
    };
    const { outcome, paths } = await check(TOKEN, request, account('acme'), list);
    expect(outcome).toMatchObject({ kind: 'accepted', expiresAt: Date.UTC(2026, 11, 1) });
    expect(paths).toEqual(['GET /1.3/account', 'GET /1.3/account/tokens?gui=false&limit=100']);
  });

  test('recheck asks for the account until it is known, with no more calls than at first', async () => {
    const request: CheckRequest = {
      access: 'ReadWrite',
      depth: 'recheck',
      knownIds: ['user:ops'],
      expiryKnown: false,
    };
    const list = tokens('2026-12-01T00:00:00Z');
    const { outcome, paths } = await check(TOKEN, request, account('ops'), subDetails, everything, list);
    expect(outcome).toMatchObject({ kind: 'accepted', account: SUB });
    expect(paths).toHaveLength(4);
  });

  test('details that UpCloud refuses to tell leave the user; its rows still tell what it may do', async () => {
    const { outcome, paths } = await check(BASIC, FIRST, account('ops'), forbidden, everything);
    expect(outcome).toEqual({ kind: 'accepted', account: { ids: ['user:ops'] }, permissions: SUFFICIENT });
    expect(paths).toHaveLength(3);
  });

  test('permissions that UpCloud refuses to tell are unknown', async () => {
    const { outcome } = await check(BASIC, FIRST, account('ops'), subDetails, forbidden);
    expect(outcome).toEqual({ kind: 'accepted', account: SUB, permissions: UNKNOWN });
  });

  test.each<[string, ProviderAnswer]>([
    ['is refused', forbidden],
    ['holds several that expire at different times', tokens('2026-12-01T00:00:00Z', '2026-11-01T00:00:00Z')],
    ['holds one without a date', tokens('2026-12-01T00:00:00Z', undefined)],
    ['holds only expired ones', tokens('2025-12-01T00:00:00Z')],
    ['is empty', tokens()],
    [
      'is a full page, behind which there may be others',
      tokens(...Array.from({ length: 100 }, () => '2026-12-01T00:00:00Z')),
    ],
  ])('the expiry stays absent where the list of tokens %s', async (_name, list) => {
    const { outcome } = await check(TOKEN, FIRST, account('acme'), mainDetails, list);
    expect(outcome).toEqual({ kind: 'accepted', account: MAIN, permissions: SUFFICIENT });
  });

  test('sessions of the control panel are no tokens that could ask', async () => {
    const list = answer(200, [
      { name: 'ci', expires_at: '2026-12-01T00:00:00Z', gui: false },
      { name: 'hub', expires_at: '2026-01-02T00:00:00Z', gui: true },
    ]);
    const { outcome } = await check(TOKEN, FIRST, account('acme'), mainDetails, list);
    expect(outcome).toMatchObject({ kind: 'accepted', expiresAt: Date.UTC(2026, 11, 1) });
  });

  test('expired tokens do not hide the expiry of the only valid one', async () => {
    const list = tokens('2025-12-01T00:00:00Z', '2026-12-01T00:00:00Z');
    const { outcome } = await check(TOKEN, FIRST, account('acme'), mainDetails, list);
    expect(outcome).toMatchObject({ expiresAt: Date.UTC(2026, 11, 1) });
  });

  test('no e-mail address leaves the module', async () => {
    const address = 'Ops@Example.com';
    const hash = createHash('sha256').update('ops@example.com').digest('hex').slice(0, 16);
    const details = answer(200, { account: { type: 'main', username: address, company: `c/o ${address}` } });
    const { outcome, paths } = await check(
      { username: address, password: 'x' },
      FIRST,
      account(address),
      details,
    );
    expect(outcome).toEqual({
      kind: 'accepted',
      account: { ids: [`account:email-sha256:${hash}`, `user:email-sha256:${hash}`] },
      permissions: SUFFICIENT,
    });
    expect(paths[1]).toBe('GET /1.3/account/details/Ops%40Example.com');
    expect(upcloud.hint({ username: address, password: 'x' })).toBe('••••');
  });
});

/** What is no answer of the API: of it nothing is concluded, whichever call meets it. */
const NO_ANSWERS: [string, ProviderAnswer, Outcome][] = [
  ['a reset', outage, { kind: 'unreachable', cause: 'ConnectionReset' }],
  ['a 429', throttled, { kind: 'throttled', retryAfterMs: 7000 }],
  ['a block in JSON', blocked, { kind: 'unexpected', detail: 'HTTP 403' }],
  ['an unknown 401', answer(401, {}), { kind: 'unexpected', detail: 'HTTP 401' }],
];

describe('half an answer is none', () => {
  const shapeless = (missing: string): [string, ProviderAnswer, Outcome] => [
    'another shape',
    answer(200, { ok: true }),
    { kind: 'unexpected', detail: `HTTP 200 without ${missing}` },
  ];

  // With a pin `account:…` an identity of the user alone was DifferentAccount, counted and demoted.
  test.each([...NO_ANSWERS, shapeless('details of the account')])(
    '%s instead of the details, at first and again',
    async (_name, reply, expected) => {
      const again: CheckRequest = { access: 'ReadWrite', depth: 'recheck', knownIds: ['user:ops'] };
      for (const request of [FIRST, again]) {
        expect((await check(BASIC, request, account('ops'), reply)).outcome).toEqual(expected);
      }
    },
  );

  // A subaccount without the permissions overwrote a working credential and was refused ten minutes later.
  test.each([...NO_ANSWERS, shapeless('permissions')])(
    '%s instead of the permissions, at first and again',
    async (_name, reply, expected) => {
      expect((await check(BASIC, FIRST, account('ops'), subDetails, reply)).outcome).toEqual(expected);
      const again: CheckRequest = { access: 'ReadWrite', depth: 'recheck', knownIds: SUB.ids };
      expect((await check(BASIC, again, account('ops'), reply)).outcome).toEqual(expected);
    },
  );

  test.each([...NO_ANSWERS, shapeless('a list of tokens')])(
    '%s instead of the tokens, at first and again',
    async (_name, reply, expected) => {
      expect((await check(TOKEN, FIRST, account('acme'), mainDetails, reply)).outcome).toEqual(expected);
      const again: CheckRequest = {
        access: 'ReadWrite',
        depth: 'recheck',
        knownIds: MAIN.ids,
        expiryKnown: false,
      };
      expect((await check(TOKEN, again, account('acme'), reply)).outcome).toEqual(expected);
    },
  );

  test('a token that is revoked in between is rejected', async () => {
    const reply = answer(401, { error: { error_code: 'AUTHENTICATION_FAILED', error_message: 'No.' } });
    expect((await check(BASIC, FIRST, account('ops'), reply)).outcome).toEqual({
      kind: 'rejected',
      detail: 'No.',
    });
  });
});

describe('the permissions of a subaccount', () => {
  // It gets rows for what it creates by itself, and nothing documents that ordering needs more.
  test.each<[string, unknown[]]>([
    ['no rows at all', []],
    ['rows of other users only', rows('eve', 'server', 'storage', 'network')],
    ['servers only', rows('ops', 'server')],
    [
      'one server instead of all',
      [
        ...rows('ops', 'storage', 'network'),
        { user: 'ops', target_type: 'server', target_identifier: '00a1' },
      ],
    ],
  ])('to write: %s tell nothing', async (_name, own) => {
    const { outcome } = await check(BASIC, FIRST, account('ops'), subDetails, permission(...own));
    expect(outcome).toEqual({ kind: 'accepted', account: SUB, permissions: UNKNOWN });
  });

  test.each<[string, unknown[], object]>([
    ['one server', [{ user: 'ops', target_type: 'server', target_identifier: '00a1' }], SUFFICIENT],
    ['a tag', [{ user: 'ops', target_type: 'tag_access', target_identifier: 'web' }], SUFFICIENT],
    ['no server', rows('ops', 'storage'), UNKNOWN],
  ])('to look: %s', async (_name, own, permissions) => {
    const request: CheckRequest = { access: 'ReadOnly', depth: 'first' };
    const { outcome } = await check(BASIC, request, account('ops'), subDetails, permission(...own));
    expect(outcome).toEqual({ kind: 'accepted', account: SUB, permissions });
  });
});

describe.each(FORMATS)('errors in the %s format', (_format, failure) => {
  test.each<[number, string, Outcome]>([
    [401, 'AUTHENTICATION_FAILED', { kind: 'rejected', detail: 'Text.' }],
    [401, 'INVALID_CREDENTIALS', { kind: 'rejected', detail: 'Text.' }],
    [401, 'SOMETHING_NEW', { kind: 'rejected', detail: 'Text.' }],
    [
      401,
      'AUTHENTICATION_REQUIRED',
      { kind: 'unexpected', detail: 'HTTP 401: AUTHENTICATION_REQUIRED: Text.' },
    ],
    [402, 'INSUFFICIENT_CREDITS', { kind: 'accountLocked', detail: 'Text.' }],
    [403, 'TRIAL_PLAN', { kind: 'accountLocked', detail: 'Text.' }],
    [403, 'ACTION_FORBIDDEN', { kind: 'accountLocked', detail: 'Text.' }],
    [403, 'ACCOUNT_FORBIDDEN', { kind: 'accountLocked', detail: 'Text.' }],
    [403, 'SERVICE_ERROR', { kind: 'unexpected', detail: 'HTTP 403: SERVICE_ERROR: Text.' }],
    [403, 'IP_ADDRESS_FORBIDDEN', { kind: 'unexpected', detail: 'HTTP 403: IP_ADDRESS_FORBIDDEN: Text.' }],
    [404, 'NOT_FOUND', { kind: 'unexpected', detail: 'HTTP 404: NOT_FOUND: Text.' }],
  ])('%i %s', async (status, code, expected) => {
    const { outcome } = await check(TOKEN, FIRST, failure(status, code));
    expect(outcome).toEqual(expected);
  });
});

test.each([
  ['an empty 401', answer(401), { kind: 'rejected' }],
  ['an outage', outage, { kind: 'unreachable', cause: 'ConnectionReset' }],
  ['a 200 of somebody else', answer(200, {}), { kind: 'unexpected', detail: 'HTTP 200 without an account' }],
  ['an empty 200', answer(200), { kind: 'unreachable', cause: 'EmptyBody' }],
])('%s on the verdict call', async (_name, reply, expected) => {
  expect((await check(TOKEN, FIRST, reply)).outcome).toEqual(expected);
});

test('offline, only what is promised is checked', () => {
  expect(upcloud.checkShape(TOKEN)).toBeUndefined();
  expect(upcloud.checkShape({ token: 'ucat_short' })).toBeUndefined();
  expect(upcloud.checkShape({ token: '01JH4Y' })?.check).toBe('upcloud-token-prefix');
  expect(upcloud.checkShape({ token: 'ucat_two words' })?.check).toBe('upcloud-token-characters');
  expect(upcloud.checkShape(BASIC)).toBeUndefined();
  expect(upcloud.checkShape({ username: 'a:b', password: 'c' })?.check).toBe('upcloud-username-colon');
});

test('the hint is the prefix and the end of a token, or the user name', () => {
  expect(upcloud.hint(TOKEN)).toBe('ucat_••••JHGH');
  expect(upcloud.hint({ token: 'ucat_12345678901234' })).toBe('••••');
  expect(upcloud.hint(BASIC)).toBe('ops');
});

test.each(['a'.repeat(65), 'two words', 'tab\there', 'ümläut', '\u202eevil'])(
  'a user name that is no usual one gives no hint: %j',
  username => {
    expect(upcloud.hint({ username, password: 'x' })).toBe('••••');
  },
);

test('a token that is told back as a user name is asked nothing with: addresses land in logs', async () => {
  const http = scriptedHttp(account(`Bearer ${TOKEN.token}`));
  const outcome = await upcloud.verify(TOKEN, FIRST, http);
  expect(outcome).toEqual({ kind: 'unexpected', detail: 'HTTP 200 without a user name' });
  expect(http.requests.map(({ path }) => path)).toEqual(['/1.3/account']);
});

test('the guide tells of both kinds of access and of allowed addresses, where a refusal shows it too', () => {
  for (const text of Object.values(upcloud.guide.permissions)) {
    expect(text).toContain('"Allow API connections"');
    expect(text).toContain('control panel');
    expect(text).toMatch(/allowed IP ranges/);
  }
});
