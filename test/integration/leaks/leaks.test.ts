import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { PROVIDER_NAMES, type ProviderName } from '../../../operator/api/names.ts';
import type { EchoForm } from '../../clouds/faults.ts';
import type { CloudToken } from '../../clouds/kit.ts';
import { freePorts } from '../../control-plane/ports.ts';
import { operatorServiceAccount } from '../support/control-plane.ts';
import { type OperatorChild, startOperatorChild } from '../support/operator-child.ts';
import { conditionOf, createTestbed, type Testbed } from '../support/testbed.ts';
import { assertNoLeak, type Outlet } from './detector.ts';
import { objectOutlets, requestOutlets } from './outlets.ts';

/**
 * Hostile providers tell back, in bodies and headers, what they were authenticated with, in every form and with every
 * kind of status, while a credential is new, in force and being replaced. Then all that left the operator is searched.
 */

const FORMS: readonly EchoForm[] = ['plain', 'base64', 'url', 'json', 'html', 'separated'];
const STATUSES = [200, 400, 401, 403, 500] as const;
/** Slow machines: some 340 accounts. */
const PATIENCE_MS = 120_000;

let bed: Testbed;
let operator: OperatorChild;
const outlets = new Map<string, Outlet[]>();
/** By provider and form: statuses that an echo was sent with. */
const echoed = new Map<string, Set<number>>();

beforeAll(async () => {
  bed = await createTestbed();
  const [port] = await freePorts(1);
  operator = await startOperatorChild(bed, [
    `--metrics-bind-address=127.0.0.1:${port}`,
    // Their limits would only make the test slower.
    ...PROVIDER_NAMES.map(name => `--provider-budget=${name}=1000/1000`),
  ]);
  await Promise.all(PROVIDER_NAMES.map(tellStories));
  // A 429 holds up all accounts of some providers, so it comes last.
  await Promise.all(
    PROVIDER_NAMES.flatMap(provider => FORMS.map(form => echoAtFirstSight(provider, form, 429))),
  );
  const metrics = await (await request(`http://127.0.0.1:${port}/metrics`)).body.text();
  await operator.stop();
  outlets.set('metrics', [{ channel: 'metrics', text: metrics }]);
  outlets.set('standard output', [{ channel: 'standard output', text: operator.stdout() }]);
  outlets.set('standard error', [{ channel: 'standard error', text: operator.stderr() }]);
  const objects = await objectOutlets(bed.controlPlane, bed.namespace);
  for (const kind of ['account', 'event', 'copy']) {
    outlets.set(
      `objects: ${kind}`,
      objects.filter(({ channel }) => channel.startsWith(kind)),
    );
  }
  outlets.set('addresses', requestOutlets(PROVIDER_NAMES.map(name => bed.cloud(name))));
  const { namespace, name } = operatorServiceAccount();
  const user = `system:serviceaccount:${namespace}:${name}`;
  const audited = await bed.controlPlane.requests({ user, namespace: bed.namespace });
  outlets.set('audit log', [
    { channel: 'audit log', text: audited.map(event => JSON.stringify(event)).join('\n') },
  ]);
}, 5 * PATIENCE_MS);
afterAll(async () => {
  await operator.stop();
  await bed.close();
});

async function tellStories(provider: ProviderName): Promise<void> {
  await Promise.all([
    spoiltSecret(provider),
    ...FORMS.flatMap(form => [
      ...STATUSES.map(status => echoAtFirstSight(provider, form, status)),
      echoInForce(provider, form),
      echoAtReplacement(provider, form),
    ]),
  ]);
}

function nameOf(...parts: (string | number)[]): string {
  return parts.join('-').toLowerCase();
}

/** Each in an account of its own at the provider: making keys for TransIP takes long, and they are shared so. */
function createToken(provider: ProviderName, name: string): CloudToken {
  return bed.cloud(provider).createToken({ account: name });
}

function echo(provider: ProviderName, { index }: CloudToken, form: EchoForm, status: number): void {
  const cloud = bed.cloud(provider);
  cloud.inject({ kind: 'echo', as: form, status }, { token: index });
  // UpCloud's general code under a 401 says nothing of the credential; without a code it is a refusal, whose text is shown.
  if (provider === 'UpCloud' && status === 401)
    cloud.inject({ kind: 'rename', from: 'error_code', to: 'no_code' }, { token: index });
}

