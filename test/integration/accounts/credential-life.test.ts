import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { conditionOf, createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
  await bed.start();
});
afterAll(() => bed.close());

describe('permissions', () => {
  const READ_ONLY = {
    DigitalOcean: ['account:read', 'droplet:read'],
    Linode: ['linodes:read_only', 'account:read_only'],
  } as const;

  test.each(['DigitalOcean', 'Linode'] as const)(
    'a read-only token of %s is refused for ReadWrite by name of what is missing, and accepted for ReadOnly',
    async provider => {
      const name = `scoped-${provider.toLowerCase()}`;
      const cloud = bed.cloud(provider);
      const token = cloud.createToken({ scopes: [...READ_ONLY[provider]] });
      await bed.putSecret(`${name}-token`, token.credential);
      await bed.putAccount(name, provider);

      const refused = await bed.until(name, ({ status }) => status?.health === 'NeedsAttention');
      expect(shown(refused, 'Connected')).toBe('False MissingPermission');
      const missing = provider === 'Linode' ? 'linodes:read_write' : 'droplet:create';
      expect(conditionOf(refused, 'Ready')?.message).toContain(missing);
      expect(await bed.secret(`${name}-verified`)).toBeUndefined();

      await bed.patchAccount(name, { spec: { access: 'ReadOnly' } });
      const accepted = await bed.until(name, ({ status }) => status?.health === 'Connected');
      expect(shown(accepted, 'Ready')).toBe('True VerifiedReadOnly');
      expect(accepted.status?.credential?.permissions).toEqual({ state: 'Sufficient', missing: [] });
    },
  );

  test('asking for more than a working token may do is refused as a candidate and demotes nothing', async () => {
    const cloud = bed.cloud('DigitalOcean');
    const token = cloud.createToken({ scopes: [...READ_ONLY.DigitalOcean] });
    await bed.putSecret('wider-token', token.credential);
    await bed.putAccount('wider', 'DigitalOcean', { access: 'ReadOnly' });
    await bed.until('wider', ({ status }) => status?.health === 'Connected');

    await bed.patchAccount('wider', { spec: { access: 'ReadWrite' } });

    const account = await bed.until('wider', found => shown(found, 'Stalled') === 'True ReplacementRejected');
    expect(shown(account, 'Connected')).toBe('True VerifiedReadOnly');
    expect(account.status?.candidate?.reason).toBe('MissingPermission');
    expect(account.status?.credential?.access).toBe('ReadOnly');
    expect(await bed.published('wider-verified')).toBe(token.credential['token']);
  });

  test.each(['Hetzner', 'Hostinger', 'Vultr'] as const)(
    'of %s are Unknown: nothing is guessed',
    async provider => {
      const name = `unknown-${provider.toLowerCase()}`;
      await bed.putSecret(`${name}-token`, bed.cloud(provider).createToken().credential);
      await bed.putAccount(name, provider);
      const account = await bed.until(name, ({ status }) => status?.health === 'Connected');
      expect(account.status?.credential?.permissions).toEqual({ state: 'Unknown', missing: [] });
    },
  );
});

