import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { cacheRoot } from '../control-plane/cache.mjs';

const run = promisify(execFile);

/** The cluster under test, as main.ts names it in the environment. */
export interface Cluster {
  /** Repository and tag of the operator's image. */
  image: { repository: string; tag: string };
  /** Rejects with what kubectl said. */
  kubectl: (args: readonly string[], input?: unknown) => Promise<string>;
  /** `helm COMMAND RELEASE …`; values as a values file holds them. Rejects with what Helm said. */
  helm(args: readonly string[], values?: unknown): Promise<string>;
  /** A request to the API server. Undefined: there is no such object. */
  get<T>(path: string): Promise<T | undefined>;
  /** What the pods of a Service answer at a port is below this URL. */
  serviceUrl(namespace: string, name: string, port: number): string;
  close(): Promise<void>;
}

/** Connects through `kubectl proxy`, which knows every way to log in. */
export async function connectCluster(env: NodeJS.ProcessEnv = process.env): Promise<Cluster> {
  const { KUBECTL: kubectl = '', HELM: helm = '', E2E_IMAGE: image = '', KUBECONFIG: kubeconfig = '' } = env;
  if (!kubectl || !helm || !image || !kubeconfig) throw new Error('started by npm run e2e only');
  // Nothing of the person's own Helm: no plugins, no settings.
  const home = join(cacheRoot(env), 'helm-home');
  const helmEnv = { ...env, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  // It ends with this process, whatever way: standard input closes then.
  const untilEnd = '"$0" proxy --port=0 </dev/null & read -r _; kill $!';
  const proxy = spawn('sh', ['-c', untilEnd, kubectl], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: proxy.stdout }), 'line')) as [string];
  const url = `http://${/127\.0\.0\.1:\d+/.exec(line)?.[0]}`;
  const tag = image.lastIndexOf(':');

  return {
    image: { repository: image.slice(0, tag), tag: image.slice(tag + 1) },
    kubectl: (args, input) => call(kubectl, args, env, input),
    helm: (args, values) =>
      call(helm, values === undefined ? args : [...args, '--values=-'], helmEnv, values),
    async get<T>(path: string) {
      const response = await fetch(`${url}${path}`);
      if (response.status === 404) return undefined;
      if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    },
    serviceUrl: (namespace, name, port) =>
      `${url}/api/v1/namespaces/${namespace}/services/${name}:${port}/proxy`,
    async close() {
      const exited = once(proxy, 'exit');
      proxy.stdin.end();
      await exited;
    },
  };
}

async function call(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  input?: unknown,
): Promise<string> {
  const running = run(command, args, { env, maxBuffer: 64 * 2 ** 20 });
  running.child.stdin?.end(input === undefined ? undefined : JSON.stringify(input));
  try {
    return (await running).stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command.split('/').at(-1)} ${args.join(' ')}:\n${stdout}${stderr}`, { cause: error });
  }
}
