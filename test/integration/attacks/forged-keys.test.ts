import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { forgedKey, pemOf } from '../../clouds/forged-key.ts';
import { createTestbed, shown, type Testbed } from '../support/testbed.ts';

/** The operator runs in this process, so what holds it up holds up the test. */
let bed: Testbed;

beforeAll(async () => {
  bed = await createTestbed();
});
afterAll(() => bed.close());

// Each signature with such a key took more than a second: the probes failed, and the lead was lost.
test('sixteen forged keys hold up nobody', async () => {
  for (let i = 0; i < 16; i++) {
    const privateKey = pemOf(forgedKey(i % 2 === 0 ? 16_384 : 4_096));
    await bed.putSecret(`forged-${i}-token`, { login: 'acme', privateKey });
    await bed.putAccount(`forged-${i}`, 'TransIP');
  }
  const real = bed.cloud('TransIP').createToken();
  await bed.putSecret('real-token', real.credential);
  await bed.putAccount('real', 'TransIP');
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();

  const operator = await bed.start();
  await bed.until('real', ({ status }) => status?.health === 'Connected', 'Connected');
  for (let i = 0; i < 16; i++)
    await bed.until(`forged-${i}`, found => shown(found, 'Stalled') === 'True SecretInvalid', 'refused');

  delay.disable();
  await operator.stop();
  expect(delay.max / 1e6).toBeLessThan(1_000);
  expect(bed.cloud('TransIP').log.every(({ token }) => token === real.index)).toBe(true);
});
