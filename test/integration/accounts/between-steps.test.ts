import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { faultProxyFor } from '../kube/support.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

/** The spec changes while the operator is between two steps of one reconciliation. */
let bed: Testbed;
let proxy: FaultProxy;

beforeAll(async () => {
  bed = await createTestbed();
  proxy = await faultProxyFor(bed.controlPlane);
  await bed.start({ server: proxy.url });
});
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
