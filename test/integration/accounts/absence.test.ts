import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ProviderName } from '../../../operator/api/names.ts';
import { conditionOf, createTestbed, type RunningOperator, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

/** Absence is read from the API server, not remembered; without the admission policies. */
let bed: Testbed;
let operator: RunningOperator;

beforeAll(async () => {
  bed = await createTestbed();
  operator = await bed.start();
});
afterEach(() => bed.cloud('DigitalOcean').clearFaults());
afterAll(() => bed.close());

async function connected(name: string, spec: Parameters<Testbed['putAccount']>[2] = {}) {
  const cloud = bed.cloud('DigitalOcean');
  const token = cloud.createToken();
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'DigitalOcean', spec);
  const account = await bed.until(name, found => shown(found, 'Ready') === 'True Verified', 'Ready');
  const before = cloud.calls({ token: token.index });
  /** Since it was connected. */
  const calls = () => cloud.calls({ token: token.index }) - before;
  return { cloud, account, value: token.credential['token'], calls };
}

const label = { metadata: { labels: { 'example.com/team': 'blue' } } };

test('a copy that is to move to a taken name stays in force, whatever happens to its labels', async () => {
  const { value, account, calls } = await connected('mover');
  await bed.putSecret('mover-new', { unrelated: 'x' });
  await bed.patchAccount('mover', { spec: { verifiedSecret: { name: 'mover-new' } } });
  await bed.until('mover', found => shown(found, 'Ready') === 'False VerifiedSecretConflict', 'told');

  const labelled = await bed.patchSecret('mover-verified', label);

  const after = await bed.until(
    'mover',
    ({ status }) => status?.verifiedSecretRef?.resourceVersion === labelled.metadata.resourceVersion,
    'the label was noticed',
  );
  expect(after.status?.health).toBe('Connected');
  expect(after.status?.credential).toEqual(account.status?.credential);
  expect(await bed.published('mover-verified')).toBe(value);

  await bed.deleteSecret('mover-new');
  await eventually(
    () => bed.published('mover-new'),
    found => found === value,
    'moved',
  );
  await eventually(
    () => bed.secret('mover-verified'),
    found => found === undefined,
    'the old one is gone',
  );
  expect(calls()).toBe(0);
});

test('a copy that is edited while the provider is down is put right from the source, without a call', async () => {
  const { value, cloud, account, calls } = await connected('edited');
  cloud.inject({ kind: 'reset' });
  await bed.patchSecret('edited-verified', { data: { token: Buffer.from('planted').toString('base64') } });

  await eventually(
    () => bed.published('edited-verified'),
    found => found === value,
    'put right',
  );
  const after = await bed.until('edited', found => shown(found, 'Ready') === 'True Verified', 'Ready');
  expect(conditionOf(after, 'Connected')?.lastTransitionTime).toBe(
    conditionOf(account, 'Connected')?.lastTransitionTime,
  );
  expect(calls()).toBe(0);
});

test('finalizers of others on a copy survive a replacement', async () => {
  const { cloud } = await connected('finalized');
  await bed.patchSecret('finalized-verified', { metadata: { finalizers: ['example.com/mirror'] } });
  const next = cloud.createToken();
  await bed.putSecret('finalized-token', next.credential);
  await eventually(
    () => bed.published('finalized-verified'),
    found => found === next.credential['token'],
    'replaced',
  );
  const copy = (await bed.secret('finalized-verified')) as
    { metadata: { finalizers?: string[] } } | undefined;
  expect(copy?.metadata.finalizers).toEqual(['example.com/mirror']);
  await bed.patchSecret('finalized-verified', { metadata: { finalizers: null } });
});

describe('an edited proof', () => {
  test.each([
    ['permissions', { permissions: {} }],
    ['a time to come', { verifiedAt: '2099-01-01T00:00:00Z', permissions: {} }],
    ['a time that is none', { verifiedAt: 'yesterday' }],
    ['a long hint', { hint: 'x'.repeat(300) }],
  ])('with %s keeps no status from being written', async (_what, change) => {
    const name = `proof-${Object.keys(change).join('-').toLowerCase()}`;
    const first = await connected(name);
    const { credential } = first.account.status ?? {};
    // A process that knows the bytes believes no annotation; the next one has nothing else.
    await operator.stop();
    await bed.patchSecret(`${name}-verified`, {
      metadata: {
        annotations: {
          'strackt.io/verification': JSON.stringify({ credential: { ...credential, ...change } }),
        },
      },
    });

    operator = await bed.start();
    await bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': '1' } } });

    const after = await bed.until(name, ({ status }) => status?.lastHandledRecheck === '1', 'answered');
    expect(after.status?.credential?.permissions).toEqual(credential?.permissions);
    expect(Date.parse(after.status?.credential?.verifiedAt ?? '')).toBeLessThanOrEqual(Date.now());
    await bed.until(name, found => shown(found, 'Ready') === 'True Verified', 'Ready');
    expect(await bed.published(`${name}-verified`)).toBe(first.value);
  });
});

test('an account of a provider that the operator does not know is Stalled, and keeps what is in force', async () => {
  const crd = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cloudaccounts.strackt.io';
  const { body } = await bed.controlPlane.api<{
    spec: { versions: { schema: { openAPIV3Schema: CrdSchema } }[] };
  }>('GET', crd);
  const providers = body.spec.versions[0]?.schema.openAPIV3Schema.properties.spec.properties.provider.enum;
  expect(providers).toContain('UpCloud');
  const patch = (names: readonly string[]) =>
    bed.controlPlane.api(
      'PATCH',
      crd,
      [
        {
          op: 'replace',
          path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/provider/enum',
          value: names,
        },
      ],
      'application/json-patch+json',
    );
  await patch([...(providers ?? []), 'Moon']);
  try {
    await eventually(
      async () => bed.putAccount('moon', 'Moon' as ProviderName).catch(() => undefined),
      account => account !== undefined,
      'the new provider is known to the API server',
    );
    const account = await bed.until('moon', found => shown(found, 'Stalled') === 'True ProviderNotSupported');
    expect(shown(account, 'Ready')).toBe('False ProviderNotSupported');
    expect(conditionOf(account, 'Stalled')?.message).toContain('Moon');
    await bed.deleteAccount('moon');
  } finally {
    await patch(providers ?? []);
  }
});

interface CrdSchema {
  properties: { spec: { properties: { provider: { enum: string[] } } } };
}
