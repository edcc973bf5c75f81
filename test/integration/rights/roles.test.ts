import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { account, accountsPath, connect, type Api } from '../crd/api.ts';
import {
  createNamespace,
  deleteNamespace,
  operatorServiceAccount,
  sharedControlPlane,
} from '../support/control-plane.ts';
import { ACCOUNTS, bind, connectAs, may, operatorUser, SECRETS, untilMay } from './people.ts';

const controlPlane = sharedControlPlane();
const SYSTEM = operatorServiceAccount().namespace;
const LEASES = 'coordination.k8s.io/leases';
const SERVERS = 'strackt.io/cloudservers';

/** People by what they are, each with the role that makes them so. */
const ROLES = {
  owner: 'admin',
  editor: 'edit',
  viewer: 'view',
  'server-operator': 'cloud-account-operator-server-operator',
} as const;
type Person = keyof typeof ROLES;

const people = {} as Record<Person, { user: string; api: Api }>;
let admin: Api;
let operator: Api;
let namespace: string;

beforeAll(async () => {
  admin = connect(controlPlane.kubeconfig);
  operator = connectAs(controlPlane, operatorUser());
  namespace = await createNamespace(controlPlane, 'rights');
  for (const person of Object.keys(ROLES) as Person[]) {
    const user = `${person}@${namespace}`;
    people[person] = { user, api: connectAs(controlPlane, user) };
    await bind(admin, namespace, ROLES[person], user);
  }
  for (const { user } of Object.values(people)) {
    await untilMay(admin, user, { verb: 'get', resource: ACCOUNTS, namespace });
  }
  await untilMay(admin, people.owner.user, { verb: 'create', resource: ACCOUNTS, namespace });
});

afterAll(async () => {
  await deleteNamespace(controlPlane, namespace);
  await Promise.all(
    [admin, operator, ...Object.values(people).map(({ api }) => api)].map(api => api.close()),
  );
});

const LOOK = ['get', 'list', 'watch'];
const CHANGE = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const ALL_VERBS = [...LOOK, ...CHANGE, 'publish'];

async function verbsOf(user: string, resource: string): Promise<string[]> {
  const allowed = await Promise.all(ALL_VERBS.map(verb => may(admin, user, { verb, resource, namespace })));
  return ALL_VERBS.filter((_, index) => allowed[index]);
}

describe('by their roles', () => {
  test.each<[Person, string, string[]]>([
    ['viewer', ACCOUNTS, LOOK],
    ['viewer', SERVERS, LOOK],
    ['viewer', SECRETS, []],
    ['editor', ACCOUNTS, LOOK],
    ['editor', SERVERS, LOOK],
    // What Kubernetes gives to `edit`: whoever has it can replace a source (docs/installation.md).
    ['editor', SECRETS, [...LOOK, ...CHANGE]],
    ['owner', ACCOUNTS, [...LOOK, ...CHANGE]],
    ['owner', SERVERS, [...LOOK, ...CHANGE]],
    ['owner', SECRETS, [...LOOK, ...CHANGE]],
    ['server-operator', ACCOUNTS, LOOK],
    ['server-operator', SERVERS, [...LOOK, ...CHANGE]],
    ['server-operator', SECRETS, []],
  ])('a %s may on %s: %j', async (person, resource, verbs) => {
    expect(await verbsOf(people[person].user, resource)).toEqual(verbs);
  });

  test.each(Object.keys(ROLES) as Person[])('a %s may not touch a status', async person => {
    for (const resource of [ACCOUNTS, SERVERS]) {
      expect(await verbsOf(people[person].user, `${resource}/status`)).toEqual([]);
    }
  });

  test.each([
    [ACCOUNTS, [...LOOK, 'publish']],
    [`${ACCOUNTS}/status`, ['get', 'update', 'patch']],
    [SECRETS, [...LOOK, 'create', 'update', 'delete']],
    ['events.k8s.io/events', ['create', 'patch']],
    [LEASES, []],
    ['/pods', []],
    ['/configmaps', []],
    ['/serviceaccounts', []],
    ['rbac.authorization.k8s.io/roles', []],
  ])('the operator may on %s: %j', async (resource, verbs) => {
    expect(await verbsOf(operatorUser(), resource)).toEqual(verbs);
  });

  test('the operator may hold its own Lease in its own namespace, and no other', async () => {
    const mayUpdate = (name: string) =>
      may(admin, operatorUser(), { verb: 'update', resource: LEASES, namespace: SYSTEM, name });
    expect(await may(admin, operatorUser(), { verb: 'create', resource: LEASES, namespace: SYSTEM })).toBe(
      true,
    );
    expect(await mayUpdate('cloud-account-operator')).toBe(true);
    expect(await mayUpdate('another')).toBe(false);
  });
});

describe('by real calls', () => {
  test('an owner connects, changes and removes an account', async () => {
    const { api } = people.owner;
    const created = await api.request('POST', accountsPath(namespace), { body: account('owned') });
    expect(created.status).toBe(201);
    const changed = await api.request('PATCH', accountsPath(namespace, 'owned'), {
      body: { spec: { suspend: true }, metadata: { annotations: { 'strackt.io/recheck-requested': '1' } } },
      contentType: 'application/merge-patch+json',
    });
    expect(changed.status).toBe(200);
    expect((await api.request('DELETE', accountsPath(namespace, 'owned'))).status).toBe(200);
  });

  test.each<Person>(['viewer', 'editor', 'server-operator'])(
    'a %s sees accounts, and changes none',
    async person => {
      const { api } = people[person];
      const name = `seen-by-${person}`;
      expect((await admin.request('POST', accountsPath(namespace), { body: account(name) })).status).toBe(
        201,
      );

      expect((await api.request('GET', accountsPath(namespace, name))).body.metadata.name).toBe(name);
      const refused = await Promise.all([
        api.request('POST', accountsPath(namespace), { body: account('another') }),
        api.request('PATCH', accountsPath(namespace, name), {
          body: { metadata: { annotations: { 'strackt.io/recheck-requested': '1' } } },
          contentType: 'application/merge-patch+json',
        }),
        api.request('DELETE', accountsPath(namespace, name)),
        api.request('DELETE', accountsPath(namespace)),
      ]);
      expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
      expect((await admin.request('GET', accountsPath(namespace, name))).body.metadata).toMatchObject({
        generation: 1,
      });
    },
  );

  test('a viewer and a server-operator read no Secret', async () => {
    for (const person of ['viewer', 'server-operator'] as const) {
      const { status } = await people[person].api.request('GET', `/api/v1/namespaces/${namespace}/secrets`);
      expect(status).toBe(403);
    }
  });

  test('the operator changes no account but its status', async () => {
    expect((await admin.request('POST', accountsPath(namespace), { body: account('kept') })).status).toBe(
      201,
    );
    const merge = { contentType: 'application/merge-patch+json' };
    const spec = { ...merge, body: { spec: { suspend: true } } };
    const path = accountsPath(namespace, 'kept');
    expect((await operator.request('PATCH', path, spec)).status).toBe(403);
    expect((await operator.request('DELETE', path)).status).toBe(403);

    const status = { ...merge, body: { status: { health: 'Pending' }, spec: { suspend: true } } };
    const written = await operator.request('PATCH', `${path}/status`, status);
    expect(written).toMatchObject({ status: 200, body: { status: { health: 'Pending' } } });
    expect(written.body.spec).not.toHaveProperty('suspend', true);
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
      admin.request('POST', `/api/v1/namespaces/${SYSTEM}/pods?dryRun=All`, {
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
