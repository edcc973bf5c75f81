import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadAll } from 'js-yaml';
import { bind, connectAs, untilMay } from '../rights/people.ts';
import { connect } from '../crd/api.ts';
import { eventually } from '../support/wait.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { type OperatorPod, startPod } from './pod.ts';
import { CHART, RELEASED_CHART, type Values } from './release.ts';

const RELEASE = { name: 'cloud-account-operator', namespace: 'operators' };
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/cloudaccounts.strackt.io';
const POLICY =
  '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/cloud-account-operator-verified-copies';
const ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/cloud-account-operator';
const ACCOUNTS = { first: 'Hetzner', second: 'DigitalOcean', third: 'UpCloud' } as const;

let cluster: Cluster;
let pod: OperatorPod | undefined;
let values: Values;

beforeAll(async () => {
  cluster = await startCluster();
  await cluster.createNamespace('team');
  values = { extraArgs: cluster.cloudArgs };
}, 600_000);

afterAll(async () => {
  await pod?.stop();
  await cluster.close();
});

async function startOperator(): Promise<OperatorPod> {
  pod = await startPod(cluster.controlPlane, RELEASE);
  return pod;
}

async function stopOperator(): Promise<void> {
  expect(await pod?.stop()).toBe(0);
  pod = undefined;
}

/** The versions of all accounts and their copies, and the calls to providers: what a new operator must not change. */
async function worldState() {
  const read = async (path: string) => {
    const { body } = await cluster.controlPlane.api<{ metadata?: { resourceVersion: string } }>('GET', path);
    return body.metadata?.resourceVersion;
  };
  const paths = Object.keys(ACCOUNTS).flatMap(name => [
    `/apis/strackt.io/v1alpha1/namespaces/team/cloudaccounts/${name}`,
    `/api/v1/namespaces/team/secrets/${name}-verified`,
    `/api/v1/namespaces/team/secrets/${name}-token`,
  ]);
  return { calls: cluster.calls(), versions: await Promise.all(paths.map(read)) };
}

/** Lets an operator of the new release work, which shows by an account that comes after the others. */
async function expectUndisturbed(
  before: Awaited<ReturnType<typeof worldState>>,
  late: string,
): Promise<void> {
  await startOperator();
  await cluster.connect('team', late, 'Hetzner');
  await cluster.untilConnected('team', late);
  const after = await worldState();
  // One call for the new account.
  expect(after).toEqual({ calls: before.calls + 1, versions: before.versions });
}

