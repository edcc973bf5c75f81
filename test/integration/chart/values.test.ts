import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { load, loadAll } from 'js-yaml';
import { kubectl } from '../../control-plane/manifests.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { CHART, type Values } from './release.ts';

const RELEASE = { name: 'sample', namespace: 'strict' };

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
  await cluster.createNamespace('strict', { 'pod-security.kubernetes.io/enforce': 'restricted' });
  await cluster.createNamespace('team-a');
  await cluster.createNamespace('team-b');
}, 600_000);

afterAll(() => cluster.close());

interface Manifest {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  spec?: { template?: { metadata: object; spec: object } };
}

async function render(values: Values): Promise<Manifest[]> {
  return (loadAll(await cluster.helm.template(RELEASE, values)) as (Manifest | null)[]).filter(
    manifest => manifest !== null,
  );
}

const FULL: Values = {
  replicas: 3,
  image: {
    repository: 'registry.example.org/operator',
    digest: `sha256:${'0'.repeat(64)}`,
    pullPolicy: 'Always',
  },
  imagePullSecrets: [{ name: 'registry' }],
  nameOverride: 'accounts',
  serviceAccount: { name: 'someone', annotations: { 'example.org/role': 'a' } },
  concurrency: 4,
  log: { level: 'debug' },
  proxy: { https: 'http://proxy.example.org:3128', noProxy: '10.0.0.0/8' },
  extraCA: { configMap: 'authorities', key: 'bundle.pem' },
  metrics: { port: 9000, service: { port: 80, annotations: { 'prometheus.io/scrape': 'true' } } },
  health: { port: 9001 },
  networkPolicy: {
    enabled: true,
    apiServerPorts: [6443],
    metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
    extraEgress: [{ ports: [{ port: 3128 }] }],
  },
  extraArgs: ['--provider-budget=Hetzner=1/60'],
  extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=256' }],
  extraVolumes: [{ name: 'more', emptyDir: {} }],
  extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
  podAnnotations: { a: 'b' },
  podLabels: { c: 'd' },
  priorityClassName: 'system-cluster-critical',
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'topology.kubernetes.io/zone',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: { 'app.kubernetes.io/instance': 'sample' } },
    },
  ],
};

const SETS: Record<string, Values> = {
  default: {},
  'with everything': FULL,
  namespaced: {
    watchNamespaces: ['team-a', 'team-b'],
    secrets: { watch: false },
    admissionPolicies: { enabled: true },
  },
  minimal: {
    crds: { enabled: false },
    rbac: { create: false, aggregateToUserRoles: false },
    admissionPolicies: { enabled: false },
    serviceAccount: { create: false, name: 'given' },
    leaderElection: { enabled: false },
    metrics: { service: { enabled: false } },
    podSecurityContext: { runAsUser: null, runAsGroup: null },
    resources: { limits: null },
  },
};

describe.each(Object.entries(SETS))('values: %s', (_, values) => {
  test('everything rendered passes strict validation', async () => {
    const file = join(cluster.controlPlane.dir, 'rendered.yaml');
    writeFileSync(file, await cluster.helm.template(RELEASE, values));
    const applied = await kubectl(cluster.controlPlane, [
      'apply',
      '--server-side',
      '--dry-run=server',
      '--validate=strict',
      `--filename=${file}`,
    ]);
    expect(applied.trim().split('\n')).toHaveLength((await render(values)).length);
  });

  test('its pods are admitted under the strictest pod security', async () => {
    const manifests = await render(values);
    const pods = manifests.flatMap(({ kind, spec }) =>
      kind === 'Pod' ? [spec] : kind === 'Deployment' ? [spec?.template?.spec] : [],
    );
    expect(pods).toHaveLength(2);
    for (const spec of pods) {
      const pod = { metadata: { generateName: 'test-' }, spec: { ...spec, serviceAccountName: undefined } };
      const path = '/api/v1/namespaces/strict/pods?dryRun=All';
      const { body } = await cluster.controlPlane.api<{ kind: string; message?: string }>('POST', path, pod);
      expect(body.message).toBeUndefined();
      expect(body.kind).toBe('Pod');
    }
  });

  test('everything carries the usual labels', async () => {
    for (const { kind, metadata } of await render(values)) {
      expect({ kind, ...metadata }).toMatchObject({
        labels: {
          'helm.sh/chart': expect.stringMatching(/^cloud-account-operator-\d/) as unknown,
          'app.kubernetes.io/name': expect.any(String) as unknown,
          'app.kubernetes.io/instance': 'sample',
          'app.kubernetes.io/managed-by': 'Helm',
        },
      });
    }
  });
});

