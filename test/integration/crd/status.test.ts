import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createNamespace, deleteNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { account, accountsPath, APPLY, connect, type Api } from './api.ts';

const NOW = '2026-11-03T12:00:00Z';
const OPERATOR = 'fieldManager=cloud-account-operator&force=true';

const controlPlane = sharedControlPlane();
let api: Api;
let namespace: string;

beforeAll(async () => {
  api = connect(controlPlane.kubeconfig);
  namespace = await createNamespace(controlPlane, 'crd');
});

afterAll(async () => {
  await deleteNamespace(controlPlane, namespace);
  await api.close();
});

function condition(type: string, status = 'True', reason = 'Verified') {
  return { type, status, reason, message: 'x', lastTransitionTime: NOW, observedGeneration: 1 };
}

/** Everything that status can hold, with values that no version of the operator knows today. */
const FULL = {
  observedGeneration: 1,
  health: 'BetterThanEver',
  conditions: [
    condition('Connected'),
    condition('Ready'),
    condition('strackt.io/Later', 'Unknown', 'LaterReason'),
  ],
  account: { id: 'planet:1', ids: ['planet:1', 'team:1'], name: 'ACME' },
  credential: {
    hint: 'dop_v1_••••1a2b',
    verifiedAt: NOW,
    expiresAt: NOW,
    access: 'Later',
    permissions: { state: 'Later', missing: ['droplet:create'] },
    source: { uid: 'u', resourceVersion: '1' },
  },
  verifiedSecretRef: { name: 'a-verified', uid: 'u', resourceVersion: '2' },
  candidate: {
    source: { uid: 'u', resourceVersion: '3' },
    observedGeneration: 1,
    reason: 'Later',
    attempts: 2,
    nextAttemptTime: NOW,
  },
  confirming: { reason: 'Later', count: 1, since: NOW },
  refusals: { since: NOW, count: 2 },
  lastAttempt: { time: '2026-11-03T12:00:00.123456Z', reason: 'Later' },
  lastCheckTime: NOW,
  nextCheckTime: NOW,
  lastHandledRecheck: 'x'.repeat(128),
  servers: { count: 21, names: Array.from({ length: 20 }, (_, i) => `web-${i}`) },
};

async function create(name: string, spec: Record<string, unknown> = {}) {
  const { status, body } = await api.request('POST', accountsPath(namespace), { body: account(name, spec) });
  expect(status).toBe(201);
  return body;
}

async function applyStatus(name: string, status: unknown, query = OPERATOR) {
  return api.request('PATCH', `${accountsPath(namespace, name, 'status')}?${query}`, {
    body: { apiVersion: 'strackt.io/v1alpha1', kind: 'CloudAccount', metadata: { name }, status },
    contentType: APPLY,
  });
}

describe('defaults', () => {
  test('are filled in where a field is absent, and nothing else is', async () => {
    const { spec } = await create('defaults');
    expect(spec).toEqual({
      provider: 'DigitalOcean',
      credentialsSecretRef: { name: 'do-token' },
      access: 'ReadWrite',
      recheckInterval: '24h',
      suspend: false,
    });
  });

  test('a new account has not been observed, so kstatus says InProgress, on create and on read', async () => {
    const created = await create('unobserved');
    expect(created.status).toEqual({ observedGeneration: -1 });
    const { body } = await api.request('GET', accountsPath(namespace, 'unobserved'));
    expect(body.status).toEqual({ observedGeneration: -1 });
    expect(body.metadata.generation).toBe(1);
  });
});

