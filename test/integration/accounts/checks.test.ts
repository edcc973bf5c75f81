import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Fault } from '../../clouds/faults.ts';
import { conditionOf, createTestbed, shown, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

let bed: Testbed;
let requests = 0;

beforeAll(async () => {
  bed = await createTestbed();
  await bed.start();
});
afterAll(() => bed.close());

/** A Connected account with its token. */
async function connected(name: string, provider: Parameters<Testbed['cloud']>[0] = 'Hetzner') {
  const cloud = bed.cloud(provider);
  const token = cloud.createToken();
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, provider);
  const account = await bed.until(name, ({ status }) => status?.health === 'Connected', 'Connected');
  return { cloud, token, account };
}

/** Asks for a check and resolves once it is answered. */
async function recheck(name: string) {
  const value = `request-${++requests}`;
  await bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': value } } });
  return bed.until(name, ({ status }) => status?.lastHandledRecheck === value, 'the request is answered');
}

describe('a requested check', () => {
  test('is made once and echoed', async () => {
    const { cloud, token } = await connected('asked');
    const before = cloud.calls({ token: token.index });

    const account = await recheck('asked');

    expect(cloud.calls({ token: token.index })).toBe(before + 1);
    expect(shown(account, 'Connected')).toBe('True Verified');
  });

  test('that was there at first sight counts as answered by the first check', async () => {
    const cloud = bed.cloud('Hetzner');
    const token = cloud.createToken();
    await bed.putSecret('annotated-token', token.credential);
    await bed.putAccount('annotated', 'Hetzner', {}, { 'strackt.io/recheck-requested': 'then' });

    const account = await bed.until('annotated', ({ status }) => status?.health === 'Connected');

    expect(account.status?.lastHandledRecheck).toBe('then');
    expect(cloud.calls({ token: token.index })).toBe(1);
  });
});

describe('a refusal of a working credential', () => {
  test('is confirmed before it demotes, and the account recovers by itself', async () => {
    const { cloud, token, account } = await connected('demoted');
    cloud.revoke(token.index);

    const confirming = await recheck('demoted');
    expect(shown(confirming, 'Connected')).toBe('True ConfirmingRejection');
    expect(shown(confirming, 'Ready')).toBe('True ConfirmingRejection');
    expect(confirming.status?.confirming).toMatchObject({ reason: 'CredentialRejected', count: 1 });

    const refused = await bed.until('demoted', ({ status }) => status?.health === 'NeedsAttention');
    expect(shown(refused, 'Connected')).toBe('False CredentialRejected');
    expect(shown(refused, 'Stalled')).toBe('True CredentialRejected');
    expect(refused.status?.confirming).toBeUndefined();
    expect(refused.status?.credential?.hint).toBe(account.status?.credential?.hint);
    expect(refused.status?.refusals?.count).toBe(3);
    expect(await bed.published('demoted-verified')).toBe(token.credential['token']);

    cloud.change(token.index, { revoked: false });
    const healed = await recheck('demoted');
    expect(shown(healed, 'Connected')).toBe('True Verified');
    expect(shown(healed, 'Stalled')).toBe('absent');
    // The second `Verified` says the same as the first: a series, not another object.
    const events = await eventually(
      () => bed.events('demoted'),
      found => found.length >= 3,
      'all events',
    );
    expect(events.map(({ reason }) => reason).sort()).toEqual([
      'ConfirmingRejection',
      'CredentialRejected',
      'Verified',
    ]);
  });

  test('that is not repeated demotes nothing', async () => {
    const { cloud, token } = await connected('blinked');
    cloud.revoke(token.index);
    await recheck('blinked');
    cloud.change(token.index, { revoked: false });

    const account = await bed.until('blinked', found => shown(found, 'Connected') === 'True Verified');

    expect(account.status?.confirming).toBeUndefined();
  });
});

describe('an answer that is not definitive', () => {
  const faults: [string, Fault][] = [
    ['a reset connection', { kind: 'reset' }],
    ['a cut body', { kind: 'truncate', afterBytes: 80 }],
    ['a 500', { kind: 'status', status: 500 }],
    ['a page of a gateway with 401', { kind: 'html', status: 401 }],
    ['maintenance', { kind: 'maintenance' }],
  ];

  test.each(faults)('%s leaves a working credential Connected and Ready', async (_what, fault) => {
    const name = `kept-${fault.kind}-${'status' in fault ? fault.status : 0}`.toLowerCase();
    const { cloud, token } = await connected(name);
    const clear = cloud.inject(fault, { token: token.index });

    const account = await recheck(name);
    clear();

    expect(shown(account, 'Connected')).toBe('True Verified');
    expect(shown(account, 'Ready')).toBe('True Verified');
    expect(account.status?.lastAttempt?.reason).toBe('ProviderUnreachable');
    expect(account.status?.refusals).toBeUndefined();
  });

  test('with nothing in force is shown as waiting for the provider, and is asked again', async () => {
    const cloud = bed.cloud('Vultr');
    const token = cloud.createToken();
    cloud.inject({ kind: 'throttle', retryAfter: '1' }, { token: token.index, times: 1 });
    await bed.putSecret('throttled-token', token.credential);
    await bed.putAccount('throttled', 'Vultr');

    const waiting = await bed.until(
      'throttled',
      account => shown(account, 'Reconciling') === 'True ProviderThrottled',
    );
    expect(shown(waiting, 'Connected')).toBe('Unknown ProviderThrottled');
    expect(waiting.status?.health).toBe('Pending');

    const account = await bed.until(
      'throttled',
      ({ status }) => status?.health === 'Connected',
      'Connected',
      40_000,
    );
    expect(account.status?.lastAttempt).toBeUndefined();
  });

  test('a hanging provider shows Verifying after a second and holds up no other provider', async () => {
    const cloud = bed.cloud('UpCloud');
    const token = cloud.createToken();
    cloud.inject({ kind: 'hang' }, { token: token.index });
    await bed.putSecret('hanging-token', token.credential);
    await bed.putAccount('hanging', 'UpCloud');

    await bed.until('hanging', account => shown(account, 'Reconciling') === 'True Verifying');
    const began = performance.now();
    await connected('beside');
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe('a suspended account', () => {
  test('makes no calls until it goes on; requests wait', async () => {
    const { cloud, token } = await connected('paused');
    await bed.patchAccount('paused', { spec: { suspend: true } });
    const suspended = await bed.until('paused', account => shown(account, 'Ready') === 'True Suspended');
    expect(suspended.status?.observedGeneration).toBe(2);
    const before = cloud.calls({ token: token.index });
    await bed.patchAccount('paused', { metadata: { annotations: { 'strackt.io/recheck-requested': 'x' } } });
    const replacement = cloud.createToken();
    await bed.putSecret('paused-token', replacement.credential);
    await connected('other');
    expect((await bed.account('paused'))?.status?.lastHandledRecheck).toBeUndefined();
    expect(cloud.calls({ token: token.index }) + cloud.calls({ token: replacement.index })).toBe(before);

    await bed.patchAccount('paused', { spec: { suspend: false } });

    await bed.until(
      'paused',
      account => shown(account, 'Ready') === 'True Verified' && account.status?.lastHandledRecheck === 'x',
    );
    expect(await bed.published('paused-verified')).toBe(replacement.credential['token']);
  });
});

test('a message says the same from check to check, so that status is not written for nothing', async () => {
  const { account } = await connected('steady');
  const again = await recheck('steady');
  const message = (found: typeof account) => conditionOf(found, 'Connected');
  expect({ ...message(again), observedGeneration: 0 }).toEqual({
    ...message(account),
    observedGeneration: 0,
  });
});
