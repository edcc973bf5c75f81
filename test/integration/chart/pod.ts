import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { freePorts } from '../../control-plane/ports.ts';
import { eventually } from '../support/wait.ts';
import type { ReleaseName } from './release.ts';

const WITH_PARENT = fileURLToPath(new URL('../../../scripts/die-with-parent.mjs', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../../operator/main.ts', import.meta.url));

/** What the image runs, but for the options of Node.js. */
const OF_IMAGE = 'node /app/dist/operator.mjs';

interface EnvEntry {
  name: string;
  value?: string;
  valueFrom?: { fieldRef?: { fieldPath: string } };
}

interface Deployment {
  metadata: { name: string; namespace: string };
  spec: {
    template: {
      spec: {
        serviceAccountName: string;
        containers: { command?: string[]; args: string[]; env?: EnvEntry[] }[];
      };
    };
  };
}

/** An operator that runs as the kubelet would run it, but as a process of this machine. */
export interface OperatorPod {
  /** Arguments of the Deployment, before addresses were replaced. */
  args: readonly string[];
  /** Origin of /healthz and /readyz. */
  healthUrl: string;
  /** Lines that it logged. */
  logs(): string;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

/**
 * Runs what the release's Deployment says: its service account with the rights that it has in the cluster, its
 * arguments and its environment. Only addresses to listen on are replaced, since ports of one machine are shared.
 * Resolves when it is ready.
 */
export async function startPod(controlPlane: ControlPlane, release: ReleaseName): Promise<OperatorPod> {
  const deployment = await findDeployment(controlPlane, release);
  const { serviceAccountName, containers } = deployment.spec.template.spec;
  const [container] = containers;
  // None, so that the image's entry point counts; that of 0.1.0 had this one.
  const command = container?.command?.join(' ') ?? OF_IMAGE;
  if (container === undefined || command !== OF_IMAGE)
    throw new Error(`unexpected command: ${JSON.stringify(container?.command)}`);
  const [metricsPort = 0, healthPort = 0] = await freePorts(2);
  const args = container.args.map(arg =>
    arg
      .replace(/^--metrics-bind-address=.*$/, `--metrics-bind-address=127.0.0.1:${metricsPort}`)
      .replace(/^--health-probe-bind-address=.*$/, `--health-probe-bind-address=127.0.0.1:${healthPort}`),
  );
  const kubeconfig = await controlPlane.serviceAccountKubeconfig({
    namespace: release.namespace,
    name: serviceAccountName,
    path: join(controlPlane.dir, `${randomUUID()}.kubeconfig`),
  });
  const child = spawn(
    process.execPath,
    ['--import', WITH_PARENT, PROGRAM, ...args, `--kubeconfig=${kubeconfig}`],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { PATH: process.env['PATH'], ...environment(container.env ?? [], release) },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  let exitCode: number | null | undefined;
  const closed = once(child, 'close').then(([code]) => (exitCode = code as number | null));
  const healthUrl = `http://127.0.0.1:${healthPort}`;
  await eventually(
    async () => (exitCode !== undefined ? 'ended' : await statusOf(`${healthUrl}/readyz`)),
    state => state === 200 || state === 'ended',
    'a ready operator',
    60_000,
  );
  if (exitCode !== undefined) throw new Error(`the operator ended with ${exitCode}: ${output}`);
  return {
    args: container.args,
    healthUrl,
    logs: () => output,
    stop() {
      child.kill('SIGTERM');
      return closed;
    },
  };
}

export async function findDeployment(controlPlane: ControlPlane, release: ReleaseName): Promise<Deployment> {
  const { namespace, name } = release;
  const selector = encodeURIComponent(`app.kubernetes.io/instance=${name}`);
  const { body } = await controlPlane.api<{ items: Deployment[] }>(
    'GET',
    `/apis/apps/v1/namespaces/${namespace}/deployments?labelSelector=${selector}`,
  );
  const [deployment] = body.items;
  if (deployment === undefined) throw new Error(`release ${namespace}/${name} has no Deployment`);
  return deployment;
}

function environment(entries: readonly EnvEntry[], { namespace }: ReleaseName): Record<string, string> {
  return Object.fromEntries(
    entries.map(({ name, value, valueFrom }) => {
      if (value !== undefined) return [name, value];
      if (valueFrom?.fieldRef?.fieldPath === 'metadata.namespace') return [name, namespace];
      throw new Error(`the value of ${name} is known in a cluster alone`);
    }),
  );
}

async function statusOf(url: string): Promise<number | undefined> {
  try {
    return (await fetch(url)).status;
  } catch {
    return undefined;
  }
}