describe('status', () => {
  test('holds everything that the operator writes, values of a newer operator included', async () => {
    await create('full');
    const { status, body, warnings } = await applyStatus('full', FULL, `${OPERATOR}&fieldValidation=Strict`);
    expect(body.message).toBeUndefined();
    expect(status).toBe(200);
    expect(warnings).toEqual([]);
    expect(body.status).toEqual(FULL);
  });

  test('cannot be written together with spec, and writing it does not raise the generation', async () => {
    const { body: before } = await api.request('GET', accountsPath(namespace, 'full'));
    const patch = { spec: { label: 'new' }, status: { health: 'Forged' } };
    const merge = { body: patch, contentType: 'application/merge-patch+json' };
    const { body: spec } = await api.request('PATCH', accountsPath(namespace, 'full'), merge);
    expect(spec.spec.label).toBe('new');
    expect(spec.status).toEqual(before.status);
    const { body: status } = await api.request('PATCH', accountsPath(namespace, 'full', 'status'), {
      ...merge,
      body: { spec: { label: 'forged' }, status: { lastHandledRecheck: '1' } },
    });
    expect(status.spec.label).toBe('new');
    expect(status.status.lastHandledRecheck).toBe('1');
    expect(status.metadata.generation).toBe(spec.metadata.generation);
  });

  test('conditions are merged by type: one that is left out goes, one of another manager stays', async () => {
    await create('conditions');
    await applyStatus('conditions', { conditions: [condition('Connected'), condition('Reconciling')] });
    await applyStatus('conditions', { conditions: [condition('Audited')] }, 'fieldManager=someone-else');
    const { body } = await applyStatus('conditions', { conditions: [condition('Connected')] });
    expect(body.status.conditions?.map(({ type }) => type).sort()).toEqual(['Audited', 'Connected']);
  });

  test('an apply that changes nothing writes nothing', async () => {
    await create('unchanged');
    const { body: first } = await applyStatus('unchanged', FULL);
    const { body: second } = await applyStatus('unchanged', FULL);
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  });

  test.each([
    [
      'two conditions of one type',
      { conditions: [condition('Ready'), condition('Ready', 'False')] },
      'Ready',
    ],
    [
      'a condition without a reason',
      { conditions: [{ ...condition('Ready'), reason: '' }] },
      'status.conditions[0].reason',
    ],
    [
      'a condition with another status',
      { conditions: [condition('Ready', 'Maybe')] },
      'status.conditions[0].status: Unsupported value: "Maybe"',
    ],
    ['a time that is none', { lastCheckTime: 'yesterday' }, 'status.lastCheckTime'],
    [
      'more names of servers than can be shown',
      { servers: { count: 21, names: Array.from({ length: 21 }, (_, i) => `${i}`) } },
      'status.servers.names: Too many: 21: must have at most 20 items',
    ],
    [
      'an echo longer than a request may be',
      { lastHandledRecheck: 'x'.repeat(129) },
      'status.lastHandledRecheck: Too long: may not be more than 128 bytes',
    ],
  ])('refuses %s', async (_, status, message) => {
    await api.request('POST', accountsPath(namespace), { body: account('refusing') });
    const answer = await applyStatus('refusing', status);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.body.message).toContain(message);
  });
});

describe('selecting', () => {
  beforeAll(async () => {
    await create('hetzner-1', { provider: 'Hetzner' });
    await create('hetzner-2', { provider: 'Hetzner' });
    await create('vultr-1', { provider: 'Vultr' });
    await applyStatus('hetzner-1', { health: 'NeedsAttention' });
    await applyStatus('vultr-1', { health: 'NeedsAttention' });
  });

  test.each([
    ['spec.provider=Hetzner', ['hetzner-1', 'hetzner-2']],
    ['status.health=NeedsAttention', ['hetzner-1', 'vultr-1']],
    ['spec.provider=Hetzner,status.health=NeedsAttention', ['hetzner-1']],
    ['spec.provider=Hetzner,status.health!=NeedsAttention', ['hetzner-2']],
  ])('by %s', async (selector, names) => {
    const { body } = await api.request(
      'GET',
      `${accountsPath(namespace)}?fieldSelector=${encodeURIComponent(selector)}`,
    );
    expect(body.items.map(item => item.metadata.name)).toEqual(names);
  });

  test('by any other field is refused', async () => {
    const { status, body } = await api.request(
      'GET',
      `${accountsPath(namespace)}?fieldSelector=spec.label%3Dx`,
    );
    expect(status).toBe(400);
    expect(body.message).toContain('field label not supported: spec.label');
  });
});
