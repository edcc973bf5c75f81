import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';
import { createNamespace, deleteNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { account, accountsPath, connect, type Api } from './api.ts';

const controlPlane = sharedControlPlane();
let api: Api;
let namespace: string;

beforeAll(async () => {
  api = connect(controlPlane.kubeconfig);
  namespace = await createNamespace(controlPlane, 'crd');
});

afterAll(async () => {
  await deleteNamespace(controlPlane, namespace);
  await api.close();
});

/** Asks whether an account would be accepted, and returns the answer's message when not. */
async function refusal(object: unknown): Promise<string | undefined> {
  const { status, body } = await api.request('POST', `${accountsPath(namespace)}?dryRun=All`, {
    body: object,
  });
  if (status === 201) return undefined;
  expect(status).toBe(422);
  // What the API server shows as the value of a broken rule differs between versions: the value, its type, nothing.
  return body.message?.replaceAll(/: Invalid value: "[^"]*": /g, ': Invalid value: ');
}

const a244 = 'a'.repeat(244);
const a245 = 'a'.repeat(245);

describe('accepted', () => {
  test.each(PROVIDER_NAMES)('the shortest account of %s', async provider => {
    expect(await refusal(account('a', { provider }))).toBeUndefined();
  });

  test.each<[string, ReturnType<typeof account>]>([
    [
      'every field',
      account('a', {
        label: 'Prod – Ámsterdam',
        credentialsSecretRef: { name: 'do-token', keys: { token: 'DO_TOKEN' } },
        access: 'ReadOnly',
        accountID: 'team:5df3e300-1b2c-4d5e-8f90-123456789abc',
        recheckInterval: '36h30m15s',
        suspend: true,
        verifiedSecret: { name: 'do.production', keys: { token: 'DIGITALOCEAN_ACCESS_TOKEN' } },
      }),
    ],
    ['the shortest interval', account('a', { recheckInterval: '1h' })],
    ['the shortest interval, in seconds', account('a', { recheckInterval: '3600s' })],
    ['the longest interval', account('a', { recheckInterval: '168h' })],
    ['the longest name that leaves room for the copy', account(a244)],
    ['a longer name, with a name for the copy', account(a245, { verifiedSecret: { name: 'copy' } })],
    [
      'keys that begin with a dot',
      account('a', { credentialsSecretRef: { name: 's', keys: { token: '.token' } } }),
    ],
    [
      'both fields of TransIP renamed',
      account('a', {
        provider: 'TransIP',
        credentialsSecretRef: { name: 's', keys: { login: 'user', privateKey: 'key.pem' } },
      }),
    ],
    [
      'two fields of TransIP swapped',
      account('a', {
        provider: 'TransIP',
        credentialsSecretRef: { name: 's', keys: { login: 'privateKey', privateKey: 'login' } },
      }),
    ],
    [
      'all fields of UpCloud renamed',
      account('a', {
        provider: 'UpCloud',
        verifiedSecret: {
          keys: { token: 'UPCLOUD_TOKEN', username: 'UPCLOUD_USERNAME', password: 'UPCLOUD_PASSWORD' },
        },
      }),
    ],
    [
      'the source called like the copy of another account',
      account('a', { credentialsSecretRef: { name: 'b-verified' } }),
    ],
    [
      'the source called like the default of the copy, which has a name',
      account('a', { credentialsSecretRef: { name: 'a-verified' }, verifiedSecret: { name: 'copy' } }),
    ],
  ])('%s', async (_, object) => {
    expect(await refusal(object)).toBeUndefined();
  });

  test.each([
    ['DigitalOcean', 'team:5df3e300'],
    ['DigitalOcean', 'account:b6fr'],
    ['Vultr', 'email-sha256:0123456789abcdef'],
    ['Linode', 'euuid:A1BC2DEF-34GH-567I-J890KLMN12O34P56'],
    ['Linode', 'user:1234'],
    ['TransIP', 'customer:42'],
    ['TransIP', 'login:name'],
    ['UpCloud', 'account:main'],
    ['UpCloud', 'user:sub:with:colons'],
  ])('an accountID of %s: %s', async (provider, accountID) => {
    expect(await refusal(account('a', { provider, accountID }))).toBeUndefined();
  });
});

const sameKey = 'two fields of the credential point to the same key: give each field a key of its own';
const sameName = 'the Secret with your credential and the verified copy must have different names';
const badInterval =
  'spec.recheckInterval: Invalid value: must be a duration from 1h to 168h (7 days), such as 24h or 1h30m';
const badSecretName = 'not a name that a Secret can have: lower-case letters, digits, "-" and "."';

describe('refused, with a message that says what to do', () => {
  const refused: [string, unknown, string][] = [
    ['no spec', { ...account('a'), spec: undefined }, 'spec: Required value'],
    ['no provider', account('a', { provider: undefined }), 'spec.provider: Required value'],
    [
      'an unknown provider',
      account('a', { provider: 'hetzner' }),
      'supported values: "Hetzner", "DigitalOcean", "Vultr", "Linode", "TransIP", "Hostinger", "UpCloud"',
    ],
    [
      'no Secret',
      account('a', { credentialsSecretRef: undefined }),
      'spec.credentialsSecretRef: Required value',
    ],
    [
      'a Secret without a name',
      account('a', { credentialsSecretRef: {} }),
      'spec.credentialsSecretRef.name: Required value',
    ],
    [
      'an empty name of the Secret',
      account('a', { credentialsSecretRef: { name: '' } }),
      'spec.credentialsSecretRef.name: Invalid value: spec.credentialsSecretRef.name in body should be at least 1 chars long',
    ],
    [
      'a name that no Secret can have',
      account('a', { credentialsSecretRef: { name: 'DO_TOKEN' } }),
      `spec.credentialsSecretRef.name: Invalid value: ${badSecretName}`,
    ],
    [
      'a name that the copy cannot have',
      account('a', { verifiedSecret: { name: '-copy' } }),
      `spec.verifiedSecret.name: Invalid value: ${badSecretName}`,
    ],
    [
      'an unknown access',
      account('a', { access: 'Read' }),
      'spec.access: Unsupported value: "Read": supported values: "ReadWrite", "ReadOnly"',
    ],
    [
      'an empty label',
      account('a', { label: '' }),
      'spec.label: Invalid value: spec.label in body should be at least 1 chars long',
    ],
    ['a label of two lines', account('a', { label: 'a\nb' }), 'spec.label: Invalid value'],
    [
      'a label that is too long',
      account('a', { label: 'x'.repeat(129) }),
      'spec.label: Too long: may not be more than 128 bytes',
    ],

    [
      'an unknown field of a token provider',
      account('a', { credentialsSecretRef: { name: 's', keys: { tokn: 'X' } } }),
      'spec.credentialsSecretRef.keys: Invalid value: a credential of DigitalOcean has no such field; it has token (left: our field, right: the key in your Secret)',
    ],
    [
      'an unknown field of TransIP',
      account('a', { provider: 'TransIP', credentialsSecretRef: { name: 's', keys: { token: 'X' } } }),
      'spec.credentialsSecretRef.keys: Invalid value: a credential of TransIP has no such field; it has login, privateKey',
    ],
    [
      'an unknown field of UpCloud',
      account('a', { provider: 'UpCloud', credentialsSecretRef: { name: 's', keys: { login: 'X' } } }),
      'spec.credentialsSecretRef.keys: Invalid value: a credential of UpCloud has no such field; it has token, username, password',
    ],
    [
      'an unknown field of the copy',
      account('a', { verifiedSecret: { keys: { TOKEN: 'X' } } }),
      'spec.verifiedSecret.keys: Invalid value: a credential of DigitalOcean has no such field; it has token (left: our field, right: the key in the verified copy)',
    ],
    [
      'an unknown field of the copy, TransIP',
      account('a', { provider: 'TransIP', verifiedSecret: { keys: { password: 'X' } } }),
      'spec.verifiedSecret.keys: Invalid value: a credential of TransIP has no such field; it has login, privateKey',
    ],
    [
      'an unknown field of the copy, UpCloud',
      account('a', { provider: 'UpCloud', verifiedSecret: { keys: { key: 'X' } } }),
      'spec.verifiedSecret.keys: Invalid value: a credential of UpCloud has no such field; it has token, username, password',
    ],
    [
      'two fields read from one key',
      account('a', {
        provider: 'TransIP',
        credentialsSecretRef: { name: 's', keys: { login: 'x', privateKey: 'x' } },
      }),
      `spec.credentialsSecretRef.keys: Invalid value: ${sameKey} (a field that is not listed is read from the key of its own name)`,
    ],
    [
      'a field read from the key of another one',
      account('a', {
        provider: 'TransIP',
        credentialsSecretRef: { name: 's', keys: { login: 'privateKey' } },
      }),
      `spec.credentialsSecretRef.keys: Invalid value: ${sameKey}`,
    ],
    [
      'two fields written to one key',
      account('a', { provider: 'UpCloud', verifiedSecret: { keys: { username: 'x', password: 'x' } } }),
      `spec.verifiedSecret.keys: Invalid value: ${sameKey} (a field that is not listed is written to the key of its own name)`,
    ],
    [
      'a field written to the key of another one',
      account('a', { provider: 'UpCloud', verifiedSecret: { keys: { username: 'password' } } }),
      `spec.verifiedSecret.keys: Invalid value: ${sameKey}`,
    ],
    [
      'a key that no Secret can have',
      account('a', { credentialsSecretRef: { name: 's', keys: { token: 'a b' } } }),
      'spec.credentialsSecretRef.keys.token: Invalid value: spec.credentialsSecretRef.keys.token in body should match',
    ],
    [
      'a key that leads out of a volume',
      account('a', { verifiedSecret: { keys: { token: '..data' } } }),
      'spec.verifiedSecret.keys.token: Invalid value: spec.verifiedSecret.keys.token in body should match',
    ],
    [
      'too many keys',
      account('a', {
        credentialsSecretRef: {
          name: 's',
          keys: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, 'x'])),
        },
      }),
      'spec.credentialsSecretRef.keys: Too many: 9: must have at most 8 items',
    ],

    [
      'the source called like the copy',
      account('a', { credentialsSecretRef: { name: 's' }, verifiedSecret: { name: 's' } }),
      `spec.credentialsSecretRef.name: Invalid value: ${sameName}`,
    ],
    [
      'the source called like the default of the copy',
      account('a', { credentialsSecretRef: { name: 'a-verified' } }),
      `spec.credentialsSecretRef.name: Invalid value: ${sameName}`,
    ],
    [
      'the source called like the default of the copy, which has only keys',
      account('a', {
        credentialsSecretRef: { name: 'a-verified' },
        verifiedSecret: { keys: { token: 'T' } },
      }),
      `spec.credentialsSecretRef.name: Invalid value: ${sameName}`,
    ],
    [
      'a name that leaves no room for the copy',
      account(a245),
      'use a name of at most 244 characters, or set spec.verifiedSecret.name',
    ],

    ...['Hetzner', 'Hostinger'].map((provider): [string, unknown, string] => [
      `an accountID of ${provider}`,
      account('a', { provider, accountID: 'account:1' }),
      `spec.accountID: Forbidden: ${provider} does not say which account a credential belongs to: remove accountID`,
    ]),
    ...(
      [
        ['DigitalOcean', 'user:1', 'team, account'],
        ['Vultr', 'email:me', 'email-sha256'],
        ['Linode', 'account:1', 'euuid, user'],
        ['TransIP', 'user:1', 'customer, login'],
        ['UpCloud', 'team:1', 'account, user'],
      ] as const
    ).map(([provider, accountID, kinds]): [string, unknown, string] => [
      `an accountID of a kind that ${provider} does not have`,
      account('a', { provider, accountID }),
      `spec.accountID: Invalid value: must be "<kind>:<value>" as in status.account.ids of a connected account; kinds of ${provider}: ${kinds}`,
    ]),
    [
      'an accountID without a kind',
      account('a', { accountID: '5df3e300' }),
      'must be "<kind>:<value>" as in status.account.ids of a connected account; kinds of DigitalOcean: team, account',
    ],
    [
      'an accountID with white space',
      account('a', { accountID: 'team:a b' }),
      'spec.accountID: Invalid value: spec.accountID in body should match',
    ],

    ...[
      '59m',
      '59m59s',
      '168h1s',
      '10081m',
      '1 day',
      'PT24H',
      '1h1',
      '24',
      '-24h',
      '24H',
      '1.5h',
      '999999h',
      '0s',
    ].map((interval): [string, unknown, string] => [
      `the interval ${interval}`,
      account('a', { recheckInterval: interval }),
      badInterval,
    ]),
    [
      'an empty interval',
      account('a', { recheckInterval: '' }),
      'spec.recheckInterval in body should be at least 2 chars long',
    ],
    ['an interval that overflows', account('a', { recheckInterval: '99999999999999h' }), badInterval],
    [
      'an interval that is too long',
      account('a', { recheckInterval: '24h'.padStart(17, '0') }),
      'spec.recheckInterval: Too long: may not be more than 16 bytes',
    ],
  ];

  test.each(refused)('%s', async (_, object, message) => {
    expect(await refusal(object)).toContain(message);
  });
});

