import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';
import { operatorServiceAccount } from '../support/control-plane.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
});
afterAll(() => bed.close());

const { namespace, name } = operatorServiceAccount();
const OPERATOR = `system:serviceaccount:${namespace}:${name}`;
/** So that no try of a refused credential is due soon after its third. */
const AGAIN_SOON = ['--retry-refused-after=1s,2s'];
const WRITES = ['create', 'update', 'patch', 'delete', 'deletecollection'];

/** Writes of the operator in this test's namespace, by the API server's own audit log. */
function writes(since: Date): Promise<number> {
  return bed.controlPlane.countRequests({ user: OPERATOR, verbs: WRITES, namespace: bed.namespace, since });
}

function calls(): number {
  return PROVIDER_NAMES.reduce((sum, provider) => sum + bed.cloud(provider).calls(), 0);
}

describe('a restart', () => {
  test('with verified accounts makes no provider call and no write', async () => {
    const operator = await bed.start();
    const names = PROVIDER_NAMES.map(provider => provider.toLowerCase());
    for (const [i, provider] of PROVIDER_NAMES.entries()) {
      await bed.putSecret(`${names[i]}-token`, bed.cloud(provider).createToken().credential);
      await bed.putAccount(names[i]!, provider);
    }
    for (const account of names) await bed.until(account, ({ status }) => status?.health === 'Connected');
    await operator.stop();
    const before = calls();
    const since = new Date();

    const restarted = await bed.start();
    // A new account that comes after the restart shows that the others were looked at before it.
    const late = bed.cloud('Hetzner').createToken();
    await bed.putSecret('after-token', late.credential);
    await bed.putAccount('after', 'Hetzner');
    await bed.until('after', ({ status }) => status?.health === 'Connected');
    await restarted.stop();

    expect(calls() - before).toBe(1);
    // The copy, the status and the event of the new account alone.
    expect(
      await eventually(
        () => writes(since),
        count => count >= 3,
        'the writes of the new account',
      ),
    ).toBe(3);
  });

  test('with a refused credential neither asks again nor writes', async () => {
    const cloud = bed.cloud('Vultr');
    const token = cloud.createToken();
    cloud.revoke(token.index);
    const operator = await bed.start({ args: AGAIN_SOON });
    await bed.putSecret('bad-token', token.credential);
    await bed.putAccount('bad', 'Vultr');
    await bed.until('bad', ({ status }) => status?.candidate?.attempts === 3, 'asked again twice');
    await operator.stop();
    const before = await bed.account('bad');
    const called = cloud.calls({ token: token.index });

    const restarted = await bed.start({ args: AGAIN_SOON });
    await bed.putAccount('marker', 'Vultr');
    await bed.until('marker', account => shown(account, 'Reconciling') === 'True SecretNotFound');
    await restarted.stop();

    expect(cloud.calls({ token: token.index })).toBe(called);
    expect((await bed.account('bad'))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
  });

  test('goes on with a confirmation that was under way', async () => {
    const cloud = bed.cloud('Hetzner');
    const token = cloud.createToken();
    const first = await bed.start();
    await bed.putSecret('streak-token', token.credential);
    await bed.putAccount('streak', 'Hetzner');
    await bed.until('streak', ({ status }) => status?.health === 'Connected');
    cloud.revoke(token.index);
    await bed.patchAccount('streak', { metadata: { annotations: { 'strackt.io/recheck-requested': '1' } } });
    await bed.until('streak', ({ status }) => status?.confirming?.count === 1);
    await first.stop();

    const second = await bed.start();
    const account = await bed.until('streak', ({ status }) => status?.health === 'NeedsAttention');
    await second.stop();

    expect(shown(account, 'Connected')).toBe('False CredentialRejected');
    expect(cloud.calls({ token: token.index })).toBe(4);
  });

  test('notices what changed meanwhile', async () => {
    const cloud = bed.cloud('Hetzner');
    const first = await bed.start();
    await bed.putSecret('meanwhile-token', cloud.createToken().credential);
    await bed.putAccount('meanwhile', 'Hetzner');
    await bed.until('meanwhile', ({ status }) => status?.health === 'Connected');
    await first.stop();
    const next = cloud.createToken();
    await bed.putSecret('meanwhile-token', next.credential);

    const second = await bed.start();

    await eventually(
      () => bed.published('meanwhile-verified'),
      value => value === next.credential['token'],
      'the new credential',
    );
    await second.stop();
  });

  test('checks what became overdue while nothing ran', async () => {
    const cloud = bed.cloud('Hetzner');
    const token = cloud.createToken();
    const first = await bed.start();
    await bed.putSecret('overdue-token', token.credential);
    await bed.putAccount('overdue', 'Hetzner');
    const connected = await bed.until('overdue', ({ status }) => status?.health === 'Connected');
    await first.stop();

    // A week later.
    const offset = 7 * 24 * 3_600_000;
    const second = await bed.start({ clock: { now: () => Date.now() + offset, random: Math.random } });
    const checked = await bed.until(
      'overdue',
      ({ status }) => status?.lastCheckTime !== connected.status?.lastCheckTime,
      'checked again',
      60_000,
    );
    await second.stop();

    expect(shown(checked, 'Ready')).toBe('True Verified');
    expect(cloud.calls({ token: token.index })).toBe(2);
  });
});
