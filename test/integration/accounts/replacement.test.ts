import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { conditionOf, createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
  await bed.start();
});
afterAll(() => bed.close());

async function connected(
  name: string,
  provider: Parameters<Testbed['cloud']>[0] = 'Hetzner',
  account?: string,
) {
  const cloud = bed.cloud(provider);
  const token = cloud.createToken(account === undefined ? {} : { account });
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, provider);
  return {
    cloud,
    token,
    account: await bed.until(name, ({ status }) => status?.health === 'Connected', 'Connected'),
  };
}

describe('a new credential', () => {
  test('replaces the old one once it is verified', async () => {
    const { cloud, account } = await connected('rotated');
    const next = cloud.createToken();

    const secret = await bed.putSecret('rotated-token', next.credential);
    await bed.until(
      'rotated',
      ({ status }) => status?.credential?.source.resourceVersion === secret.metadata.resourceVersion,
    );

    expect(await bed.published('rotated-verified')).toBe(next.credential['token']);
    const after = await bed.account('rotated');
    expect(shown(after!, 'Ready')).toBe('True Verified');
    expect(conditionOf(after!, 'Connected')?.lastTransitionTime).toBe(
      conditionOf(account, 'Connected')?.lastTransitionTime,
    );
  });

  test('that is refused changes nothing that works, and says why', async () => {
    const { cloud, token, account } = await connected('kept');
    const bad = cloud.createToken();
    cloud.revoke(bad.index);
    await bed.putSecret('kept-token', bad.credential);

    const refused = await bed.until('kept', found => shown(found, 'Stalled') === 'True ReplacementRejected');

    expect(shown(refused, 'Connected')).toBe('True Verified');
    expect(shown(refused, 'Ready')).toBe('False ReplacementRejected');
    expect(conditionOf(refused, 'Ready')?.message).toContain('stays in use');
    expect(refused.status?.credential?.hint).toBe(account.status?.credential?.hint);
    expect(await bed.published('kept-verified')).toBe(token.credential['token']);

    const calls = cloud.calls();
    await bed.putSecret('kept-token', token.credential);
    const back = await bed.until('kept', found => shown(found, 'Ready') === 'True Verified');
    expect(back.status?.candidate).toBeUndefined();
    expect(cloud.calls()).toBe(calls);
  });

  test('that is refused costs no further call when only its metadata changes', async () => {
    const { cloud } = await connected('touched');
    const bad = cloud.createToken();
    cloud.revoke(bad.index);
    await bed.putSecret('touched-token', bad.credential);
    await bed.until('touched', ({ status }) => status?.candidate?.attempts === 1, 'refused');
    const calls = cloud.calls();

    for (let i = 0; i < 5; i++) {
      const { metadata } = await bed.patchSecret('touched-token', {
        metadata: { annotations: { touched: String(i) } },
      });
      await bed.until(
        'touched',
        ({ status }) => status?.candidate?.source?.resourceVersion === metadata.resourceVersion,
      );
    }

    expect(cloud.calls()).toBe(calls);
    const events = await bed.events('touched');
    expect(events.filter(({ reason }) => reason === 'ReplacementRejected')).toHaveLength(1);
  });

  test('waits for a provider that is down, and the old one stays in use', async () => {
    const { cloud, token } = await connected('waiting', 'Linode');
    const next = cloud.createToken();
    const clear = cloud.inject({ kind: 'reset' }, { token: next.index });
    await bed.putSecret('waiting-token', next.credential);

    const waiting = await bed.until(
      'waiting',
      found => shown(found, 'Reconciling') === 'True ProviderUnreachable',
    );
    expect(shown(waiting, 'Connected')).toBe('True Verified');
    expect(shown(waiting, 'Ready')).toBe('False ProviderUnreachable');
    expect(await bed.published('waiting-verified')).toBe(token.credential['token']);

    clear();
    await bed.until('waiting', found => shown(found, 'Ready') === 'True Verified', 'verified', 60_000);
    expect(await bed.published('waiting-verified')).toBe(next.credential['token']);
  });

  test('of another account is refused, and accepted when spec.accountID names it', async () => {
    const { cloud, token } = await connected('moved', 'DigitalOcean', 'first');
    const other = cloud.createToken({ account: 'second' });
    await bed.putSecret('moved-token', other.credential);

    const refused = await bed.until('moved', found => shown(found, 'Stalled') === 'True ReplacementRejected');
    expect(refused.status?.candidate?.reason).toBe('DifferentAccount');
    expect(await bed.published('moved-verified')).toBe(token.credential['token']);
    const id = /set spec.accountID to "([^"]+)"/.exec(conditionOf(refused, 'Ready')?.message ?? '')?.[1];

    await bed.patchAccount('moved', { spec: { accountID: id } });

    const moved = await bed.until('moved', found => shown(found, 'Ready') === 'True Verified');
    expect(moved.status?.account?.ids).toContain(id);
    expect(await bed.published('moved-verified')).toBe(other.credential['token']);
  });
});

