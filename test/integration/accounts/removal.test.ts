import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

/** kube-controller-manager looks for new kinds every 30 s before it collects what they own. */
const COLLECTED_MS = 60_000;

let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
  await bed.start();
});
afterAll(() => bed.close());

type State = 'Connected' | 'NeedsAttention' | 'Pending' | 'confirming' | 'replacement refused' | 'suspended';

/** Brings an account into a state, with its provider down at the end. */
async function bring(name: string, state: State): Promise<void> {
  const cloud = bed.cloud('Hetzner');
  const token = cloud.createToken();
  if (state === 'NeedsAttention') cloud.revoke(token.index);
  if (state !== 'Pending') await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'Hetzner');
  const health = state === 'NeedsAttention' || state === 'Pending' ? state : 'Connected';
  await bed.until(name, ({ status }) => status?.health === health, state);
  if (state === 'confirming') {
    cloud.revoke(token.index);
    await bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': '1' } } });
    await bed.until(name, ({ status }) => status?.confirming !== undefined, state);
  }
  if (state === 'replacement refused') {
    const bad = cloud.createToken();
    cloud.revoke(bad.index);
    await bed.putSecret(`${name}-token`, bad.credential);
    await bed.until(name, account => shown(account, 'Stalled') === 'True ReplacementRejected', state);
  }
  if (state === 'suspended') {
    await bed.patchAccount(name, { spec: { suspend: true } });
    await bed.until(name, account => shown(account, 'Ready') === 'True Suspended', state);
  }
  cloud.inject({ kind: 'reset' }, { token: token.index });
}

const STATES: State[] = [
  'Connected',
  'NeedsAttention',
  'Pending',
  'confirming',
  'replacement refused',
  'suspended',
];

describe('an account', () => {
  test.each(STATES)(
    'that is %s goes at once, with its provider down, and takes its copy along',
    async state => {
      const name = `gone-${state.replaceAll(' ', '-').toLowerCase()}`;
      await bring(name, state);
      const calls = bed.cloud('Hetzner').calls();

      await bed.deleteAccount(name);

      expect(await bed.account(name)).toBeUndefined();
      await eventually(
        () => bed.secret(`${name}-verified`),
        copy => copy === undefined,
        'collected',
        COLLECTED_MS,
      );
      if (state !== 'confirming') expect(bed.cloud('Hetzner').calls()).toBe(calls);
    },
  );

  test('that is deleted in the foreground goes with its copy', async () => {
    await bring('foreground', 'Connected');
    await bed.deleteAccount('foreground', 'Foreground');
    await eventually(
      () => bed.account('foreground'),
      found => found === undefined,
      'gone',
      COLLECTED_MS,
    );
    expect(await bed.secret('foreground-verified')).toBeUndefined();
  });

  test('that is deleted with its dependents orphaned leaves the copy; made anew, it verifies before it takes it over', async () => {
    const cloud = bed.cloud('Hetzner');
    await bring('again', 'Connected');
    await bed.deleteAccount('again', 'Orphan');
    await eventually(
      () => bed.account('again'),
      found => found === undefined,
      'gone',
      COLLECTED_MS,
    );
    const left = await bed.secret('again-verified');
    expect(left?.metadata.ownerReferences ?? []).toEqual([]);

    const next = cloud.createToken();
    await bed.putSecret('again-token', next.credential);
    await bed.putAccount('again', 'Hetzner');

    await bed.until('again', ({ status }) => status?.health === 'Connected', 'Connected', COLLECTED_MS);
    expect(await bed.published('again-verified')).toBe(next.credential['token']);
    expect(cloud.calls({ token: next.index })).toBe(1);
  });

  test('goes while no operator runs', async () => {
    const other = await createTestbed();
    const operator = await other.start();
    await other.putSecret('alone-token', other.cloud('Vultr').createToken().credential);
    await other.putAccount('alone', 'Vultr');
    await other.until('alone', ({ status }) => status?.health === 'Connected');
    await operator.stop();

    await other.deleteAccount('alone');

    expect(await other.account('alone')).toBeUndefined();
    await eventually(
      () => other.secret('alone-verified'),
      copy => copy === undefined,
      'collected',
      COLLECTED_MS,
    );
    await other.close();
  });
});

test('a whole namespace goes, with its providers down', async () => {
  const other = await createTestbed();
  await other.start();
  for (const [i, provider] of (['Hetzner', 'UpCloud', 'TransIP'] as const).entries()) {
    await other.putSecret(`n${i}-token`, other.cloud(provider).createToken().credential);
    await other.putAccount(`n${i}`, provider);
    await other.until(`n${i}`, ({ status }) => status?.health === 'Connected');
    other.cloud(provider).inject({ kind: 'hang' });
  }

  await other.controlPlane.api('DELETE', `/api/v1/namespaces/${other.namespace}`);

  await eventually(
    () => other.controlPlane.api('GET', `/api/v1/namespaces/${other.namespace}`),
    ({ status }) => status === 404,
    'the namespace is gone',
    COLLECTED_MS,
  );
  await other.close();
});
