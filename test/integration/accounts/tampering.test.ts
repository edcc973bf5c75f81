import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { conditionOf, createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

/** The operator has to put right what nobody refuses: here without the admission policies. */
let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
  await bed.start();
});
afterAll(() => bed.close());

async function connected(name: string, spec: Parameters<Testbed['putAccount']>[2] = {}) {
  const cloud = bed.cloud('DigitalOcean');
  const token = cloud.createToken();
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'DigitalOcean', spec);
  const account = await bed.until(name, ({ status }) => status?.health === 'Connected', 'Connected');
  const calls = () => cloud.calls({ token: token.index });
  return { cloud, token: token.credential['token'] ?? '', account, calls };
}

async function refuse(name: string) {
  const bad = bed.cloud('DigitalOcean').createToken();
  bed.cloud('DigitalOcean').revoke(bad.index);
  await bed.putSecret(`${name}-token`, bad.credential);
  return bed.until(name, account => shown(account, 'Stalled') === 'True ReplacementRejected', 'refused');
}

const untilPublished = (copy: string, value: string) =>
  eventually(
    () => bed.published(copy),
    found => found === value,
    `the verified bytes in ${copy}`,
  );

describe('a copy whose owner is taken off', () => {
  test('is taken back, also while a replacement is refused', async () => {
    const { token, account } = await connected('disowned');
    await refuse('disowned');

    await bed.patchSecret('disowned-verified', { metadata: { ownerReferences: null } });

    await eventually(
      () => bed.secret('disowned-verified'),
      copy => copy?.metadata.ownerReferences?.[0]?.uid === account.metadata.uid,
      'owned again',
    );
    expect(await bed.published('disowned-verified')).toBe(token);
    expect(shown((await bed.account('disowned'))!, 'Connected')).toBe('True Verified');
  });

  test('is not taken from a living other owner', async () => {
    const { account } = await connected('robbed');
    const other = await connected('robber');
    const owner = {
      apiVersion: 'strackt.io/v1alpha1',
      kind: 'CloudAccount',
      name: 'robber',
      uid: other.account.metadata.uid,
    };

    await bed.patchSecret('robbed-verified', {
      metadata: { ownerReferences: [{ ...owner, controller: true }] },
    });

    // The other account sweeps what is not its own copy, so the name is free again.
    await eventually(
      () => bed.secret('robbed-verified'),
      copy => copy?.metadata.ownerReferences?.[0]?.uid === account.metadata.uid,
      'owned again',
    );
    await bed.until('robbed', found => shown(found, 'Ready') === 'True Verified', 'Ready', 40_000);
    expect(shown((await bed.account('robber'))!, 'Ready')).toBe('True Verified');
  });
});

test('labels and annotations of others on a copy stay and cost nothing', async () => {
  const { cloud, token, calls } = await connected('mirrored');
  const before = calls();
  await bed.patchSecret('mirrored-verified', { metadata: { annotations: { 'example.com/mirror': 'yes' } } });
  const touched = await bed.secret('mirrored-verified');
  await bed.until(
    'mirrored',
    ({ status }) => status?.verifiedSecretRef?.resourceVersion === touched?.metadata.resourceVersion,
    'recorded',
  );
  expect(calls()).toBe(before);

  const next = cloud.createToken();
  await bed.putSecret('mirrored-token', next.credential);
  await untilPublished('mirrored-verified', next.credential['token'] ?? '');
  expect((await bed.secret('mirrored-verified'))?.metadata.annotations?.['example.com/mirror']).toBe('yes');
  expect(token).not.toBe(next.credential['token']);
});

test('a copy that was made immutable is replaced all the same', async () => {
  const { cloud } = await connected('frozen');
  await bed.patchSecret('frozen-verified', { immutable: true });
  const next = cloud.createToken();
  await bed.putSecret('frozen-token', next.credential);
  await untilPublished('frozen-verified', next.credential['token'] ?? '');
});

test('a copy that is deleted while a replacement is refused leaves nothing in force, and says so', async () => {
  const { cloud } = await connected('lost');
  await refuse('lost');
  const calls = cloud.calls();

  await bed.deleteSecret('lost-verified');

  const account = await bed.until('lost', found => shown(found, 'Connected') === 'False CredentialRejected');
  expect(account.status?.credential).toBeUndefined();
  expect(account.status?.health).toBe('NeedsAttention');
  expect(await bed.secret('lost-verified')).toBeUndefined();
  // The source is judged at once: one call, or a scheduled retry beside it.
  expect(cloud.calls() - calls).toBeGreaterThanOrEqual(1);
});