describe('expiry', () => {
  test('is warned of once, 14 days before, and the credential is checked right after it', async () => {
    const cloud = bed.cloud('DigitalOcean');
    const token = cloud.createToken({ expiresInSeconds: 13 * 86_400 });
    await bed.putSecret('expiring-token', token.credential);
    await bed.putAccount('expiring', 'DigitalOcean');

    const account = await bed.until('expiring', ({ status }) => status?.health === 'Connected');

    expect(shown(account, 'CredentialExpiring')).toBe('True ExpiresSoon');
    expect(shown(account, 'Ready')).toBe('True Verified');
    const expiresAt = account.status?.credential?.expiresAt;
    expect(Math.abs(Date.parse(expiresAt ?? '') - (Date.now() + 13 * 86_400_000))).toBeLessThan(60_000);
    const events = await eventually(
      () => bed.events('expiring'),
      found => found.some(({ reason }) => reason === 'ExpiresSoon'),
      'the warning',
    );
    expect(events.filter(({ reason }) => reason === 'ExpiresSoon')).toHaveLength(1);

    // The provider tells seconds left: the time of expiry must not wobble from check to check.
    await bed.patchAccount('expiring', {
      metadata: { annotations: { 'strackt.io/recheck-requested': '1' } },
    });
    const again = await bed.until('expiring', ({ status }) => status?.lastHandledRecheck === '1');
    expect(again.status?.credential?.expiresAt).toBe(expiresAt);
  });

  test('that comes before the next daily check brings it forward', async () => {
    const cloud = bed.cloud('Linode');
    const token = cloud.createToken({ expiresInSeconds: 3_600 });
    await bed.putSecret('soon-token', token.credential);
    await bed.putAccount('soon', 'Linode');
    const account = await bed.until('soon', ({ status }) => status?.health === 'Connected');
    const { expiresAt } = account.status?.credential ?? {};
    expect(Date.parse(account.status?.nextCheckTime ?? '')).toBe(Date.parse(expiresAt ?? '') + 60_000);
  });
});

describe('keys of existing Secrets', () => {
  test('are mapped for source and copy', async () => {
    const cloud = bed.cloud('UpCloud');
    const token = cloud.createToken({ extra: { basic: true } });
    const { username = '', password = '' } = token.credential;
    expect(password).not.toBe('');
    await bed.putSecret('mapped-token', {
      UPCLOUD_USERNAME: ` ${username}\n`,
      UPCLOUD_PASSWORD: `${password}\n`,
    });
    await bed.putAccount('mapped', 'UpCloud', {
      credentialsSecretRef: {
        name: 'mapped-token',
        keys: { username: 'UPCLOUD_USERNAME', password: 'UPCLOUD_PASSWORD' },
      },
      verifiedSecret: { keys: { username: 'user', password: 'pass' } },
    });

    await bed.until('mapped', ({ status }) => status?.health === 'Connected');

    expect(await bed.published('mapped-verified', 'user')).toBe(username);
    expect(await bed.published('mapped-verified', 'pass')).toBe(password);
  });

  test('that are missing are named', async () => {
    await bed.putSecret('unmapped-token', { TOKEN: 'x' });
    await bed.putAccount('unmapped', 'Vultr');
    const account = await bed.until('unmapped', found => shown(found, 'Stalled') === 'True SecretInvalid');
    expect(conditionOf(account, 'Stalled')?.message).toContain('"token"');
    await bed.patchAccount('unmapped', { spec: { credentialsSecretRef: { keys: { token: 'TOKEN' } } } });
    await bed.until(
      'unmapped',
      found =>
        shown(found, 'Stalled') !== 'True SecretInvalid' ||
        conditionOf(found, 'Stalled')?.message.includes('"token"') === false,
    );
  });
});

