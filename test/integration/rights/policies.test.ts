import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { account, accountsPath, APPLY, connect, type Answer, type Api } from '../crd/api.ts';
import { createNamespace, deleteNamespace, sharedControlPlane } from '../support/control-plane.ts';
import { eventually } from '../support/wait.ts';
import { ACCOUNTS, bind, connectAs, operatorUser, SECRETS, untilGuarded, untilMay } from './people.ts';

const TYPE = 'strackt.io/verified-credential';
const MERGE = 'application/merge-patch+json';

const controlPlane = sharedControlPlane();
let admin: Api;
let operator: Api;
let editor: Api;
let namespace: string;

beforeAll(async () => {
  admin = connect(controlPlane.kubeconfig);
  operator = connectAs(controlPlane, operatorUser());
  namespace = await createNamespace(controlPlane, 'policies');
  const user = `editor@${namespace}`;
  editor = connectAs(controlPlane, user);
  await bind(admin, namespace, 'edit', user);
  await untilMay(admin, user, { verb: 'update', resource: SECRETS, namespace });
  await untilGuarded(editor, namespace);
});

afterAll(async () => {
  await deleteNamespace(controlPlane, namespace);
  await Promise.all([admin, operator, editor].map(api => api.close()));
});

interface SecretBody {
  metadata: { name: string; annotations: Record<string, string>; ownerReferences?: unknown[] };
  data: Record<string, string>;
  type: string;
}

const secretPath = (name = '') => `/api/v1/namespaces/${namespace}/secrets/${name}`;

async function readSecret(name: string): Promise<SecretBody> {
  const { status, body } = await admin.request('GET', secretPath(name));
  expect(status).toBe(200);
  return body as unknown as SecretBody;
}

function copy(name: string, metadata: object = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: TYPE,
    metadata: {
      name,
      annotations: { 'strackt.io/account': 'do', 'strackt.io/verification': '{}' },
      ...metadata,
    },
    stringData: { token: 'verified' },
  };
}

function owner(name: string, uid = 'b7e0c1d2-0000-4000-8000-000000000000') {
  return { apiVersion: 'strackt.io/v1alpha1', kind: 'CloudAccount', name, uid, controller: true };
}

/** A verified copy, made as the operator makes it. */
async function createCopy(name: string, metadata: object = {}): Promise<void> {
  const { status, body } = await operator.request('POST', secretPath(), { body: copy(name, metadata) });
  expect(body.message).toBeUndefined();
  expect(status).toBe(201);
}

function expectRefusal({ status, body }: Answer, policy: string, message: string): void {
  expect(body.message).toContain(
    `ValidatingAdmissionPolicy 'cloud-account-operator-${policy}' with binding 'cloud-account-operator-${policy}' denied request: ${message}`,
  );
  expect(status).toBe(403);
}

