import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { freePorts } from '../../control-plane/ports.ts';
import { createNamespace, deleteNamespace } from '../support/control-plane.ts';
import { createTestbed, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { faultProxyFor } from './support.ts';

/** What cannot be watched: a namespace that is gone or forbidden, a missing CRD, a port in use. Real processes. */

const TIMEOUT_MS = 90_000;
const WITH_PARENT = fileURLToPath(new URL('../../../scripts/die-with-parent.mjs', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../../operator/main.ts', import.meta.url));
const RBAC = '/apis/rbac.authorization.k8s.io/v1/namespaces';
const GROUP = 'rbac.authorization.k8s.io';

let bed: Testbed;
let other: string;
let kubeconfig: string;
let proxy: FaultProxy;
let cloudUrl: string;
const running = new Set<Operator>();

interface Operator {
  said(): string;
  page(path: string): Promise<string>;
  metrics(): Promise<string>;
  stop(): Promise<number | null>;
  ended: Promise<number | null>;
}

beforeAll(async () => {
  bed = await createTestbed();
  const { controlPlane, namespace } = bed;
  other = await createNamespace(controlPlane, 'other');
  await must('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'narrow' } });
  for (const where of [namespace, other]) await grant(where);
  proxy = await faultProxyFor(controlPlane);
  kubeconfig = await kubeconfigOf(controlPlane.server);
  cloudUrl = bed.cloud('Hetzner').url;
}, TIMEOUT_MS);

afterAll(async () => {
  await Promise.all([...running].map(operator => operator.stop()));
  await deleteNamespace(bed.controlPlane, other);
  await bed.close();
  await proxy.close();
}, TIMEOUT_MS);

function kubeconfigOf(server: string): Promise<string> {
  const { controlPlane, namespace } = bed;
  const path = join(controlPlane.dir, `${namespace}-narrow-${new URL(server).port}.kubeconfig`);
  return controlPlane.serviceAccountKubeconfig({ namespace, name: 'narrow', path, server });
}

async function must(method: string, path: string, body?: unknown): Promise<void> {
  const answer = await bed.controlPlane.api(method, path, body);
  if (answer.status >= 300)
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

/** The rights of an operator that watches some namespaces: a Role in each, which goes with the namespace. */
async function grant(namespace: string): Promise<void> {
  await must('POST', `${RBAC}/${namespace}/roles`, {
    metadata: { name: 'narrow' },
    rules: [
      {
        apiGroups: ['strackt.io'],
        resources: ['cloudaccounts', 'cloudaccounts/status'],
        verbs: ['*', 'publish'],
      },
      { apiGroups: [''], resources: ['secrets'], verbs: ['*'] },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['*'] },
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['*'] },
    ],
  });
  await must('POST', `${RBAC}/${namespace}/rolebindings`, {
    metadata: { name: 'narrow' },
    roleRef: { apiGroup: GROUP, kind: 'Role', name: 'narrow' },
    subjects: [{ kind: 'ServiceAccount', namespace: bed.namespace, name: 'narrow' }],
  });
}

async function start(...args: string[]): Promise<Operator> {
  const [healthPort = 0, metricsPort = 0] = await freePorts(2);
  const child = spawn(
    process.execPath,
    [
      '--import',
      WITH_PARENT,
      PROGRAM,
      `--kubeconfig=${kubeconfig}`,
      `--provider-endpoint=Hetzner=${cloudUrl}`,
      `--health-probe-bind-address=127.0.0.1:${healthPort}`,
      `--metrics-bind-address=127.0.0.1:${metricsPort}`,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => void (said += text));
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const get = (port: number, path: string) =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      async answer => `${answer.status} ${await answer.text()}`,
      () => 'nobody',
    );
  const operator: Operator = {
    said: () => said,
    page: path => get(healthPort, path),
    metrics: () => get(metricsPort, '/metrics'),
    ended,
    async stop() {
      running.delete(operator);
      child.kill('SIGTERM');
      return ended;
    },
  };
  running.add(operator);
  return operator;
}

function untilReady(operator: Operator): Promise<string> {
  return eventually(
    () => operator.page('/readyz'),
    page => page.startsWith('200'),
    `ready: ${operator.said()}`,
    30_000,
  );
}

async function connect(name: string, namespace = bed.namespace): Promise<void> {
  const { credential } = bed.cloud('Hetzner').createToken();
  const data = Object.fromEntries(
    Object.entries(credential).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
  await must('POST', `/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name: `${name}-token` },
    data,
  });
  const accounts = `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts`;
  await must('POST', accounts, {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name },
    spec: { provider: 'Hetzner', credentialsSecretRef: { name: `${name}-token` } },
  });
  await eventually(
    async () =>
      (await bed.controlPlane.api<{ status?: { health?: string } }>('GET', `${accounts}/${name}`)).body,
    account => account.status?.health === 'Connected',
    `${name} connected`,
    30_000,
  );
}

describe('a watched namespace whose rights are gone', () => {
  test(
    'is told, stops nobody else, also not after a restart, and is picked up when they are back',
    async () => {
      const both = [
        `--watch-namespaces=${bed.namespace},${other}`,
        '--leader-elect',
        '--leader-election-id=narrow',
      ];
      let operator = await start(...both);
      await untilReady(operator);
      await connect('before', other);

      // As the deletion of a namespace does it; the API server asks for rights when a watch begins.
      await must('DELETE', `${RBAC}/${other}/rolebindings/narrow`);
      expect(await operator.stop()).toBe(0);
      operator = await start(...both);
      await untilReady(operator);
      await connect('alone');
      expect(await operator.page('/healthz')).toMatch(/^200/);
      expect(operator.said()).toContain(`"namespace":"${other}"`);
      expect(operator.said()).toContain('kubectl auth can-i list cloudaccounts.strackt.io');
      expect(await operator.metrics()).toContain(
        `cloudaccount_watch_unavailable{resource="cloudaccounts.strackt.io",namespace="${other}"} 1`,
      );

      await must('POST', `${RBAC}/${other}/rolebindings`, {
        metadata: { name: 'narrow' },
        roleRef: { apiGroup: GROUP, kind: 'Role', name: 'narrow' },
        subjects: [{ kind: 'ServiceAccount', namespace: bed.namespace, name: 'narrow' }],
      });
      await connect('after', other);
      expect(operator.said()).toContain('available again');
      expect(await operator.metrics()).not.toContain('cloudaccount_watch_unavailable{');
      expect(await operator.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    'that is deleted while the operator works: the others go on, and an event of the Lease says it',
    async () => {
      const doomed = await createNamespace(bed.controlPlane, 'doomed');
      await grant(doomed);
      const operator = await start(
        `--kubeconfig=${await kubeconfigOf(proxy.url)}`,
        `--watch-namespaces=${doomed},${bed.namespace}`,
        '--leader-elect',
        '--leader-election-id=doomed',
        `--leader-election-namespace=${bed.namespace}`,
      );
      await untilReady(operator);
      await connect('doomed', doomed);
      await deleteNamespace(bed.controlPlane, doomed);
      await eventually(
        async () => (await bed.controlPlane.api('GET', `/api/v1/namespaces/${doomed}`)).status,
        code => code === 404,
        'the namespace is gone',
        60_000,
      );
      // A watch ends by itself within 8 minutes; a connection that breaks does the same at once.
      proxy.breakConnections('reset');
      await eventually(
        () => bed.events('doomed').catch(() => []),
        events => events.some(({ reason, note }) => reason === 'NotAvailable' && note.includes(doomed)),
        `the event: ${operator.said()}`,
        30_000,
      );
      await connect('goes-on');
      expect(await operator.page('/healthz')).toMatch(/^200/);
      expect(await operator.page('/readyz')).toMatch(/^200/);
      expect(await operator.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    'alone: it is not ready, says so, and lives',
    async () => {
      const operator = await start('--watch-namespaces=kube-public');
      await eventually(
        () => operator.said(),
        said => said.includes('kubectl auth can-i list'),
        'the warning',
        30_000,
      );
      expect(await operator.page('/readyz')).toMatch(/^503/);
      expect(await operator.page('/healthz')).toMatch(/^200/);
      expect(await operator.stop()).toBe(0);
    },
    TIMEOUT_MS,
  );
});

test(
  'a port in use: it ends with code 1 and says which',
  async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    for (const [flag, what] of [
      ['metrics-bind-address', 'metrics'],
      ['health-probe-bind-address', 'health probes'],
    ]) {
      const operator = await start(`--watch-namespaces=${bed.namespace}`, `--${flag}=127.0.0.1:${port}`);
      const alive = new Promise(resolve => setTimeout(resolve, 15_000, 'still alive').unref());
      expect(await Promise.race([operator.ended, alive])).toBe(1);
      running.delete(operator);
      expect(operator.said()).toContain(
        `${what} cannot be served on port ${port} of 127.0.0.1: the port is in use by another process`,
      );
    }
    taken.close();
  },
  TIMEOUT_MS,
);
