import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { faultProxyFor } from '../kube/support.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

/** What happens between two steps of one reconciliation: the spec changes, or a write is done and its answer is lost. */
let bed: Testbed;
let proxy: FaultProxy;

beforeAll(async () => {
  bed = await createTestbed();
  proxy = await faultProxyFor(bed.controlPlane);
  await bed.start({ server: proxy.url });
});
afterEach(() => proxy.clearRules());
afterAll(async () => {
  await bed.close();
  await proxy.close();
});

// Found by `npm run proof`: the copy was judged by the keys of the spec under which it was read.
test('keys that change once the copy is written, before status is, are put right', async () => {
  await bed.putSecret('keyed-token', bed.cloud('DigitalOcean').createToken().credential);
  await bed.putAccount('keyed', 'DigitalOcean');
  await bed.until('keyed', found => shown(found, 'Ready') === 'True Verified', 'Ready');
  const next = bed.cloud('DigitalOcean').createToken();
  const keys = { token: 'DIGITALOCEAN_ACCESS_TOKEN' };
  proxy.addRule({
    method: 'PUT',
    path: /\/secrets\/keyed-verified/,
    times: 1,
    action: {
      kind: 'hook',
      after: async () => void (await bed.patchAccount('keyed', { spec: { verifiedSecret: { keys } } })),
    },
  });

  await bed.putSecret('keyed-token', next.credential);

  await eventually(
    async () => Object.keys((await bed.secret('keyed-verified'))?.data ?? {}),
    found => found.join() === keys.token,
    'the new key',
  );
  expect(await bed.published('keyed-verified', keys.token)).toBe(next.credential['token']);
  const after = await bed.until(
    'keyed',
    ({ metadata, status }) => status?.observedGeneration === metadata.generation,
  );
  expect(shown(after, 'Ready')).toBe('True Verified');
});

// Found by `npm run chaos`: the verdict was still in hand, and was counted once more.
test.each(['reset', 'fin'] as const)('a refusal whose write got no answer (%s) counts once', async kind => {
  const cloud = bed.cloud('Hetzner');
  const token = cloud.createToken();
  cloud.revoke(token.index);
  const name = `lost-${kind}`;
  const rule = proxy.addRule({
    method: 'PATCH',
    path: new RegExp(`/cloudaccounts/${name}/status`),
    times: 1,
    action: { kind, when: 'after' },
  });
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, 'Hetzner');

  const refused = await bed.until(name, found => shown(found, 'Stalled') === 'True CredentialRejected');
  await eventually(
    async () => (await bed.events(name)).filter(({ reason }) => reason === 'CredentialRejected'),
    events => events.length > 0,
    'told',
  );
  const after = await bed.account(name);

  expect(rule.hits).toBe(1);
  expect(refused.status?.refusals?.count).toBe(1);
  expect(after?.status).toEqual(refused.status);
  expect(after?.status?.candidate?.attempts).toBe(1);
  expect(cloud.calls({ token: token.index })).toBe(1);
});

test('a refusal counts once where a second write, which takes off what others wrote, comes too late', async () => {
  const other = await createTestbed();
  const cloud = other.cloud('Hetzner');
  const token = cloud.createToken();
  cloud.revoke(token.index);
  await other.putSecret('restored-token', token.credential);
  await other.putAccount('restored', 'Hetzner');
  const { status } = await other.controlPlane.api(
    'PATCH',
    `/apis/strackt.io/v1alpha1/namespaces/${other.namespace}/cloudaccounts/restored/status?fieldManager=backup`,
    { status: { confirming: { reason: 'CredentialRejected', count: 2, since: '2026-01-01T00:00:00Z' } } },
    'application/merge-patch+json',
  );
  expect(status).toBe(200);
  const touch = async () => void (await other.patchAccount('restored', { spec: { label: 'Touched' } }));
  const rule = proxy.addRule({
    method: 'PUT',
    path: /\/cloudaccounts\/restored\/status/,
    times: 1,
    action: { kind: 'hook', before: touch },
  });

  await other.start({ server: proxy.url });

  const refused = await other.until(
    'restored',
    found =>
      found.status?.observedGeneration === found.metadata.generation &&
      found.status?.confirming === undefined &&
      shown(found, 'Stalled') === 'True CredentialRejected',
  );
  await other.close();
  expect(rule.hits).toBe(1);
  expect(refused.spec.label).toBe('Touched');
  expect(refused.status?.candidate?.attempts).toBe(1);
  expect(refused.status?.refusals?.count).toBe(1);
});
