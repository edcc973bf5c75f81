import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findOrBuildHelm } from '../../scripts/generate/helm.ts';
import { startNode, whyNoNode } from './node/node.ts';

/**
 * `npm run e2e [-- [--keep] [ARGUMENTS OF JEST]]`: the chart and the image in real pods, on a node that is started for
 * it (Linux, root) or on a cluster that is there. Everything is removed, whatever way it ends.
 */

const USAGE = `usage: npm run e2e [-- [--keep] [ARGUMENTS OF JEST]]

Without further ado on a node that is started on this machine, with the image of the Dockerfile. With both of
  KUBECONFIG  a cluster of which the caller is an administrator and which holds no CloudAccounts
  E2E_IMAGE   the operator's image, which that cluster can pull or has, such as registry.example.org/operator:dev
on that cluster; test/e2e/kind.sh makes one with kind.

--keep leaves all in place after the tests until Ctrl-C.`;

/** Of the Dockerfile, where no E2E_IMAGE is given. */
const IMAGE = 'localhost/cloud-account-operator:e2e';

interface Cluster {
  kubeconfig: string;
  kubectl: string;
  image: string;
  /** What else tests need to know of it. */
  env?: Record<string, string>;
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, '../..');

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  const { KUBECONFIG: kubeconfig, E2E_IMAGE: image, CI: ci } = process.env;
  // Both or neither: a KUBECONFIG alone may be anything that somebody works with.
  const isGiven = Boolean(kubeconfig && image);
  const problem = isGiven ? undefined : whyNoNode();
  if (problem !== undefined) {
    console.log(
      `e2e is left out: KUBECONFIG and E2E_IMAGE are not set, and no node can be started: ${problem}`,
    );
    return ci ? 1 : 0;
  }
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end.abort());
  let cluster: Cluster | undefined;
  try {
    // A signal does not wait for a build. What was begun ends with this process.
    const aborted = once(end.signal, 'abort').then(() => Promise.reject(new Error('stopped by a signal')));
    const helm = await Promise.race([findOrBuildHelm(), aborted]);
    cluster = await Promise.race([isGiven ? existingCluster(kubeconfig, image) : newCluster(), aborted]);
    const code = await runTests(
      cluster,
      helm,
      args.filter(arg => arg !== '--keep'),
      end.signal,
    );
    if (args.includes('--keep') && !end.signal.aborted) {
      console.log(`until Ctrl-C: KUBECONFIG=${cluster.kubeconfig} ${cluster.kubectl} get pods -A`);
      await once(end.signal, 'abort');
    }
    return code;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  } finally {
    await cluster?.stop();
  }
}

async function newCluster(): Promise<Cluster> {
  const start = performance.now();
  const say = (line: string) => console.log(`[${((performance.now() - start) / 1000).toFixed(0)} s] ${line}`);
  const node = await startNode(IMAGE, say);
  say('a node with the image is ready');
  return { ...node, image: IMAGE, env: { E2E_NODE: '1' } };
}

async function existingCluster(kubeconfig = '', image = ''): Promise<Cluster> {
  const kubectl = process.env['KUBECTL'] || 'kubectl';
  const found = await promisify(execFile)(kubectl, [
    ...['get', 'crd', 'cloudaccounts.strackt.io'],
    ...['--ignore-not-found', '--output', 'name'],
  ]);
  // The tests remove what they installed, CRD included, and with it every account of the cluster.
  if (found.stdout !== '') throw new Error(`${kubeconfig}: this cluster has CloudAccounts already`);
  return { kubeconfig, kubectl, image, stop: async () => {} };
}

async function runTests(
  { kubeconfig, kubectl, image, env }: Cluster,
  helm: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const jest = spawn(
    process.execPath,
    [
      ...['--import', new URL('../../scripts/die-with-parent.mjs', import.meta.url).href],
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      join(ROOT, 'node_modules/jest/bin/jest.js'),
      ...['--selectProjects', 'e2e', '--runInBand', '--testTimeout', '180000'],
      ...args,
    ],
    {
      cwd: ROOT,
      env: { ...process.env, ...env, KUBECONFIG: kubeconfig, KUBECTL: kubectl, HELM: helm, E2E_IMAGE: image },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  );
  // Killed, since it would wait for what its tests wait for; with a cluster of its own nothing is left.
  signal.addEventListener('abort', () => jest.kill('SIGTERM'));
  const [code] = (await once(jest, 'exit')) as [number | null];
  return code ?? 1;
}
