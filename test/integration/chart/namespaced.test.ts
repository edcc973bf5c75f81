import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connect, type Api } from '../crd/api.ts';
import { bind, connectAs, may, untilMay } from '../rights/people.ts';
import { eventually } from '../support/wait.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { type OperatorPod, startPod } from './pod.ts';
import { CHART } from './release.ts';

/** Two releases, each for teams of its own; one team has none. */
const BLUE = { name: 'blue', namespace: 'blue-operator' };
const GREEN = { name: 'green', namespace: 'green-operator' };
const BLUE_USER = 'system:serviceaccount:blue-operator:blue-cloud-account-operator';
const GREEN_USER = 'system:serviceaccount:green-operator:green-cloud-account-operator';

let cluster: Cluster;
let admin: Api;
let pods: OperatorPod[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  admin = connect(cluster.controlPlane.kubeconfig);
  for (const team of ['blue', 'azure', 'green', 'grey'])
    await cluster.createNamespace(team, { 'pod-security.kubernetes.io/enforce': 'restricted' });
  const extraArgs = cluster.cloudArgs;
  await cluster.helm.install(BLUE, CHART, {
    extraArgs,
    watchNamespaces: ['blue', 'azure'],
    admissionPolicies: { enabled: true },
  });
  // The second one leaves what a cluster has once to the first, and may read Secrets only by name.
  await cluster.helm.install(GREEN, CHART, {
    extraArgs,
    watchNamespaces: ['green'],
    crds: { enabled: false },
    rbac: { aggregateToUserRoles: false },
    secrets: { watch: false },
  });
  pods = await Promise.all([BLUE, GREEN].map(release => startPod(cluster.controlPlane, release)));
}, 600_000);

afterAll(async () => {
  await Promise.all(pods.map(pod => pod.stop()));
  await admin.close();
  await cluster.close();
});

describe('two releases side by side', () => {
  test('connect the accounts of their own namespaces, and nobody those of others', async () => {
    await cluster.connect('grey', 'account', 'Hetzner');
    const teams = ['blue', 'azure', 'green'];
    for (const team of teams) await cluster.connect(team, 'account', 'Hetzner');
    for (const team of teams) await cluster.untilConnected(team, 'account');
    expect(cluster.calls()).toBe(3);
    expect((await cluster.account('grey', 'account'))?.status?.conditions).toBeUndefined();
  });

  test('have rights in their own namespaces alone', async () => {
    const secrets = (user: string, verb: string, namespace: string) =>
      may(admin, user, { verb, resource: '/secrets', namespace });
    expect(await secrets(BLUE_USER, 'list', 'blue')).toBe(true);
    expect(await secrets(GREEN_USER, 'get', 'green')).toBe(true);
    for (const [user, namespace] of [
      [BLUE_USER, 'green'],
      [BLUE_USER, 'grey'],
      [GREEN_USER, 'blue'],
      [GREEN_USER, 'green-operator'],
    ] as const)
      for (const verb of ['get', 'list', 'create']) expect(await secrets(user, verb, namespace)).toBe(false);
  });

  test('hold a Lease each', async () => {
    const holderOf = async (namespace: string, name: string) => {
      const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;
      const { body } = await cluster.controlPlane.api<{ spec?: { holderIdentity?: string } }>('GET', path);
      return body.spec?.holderIdentity;
    };
    const blue = await holderOf('blue-operator', 'blue-cloud-account-operator');
    const green = await holderOf('green-operator', 'green-cloud-account-operator');
    expect(blue).toMatch(/./);
    expect(green).toMatch(/./);
    expect(blue).not.toBe(green);
  });

  test('without the right to list Secrets, a changed one is taken up with the next request', async () => {
    for (const verb of ['list', 'watch'])
      expect(await may(admin, GREEN_USER, { verb, resource: '/secrets', namespace: 'green' })).toBe(false);
    const { credential } = cluster.cloud('Hetzner').createToken();
    const merge = 'application/merge-patch+json';
    await cluster.controlPlane.api(
      'PATCH',
      '/api/v1/namespaces/green/secrets/account-token',
      { stringData: credential },
      merge,
    );
    await cluster.controlPlane.api(
      'PATCH',
      '/apis/strackt.io/v1alpha1/namespaces/green/cloudaccounts/account',
      { metadata: { annotations: { 'strackt.io/recheck-requested': '1' } } },
      merge,
    );
    await eventually(
      async () => (await verifiedCopy('green')).data['token'],
      token => Buffer.from(token ?? '', 'base64').toString() === credential['token'],
      'the new token is published',
    );
  });
});

describe('the guards of a release for some namespaces', () => {
  const tamper = { stringData: { token: 'x' } };
  const options = { body: tamper, contentType: 'application/merge-patch+json' };
  const copy = (team: string) => `/api/v1/namespaces/${team}/secrets/account-verified`;

  test('stand there, and not elsewhere, where the operator puts right what was changed', async () => {
    const editor = connectAs(cluster.controlPlane, 'editor');
    try {
      for (const team of ['blue', 'green']) {
        await bind(admin, team, 'edit', 'editor');
        await untilMay(admin, 'editor', { verb: 'patch', resource: '/secrets', namespace: team });
      }
      const refused = await editor.request('PATCH', copy('blue'), options);
      expect(refused.body.message).toContain('blue-cloud-account-operator-verified-copies');
      expect(refused.status).toBe(403);

      const before = (await verifiedCopy('green')).data;
      expect((await editor.request('PATCH', copy('green'), options)).status).toBe(200);
      await cluster.controlPlane.api(
        'PATCH',
        '/apis/strackt.io/v1alpha1/namespaces/green/cloudaccounts/account',
        { metadata: { annotations: { 'strackt.io/recheck-requested': '2' } } },
        'application/merge-patch+json',
      );
      await eventually(
        async () => (await verifiedCopy('green')).data,
        data => JSON.stringify(data) === JSON.stringify(before),
        'the verified copy is as it was',
      );
    } finally {
      await editor.close();
    }
  });

  test('warn there, and not elsewhere', async () => {
    const warnings = async (team: string) =>
      (
        await admin.request(
          'DELETE',
          `/apis/strackt.io/v1alpha1/namespaces/${team}/cloudaccounts/account?dryRun=All`,
        )
      ).warnings.length;
    expect(await warnings('blue')).toBe(1);
    expect(await warnings('green')).toBe(0);
  });

  test("keep that operator away from others' Secrets", async () => {
    const operator = connectAs(cluster.controlPlane, BLUE_USER);
    try {
      const { status, body } = await operator.request(
        'DELETE',
        '/api/v1/namespaces/blue/secrets/account-token',
      );
      expect(body.message).toContain(
        'writes verified copies (Secrets of type strackt.io/verified-credential) and no other',
      );
      expect(status).toBe(403);
    } finally {
      await operator.close();
    }
  });
});

async function verifiedCopy(team: string) {
  const path = `/api/v1/namespaces/${team}/secrets/account-verified`;
  return (await cluster.controlPlane.api<{ data: Record<string, string> }>('GET', path)).body;
}
