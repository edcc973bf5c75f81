import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { CloudAccount } from '../../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES, type ProviderName } from '../../../operator/api/names.ts';
import { type OperatorChild, startOperatorChild } from '../support/operator-child.ts';
import { conditionOf, createTestbed, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { ANSWERS } from './answers.ts';
import { accountObject, type FuzzedSource, sourceSecret, weirdText } from './arbitraries.ts';

/**
 * Every field of accounts and Secrets, and everything that providers answer, may be anything: a clear message or a
 * refusal follows, never a crash and never an account that nobody gets further with. A failure names seed and path;
 * CAO_SEED=… tries that seed again, CAO_FULL=1 tries ten times as much and shrinks what it finds.
 */

const FULL = process.env['CAO_FULL'] === '1';
const SEED = process.env['CAO_SEED'];
/** Slow machines. */
const PATIENCE_MS = 60_000;

function parameters<T>(numRuns: number): fc.Parameters<T> {
  return {
    numRuns: FULL ? 10 * numRuns : numRuns,
    endOnFailure: !FULL,
    ...(SEED !== undefined && { seed: Number(SEED) }),
  };
}

let bed: Testbed;
let operator: OperatorChild;
let count = 0;

beforeAll(async () => {
  bed = await createTestbed();
  operator = await startOperatorChild(
    bed,
    PROVIDER_NAMES.map(name => `--provider-budget=${name}=1000/1000`),
  );
  await bed.putSecret('present', bed.cloud('Hetzner').createToken().credential);
});
afterAll(async () => {
  await operator.stop();
  await bed.close();
});

const userName = weirdText.filter(text => text.isWellFormed());

/** Names reach hints and ids. */
function withUser(
  provider: ProviderName,
  credential: Record<string, string>,
  user: string,
): Record<string, string> {
  if (provider === 'TransIP') return { ...credential, login: user };
  if (provider === 'UpCloud' && user.trim() !== '') return { username: user, password: randomUUID() };
  return credential;
}

interface Refusal {
  message?: string;
  reason?: string;
}

function post(plural: string, group: string, body: unknown) {
  return bed.controlPlane.api<CloudAccount & Refusal>(
    'POST',
    `${group}/namespaces/${bed.namespace}/${plural}`,
    body,
  );
}

/** The account once it says something of itself. */
function untilAnswered(name: string): Promise<CloudAccount> {
  return bed.until(
    name,
    account => ![undefined, 'Verifying'].includes(conditionOf(account, 'Ready')?.reason),
    'an answer',
    PATIENCE_MS,
  );
}

test(
  'an account with any values is refused with a message or taken care of',
  async () => {
    const accepted: string[] = [];
    const refused: string[] = [];
    await fc.assert(
      fc.asyncProperty(
        accountObject,
        fc.constantFrom('Strict', 'Warn', 'Ignore'),
        async (object, validation) => {
          const { status, body } = await post(
            `cloudaccounts?fieldValidation=${validation}`,
            '/apis/strackt.io/v1alpha1',
            object,
          );
          if (status === 201) return void accepted.push(body.metadata.name);
          expect([400, 413, 422]).toContain(status);
          expect(body.message).toMatch(/spec|metadata|annotations|request/i);
          refused.push(body.message ?? '');
        },
      ),
      parameters(150),
    );
    // Both ways were tried.
    expect(accepted.length).toBeGreaterThan(10);
    expect(refused.length).toBeGreaterThan(10);
    for (const name of accepted) await untilAnswered(name);
  },
  5 * PATIENCE_MS,
);

test(
  'a Secret with any bytes is never published, and the account says what is wrong with it',
  async () => {
    const reasons = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(sourceSecret, { minLength: 8, maxLength: 8 }), async sources => {
        for (const reason of await Promise.all(sources.map(judgedBy)))
          if (reason !== undefined) reasons.add(reason);
      }),
      parameters(10),
    );
    expect([...reasons]).toEqual(expect.arrayContaining(['SecretInvalid', 'CredentialRejected']));
  },
  5 * PATIENCE_MS,
);

/** The reason that such a source ends with; undefined where the API server does not take it. */
async function judgedBy({
  provider,
  keys,
  type,
  immutable,
  data,
}: FuzzedSource): Promise<string | undefined> {
  const name = `source-${(count += 1)}`;
  const object = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `${name}-token` },
    type,
    immutable,
    data,
  };
  const secret = await post('secrets', '/api/v1', object);
  expect([201, 400, 413, 422]).toContain(secret.status);
  if (secret.status !== 201) return undefined;
  const spec = { provider, credentialsSecretRef: { name: `${name}-token`, keys } };
  const made = await post('cloudaccounts', '/apis/strackt.io/v1alpha1', {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name },
    spec,
  });
  // Keys of another provider's fields.
  if (made.status === 422) return undefined;
  expect(made.status).toBe(201);
  const account = await untilAnswered(name);
  expect(account.status?.health).not.toBe('Connected');
  expect(await bed.secret(`${name}-verified`)).toBeUndefined();
  const ready = conditionOf(account, 'Ready');
  expect(ready?.message).toMatch(/.{20}/);
  return ready?.reason;
}

test(
  'a provider may answer anything, and status is written all the same',
  async () => {
    let connected = 0;
    await fc.assert(
      fc.asyncProperty(fc.record(ANSWERS), userName, weirdText, async (answers, user, recheck) => {
        const outcomes = await Promise.all(
          PROVIDER_NAMES.map(async provider => {
            const cloud = bed.cloud(provider);
            const name = `answered-${(count += 1)}`;
            cloud.clearFaults();
            for (const [path, { headers, body }] of Object.entries(answers[provider]))
              cloud.inject({ kind: 'answer', status: 200, headers, body }, { path });
            const { credential } = cloud.createToken({ account: name });
            await bed.putSecret(`${name}-token`, withUser(provider, credential, user));
            await bed.putAccount(name, provider, {}, { 'strackt.io/recheck-requested': recheck });
            const account = await untilAnswered(name);
            cloud.clearFaults();
            return account.status?.health;
          }),
        );
        connected += outcomes.filter(health => health === 'Connected').length;
      }),
      parameters(20),
    );
    // Odd answers that are an acceptance all the same, which is where their values reach status.
    expect(connected).toBeGreaterThan(20);
  },
  5 * PATIENCE_MS,
);

test(
  'after all that a good account is connected as quickly as ever, and nothing went wrong',
  async () => {
    const start = performance.now();
    await Promise.all(
      PROVIDER_NAMES.map(async provider => {
        const name = `good-${provider.toLowerCase()}`;
        const token = bed.cloud(provider).createToken({ account: name });
        await bed.putSecret(`${name}-token`, token.credential);
        await bed.putAccount(name, provider);
        await bed.until(name, ({ status }) => status?.health === 'Connected', 'Connected', PATIENCE_MS);
      }),
    );
    // Usually a fifth of a second; a queue that is held up would take a back-off at least.
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(operator.exitCode()).toBeUndefined();
    expect(operator.stderr()).toBe('');
    const failures = operator
      .stdout()
      .split('\n')
      .filter(line => /could not be reconciled|"level":[56]0/.test(line));
    expect(failures).toEqual([]);
    await eventually(
      () =>
        bed.controlPlane.api<{ items: CloudAccount[] }>(
          'GET',
          `/apis/strackt.io/v1alpha1/namespaces/${bed.namespace}/cloudaccounts`,
        ),
      ({ body }) =>
        body.items.every(({ metadata, status }) => status?.observedGeneration === metadata.generation),
      'every account seen',
    );
  },
  2 * PATIENCE_MS,
);
