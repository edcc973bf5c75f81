import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Fault } from '../../clouds/faults.ts';
import { shown } from '../support/testbed.ts';
import { callsByToken, connected, HOUR, MINUTE, type Outage, openOutage } from './outage.ts';

/** A provider whose login is broken tells everybody that their credential is wrong. */
const REFUSED: Fault = { kind: 'status', status: 401 };
const COUNT = 200;

describe('a provider that refuses everybody for five minutes', () => {
  let outage: Outage;

  beforeAll(async () => {
    outage = await openOutage('Hetzner', COUNT);
  }, 300_000);
  afterAll(() => outage.close(), 120_000);

  test('demotes none of those whose daily check falls into it', async () => {
    const { bed } = outage;
    await outage.pass(22 * HOUR);
    const log = outage.mark();
    const end = bed.cloud('Hetzner').inject(REFUSED);
    await outage.pass(5 * MINUTE);
    end();
    const refused = new Set(log().map(({ token }) => token));
    const inDoubt = outage.accounts().filter(account => shown(account, 'Connected') !== 'True Verified');
    expect(inDoubt.map(account => shown(account, 'Connected'))).toEqual(
      inDoubt.map(() => 'True ConfirmingRejection'),
    );
    expect(inDoubt).toHaveLength(refused.size);
    expect(refused.size).toBeGreaterThan(0);

    await outage.pass(5 * MINUTE);

    expect(outage.accounts().map(account => shown(account, 'Ready'))).toEqual(
      outage.accounts().map(() => 'True Verified'),
    );
    expect(outage.flips()).toBe(0);
  }, 300_000);

  test('demotes none when people recheck all of them, twice', async () => {
    const { bed } = outage;
    const log = outage.mark();
    const end = bed.cloud('Hetzner').inject(REFUSED);
    await outage.recheckAll('what is going on');
    await outage.pass(2 * MINUTE);
    await outage.recheckAll('again');
    await outage.pass(3 * MINUTE - 1_000);
    expect(new Set(outage.accounts().map(account => shown(account, 'Connected')))).toEqual(
      new Set(['True ConfirmingRejection']),
    );
    end();
    await outage.pass(6 * MINUTE);

    expect(new Set(outage.accounts().map(account => shown(account, 'Ready')))).toEqual(
      new Set(['True Verified']),
    );
    expect(outage.flips()).toBe(0);
    // Asked twice by people, and once more after five minutes.
    expect(Math.max(...callsByToken(log()))).toBe(3);
  }, 300_000);

  test('delays accounts that are being connected, and all are well 15 minutes later', async () => {
    const { bed } = outage;
    const end = bed.cloud('Hetzner').inject(REFUSED);
    const log = outage.mark();
    for (let minute = 0; minute < 5; minute++) {
      await outage.add(10);
      await outage.pass(MINUTE);
    }
    end();
    expect(outage.accounts().filter(({ status }) => status?.health === 'NeedsAttention')).toHaveLength(50);

    await outage.pass(15 * MINUTE);

    expect(outage.accounts().filter(({ status }) => status?.health !== 'Connected')).toEqual([]);
    const connecting = outage.tokens.slice(COUNT).map(({ index }) => index);
    const calls = callsByToken(log().filter(({ token = -1 }) => connecting.includes(token)));
    expect(Math.max(...calls)).toBeLessThanOrEqual(3);
    expect(outage.flips()).toBe(0);
  }, 300_000);

  test('demotes them all when it goes on, and takes them back by itself within the day', async () => {
    const { bed } = outage;
    const end = bed.cloud('Hetzner').inject(REFUSED);
    await outage.recheckAll('it lasts');
    await outage.pass(11 * MINUTE);
    expect(new Set(outage.accounts().map(account => shown(account, 'Connected')))).toEqual(
      new Set(['False CredentialRejected']),
    );
    end();
    await outage.pass(24 * HOUR, MINUTE);
    await connected(outage);
  }, 300_000);
});
