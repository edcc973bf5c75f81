import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadAll } from 'js-yaml';
import { createNamespace, deleteNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { connect, type Api } from './api.ts';

/** Who asks: group and user as the API server sees them. */
const OPERATOR = 'system:serviceaccount:cloud-account-operator-system:cloud-account-operator';
const SYSTEM = 'cloud-account-operator-system';

const controlPlane = sharedControlPlane();
let api: Api;
let namespace: string;

beforeAll(async () => {
  api = connect(controlPlane.kubeconfig);
  namespace = await createNamespace(controlPlane, 'crd');
  for (const role of ['view', 'edit', 'admin']) {
    const { status } = await api.request(
      'POST',
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`,
      {
        body: {
          metadata: { name: role },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: `${role}@example.org` }],
        },
      },
    );
    expect(status).toBe(201);
  }
  await until(() => may('view@example.org', 'get', 'strackt.io/cloudaccounts'));
  await until(() => may('admin@example.org', 'create', 'strackt.io/cloudaccounts'));
});

afterAll(async () => {
  await deleteNamespace(controlPlane, namespace);
  await api.close();
});

/** Waits for what the controller manager does: it gathers the rules of aggregated roles. */
async function until(check: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await check());) {
    if (Date.now() > deadline) throw new Error('not within 30 s');
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

/** @param resource `group/resource` or `group/resource/subresource`; the core group is empty */
async function may(
  user: string,
  verb: string,
  resource: string,
  where = namespace,
  name = '',
): Promise<boolean> {
  const [group, plural, subresource = ''] = resource.split('/');
  const { status, body } = await api.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user,
        resourceAttributes: { namespace: where, verb, group, resource: plural, subresource, name },
      },
    },
  });
  expect(status).toBe(201);
  return body.status.allowed === true;
}

const ALL_VERBS = [
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  'publish',
];

async function verbsOf(user: string, resource: string): Promise<string[]> {
  const allowed = await Promise.all(ALL_VERBS.map(verb => may(user, verb, resource)));
  return ALL_VERBS.filter((_, index) => allowed[index]);
}

describe('the operator', () => {
  test.each([
    ['strackt.io/cloudaccounts', ['get', 'list', 'watch', 'publish']],
    ['strackt.io/cloudaccounts/status', ['get', 'update', 'patch']],
    ['/secrets', ['get', 'list', 'watch', 'create', 'update', 'delete']],
    ['events.k8s.io/events', ['create', 'patch']],
    ['coordination.k8s.io/leases', []],
    ['/pods', []],
    ['/configmaps', []],
    ['rbac.authorization.k8s.io/roles', []],
  ])('in a namespace with accounts may on %s: %j', async (resource, verbs) => {
    expect(await verbsOf(OPERATOR, resource)).toEqual(verbs);
  });

  test('may hold its own Lease in its own namespace, and no other', async () => {
    const leases = 'coordination.k8s.io/leases';
    expect(await may(OPERATOR, 'create', leases, SYSTEM)).toBe(true);
    expect(await may(OPERATOR, 'update', leases, SYSTEM, 'cloud-account-operator')).toBe(true);
    expect(await may(OPERATOR, 'update', leases, SYSTEM, 'another')).toBe(false);
  });
});

describe('people', () => {
  test.each([
    ['view', ['get', 'list', 'watch']],
    ['edit', ['get', 'list', 'watch']],
    ['admin', ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']],
  ])('with the role %s may on accounts: %j', async (role, verbs) => {
    expect(await verbsOf(`${role}@example.org`, 'strackt.io/cloudaccounts')).toEqual(verbs);
  });

  test.each(['view', 'edit', 'admin'])('with the role %s may not touch status', async role => {
    expect(await verbsOf(`${role}@example.org`, 'strackt.io/cloudaccounts/status')).toEqual([]);
  });
});

interface Deployment {
  kind: string;
  spec: { template: { metadata: object; spec: object } };
}

describe("the operator's pod", () => {
  test('is admitted where the strictest pod security is enforced', async () => {
    const install = readFileSync(join(import.meta.dirname, '../../../deploy/install.yaml'), 'utf8');
    const deployment = (loadAll(install) as Deployment[]).find(({ kind }) => kind === 'Deployment');
    const pod = (spec: object) =>
      api.request('POST', `/api/v1/namespaces/${SYSTEM}/pods?dryRun=All`, {
        body: { metadata: { generateName: 'operator-' }, spec },
      });
    const { template } = deployment!.spec;
    const admitted = await pod(template.spec);
    expect(admitted.body).not.toHaveProperty('message');
    expect(admitted.status).toBe(201);

    const lax = await pod({ ...template.spec, securityContext: {} });
    expect(lax.status).toBe(403);
    expect(lax.body.message).toContain('violates PodSecurity "restricted');
  });
});