describe('a verified copy, to whoever may write Secrets', () => {
  beforeAll(() => createCopy('copy'));

  const ALONE =
    'this is the verified copy of CloudAccount NAMESPACE/do, which the operator alone changes; put the new credential into the Secret that spec.credentialsSecretRef names, and it is published here once the provider has accepted it';
  const IMMUTABLE =
    'this is the verified copy of CloudAccount NAMESPACE/do: immutable would keep a new credential from being published here';
  const RECORD =
    "this is the verified copy of CloudAccount NAMESPACE/do: its annotations under strackt.io/ are the operator's record of what was verified";

  const OWNER = 'this is the verified copy of CloudAccount NAMESPACE/do, and is given to no other owner';

  test.each([
    ['other bytes', { stringData: { token: 'other' } }, ALONE],
    ['another key', { stringData: { other: 'x' } }, ALONE],
    ['no bytes', { data: null }, ALONE],
    ['immutable', { immutable: true }, IMMUTABLE],
    ['another record', { metadata: { annotations: { 'strackt.io/verification': '{"a":1}' } } }, RECORD],
    ['no record', { metadata: { annotations: { 'strackt.io/account': null } } }, RECORD],
    ['no annotations', { metadata: { annotations: null } }, RECORD],
    [
      'an annotation of ours that was not there',
      { metadata: { annotations: { 'strackt.io/keys': '{}' } } },
      RECORD,
    ],
    // Account "other" became Connected with it.
    ['another owner', { metadata: { ownerReferences: [owner('other')] } }, OWNER],
  ])('cannot be given %s', async (_, patch, message) => {
    const before = await readSecret('copy');
    const answer = await editor.request('PATCH', secretPath('copy'), { body: patch, contentType: MERGE });
    expectRefusal(answer, 'verified-copies', message.replace('NAMESPACE', namespace));
    expect(await readSecret('copy')).toEqual(before);
  });

  test('cannot be changed by server-side apply or replace either', async () => {
    const applied = await editor.request('PATCH', `${secretPath('copy')}?fieldManager=test&force=true`, {
      body: { ...copy('copy', { annotations: {} }), stringData: undefined, data: { token: 'b3RoZXI=' } },
      contentType: APPLY,
    });
    expect(applied.status).toBe(403);
    const replaced = await editor.request('PUT', secretPath('copy'), {
      body: { ...copy('copy'), stringData: { token: 'x' } },
    });
    expect(replaced.status).toBe(403);
    expect((await readSecret('copy')).data).toEqual({ token: Buffer.from('verified').toString('base64') });
  });

  test('cannot be made', async () => {
    expectRefusal(
      await editor.request('POST', secretPath(), { body: copy('forged') }),
      'verified-copies',
      'verified copies are made by the operator alone, for a credential that the provider accepted; create a CloudAccount, or use another type for a Secret of your own',
    );
  });

  test('takes a replace that changes nothing, and labels and annotations of others', async () => {
    const same = await editor.request('PUT', secretPath('copy'), { body: await readSecret('copy') });
    expect(same.status).toBe(200);
    const labelled = await editor.request('PATCH', secretPath('copy'), {
      body: { metadata: { labels: { team: 'a' }, annotations: { 'example.org/mirror': 'b' } } },
      contentType: MERGE,
    });
    expect(labelled.status).toBe(200);
    expect((await readSecret('copy')).metadata).toMatchObject({
      labels: { team: 'a' },
      annotations: { 'example.org/mirror': 'b', 'strackt.io/account': 'do' },
    });
  });

  test('can be deleted', async () => {
    await createCopy('deleted');
    expect((await editor.request('DELETE', secretPath('deleted'))).status).toBe(200);
  });

  test('is refused in a dry run as well', async () => {
    const answer = await editor.request('PATCH', `${secretPath('copy')}?dryRun=All`, {
      body: { stringData: { token: 'other' } },
      contentType: MERGE,
    });
    expectRefusal(answer, 'verified-copies', ALONE.replace('NAMESPACE', namespace));
  });

  test('leaves Secrets of all other types alone', async () => {
    const own = {
      metadata: { name: 'own', annotations: { 'strackt.io/account': 'x' } },
      stringData: { a: 'b' },
    };
    expect((await editor.request('POST', secretPath(), { body: own })).status).toBe(201);
    const changed = await editor.request('PATCH', secretPath('own'), {
      body: { stringData: { a: 'c' }, immutable: true },
      contentType: MERGE,
    });
    expect(changed.status).toBe(200);
  });
});

describe('removal under the policies', () => {
  test.each([
    ['Background', true],
    ['Foreground', true],
    ['Orphan', false],
  ])('an account goes with propagation %s; its copy goes too: %s', async (propagationPolicy, goes) => {
    const name = `gone-${propagationPolicy.toLowerCase()}`;
    const { body } = await admin.request('POST', accountsPath(namespace), { body: account(name) });
    const { uid } = body.metadata as unknown as { uid: string };
    await createCopy(`${name}-verified`, {
      ownerReferences: [owner(name, uid)],
    });

    const path = `${accountsPath(namespace, name)}?propagationPolicy=${propagationPolicy}`;
    expect((await admin.request('DELETE', path)).status).toBe(200);

    await eventually(
      async () => (await admin.request('GET', accountsPath(namespace, name))).status,
      status => status === 404,
      `${name} is gone`,
      60_000,
    );
    // Orphaning changes the copy: the garbage collector takes the owner reference out.
    await eventually(
      async () => {
        const answer = await admin.request('GET', secretPath(`${name}-verified`));
        return answer.status === 404
          ? 'gone'
          : (answer.body as unknown as SecretBody).metadata.ownerReferences;
      },
      found => found === (goes ? 'gone' : undefined),
      `the copy of ${name}`,
      60_000,
    );
  });

  // Its name depends on kube-controller-manager's --use-service-account-credentials.
  test.each([
    'system:serviceaccount:kube-system:generic-garbage-collector',
    'system:kube-controller-manager',
  ])('%s may take an owner away, and nothing else', async user => {
    const name = `orphan-${user.length}`;
    const api = connectAs(controlPlane, user);
    await bind(admin, namespace, 'edit', user);
    await untilMay(admin, user, { verb: 'patch', resource: SECRETS, namespace });
    const made = await admin.request('POST', accountsPath(namespace), { body: account(name) });
    const { uid } = made.body.metadata as unknown as { uid: string };
    await createCopy(name, { ownerReferences: [owner(name, uid)] });
    const patch = (body: object) => api.request('PATCH', secretPath(name), { body, contentType: MERGE });

    const changed = await patch({ metadata: { ownerReferences: null }, stringData: { token: 'x' } });
    const orphaned = await patch({ metadata: { ownerReferences: null } });

    await api.close();
    expect(changed.status).toBe(403);
    expect(orphaned.body.message).toBeUndefined();
    expect(orphaned.status).toBe(200);
  });

  test('a namespace with accounts and copies goes', async () => {
    const other = await createNamespace(controlPlane, 'policies');
    expect((await admin.request('POST', accountsPath(other), { body: account('do') })).status).toBe(201);
    const created = await operator.request('POST', `/api/v1/namespaces/${other}/secrets`, {
      body: copy('do-verified'),
    });
    expect(created.status).toBe(201);
    await deleteNamespace(controlPlane, other);
    await eventually(
      async () => (await admin.request('GET', `/api/v1/namespaces/${other}`)).status,
      status => status === 404,
      'the namespace is gone',
      60_000,
    );
  });
});