describe('what is rendered', () => {
  const kinds = async (values: Values) => [...new Set((await render(values)).map(({ kind }) => kind))].sort();

  test('is bound to namespaces where those are named, but for CRDs and roles for people', async () => {
    const manifests = await render({ watchNamespaces: ['team-a'] });
    const clusterWide = manifests.filter(({ kind }) => /^(Cluster|Validating|Custom)/.test(kind));
    expect(clusterWide.map(({ metadata }) => metadata.name).sort()).toEqual([
      'cloudaccounts.strackt.io',
      'sample-cloud-account-operator-admin',
      'sample-cloud-account-operator-server-operator',
      'sample-cloud-account-operator-view',
    ]);
  });

  test('for an installer without rights on the cluster holds nothing of the cluster', async () => {
    expect(
      await kinds({
        watchNamespaces: ['team-a'],
        crds: { enabled: false },
        rbac: { aggregateToUserRoles: false },
      }),
    ).toEqual(['Deployment', 'Pod', 'Role', 'RoleBinding', 'Service', 'ServiceAccount']);
  });

  test('has the arguments and the environment that the values ask for', async () => {
    const manifests = await render({
      ...FULL,
      watchNamespaces: ['team-a', 'team-b'],
      secrets: { watch: false },
    });
    const deployment = manifests.find(({ kind }) => kind === 'Deployment');
    const { containers } = deployment?.spec?.template?.spec as { containers: Record<string, unknown>[] };
    // The image says with which options Node.js runs; a command here would leave them out.
    expect(containers[0]).not.toHaveProperty('command');
    expect(containers[0]).toMatchObject({
      args: [
        '--leader-elect=true',
        '--leader-election-id=sample-accounts',
        '--metrics-bind-address=:9000',
        '--health-probe-bind-address=:9001',
        '--log-level=debug',
        '--concurrency=4',
        '--secrets-watch=false',
        '--watch-namespaces=team-a,team-b',
        '--provider-budget=Hetzner=1/60',
      ],
      env: [
        { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
        { name: 'HTTPS_PROXY', value: 'http://proxy.example.org:3128' },
        { name: 'NO_PROXY', value: '10.0.0.0/8' },
        { name: 'NODE_EXTRA_CA_CERTS', value: '/etc/cloud-account-operator/ca/bundle.pem' },
        { name: 'NODE_OPTIONS', value: '--max-old-space-size=256' },
      ],
      volumeMounts: [
        { name: 'extra-ca', mountPath: '/etc/cloud-account-operator/ca', readOnly: true },
        { name: 'more', mountPath: '/more' },
      ],
    });
  });
});

describe('a bad value is refused by name:', () => {
  test.each<[Values, string]>([
    [{ replicaCount: 2 }, "additional properties 'replicaCount' not allowed"],
    [{ replicas: 'two' }, "at '/replicas': got string, want integer"],
    [
      { log: { level: 'loud' } },
      "at '/log/level': value must be one of 'trace', 'debug', 'info', 'warn', 'error'",
    ],
    [{ image: { digest: 'abc' } }, "at '/image/digest': 'abc' does not match pattern"],
    [{ watchNamespaces: ['Team_A'] }, "at '/watchNamespaces/0': 'Team_A' does not match pattern"],
    [{ watchNamespaces: 'team-a' }, "at '/watchNamespaces': got string, want array"],
    [{ secrets: { watched: true } }, "at '/secrets': additional properties 'watched' not allowed"],
    [{ metrics: { port: 80 } }, "at '/metrics/port': minimum: got 80, want 1,024"],
    [{ concurrency: 0 }, "at '/concurrency': minimum: got 0, want 1"],
    [{ admissionPolicies: { enabled: 'yes' } }, "at '/admissionPolicies/enabled': got string, want"],
    [{ extraArgs: ['concurrency=3'] }, "at '/extraArgs/0': 'concurrency=3' does not match pattern"],
    [{ extraEnv: [{ value: 'x' }] }, "at '/extraEnv/0': missing property 'name'"],
    [
      { replicas: 2, leaderElection: { enabled: false } },
      'replicas: more than one replica needs leaderElection.enabled=true',
    ],
    [
      { serviceAccount: { create: false } },
      'serviceAccount.name: needed when serviceAccount.create is false',
    ],
    [{ metrics: { port: 8081 } }, 'metrics.port and health.port: both are 8081'],
  ])('%j', async (values, message) => {
    await expect(render(values)).rejects.toThrow(message);
  });
});

describe('the notes', () => {
  const notes = async (values: Values) => {
    const release = { name: 'notes', namespace: 'notes' };
    const shown = await cluster.helm.install(release, CHART, values);
    await cluster.helm.uninstall(release);
    return shown.slice(shown.indexOf('NOTES:'));
  };

  test('say what to do next, and nothing of guards that are there', async () => {
    const text = await notes({ networkPolicy: { enabled: true } });
    expect(text).toContain('watches all namespaces');
    expect(text).toContain('helm --namespace notes test notes');
    expect(text).not.toContain('Not in place');
  });

  test('name each guard that is missing', async () => {
    const text = await notes({
      watchNamespaces: ['team-a'],
      crds: { keep: true },
      secrets: { watch: false },
      rbac: { aggregateToUserRoles: false },
    });
    expect(text).toContain('watches the namespaces team-a');
    const missing = text.slice(text.indexOf('Not in place')).match(/^ {2}- [\w.]+/gm);
    expect(missing).toEqual([
      '  - admissionPolicies',
      '  - rbac.aggregateToUserRoles',
      '  - secrets.watch',
      '  - networkPolicy',
    ]);
  });
});

interface Schema {
  properties?: Record<string, Schema>;
}

test('values.yaml and values.schema.json know the same values', () => {
  const values = load(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values;
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
  const properties = { ...schema.properties };
  // Helm's own, for charts that hold this one.
  delete properties['global'];
  expect(Object.keys(properties).sort()).toEqual(Object.keys(values).sort());
  for (const [name, { properties: inner }] of Object.entries(properties)) {
    // Kubernetes' own fields: their defaults are not all that may be there.
    if (inner === undefined || name === 'resources') continue;
    expect([name, Object.keys(inner).sort()]).toEqual([name, Object.keys(values[name] as object).sort()]);
  }
});
