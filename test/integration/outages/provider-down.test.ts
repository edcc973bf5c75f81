import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Fault } from '../../clouds/faults.ts';
import { busiest, callsByToken, DAY, HOUR, MINUTE, type Outage, openOutage } from './outage.ts';

/** A thousand take a minute of both cores, so in full only. */
const FULL = process.env['CAO_FULL'] === '1';
const COUNT = FULL ? 1_000 : 100;

/**
 * Calls that one account makes at most in an outage: the first, eight more while the pause doubles from 20 s to 43 min
 * (a half of each is certain), and then one each half of an hour.
 */
const mostCalls = (ms: number): number => 10 + ms / (30 * MINUTE);

describe(`a provider that is down for 24 hours, with ${COUNT} accounts`, () => {
  let outage: Outage;

  beforeAll(async () => {
    outage = await openOutage('Hetzner', COUNT);
    // The daily checks come between 21.6 and 24 hours after the last ones.
    await outage.pass(21 * HOUR);
  }, 600_000);
  afterAll(() => outage.close(), 300_000);

  test('demotes none, is asked politely, and costs each account one status write', async () => {
    const { bed } = outage;
    const log = outage.mark();
    const writes = outage.markWrites();
    bed.cloud('Hetzner').inject({ kind: 'status', status: 503 });

    await outage.pass(DAY, 15_000);

    const calls = callsByToken(log());
    expect(calls).toHaveLength(COUNT);
    expect(Math.max(...calls)).toBeLessThanOrEqual(mostCalls(DAY));
    // Nobody gave up.
    expect(Math.min(...calls)).toBeGreaterThanOrEqual(24);
    expect(outage.flips()).toBe(0);
    expect(await writes()).toBe(COUNT);
    for (const { status } of outage.accounts())
      expect([status?.health, status?.lastAttempt?.reason]).toEqual(['Connected', 'ProviderUnreachable']);
    const most = Math.max(...calls);
    if (FULL) console.log(`24 h down, ${COUNT} accounts: ${log().length} calls, ${most} the most of one`);
  }, 1_200_000);

  test('is not stormed when it is back: all are checked within the hour, spread over it', async () => {
    const { bed } = outage;
    const log = outage.mark();
    const writes = outage.markWrites();
    bed.cloud('Hetzner').clearFaults();

    await outage.pass(HOUR);

    expect(callsByToken(log())).toEqual(Array.from({ length: COUNT }, () => 1));
    expect(outage.flips()).toBe(0);
    expect(await writes()).toBe(COUNT);
    expect(outage.accounts().filter(({ status }) => status?.lastAttempt !== undefined)).toEqual([]);
    // In step they would come all at once; spread over the hour a sixtieth of them each minute.
    expect(busiest(log(), MINUTE)).toBeLessThanOrEqual(10 + COUNT / 15);
  }, 600_000);
});

describe('a provider that fails in another way every twenty minutes', () => {
  const FAULTS: readonly Fault[] = [
    { kind: 'status', status: 503 },
    { kind: 'throttle', retryAfter: '60' },
    { kind: 'redirect', location: 'https://example.invalid/' },
    { kind: 'html', status: 401 },
  ];
  let outage: Outage;

  beforeAll(async () => {
    outage = await openOutage('Hetzner', 10);
  }, 120_000);
  afterAll(() => outage.close(), 120_000);

  test('costs each account one status write an hour at most, and demotes none', async () => {
    const cloud = outage.bed.cloud('Hetzner');
    const writes = outage.markWrites();
    const [first = { kind: 'reset' }] = FAULTS;
    cloud.inject(first);
    await outage.recheckAll('is it down?');
    for (let turn = 1; turn <= (24 * HOUR) / (20 * MINUTE); turn++) {
      await outage.pass(20 * MINUTE, 15_000);
      cloud.clearFaults();
      cloud.inject(FAULTS[turn % FAULTS.length] ?? first);
    }
    expect(await writes()).toBeLessThanOrEqual(10 * (1 + 24));
    const reasons = outage.accounts().map(({ status }) => status?.lastAttempt?.reason);
    expect(reasons).not.toContain(undefined);
    expect(outage.flips()).toBe(0);
  }, 300_000);
});
