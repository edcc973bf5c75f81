import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';

/** JSON as it may come from anywhere. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const SURPRISES = [
  '',
  ' ',
  '\n',
  '\0',
  '\u0000\u0001\u001f\u007f',
  '\ufeff',
  '\u202e\u200b\u2028',
  '\ud800',
  '🦀'.repeat(200),
  'x'.repeat(100_000),
  '..',
  '../../etc/passwd',
  '__proto__',
  'constructor',
  '${name}',
  '{{ .name }}',
  '%s%n%00',
  '<script>alert(1)</script>',
  "'; DROP TABLE accounts; --",
  'a@b.example',
  'null',
  '-0',
  '1e400',
  '+275760-09-13T00:00:00Z',
  '-000001-01-01T00:00:00Z',
  '0000-00-00T00:00:00Z',
] as const;

/** Texts that break what was written for the usual ones. */
export const weirdText = fc.oneof(
  fc.constantFrom(...SURPRISES),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.string({ maxLength: 2_000 }),
);

export const weirdNumber = fc.oneof(
  fc.constantFrom(0, -1, 1e15, 9e99, -9e99, 2 ** 31, 2 ** 53, 8.64e15, 1e-7),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

export const weirdJson: fc.Arbitrary<Json> = fc.oneof(
  { depthSize: 'small' },
  weirdText,
  weirdNumber,
  fc.boolean(),
  fc.constant(null),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
);

/** Mostly as it should be, else anything; `parts` in ten are wrong. */
function mostly<T extends Json>(right: fc.Arbitrary<T>, wrong = 1): fc.Arbitrary<Json> {
  return fc.oneof({ weight: 10 - wrong, arbitrary: right }, { weight: wrong, arbitrary: weirdJson });
}

const keyMap = fc.oneof(
  fc.constantFrom<Json>({ token: 'TOKEN' }, { token: '.x' }, { login: 'user', privateKey: 'key.pem' }, {}),
  fc.dictionary(weirdText, weirdJson, { maxKeys: 10 }) as fc.Arbitrary<Json>,
);

const rightSpec = fc.record(
  {
    provider: fc.constantFrom(...PROVIDER_NAMES),
    label: fc.constant('Production'),
    credentialsSecretRef: fc.record({ name: fc.constantFrom('absent', 'present') }),
    access: fc.constantFrom('ReadWrite', 'ReadOnly'),
    recheckInterval: fc.constantFrom('1h', '24h', '168h', '3h30m', '7200s'),
    suspend: fc.constant(false),
  },
  { requiredKeys: ['provider', 'credentialsSecretRef'] },
);

/** All is well but for one field. */
const spoiltSpec = fc
  .tuple(
    rightSpec,
    fc.constantFrom('label', 'accountID', 'recheckInterval', 'verifiedSecret', 'suspend', 'unknownField'),
    fc.oneof(weirdJson, weirdText, keyMap),
  )
  .map(([spec, field, value]) => ({ ...spec, [field]: value }));

/** A CloudAccount in which every field may be wrong, and fields may be there that nobody knows. */
export const accountObject = fc.record({
  apiVersion: fc.constant('strackt.io/v1alpha1'),
  kind: fc.constant('CloudAccount'),
  metadata: fc.record(
    {
      generateName: fc.constant('fuzzed-'),
      annotations: fc.record(
        { 'strackt.io/recheck-requested': weirdText, 'strackt.io/account': weirdText },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ['generateName'] },
  ),
  spec: fc.oneof(
    rightSpec,
    spoiltSpec,
    fc.record(
      {
        provider: mostly(fc.constantFrom(...PROVIDER_NAMES)),
        label: mostly(fc.string({ minLength: 1, maxLength: 20 }), 3),
        credentialsSecretRef: mostly(
          fc.record(
            { name: mostly(fc.constantFrom('absent', 'present')), keys: keyMap },
            { requiredKeys: ['name'] },
          ) as fc.Arbitrary<Json>,
        ),
        access: mostly(fc.constantFrom('ReadWrite', 'ReadOnly')),
        accountID: mostly(fc.constantFrom('team:x', 'user:1', 'login:acme', 'customer:2'), 3),
        recheckInterval: mostly(fc.constantFrom('1h', '24h', '168h', '3h30m', '7200s')),
        suspend: mostly(fc.boolean()),
        verifiedSecret: mostly(
          fc.record(
            { name: mostly(fc.constant('copy')), keys: keyMap },
            { requiredKeys: [] },
          ) as fc.Arbitrary<Json>,
        ),
        serverOverride: weirdJson,
      },
      { requiredKeys: ['provider', 'credentialsSecretRef'] },
    ),
  ),
});

const ecKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const BEGIN = '-----BEGIN PRIVATE KEY-----';
const END = '-----END PRIVATE KEY-----';

/** What people and programs put into Secrets instead of a credential. */
const weirdBytes = fc.oneof(
  weirdText.map(text => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
  fc.constantFrom(
    Buffer.alloc(0),
    Buffer.alloc(64),
    Buffer.from([0xff, 0xfe, 0x41]),
    Buffer.alloc(900_000, 'a'),
    Buffer.alloc(900_000, 0x80),
    // What a careless pattern takes minutes for.
    Buffer.from(BEGIN.repeat(30_000)),
    Buffer.from('-----BEGIN'.repeat(80_000)),
    Buffer.from(`${BEGIN}\nMIIEvQ==\n${END}`),
    Buffer.from(`${BEGIN}${END}`),
    Buffer.from(`${BEGIN}\n${'QUJD'.repeat(500)}\n${END}\n`),
    Buffer.from(ecKey),
    Buffer.from('two lines\nof text'),
    Buffer.from(`dop_v1_${'0'.repeat(64)}\ndop_v1_${'1'.repeat(64)}`),
    Buffer.from(`“${'a'.repeat(64)}”`),
    Buffer.from('eyJhbGciOiJSUzI1NiJ9.e30.c2ln'),
    Buffer.from(`ucat_${'Z'.repeat(5_000)}`),
    Buffer.from('{"token": "nested"}'),
  ),
);

/** Shaped as credentials are, and unknown to every provider. */
const unknownToken = fc
  .tuple(fc.constantFrom('', 'dop_v1_', 'ucat_'), fc.stringMatching(/^[A-Za-z0-9]{64}$/))
  .map(parts => Buffer.from(parts.join('')));

const FIELDS = ['token', 'username', 'password', 'login', 'privateKey'] as const;

/** A Secret that is the source of an account; `data` in base64. */
export interface FuzzedSource {
  provider: string;
  type: string;
  immutable: boolean;
  data: Record<string, string>;
  keys: Record<string, string>;
}

export const sourceSecret: fc.Arbitrary<FuzzedSource> = fc.record({
  provider: fc.constantFrom(...PROVIDER_NAMES),
  type: fc.oneof(
    { weight: 6, arbitrary: fc.constant('Opaque') },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'example.com/odd',
        'kubernetes.io/tls',
        'kubernetes.io/basic-auth',
        'kubernetes.io/service-account-token',
        'bootstrap.kubernetes.io/token',
        'helm.sh/release.v1',
        'strackt.io/verified-credential',
      ),
    },
  ),
  immutable: fc.boolean(),
  data: fc
    .tuple(
      fc.oneof(
        fc.record(
          {
            token: weirdBytes,
            username: weirdBytes,
            password: weirdBytes,
            login: weirdBytes,
            privateKey: weirdBytes,
          },
          { requiredKeys: [] },
        ),
        fc.record({ token: fc.oneof(weirdBytes, unknownToken) }),
      ),
      fc.dictionary(
        fc.oneof(weirdText, fc.constantFrom('.token', 'key.pem', 'TOKEN', '..data')),
        weirdBytes,
        { maxKeys: 2 },
      ),
    )
    .map(([known, odd]) =>
      Object.fromEntries(
        Object.entries({ ...odd, ...known }).map(([key, bytes]) => [key, bytes.toString('base64')]),
      ),
    ),
  keys: fc.dictionary(fc.constantFrom(...FIELDS), fc.constantFrom('.token', 'key.pem', 'TOKEN', 'absent'), {
    maxKeys: 2,
  }),
});
