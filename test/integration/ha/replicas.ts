import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WRITE_VERBS } from '../../control-plane/audit.ts';
import { freePorts } from '../../control-plane/ports.ts';
import type { FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { startCloudGate } from '../crash/cloud-gate.ts';
import { faultProxyFor } from '../kube/support.ts';
import { operatorServiceAccount } from '../support/control-plane.ts';
import type { Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';

const WITH_PARENT = fileURLToPath(new URL('../../../scripts/die-with-parent.mjs', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../../operator/main.ts', import.meta.url));

/** Short, so that tests are; and long enough that a busy machine does not cost a healthy leader its lease. */
export const LEASE_MS = 6_000;
export const RENEW_DEADLINE_MS = 4_000;
const TIMES = [
  '--leader-election-lease-duration=6s',
  '--leader-election-renew-deadline=4s',
  '--leader-election-retry-period=1s',
];

/** An operator process with a user, a way to the API server and a way to the cloud of its own, so that it is known by each. */
export interface Replica {
  /** As the API server's audit log names it. */
  user: string;
  proxy: FaultProxy;
  /** When it asked the cloud, in milliseconds since the epoch. */
  calls: number[];
  /** When it said that it leads, by `performance.now()`. */
  ledFrom: () => number | undefined;
  /** Undefined while it runs; `null`: killed by a signal. */
  exitCode: () => number | null | undefined;
  send: (signal: NodeJS.Signals) => void;
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
  isReady: () => Promise<boolean>;
  said: () => string;
}

export interface Replicas {
  /** All that were ever started, in that order. */
  all: Replica[];
  /** Starts one more; resolves when its caches are there. */
  start(): Promise<Replica>;
  running(): Replica[];
  /** The one that works, as soon as there is one; never one of those that are excluded. */
  leader(...not: Replica[]): Promise<Replica>;
  holder(): Promise<string>;
  /** Everything but the lease that they wrote since, in the order in which the API server got it. */
  writes(since?: Date): Promise<{ user: string; what: string }[]>;
  close(): Promise<void>;
}

/** Makes room for replicas in the testbed's namespace: their lease is there, and the rights that we ship. */
export async function createReplicas(bed: Testbed): Promise<Replicas> {
  const { controlPlane, namespace } = bed;
  const lease = operatorServiceAccount().name;
  const all: Replica[] = [];
  const closers: (() => Promise<void>)[] = [];
  let count = 0;
  await grantShippedRights(bed);

  async function start(): Promise<Replica> {
    const account = `replica-${count++}`;
    await create(bed, `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: account } });
    const proxy = await faultProxyFor(controlPlane);
    const calls: number[] = [];
    const before = () => void calls.push(Date.now());
    const gate = await startCloudGate(bed.cloud('Hetzner').url, { before, after: () => undefined });
    const kubeconfig = await controlPlane.serviceAccountKubeconfig({
      namespace,
      name: account,
      path: join(controlPlane.dir, `${namespace}-${account}.kubeconfig`),
      server: proxy.url,
    });
    const [healthPort = 0] = await freePorts(1);
    const child = spawn(
      process.execPath,
      [
        '--import',
        WITH_PARENT,
        PROGRAM,
        `--kubeconfig=${kubeconfig}`,
        `--watch-namespaces=${namespace}`,
        `--provider-endpoint=Hetzner=${gate.url}`,
        '--provider-budget=Hetzner=1000/1000',
        '--leader-elect',
        `--leader-election-id=${lease}`,
        ...TIMES,
        `--health-probe-bind-address=127.0.0.1:${healthPort}`,
      ],
      // The flags of jest are none of its business.
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, NODE_OPTIONS: '' } },
    );
    let said = '';
    let ledFrom: number | undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.includes('"msg":"leading"')) ledFrom ??= performance.now();
      });
    }
    let exitCode: number | null | undefined;
    const ended = once(child, 'close').then(([code]) => (exitCode = code as number | null));
    closers.push(async () => {
      child.kill('SIGKILL');
      await ended;
      await Promise.all([proxy.close(), gate.close()]);
    });
    const replica: Replica = {
      user: `system:serviceaccount:${namespace}:${account}`,
      proxy,
      calls,
      ledFrom: () => ledFrom,
      exitCode: () => exitCode,
      send: signal => void child.kill(signal),
      ended,
      said: () => said,
      isReady: () =>
        fetch(`http://127.0.0.1:${healthPort}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        ),
    };
    all.push(replica);
    await eventually(
      () => said.includes('waiting for the lease') || exitCode !== undefined,
      Boolean,
      `a replica that stands by: ${said}`,
      60_000,
    );
    return replica;
  }

  return {
    all,
    start,
    running: () => all.filter(({ exitCode }) => exitCode() === undefined),
    async leader(...not) {
      const candidates = () =>
        all.filter(replica => !not.includes(replica) && replica.exitCode() === undefined);
      await eventually(
        () => candidates().some(({ ledFrom }) => ledFrom() !== undefined),
        Boolean,
        'a leader',
        60_000,
      );
      return candidates().find(({ ledFrom }) => ledFrom() !== undefined)!;
    },
    async holder() {
      const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${lease}`;
      const { body } = await controlPlane.api<{ spec?: { holderIdentity?: string } }>('GET', path);
      return body.spec?.holderIdentity ?? '';
    },
    async writes(since) {
      const requests = await controlPlane.requests({
        namespace,
        verbs: WRITE_VERBS,
        ...(since && { since }),
      });
      return requests
        .filter(
          ({ user, objectRef }) => user.username.includes('replica-') && objectRef?.resource !== 'leases',
        )
        .sort((a, b) => (a.requestReceivedTimestamp < b.requestReceivedTimestamp ? -1 : 1))
        .map(({ user, verb, requestURI }) => ({ user: user.username, what: `${verb} ${requestURI}` }));
    },
    async close() {
      await Promise.all(closers.map(close => close()));
    },
  };
}

/** The rules of deploy/install.yaml, for every service account of the namespace. */
async function grantShippedRights(bed: Testbed): Promise<void> {
  const { controlPlane, namespace } = bed;
  const { name, namespace: home } = operatorServiceAccount();
  const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces';
  const election = `${name}-leader-election`;
  const shipped = await controlPlane.api<{ rules: unknown[] }>('GET', `${rbac}/${home}/roles/${election}`);
  const subjects = [{ kind: 'Group', name: `system:serviceaccounts:${namespace}` }];
  const apiGroup = 'rbac.authorization.k8s.io';
  await create(bed, `${rbac}/${namespace}/roles`, {
    metadata: { name: election },
    rules: shipped.body.rules,
  });
  for (const roleRef of [
    { apiGroup, kind: 'ClusterRole', name },
    { apiGroup, kind: 'Role', name: election },
  ]) {
    await create(bed, `${rbac}/${namespace}/rolebindings`, {
      metadata: { name: roleRef.name },
      roleRef,
      subjects,
    });
  }
}

async function create({ controlPlane }: Testbed, path: string, object: unknown): Promise<void> {
  const { status, body } = await controlPlane.api('POST', path, object);
  if (status !== 201) throw new Error(`${path}: ${status} ${JSON.stringify(body)}`);
}
