import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RECHECK_ANNOTATION } from '../../../operator/api/names.ts';
import { operatorServiceAccount } from '../support/control-plane.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

/** A Secret that is missing is looked for as often as the first of the times. */
const UNWATCHED = { args: ['--secrets-watch=false', '--retry-refused-after=1s,2s'] };

let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
});
afterAll(() => bed.close());

async function connect(name: string): Promise<string> {
  const { credential } = bed.cloud('Hetzner').createToken();
  await bed.putSecret(`${name}-token`, credential);
  await bed.putAccount(name, 'Hetzner');
  await bed.until(name, ({ status }) => status?.health === 'Connected');
  return credential['token']!;
}

async function recheck(name: string, value: string): Promise<void> {
  await bed.patchAccount(name, { metadata: { annotations: { [RECHECK_ANNOTATION]: value } } });
  await bed.until(name, ({ status }) => status?.lastHandledRecheck === value);
}

/** Requests of the operator that list or watch Secrets of this namespace. */
function lists(since: Date): Promise<number> {
  const { namespace, name } = operatorServiceAccount();
  return bed.controlPlane.countRequests({
    user: `system:serviceaccount:${namespace}:${name}`,
    verbs: ['list', 'watch'],
    resources: ['secrets'],
    namespace: bed.namespace,
    since,
  });
}

describe('without a watch of Secrets', () => {
  test('an account is connected, and no Secret is listed', async () => {
    const since = new Date();
    const operator = await bed.start(UNWATCHED);
    const token = await connect('first');
    expect(await bed.published('first-verified')).toBe(token);
    await operator.stop();
    expect(await lists(since)).toBe(0);
  });

  test('a changed Secret is taken up with a requested check', async () => {
    const operator = await bed.start(UNWATCHED);
    await connect('replaced');
    const { credential } = bed.cloud('Hetzner').createToken();
    await bed.putSecret('replaced-token', credential);
    await recheck('replaced', 'now');
    await eventually(
      () => bed.published('replaced-verified'),
      token => token === credential['token'],
      'the new token is published',
    );
    await operator.stop();
  });

  test('a copy that was tampered with is put right with a requested check', async () => {
    const operator = await bed.start(UNWATCHED);
    const token = await connect('tampered');
    await bed.patchSecret('tampered-verified', { stringData: { token: 'x' } });
    await recheck('tampered', 'now');
    await eventually(
      () => bed.published('tampered-verified'),
      published => published === token,
      'the verified token is back',
    );
    await operator.stop();
  });

  test('a restart makes no provider call and writes nothing', async () => {
    const operator = await bed.start(UNWATCHED);
    await connect('restarted');
    await operator.stop();
    const before = bed.cloud('Hetzner').calls();
    const version = (await bed.account('restarted'))?.metadata.resourceVersion;

    const again = await bed.start(UNWATCHED);
    await connect('late');
    await again.stop();

    expect(bed.cloud('Hetzner').calls() - before).toBe(1);
    expect((await bed.account('restarted'))?.metadata.resourceVersion).toBe(version);
  });

  test('a Secret that comes later is found without a request', async () => {
    const operator = await bed.start(UNWATCHED);
    await bed.putAccount('waiting', 'Hetzner');
    await bed.until('waiting', account => shown(account, 'Ready') === 'Unknown SecretNotFound');
    await bed.putSecret('waiting-token', bed.cloud('Hetzner').createToken().credential);
    await bed.until('waiting', ({ status }) => status?.health === 'Connected');
    await operator.stop();
  });
});
