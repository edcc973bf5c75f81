import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { conditionOf, createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { DENIAL, startWebhook, type Webhook } from '../support/webhook.ts';

/** Somebody else's admission webhook says no, or is down: a fact like others, that stops nothing else. */
let bed: Testbed;
let secrets: Webhook;

beforeAll(async () => {
  bed = await createTestbed();
  secrets = await startWebhook(bed.controlPlane, bed.namespace, {
    group: '',
    version: 'v1',
    resource: 'secrets',
    operations: ['CREATE', 'UPDATE'],
  });
  await bed.start();
});
afterAll(async () => {
  await secrets.close();
  await bed.close();
});

async function connected(name: string) {
  secrets.mode = 'allow';
  const cloud = bed.cloud('Hetzner');
  const token = cloud.createToken();
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'Hetzner');
  await bed.until(name, account => shown(account, 'Ready') === 'True Verified', 'Ready');
  return { cloud, token, calls: () => cloud.calls({ token: token.index }) };
}

/** Until the webhook is known to every path of the API server, its own writes are let through. */
async function untilAsked(name: string, mode: 'deny' | 'down', act: () => Promise<unknown>): Promise<void> {
  secrets.mode = mode;
  secrets.hits = 0;
  await act();
  await eventually(
    () => Promise.resolve(secrets.hits),
    hits => hits > 0,
    `${name}: the webhook is asked`,
  );
}

const recheck = (value: string) => ({
  metadata: { annotations: { 'strackt.io/recheck-requested': value } },
});

describe.each(['deny', 'down'] as const)('a webhook for Secrets in mode %s', mode => {
  test('leaves a new account with a status, and its verdict waits', async () => {
    const name = `first-${mode}`;
    secrets.mode = 'allow';
    const cloud = bed.cloud('Hetzner');
    const token = cloud.createToken();
    await bed.putSecret(`${name}-token`, token.credential);
    await untilAsked(name, mode, () => bed.putAccount(name, 'Hetzner'));

    const waiting = await bed.until(
      name,
      account => shown(account, 'Reconciling') === 'True VerifiedSecretNotWritable',
      'told',
      8_000,
    );
    if (mode === 'deny') expect(conditionOf(waiting, 'Ready')?.message).toContain(DENIAL);
    expect(shown(waiting, 'Connected')).toBe('Unknown VerifiedSecretNotWritable');

    secrets.mode = 'allow';
    await bed.until(name, account => shown(account, 'Ready') === 'True Verified', 'written', 60_000);
    expect(cloud.calls({ token: token.index })).toBe(1);
  });

  test('keeps no revoked token Connected while the copy is to move', async () => {
    const name = `moving-${mode}`;
    const { cloud, token } = await connected(name);
    await untilAsked(name, mode, () =>
      bed.patchAccount(name, { spec: { verifiedSecret: { name: `${name}-new` } } }),
    );

    cloud.revoke(token.index);
    await bed.patchAccount(name, recheck('1'));

    await bed.until(name, ({ status }) => status?.lastHandledRecheck === '1', 'answered', 8_000);
    await bed.until(name, ({ status }) => status?.health === 'NeedsAttention', 'demoted', 20_000);
    secrets.mode = 'allow';
  });

  test('delays other keys of the copy, and does not make them forgotten', async () => {
    const name = `keys-${mode}`;
    const { token, calls } = await connected(name);
    await untilAsked(name, mode, () =>
      bed.patchAccount(name, { spec: { verifiedSecret: { keys: { token: 'HCLOUD_TOKEN' } } } }),
    );
    const waiting = await bed.until(
      name,
      account => shown(account, 'Ready') === 'False VerifiedSecretNotWritable',
      'told',
      8_000,
    );
    expect(shown(waiting, 'Connected')).toBe('True Verified');

    secrets.mode = 'allow';
    await eventually(
      () => bed.published(`${name}-verified`, 'HCLOUD_TOKEN'),
      value => value === token.credential['token'],
      'written in the end',
      60_000,
    );
    await bed.until(name, account => shown(account, 'Ready') === 'True Verified', 'Ready');
    expect(calls()).toBe(1);
  });
});

test('an accepted replacement that cannot be published survives a requested check', async () => {
  const { cloud } = await connected('kept');
  const next = cloud.createToken();
  // The Secret is written before the webhook denies writes of Secrets.
  await bed.patchAccount('kept', { spec: { suspend: true } });
  await bed.putSecret('kept-token', next.credential);
  await untilAsked('kept', 'deny', () => bed.patchAccount('kept', { spec: { suspend: false } }));
  await bed.until('kept', account => shown(account, 'Ready') === 'False VerifiedSecretNotWritable', 'told');

  await bed.patchAccount('kept', recheck('2'));

  await bed.until('kept', ({ status }) => status?.lastHandledRecheck === '2', 'answered', 8_000);
  secrets.mode = 'allow';
  await eventually(
    () => bed.published('kept-verified'),
    value => value === next.credential['token'],
    'published in the end',
    60_000,
  );
  expect(cloud.calls({ token: next.index })).toBe(1);
});

test('a webhook for status keeps no check from being made, and its verdict is written once it allows', async () => {
  const { calls } = await connected('mute');
  const status = await startWebhook(bed.controlPlane, bed.namespace, {
    group: 'strackt.io',
    version: 'v1alpha1',
    resource: 'cloudaccounts/status',
    operations: ['UPDATE'],
  });
  status.mode = 'deny';
  const before = calls();
  await bed.patchAccount('mute', recheck('3'));
  await eventually(
    () => Promise.resolve([calls(), status.hits]),
    ([made = 0, hits = 0]) => made > before && hits > 0,
    'asked',
  );
  status.mode = 'allow';
  await bed.until('mute', ({ status: now }) => now?.lastHandledRecheck === '3', 'written', 30_000);
  expect(calls() - before).toBe(1);
  await status.close();
});