describe('the operator', () => {
  const OWN =
    'the operator writes verified copies (Secrets of type strackt.io/verified-credential) and no other Secret';

  test('makes, changes and deletes verified copies', async () => {
    await createCopy('of-operator');
    const changed = { ...copy('of-operator'), stringData: { token: 'newer' } };
    expect((await operator.request('PUT', secretPath('of-operator'), { body: changed })).status).toBe(200);
    expect((await operator.request('DELETE', secretPath('of-operator'))).status).toBe(200);
  });

  test('neither makes, nor changes, nor deletes any other Secret', async () => {
    const source = { metadata: { name: 'source' }, stringData: { token: 'a' } };
    expectRefusal(await operator.request('POST', secretPath(), { body: source }), 'own-secrets', OWN);

    expect((await editor.request('POST', secretPath(), { body: source })).status).toBe(201);
    const before = await readSecret('source');
    const changed = { ...source, stringData: { token: 'b' } };
    expectRefusal(await operator.request('PUT', secretPath('source'), { body: changed }), 'own-secrets', OWN);
    expectRefusal(await operator.request('DELETE', secretPath('source')), 'own-secrets', OWN);
    expect(await readSecret('source')).toEqual(before);
  });
});

describe('status', () => {
  test('is refused to whoever was given the right to write it, but not the verb publish', async () => {
    const user = `status@${namespace}`;
    const api = connectAs(controlPlane, user);
    const roles = `/apis/rbac.authorization.k8s.io/v1/clusterroles`;
    const name = `status-${namespace}`;
    try {
      expect((await admin.request('POST', accountsPath(namespace), { body: account('do') })).status).toBe(
        201,
      );
      await admin.request('POST', roles, {
        body: {
          metadata: { name },
          rules: [
            { apiGroups: ['strackt.io'], resources: ['cloudaccounts/status'], verbs: ['update', 'patch'] },
          ],
        },
      });
      await bind(admin, namespace, name, user);
      await untilMay(admin, user, { verb: 'patch', resource: `${ACCOUNTS}/status`, namespace });

      const answer = await api.request('PATCH', `${accountsPath(namespace, 'do')}/status`, {
        body: { status: { health: 'Connected' } },
        contentType: MERGE,
      });
      expectRefusal(
        answer,
        'status',
        'status tells what the operator found and is written by the operator alone; to have the credential checked now, annotate the CloudAccount with strackt.io/recheck-requested and any new value',
      );
      expect((await admin.request('GET', accountsPath(namespace, 'do'))).body.status).not.toHaveProperty(
        'health',
      );
    } finally {
      await admin.request('DELETE', `${roles}/${name}`);
      await api.close();
    }
  });
});

test('the operator of another release writes copies and status', async () => {
  const user = 'system:serviceaccount:another:operator';
  const api = connectAs(controlPlane, user);
  const name = `operator-${namespace}`;
  const roles = `/apis/rbac.authorization.k8s.io/v1/clusterroles`;
  try {
    const { rules } = (await admin.request('GET', `${roles}/cloud-account-operator`)).body as unknown as {
      rules: unknown[];
    };
    await admin.request('POST', roles, { body: { metadata: { name }, rules } });
    await bind(admin, namespace, name, user);
    await untilMay(admin, user, { verb: 'publish', resource: ACCOUNTS, namespace });

    expect((await api.request('POST', secretPath(), { body: copy('second') })).status).toBe(201);
    const changed = { ...copy('second'), stringData: { token: 'newer' } };
    expect((await api.request('PUT', secretPath('second'), { body: changed })).status).toBe(200);
    expect((await admin.request('POST', accountsPath(namespace), { body: account('second') })).status).toBe(
      201,
    );
    const status = await api.request('PATCH', `${accountsPath(namespace, 'second')}/status`, {
      body: { status: { health: 'Pending' } },
      contentType: MERGE,
    });
    expect(status.status).toBe(200);
  } finally {
    await admin.request('DELETE', `${roles}/${name}`);
    await api.close();
  }
});
