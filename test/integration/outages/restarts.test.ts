import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { busiest, callsByToken, DAY, HOUR, MINUTE, type Outage, openOutage, SECOND } from './outage.ts';

const COUNT = 120;

describe('an operator that is not there, or not for long', () => {
  let outage: Outage;

  beforeAll(async () => {
    outage = await openOutage('Hetzner', COUNT);
  }, 300_000);
  afterAll(() => outage.close(), 120_000);

  test('stopped for a week, it checks five accounts a second until all are checked, and writes each once', async () => {
    await outage.stop();
    await outage.pass(7 * DAY);
    const log = outage.mark();
    const writes = outage.markWrites();
    await outage.start();

    await outage.pass((COUNT * SECOND) / 5 + SECOND, 100);

    expect(callsByToken(log())).toEqual(Array.from({ length: COUNT }, () => 1));
    // Six instants 200 ms apart lie within one second, both ends included.
    expect(busiest(log(), SECOND)).toBeLessThanOrEqual(6);
    expect(await writes()).toBe(COUNT);
    expect(outage.flips()).toBe(0);
  }, 300_000);

  test('in a crash loop of 20 starts it asks for each overdue account once, without a herd, and forgets none', async () => {
    await outage.stop();
    // All were due within the last hours.
    await outage.pass(26 * HOUR);
    const log = outage.mark();
    for (let start = 0; start < 20; start++) {
      await outage.start();
      await outage.pass(10 * SECOND);
      await outage.stop();
      // Kubernetes' own pauses: 10 s, doubled up to 5 minutes.
      await outage.pass(Math.min(5 * MINUTE, 10 * SECOND * 2 ** start));
    }
    const during = callsByToken(log());
    // Spread over ten minutes at each start, so a life of ten seconds has a sixtieth of them.
    expect(busiest(log(), SECOND)).toBeLessThanOrEqual(10);
    expect(Math.max(0, ...during)).toBeLessThanOrEqual(1);

    await outage.start();
    await outage.pass(10 * MINUTE + SECOND);

    expect(callsByToken(log())).toEqual(Array.from({ length: COUNT }, () => 1));
    expect(outage.flips()).toBe(0);
  }, 300_000);

  test('restarted 20 times while a provider is down for 24 hours, it writes each account once', async () => {
    const { bed } = outage;
    const log = outage.mark();
    const writes = outage.markWrites();
    const end = bed.cloud('Hetzner').inject({ kind: 'maintenance' });
    await outage.recheckAll('is it down?');
    for (let restart = 0; restart < 20; restart++) {
      await outage.pass((24 / 20) * HOUR, 15 * SECOND);
      await outage.stop();
      await outage.start();
    }
    expect(await writes()).toBe(COUNT);
    expect(outage.flips()).toBe(0);
    // A start forgets how long it has been waiting: in 72 minutes the pauses grow again from 20 s to 43 min.
    expect(Math.max(...callsByToken(log()))).toBeLessThanOrEqual(1 + 20 * 10);
    end();
    await outage.pass(HOUR, 15 * SECOND);
    expect(outage.accounts().filter(({ status }) => status?.lastAttempt !== undefined)).toEqual([]);
  }, 600_000);
});
