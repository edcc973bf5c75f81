import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { shown } from '../support/testbed.ts';
import { busiest, callsByToken, DAY, HOUR, MINUTE, type Outage, openOutage, SECOND } from './outage.ts';

const COUNT = 30;
const YEAR = 365 * DAY;

describe('a wall clock that is set', () => {
  let outage: Outage;

  beforeAll(async () => {
    outage = await openOutage('Hetzner', COUNT);
  }, 300_000);
  afterAll(() => outage.close(), 120_000);

  test.each([
    ['three days ahead', 3 * DAY],
    ['a day back', -DAY],
    ['a year ahead', YEAR],
    ['a year back', -YEAR],
  ])(
    '%s neither demotes nor storms, and no account is left unchecked for two days',
    async (_, ms) => {
      const { time } = outage;
      await outage.pass(HOUR);
      const log = outage.mark();
      time.jump(ms);
      await outage.pass(2 * DAY, 10 * SECOND);
      const calls = callsByToken(log());
      expect(calls).toHaveLength(COUNT);
      expect(Math.max(...calls)).toBeLessThanOrEqual(3);
      expect(busiest(log(), MINUTE)).toBeLessThanOrEqual(COUNT / 2);
      expect(outage.flips()).toBe(0);
    },
    300_000,
  );

  test('a year back while a provider is down does not keep accounts waiting once it is there again', async () => {
    const { bed, time } = outage;
    const end = bed.cloud('Hetzner').inject({ kind: 'status', status: 503 });
    await outage.recheckAll('down');
    await outage.pass(10 * MINUTE);
    time.jump(-YEAR);
    end();
    await outage.pass(2 * HOUR);
    expect(outage.accounts().filter(({ status }) => status?.lastAttempt !== undefined)).toEqual([]);
    expect(outage.flips()).toBe(0);
  }, 300_000);

  test('a year back while a refusal is being confirmed neither confirms at once nor never', async () => {
    const { bed, time, names, tokens } = outage;
    const [name = ''] = names;
    bed.cloud('Hetzner').revoke(tokens[0]?.name ?? '');
    await outage.recheckAll('revoked');
    time.jump(-YEAR);
    await outage.pass(9 * MINUTE);
    expect(outage.account(name).status?.health).toBe('Connected');
    await outage.pass(26 * HOUR, 10 * SECOND);
    expect(shown(outage.account(name), 'Connected')).toBe('False CredentialRejected');
  }, 300_000);
});