test('bytes that somebody wrote into the copy while no operator ran are not trusted', async () => {
  const other = await createTestbed();
  const first = await other.start();
  const token = other.cloud('Hetzner').createToken();
  await other.putSecret('night-token', token.credential);
  await other.putAccount('night', 'Hetzner');
  await other.until('night', ({ status }) => status?.health === 'Connected');
  await first.stop();
  const planted = Buffer.from('planted').toString('base64');
  await other.patchSecret('night-verified', { data: { token: planted } });

  await other.start();

  await eventually(
    () => other.published('night-verified'),
    value => value === token.credential['token'],
    'put right',
  );
  await other.until('night', account => shown(account, 'Ready') === 'True Verified');
  await other.close();
});

test('two accounts that claim one name: the first has it, the second is told', async () => {
  const { token } = await connected('claim-a', { verifiedSecret: { name: 'claimed' } });
  const second = bed.cloud('DigitalOcean').createToken();
  await bed.putSecret('claim-b-token', second.credential);
  await bed.putAccount('claim-b', 'DigitalOcean', { verifiedSecret: { name: 'claimed' } });

  const refused = await bed.until(
    'claim-b',
    found => shown(found, 'Ready') === 'False VerifiedSecretConflict',
  );
  expect(conditionOf(refused, 'Ready')?.message).toContain('claimed');
  expect(await bed.published('claimed')).toBe(token);
  expect(bed.cloud('DigitalOcean').calls({ token: second.index })).toBe(0);

  await bed.deleteAccount('claim-a');
  await bed.until('claim-b', found => shown(found, 'Ready') === 'True Verified', 'has the name', 60_000);
  expect(await bed.published('claimed')).toBe(second.credential['token']);
});

test('an account that is deleted and made anew at once verifies again and ends with its own copy', async () => {
  const { token, account } = await connected('anew');
  await bed.deleteAccount('anew');
  await bed.putAccount('anew', 'DigitalOcean');

  const again = await bed.until('anew', ({ status }) => status?.health === 'Connected', 'Connected', 60_000);
  expect(again.metadata.uid).not.toBe(account.metadata.uid);
  await eventually(
    () => bed.secret('anew-verified'),
    copy => copy?.metadata.ownerReferences?.[0]?.uid === again.metadata.uid,
    'its own copy',
    60_000,
  );
  await bed.until('anew', found => shown(found, 'Ready') === 'True Verified');
  expect(await bed.published('anew-verified')).toBe(token);
});

test('a source that is the copy of another account is refused without a call', async () => {
  const { cloud } = await connected('upstream');
  const calls = cloud.calls();
  await bed.putAccount('downstream', 'DigitalOcean', { credentialsSecretRef: { name: 'upstream-verified' } });

  const account = await bed.until('downstream', ({ status }) => status?.health === 'NeedsAttention');

  expect(shown(account, 'Stalled')).toBe('True SecretInvalid');
  expect(cloud.calls()).toBe(calls);
});

test('an accepted credential whose copy does not fit the quota waits with its verdict; one call in all', async () => {
  const other = await createTestbed();
  await other.start();
  const path = `/api/v1/namespaces/${other.namespace}/resourcequotas`;
  const cloud = other.cloud('Hetzner');
  const token = cloud.createToken();
  await other.putSecret('quota-token', token.credential);
  await other.controlPlane.api('POST', path, {
    metadata: { name: 'full' },
    spec: { hard: { 'count/secrets': '1' } },
  });
  await eventually(
    () => other.controlPlane.api<{ status?: { used?: object } }>('GET', `${path}/full`),
    ({ body }) => body.status?.used !== undefined,
    'the quota counts',
  );
  await other.putAccount('quota', 'Hetzner');

  const waiting = await other.until(
    'quota',
    found => shown(found, 'Reconciling') === 'True VerifiedSecretNotWritable',
  );
  expect(shown(waiting, 'Connected')).toBe('Unknown VerifiedSecretNotWritable');
  expect(shown(waiting, 'Ready')).toBe('False VerifiedSecretNotWritable');

  await other.controlPlane.api('DELETE', `${path}/full`);
  await other.until('quota', found => shown(found, 'Ready') === 'True Verified', 'written', 60_000);
  expect(cloud.calls({ token: token.index })).toBe(1);
  await other.close();
});