describe('the account that a credential proves', () => {
  test.each([
    ['DigitalOcean', /^team:/],
    ['Vultr', /^email-sha256:[0-9a-f]{16}$/],
    ['Linode', /^euuid:/],
    ['TransIP', /^customer:/],
    ['UpCloud', /^account:/],
  ] as const)('of %s has its strongest kind first', async (provider, kind) => {
    const name = `known-${provider.toLowerCase()}`;
    await bed.putSecret(`${name}-token`, bed.cloud(provider).createToken().credential);
    await bed.putAccount(name, provider);
    const account = await bed.until(name, ({ status }) => status?.health === 'Connected');
    expect(account.status?.account?.id).toMatch(kind);
    expect(account.status?.account?.ids[0]).toBe(account.status?.account?.id);
  });

  test('must be the pinned one from the first check on', async () => {
    const cloud = bed.cloud('DigitalOcean');
    const token = cloud.createToken({ account: 'pinned' });
    await bed.putAccount('pinned', 'DigitalOcean', {
      accountID: 'team:00000000-0000-0000-0000-000000000000',
    });
    await bed.until('pinned', found => shown(found, 'Reconciling') === 'True SecretNotFound');
    await bed.putSecret('pinned-token', token.credential);

    const refused = await bed.until('pinned', ({ status }) => status?.health === 'NeedsAttention');
    expect(shown(refused, 'Connected')).toBe('False DifferentAccount');
    expect(await bed.secret('pinned-verified')).toBeUndefined();
    const id = /set spec.accountID to "([^"]+)"/.exec(conditionOf(refused, 'Ready')?.message ?? '')?.[1];

    await bed.patchAccount('pinned', { spec: { accountID: id } });
    await bed.until('pinned', ({ status }) => status?.health === 'Connected');
  });

  test.each(['Hetzner', 'Hostinger'] as const)(
    'is not told by %s, and the message says so',
    async provider => {
      const name = `nobody-${provider.toLowerCase()}`;
      await bed.putSecret(`${name}-token`, bed.cloud(provider).createToken().credential);
      await bed.putAccount(name, provider);
      const account = await bed.until(name, ({ status }) => status?.health === 'Connected');
      expect(account.status?.account).toBeUndefined();
      expect(conditionOf(account, 'Connected')?.message).toContain('no way to tell which account');
    },
  );
});

test('a Secret whose annotations change every moment costs one check, good or bad', async () => {
  const cloud = bed.cloud('Vultr');
  const good = cloud.createToken();
  const bad = cloud.createToken();
  cloud.revoke(bad.index);
  for (const [name, token] of [
    ['calm-good', good],
    ['calm-bad', bad],
  ] as const) {
    await bed.putSecret(`${name}-token`, token.credential);
    await bed.putAccount(name, 'Vultr');
  }
  await bed.until('calm-good', ({ status }) => status?.health === 'Connected');
  await bed.until('calm-bad', ({ status }) => status?.candidate?.attempts === 1, 'refused');
  const before = [cloud.calls({ token: good.index }), cloud.calls({ token: bad.index })];

  for (let i = 0; i < 10; i++) {
    for (const name of ['calm-good', 'calm-bad']) {
      await bed.patchSecret(`${name}-token`, { metadata: { annotations: { tick: String(i) } } });
    }
  }
  const last = await bed.secret('calm-bad-token');
  await bed.until(
    'calm-bad',
    ({ status }) => status?.candidate?.source?.resourceVersion === last?.metadata.resourceVersion,
  );

  expect([cloud.calls({ token: good.index }), cloud.calls({ token: bad.index })]).toEqual(before);
});

test('new bytes again and again are judged six times an hour, then wait', async () => {
  const cloud = bed.cloud('Hostinger');
  const tokens = Array.from({ length: 9 }, () => cloud.createToken());
  for (const { index } of tokens) cloud.revoke(index);
  const calls = () => tokens.reduce((sum, { index }) => sum + cloud.calls({ token: index }), 0);
  await bed.putAccount('eager', 'Hostinger');
  for (const token of tokens) {
    const before = calls();
    const { metadata } = await bed.putSecret('eager-token', token.credential);
    await bed.until(
      'eager',
      ({ status }) =>
        status?.candidate?.source?.resourceVersion === metadata.resourceVersion &&
        (calls() > before || status.candidate.reason === 'CheckPostponed'),
      'judged or postponed',
    );
  }

  const account = await bed.until('eager', found => shown(found, 'Reconciling') === 'True CheckPostponed');
  expect(conditionOf(account, 'Reconciling')?.message).toMatch(/is checked at 2\d{3}-/);
  expect(calls()).toBeLessThanOrEqual(6);

  await bed.patchAccount('eager', { metadata: { annotations: { 'strackt.io/recheck-requested': 'now' } } });
  await bed.until('eager', ({ status }) => status?.lastHandledRecheck === 'now');
  expect(calls()).toBeLessThanOrEqual(6);
  await eventually(
    () => bed.events('eager'),
    found => found.some(({ reason }) => reason === 'CheckPostponed'),
    'an event',
  );
});