async function echoAtFirstSight(provider: ProviderName, form: EchoForm, status: number): Promise<void> {
  const name = nameOf(provider, form, status);
  const token = createToken(provider, name);
  echo(provider, token, form, status);
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, provider);
  await untilJudged(name);
  noteEcho(provider, form, token);
}

async function echoInForce(provider: ProviderName, form: EchoForm): Promise<void> {
  const name = nameOf(provider, form, 'in-force');
  const token = await connect(provider, name);
  echo(provider, token, form, 401);
  await bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': 'now' } } });
  await bed.until(name, ({ status }) => status?.health === 'NeedsAttention', 'its refusal', PATIENCE_MS);
}

async function echoAtReplacement(provider: ProviderName, form: EchoForm): Promise<void> {
  const name = nameOf(provider, form, 'replaced');
  await connect(provider, name);
  const next = createToken(provider, `${name}-next`);
  echo(provider, next, form, 401);
  await bed.putSecret(`${name}-token`, next.credential);
  await bed.until(
    name,
    account => conditionOf(account, 'Ready')?.reason === 'ReplacementRejected',
    'its refusal',
    PATIENCE_MS,
  );
}

/** Refused without a call; only the name of the check may be told. */
async function spoiltSecret(provider: ProviderName): Promise<void> {
  const name = nameOf(provider, 'spoilt');
  const { credential } = createToken(provider, name);
  const spoilt = Object.fromEntries(
    Object.entries(credential).map(([field, value]) => [
      field,
      `${value.slice(0, 30)} \u00e9${value.slice(30)}`,
    ]),
  );
  await bed.putSecret(`${name}-token`, spoilt);
  await bed.putAccount(name, provider);
  await bed.until(
    name,
    account => conditionOf(account, 'Ready')?.reason === 'SecretInvalid',
    'SecretInvalid',
    PATIENCE_MS,
  );
}

async function connect(provider: ProviderName, name: string): Promise<CloudToken> {
  const token = createToken(provider, name);
  await bed.putSecret(`${name}-token`, token.credential);
  await bed.putAccount(name, provider);
  await bed.until(name, ({ status }) => status?.health === 'Connected', 'Connected', PATIENCE_MS);
  return token;
}

async function untilJudged(name: string): Promise<void> {
  await bed.until(
    name,
    account => ![undefined, 'Verifying'].includes(conditionOf(account, 'Ready')?.reason),
    'an answer',
    PATIENCE_MS,
  );
}

function noteEcho(provider: ProviderName, form: EchoForm, { index }: CloudToken): void {
  const key = `${provider} ${form}`;
  const statuses = echoed.get(key) ?? new Set();
  for (const { token, status, invented } of bed.cloud(provider).log) {
    if (token === index && invented) statuses.add(status);
  }
  echoed.set(key, statuses);
}

describe('a provider that tells credentials back', () => {
  test.each(PROVIDER_NAMES)('was there: %s in every form, with every status', provider => {
    for (const form of FORMS)
      expect([...(echoed.get(`${provider} ${form}`) ?? [])]).toEqual(expect.arrayContaining([...STATUSES]));
    expect(bed.cloud(provider).log.some(({ status }) => status === 429)).toBe(true);
  });

  test.each([
    'standard output',
    'standard error',
    'metrics',
    'objects: account',
    'objects: event',
    'objects: copy',
    'addresses',
    'audit log',
  ])('leaves no trace of them in: %s', channel => {
    const found = outlets.get(channel) ?? [];
    // An operator without a word on standard error is as it should be.
    if (channel !== 'standard error') expect(found.map(({ text }) => text).join('')).not.toBe('');
    assertNoLeak(bed.detector(), found);
  });

  test('is spoken of where people look, so that there was something to find', () => {
    const texts = (channel: string) => (outlets.get(channel) ?? []).map(({ text }) => text).join('\n');
    expect(texts('standard output')).toContain('credential checked');
    expect(texts('metrics')).toContain(
      'cloudaccount_check_duration_seconds_count{provider="Hetzner",outcome="rejected",cause=""}',
    );
    expect(texts('objects: account')).toContain('"reason":"CredentialRejected"');
    expect(texts('objects: account')).toContain('managedFields');
    expect(texts('objects: event')).toContain('CredentialRejected');
    expect(texts('objects: copy')).toContain('strackt.io/verification');
    expect(texts('audit log')).toContain('cloudaccounts');
    expect(texts('addresses')).toContain('/v2/account');
  });
});
