import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
  await bed.start();
});
afterAll(() => bed.close());

describe('a good credential', () => {
  test.each(PROVIDER_NAMES)('of %s is verified, published and shown as Connected', async provider => {
    const name = `good-${provider.toLowerCase()}`;
    const cloud = bed.cloud(provider);
    const token = cloud.createToken();
    const source = await bed.putSecret(`${name}-token`, token.credential);
    await bed.putAccount(name, provider);

    const account = await bed.until(name, ({ status }) => status?.health === 'Connected');

    expect(shown(account, 'Connected')).toBe('True Verified');
    expect(shown(account, 'Ready')).toBe('True Verified');
    expect(shown(account, 'Reconciling')).toBe('absent');
    const { status } = account;
    expect(status?.observedGeneration).toBe(1);
    expect(status?.servers).toEqual({ count: 0, names: [] });
    expect(status?.credential?.source).toEqual({
      uid: source.metadata.uid,
      resourceVersion: source.metadata.resourceVersion,
    });
    for (const [key, value] of Object.entries(token.credential)) {
      expect(await bed.published(`${name}-verified`, key)).toBe(value.trim());
    }
    const copy = await bed.secret(`${name}-verified`);
    expect(copy?.type).toBe('strackt.io/verified-credential');
    expect(JSON.parse(copy?.metadata.annotations?.['strackt.io/verification'] ?? '')).toEqual({
      ...(status?.account && { account: status.account }),
      credential: status?.credential,
    });
    expect(cloud.calls({ token: token.index })).toBeLessThanOrEqual(4);
    const untouched = await bed.secret(`${name}-token`);
    expect(untouched?.metadata.resourceVersion).toBe(source.metadata.resourceVersion);
    const events = await eventually(
      () => bed.events(name),
      found => found.length > 0,
      'an event',
    );
    expect(events.map(({ type, reason }) => `${type} ${reason}`)).toEqual(['Normal Verified']);
  });

  test('goes with its account, and no provider is asked', async () => {
    const cloud = bed.cloud('Hetzner');
    const token = cloud.createToken();
    await bed.putSecret('short-token', token.credential);
    await bed.putAccount('short', 'Hetzner');
    await bed.until('short', ({ status }) => status?.health === 'Connected');
    const calls = cloud.calls();

    await bed.deleteAccount('short');

    await eventually(
      () => bed.secret('short-verified'),
      copy => copy === undefined,
      'the copy is collected',
    );
    expect(await bed.secret('short-token')).toBeDefined();
    expect(cloud.calls()).toBe(calls);
  });
});

describe('a credential that cannot be used', () => {
  test('is never published when the provider rejects it, and the account says what to do', async () => {
    const cloud = bed.cloud('DigitalOcean');
    const token = cloud.createToken();
    cloud.revoke(token.index);
    await bed.putSecret('revoked-token', token.credential);
    await bed.putAccount('revoked', 'DigitalOcean');

    const account = await bed.until('revoked', ({ status }) => status?.health === 'NeedsAttention');

    expect(shown(account, 'Connected')).toBe('False CredentialRejected');
    expect(shown(account, 'Ready')).toBe('False CredentialRejected');
    expect(shown(account, 'Stalled')).toBe('True CredentialRejected');
    const message = account.status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '';
    expect(message).toContain('https://cloud.digitalocean.com/account/api/tokens');
    expect(account.status?.credential).toBeUndefined();
    expect(account.status?.candidate).toMatchObject({ reason: 'CredentialRejected', attempts: 1 });
    expect(await bed.secret('revoked-verified')).toBeUndefined();
  });

  test('is asked for while its Secret is missing, and verified as soon as it comes', async () => {
    await bed.putAccount('late', 'Vultr');
    const waiting = await bed.until(
      'late',
      account => shown(account, 'Reconciling') === 'True SecretNotFound',
    );
    expect(waiting.status?.health).toBe('Pending');
    expect(shown(waiting, 'Connected')).toBe('Unknown SecretNotFound');

    await bed.putSecret('late-token', bed.cloud('Vultr').createToken().credential);

    const account = await bed.until('late', ({ status }) => status?.health === 'Connected');
    expect(shown(account, 'Ready')).toBe('True Verified');
  });

  test('is refused without a call when its shape is wrong', async () => {
    const cloud = bed.cloud('Hetzner');
    const calls = cloud.calls();
    await bed.putSecret('short-id-token', { token: 'a'.repeat(32) });
    await bed.putAccount('short-id', 'Hetzner');

    const account = await bed.until('short-id', ({ status }) => status?.health === 'NeedsAttention');

    expect(shown(account, 'Stalled')).toBe('True SecretInvalid');
    expect(cloud.calls()).toBe(calls);
  });
});