// Each test goes on where the one before it ended: it is the life of one release.
describe('a release', () => {
  test('of the version before is installed, and accounts are connected', async () => {
    await cluster.helm.install(RELEASE, RELEASED_CHART, values);
    await startOperator();
    for (const [name, provider] of Object.entries(ACCOUNTS)) await cluster.connect('team', name, provider);
    for (const name of Object.keys(ACCOUNTS)) await cluster.untilConnected('team', name);
    expect(await cluster.exists(POLICY)).toBe(false);
  });

  test('is upgraded with other values: nothing is checked or written again, and the guards are there', async () => {
    await stopOperator();
    const before = await worldState();
    const notes = await cluster.helm.upgrade(RELEASE, CHART, {
      ...values,
      replicas: 2,
      concurrency: 4,
      log: { level: 'debug' },
      networkPolicy: { enabled: true },
    });
    expect(notes).toContain('helm --namespace operators test cloud-account-operator');
    expect(notes).not.toContain('Not in place');

    await expectUndisturbed(before, 'upgraded');

    expect(pod?.args).toEqual(expect.arrayContaining(['--concurrency=4', '--log-level=debug']));
    expect(await cluster.exists(POLICY)).toBe(true);
    const { body } = await cluster.controlPlane.api<{ metadata: { labels: Record<string, string> } }>(
      'GET',
      CRD,
    );
    expect(body.metadata.labels).toMatchObject({ 'helm.sh/chart': 'cloud-account-operator-0.2.0' });
  });

  test('is tested by the pod of `helm test`, which finds it ready', async () => {
    const answer = await runReadyzPod(`${pod?.healthUrl}/readyz`);
    expect(answer.output).toContain('/readyz: 200 ok');
    expect(answer.code).toBe(0);
  });

  test('is rolled back: nothing is checked or written again, and the guards are gone', async () => {
    await stopOperator();
    const before = await worldState();
    await cluster.helm.rollback(RELEASE, 1);
    await expectUndisturbed(before, 'rolled-back');
    expect(pod?.args).not.toContain('--concurrency=4');
    expect(await cluster.exists(POLICY)).toBe(false);
  });

  test('is uninstalled: CRDs, accounts and copies stay, all else goes', async () => {
    await stopOperator();
    const before = await worldState();
    await cluster.helm.uninstall(RELEASE);
    expect(await worldState()).toEqual(before);
    expect(await cluster.exists(CRD)).toBe(true);
    expect(await cluster.exists(ROLE)).toBe(false);
    for (const kind of ['serviceaccounts/cloud-account-operator', 'services/cloud-account-operator-metrics'])
      expect(await cluster.exists(`/api/v1/namespaces/operators/${kind}`)).toBe(false);
  });

  test('is installed again: it finds the accounts, and nothing is checked or written again', async () => {
    const before = await worldState();
    await cluster.helm.install(RELEASE, CHART, values);
    await expectUndisturbed(before, 'again');
    expect(await cluster.exists(POLICY)).toBe(true);
    await stopOperator();
  });

  test('lets an owner remove an account with the operator down, and warns of what goes', async () => {
    const { controlPlane } = cluster;
    const admin = connect(controlPlane.kubeconfig);
    const owner = connectAs(controlPlane, 'owner@team');
    try {
      await bind(admin, 'team', 'admin', 'owner@team');
      await untilMay(admin, 'owner@team', {
        verb: 'delete',
        resource: 'strackt.io/cloudaccounts',
        namespace: 'team',
      });
      const path = '/apis/strackt.io/v1alpha1/namespaces/team/cloudaccounts/again';
      // The API server takes up policies a moment after they were created.
      const { warnings } = await eventually(
        () => owner.request('DELETE', `${path}?dryRun=All`),
        answer => answer.warnings.length > 0,
        'the warning of a dry run',
      );
      expect(warnings.join()).toContain(
        'CloudAccount team/again: its verified copy again-verified goes with it',
      );
      expect((await owner.request('DELETE', path)).warnings).toEqual(warnings);
    } finally {
      await Promise.all([admin.close(), owner.close()]);
    }
    await eventually(
      () => cluster.exists('/api/v1/namespaces/team/secrets/again-verified'),
      exists => !exists,
      'the copy is collected',
      60_000,
    );
  });

  test('with crds.keep=false takes CRDs and accounts along', async () => {
    await cluster.helm.upgrade(RELEASE, CHART, { ...values, crds: { keep: false } });
    await cluster.helm.uninstall(RELEASE);
    await eventually(
      () => cluster.exists(CRD),
      exists => !exists,
      'the CRD is gone',
      60_000,
    );
    await eventually(
      () => cluster.exists('/api/v1/namespaces/team/secrets/first-verified'),
      exists => !exists,
      'the copies are collected',
      90_000,
    );
    expect(await cluster.exists('/api/v1/namespaces/team/secrets/first-token')).toBe(true);
  });
});

interface PodManifest {
  kind: string;
  spec: { containers: { command: string[] }[] };
}

/** Runs what the pod of `helm test` runs, asking that address. */
async function runReadyzPod(url: string) {
  const rendered = await cluster.helm.template(RELEASE, values);
  const manifest = (loadAll(rendered) as (PodManifest | null)[]).find(object => object?.kind === 'Pod');
  const [program, ...args] = manifest?.spec.containers[0]?.command ?? [];
  expect(program).toBe('node');
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], READYZ_URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}