describe('changes', () => {
  test('the provider cannot be changed, everything else can', async () => {
    await api.request('POST', accountsPath(namespace), { body: account('changing') });
    const patch = (spec: unknown) =>
      api.request('PATCH', accountsPath(namespace, 'changing'), {
        body: { spec },
        contentType: 'application/merge-patch+json',
      });

    const refused = await patch({ provider: 'Hetzner' });
    expect(refused.status).toBe(422);
    expect(refused.body.message).toContain(
      'spec.provider: Forbidden: provider cannot be changed; make a new CloudAccount for another provider',
    );

    const accepted = await patch({
      label: 'x',
      credentialsSecretRef: { name: 'other' },
      access: 'ReadOnly',
      accountID: 'team:1',
      recheckInterval: '2h',
      suspend: true,
      verifiedSecret: { name: 'copy' },
    });
    expect(accepted.status).toBe(200);
    expect(accepted.body.metadata.generation).toBe(2);
  });
});

describe('a misspelt field', () => {
  const misspelt = { ...account('misspelt'), spec: { ...account('misspelt').spec, acces: 'ReadOnly' } };

  test('is refused under strict validation, which kubectl asks for', async () => {
    const { status, body } = await api.request(
      'POST',
      `${accountsPath(namespace)}?dryRun=All&fieldValidation=Strict`,
      { body: misspelt },
    );
    expect(status).toBe(400);
    expect(body.message).toContain('unknown field "spec.acces"');
  });

  test('is warned of and dropped under Warn, which other clients use', async () => {
    const { status, body, warnings } = await api.request(
      'POST',
      `${accountsPath(namespace)}?dryRun=All&fieldValidation=Warn`,
      { body: misspelt },
    );
    expect(status).toBe(201);
    expect(warnings).toEqual(['unknown field \\"spec.acces\\"']);
    expect(body.spec).not.toHaveProperty('acces');
  });

  test.each(['Strict', 'Warn', 'Ignore'])(
    'of the credential is refused under %s: dropped, the Secret would be read wrongly',
    async mode => {
      const object = account('misspelt', {
        credentialsSecretRef: { name: 's', keys: { Token: 'DO_TOKEN' } },
      });
      const { status, body } = await api.request(
        'POST',
        `${accountsPath(namespace)}?dryRun=All&fieldValidation=${mode}`,
        { body: object },
      );
      expect(status).toBe(422);
      expect(body.message).toContain('a credential of DigitalOcean has no such field; it has token');
    },
  );
});