describe('the source of a working connection', () => {
  test('may be deleted: the copy stays in use', async () => {
    const { token } = await connected('orphaned');
    await bed.deleteSecret('orphaned-token');

    const account = await bed.until(
      'orphaned',
      found => shown(found, 'Reconciling') === 'True SecretNotFound',
    );

    expect(shown(account, 'Connected')).toBe('True Verified');
    expect(await bed.published('orphaned-verified')).toBe(token.credential['token']);
  });
});

describe('the verified copy', () => {
  test('is put right when it is edited, without a call', async () => {
    const { cloud, token } = await connected('edited');
    const calls = cloud.calls();
    await bed.patchSecret('edited-verified', {
      data: { token: Buffer.from('something else').toString('base64'), extra: 'eA==' },
    });

    await eventually(
      () => bed.published('edited-verified'),
      value => value === token.credential['token'],
      'the verified bytes',
    );

    await bed.until('edited', found => shown(found, 'Ready') === 'True Verified');
    expect(cloud.calls() - calls).toBeLessThanOrEqual(1);
  });

  test('comes back when it is deleted', async () => {
    const { token } = await connected('deleted');
    await bed.deleteSecret('deleted-verified');
    await eventually(
      () => bed.published('deleted-verified'),
      value => value === token.credential['token'],
      'the copy is back',
    );
    await bed.until('deleted', found => shown(found, 'Ready') === 'True Verified');
  });

  test('moves to another name and other keys without a call', async () => {
    const { cloud, token } = await connected('renamed', 'DigitalOcean');
    const calls = cloud.calls();
    await bed.patchAccount('renamed', {
      spec: { verifiedSecret: { name: 'for-terraform', keys: { token: 'DIGITALOCEAN_ACCESS_TOKEN' } } },
    });

    await eventually(
      () => bed.published('for-terraform', 'DIGITALOCEAN_ACCESS_TOKEN'),
      value => value === token.credential['token'],
      'the copy under its new name',
    );
    await eventually(
      () => bed.secret('renamed-verified'),
      copy => copy === undefined,
      'the old copy is gone',
    );

    await bed.patchAccount('renamed', { spec: { verifiedSecret: { keys: { token: 'API_TOKEN' } } } });
    await eventually(
      () => bed.secret('for-terraform'),
      copy => Object.keys(copy?.data ?? {}).join() === 'API_TOKEN',
      'other keys',
    );
    const account = await bed.until('renamed', found => found.status?.observedGeneration === 3);
    expect(shown(account, 'Ready')).toBe('True Verified');
    expect(cloud.calls()).toBe(calls);
  });

  test('is not written over a foreign Secret of its name, and no call is made', async () => {
    const cloud = bed.cloud('Hetzner');
    const token = cloud.createToken();
    await bed.putSecret('taken-verified', { token: 'mine' });
    await bed.putSecret('taken-token', token.credential);
    await bed.putAccount('taken', 'Hetzner');

    const account = await bed.until(
      'taken',
      found => shown(found, 'Reconciling') === 'True VerifiedSecretConflict',
    );
    expect(shown(account, 'Ready')).toBe('False VerifiedSecretConflict');
    expect(cloud.calls({ token: token.index })).toBe(0);
    expect(await bed.published('taken-verified')).toBe('mine');

    await bed.deleteSecret('taken-verified');
    await bed.until('taken', found => shown(found, 'Ready') === 'True Verified');
  });
});
