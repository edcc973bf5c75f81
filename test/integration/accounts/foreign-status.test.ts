import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';

/** Status that somebody else wrote, such as a backup tool, where no admission policy refuses it. */
let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
});
afterAll(() => bed.close());

const FOREIGN = {
  health: 'Connected',
  credential: {
    hint: 'dop_v1_••••1a2b',
    verifiedAt: '2026-01-01T00:00:00Z',
    access: 'ReadWrite',
    permissions: { state: 'Sufficient', missing: [] },
    source: { uid: 'gone', resourceVersion: '1' },
  },
  confirming: { reason: 'CredentialRejected', count: 2, since: '2026-01-01T00:00:00Z' },
  conditions: [
    {
      type: 'Stalled',
      status: 'True',
      reason: 'CredentialRejected',
      message: 'of another life',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ],
};

async function restored(name: string): Promise<void> {
  await bed.putAccount(name, 'DigitalOcean');
  const { status } = await bed.controlPlane.api(
    'PATCH',
    `/apis/strackt.io/v1alpha1/namespaces/${bed.namespace}/cloudaccounts/${name}/status?fieldManager=backup`,
    { status: FOREIGN },
    'application/merge-patch+json',
  );
  expect(status).toBe(200);
}

test('a status that somebody else wrote is not believed, and nothing of it stays', async () => {
  const cloud = bed.cloud('DigitalOcean');
  const [good, bad] = [cloud.createToken(), cloud.createToken()];
  cloud.revoke(bad.index);
  await bed.putSecret('good-token', good.credential);
  await bed.putSecret('bad-token', bad.credential);
  await bed.putSecret('cut-token', { token: 'two words' });
  for (const name of ['good', 'bad', 'cut', 'missing']) await restored(name);
  const operator = await bed.start();

  const accepted = await bed.until('good', found => shown(found, 'Ready') === 'True Verified', 'Ready');
  expect(shown(accepted, 'Stalled')).toBe('absent');
  expect(accepted.status?.confirming).toBeUndefined();
  for (const [name, reason] of [
    ['bad', 'CredentialRejected'],
    ['cut', 'SecretInvalid'],
  ] as const) {
    const refused = await bed.until(name, found => shown(found, 'Stalled') === `True ${reason}`, 'refused');
    expect(refused.status).toMatchObject({ health: 'NeedsAttention', candidate: { attempts: 1 } });
    expect(refused.status?.credential).toBeUndefined();
  }
  const waiting = await bed.until(
    'missing',
    found => shown(found, 'Ready') === 'Unknown SecretNotFound',
    'waiting',
  );
  expect(waiting.status?.credential).toBeUndefined();
  expect(shown(waiting, 'Stalled')).toBe('absent');
  expect(cloud.calls({ token: bad.index })).toBe(1);
  expect(operator.logged.join('\n')).not.toContain('could not be reconciled');
});
