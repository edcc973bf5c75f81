import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { isIPv6 } from 'node:net';
import { load } from 'js-yaml';
import type { ClusterEntry, KubeConfigSource, UserEntry } from './credentials.ts';
import { KubeError } from './errors.ts';

export interface KubeConfigOptions {
  /** Path of a kubeconfig; without it KUBECONFIG, then the pod's service account, then ~/.kube/config are tried. */
  path?: string | undefined;
  /** Context to use instead of the current one. */
  context?: string | undefined;
  env?: NodeJS.ProcessEnv;
  /** Where a pod finds its service account. */
  serviceAccountDir?: string;
}

export interface LoadedKubeConfig extends KubeConfigSource {
  /** Namespace of the context or of the pod, when it is told. */
  readonly namespace: string | undefined;
}

/**
 * Finds and reads a kubeconfig in the order of controller-runtime (flag, KUBECONFIG, in-cluster, home).
 *
 * client-node's `KubeConfig` is loaded only for a user with a legacy auth provider (oidc, gcp, azure): in our bundle it
 * costs 8 MB of resident memory. It also overlooks `tokenFile`, reads `token-file`
 * once at the start, and resolves no relative token file.
 *
 * Throws a `KubeError` with code `KUBE_CREDENTIALS`.
 */
export async function loadKubeConfig(options: KubeConfigOptions = {}): Promise<LoadedKubeConfig> {
  const env = options.env ?? process.env;
  const serviceAccountDir = options.serviceAccountDir ?? '/var/run/secrets/kubernetes.io/serviceaccount';
  const files = kubeconfigFiles(options.path, env);
  if (files.length > 0) return fromFiles(files, options.context);
  const inCluster = fromServiceAccount(serviceAccountDir, env);
  if (inCluster !== undefined) return inCluster;
  const home = join(env['HOME'] ?? homedir(), '.kube', 'config');
  if (existsSync(home)) return fromFiles([home], options.context);
  throw new KubeError(
    'KUBE_CREDENTIALS',
    `no kubeconfig: none was named, this is not a pod, and ${home} does not exist`,
  );
}

function kubeconfigFiles(path: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (path !== undefined && path !== '') return [path];
  return (env['KUBECONFIG'] ?? '').split(delimiter).filter(file => file !== '');
}

function fromServiceAccount(dir: string, env: NodeJS.ProcessEnv): LoadedKubeConfig | undefined {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  const tokenFile = join(dir, 'token');
  if (!host || !port || !existsSync(tokenFile)) return undefined;
  const namespaceFile = join(dir, 'namespace');
  return source(
    {
      name: 'in-cluster',
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      caFile: join(dir, 'ca.crt'),
    },
    { name: 'in-cluster', authProvider: { name: 'tokenFile', config: { tokenFile } } },
    existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : undefined,
  );
}

type Fields = Record<string, unknown>;

interface NamedEntry {
  name: string;
  fields: Fields;
}

/** Of several files the first that names an entry counts, as in kubectl. */
async function fromFiles(files: readonly string[], context: string | undefined): Promise<LoadedKubeConfig> {
  const documents = files.map(file => ({ file, content: readDocument(file) }));
  const contextName =
    context ??
    documents
      .map(({ content }) => content['current-context'])
      .find(name => typeof name === 'string' && name !== '');
  const where = files.join(', ');
  if (typeof contextName !== 'string')
    throw new KubeError('KUBE_CREDENTIALS', `${where}: no current-context`);

  function find(list: string, what: string, name: unknown): Fields {
    for (const { file, content } of documents) {
      const entry = entriesOf(content[list], what).find(candidate => candidate.name === name);
      if (entry !== undefined) return { ...entry.fields, directory: dirname(file) };
    }
    throw new KubeError('KUBE_CREDENTIALS', `${where}: no ${what} named ${String(name)}`);
  }

  const chosen = find('contexts', 'context', contextName);
  const cluster = clusterOf(String(chosen['cluster']), find('clusters', 'cluster', chosen['cluster']));
  const userName = text(chosen['user']);
  const user = userName === undefined ? null : userOf(userName, find('users', 'user', userName));
  const namespace = text(chosen['namespace']);
  if (!isLegacyProvider(user)) return source(cluster, user, namespace);

  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
  const legacy = new KubeConfig();
  legacy.loadFromOptions({
    clusters: [cluster],
    users: [user],
    contexts: [{ name: contextName, cluster: cluster.name, user: user.name }],
    currentContext: contextName,
  });
  return {
    ...source(cluster, user, namespace),
    applyToHTTPSOptions: target => legacy.applyToHTTPSOptions(target),
  };
}

function source(
  cluster: ClusterEntry,
  user: UserEntry | null,
  namespace: string | undefined,
): LoadedKubeConfig {
  return {
    namespace,
    getCurrentCluster: () => cluster,
    getCurrentUser: () => user,
    applyToHTTPSOptions: () => Promise.resolve(),
  };
}

function readDocument(file: string): Fields {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new KubeError('KUBE_CREDENTIALS', `cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
  let document: unknown;
  try {
    document = load(content);
  } catch {
    // The parser's message quotes the lines around the fault, and with them tokens.
  }
  if (typeof document !== 'object' || document === null) {
    throw new KubeError('KUBE_CREDENTIALS', `${file} is not a kubeconfig`);
  }
  return document as Fields;
}

function entriesOf(list: unknown, what: string): NamedEntry[] {
  if (!Array.isArray(list)) return [];
  return (list as Fields[]).map(entry => ({
    name: String(entry['name']),
    fields: (entry[what] ?? {}) as Fields,
  }));
}

function clusterOf(name: string, fields: Fields): ClusterEntry {
  const server = text(fields['server']);
  if (server === undefined || !URL.canParse(server)) {
    throw new KubeError('KUBE_CREDENTIALS', `cluster ${name} of the kubeconfig has no valid server`);
  }
  return {
    name,
    server,
    caFile: file(fields, 'certificate-authority'),
    caData: text(fields['certificate-authority-data']),
    skipTLSVerify: fields['insecure-skip-tls-verify'] === true,
    tlsServerName: text(fields['tls-server-name']),
    proxyUrl: text(fields['proxy-url']),
  };
}

function userOf(name: string, fields: Fields): UserEntry {
  const tokenFile = file(fields, 'tokenFile') ?? file(fields, 'token-file');
  return {
    name,
    certFile: file(fields, 'client-certificate'),
    certData: text(fields['client-certificate-data']),
    keyFile: file(fields, 'client-key'),
    keyData: text(fields['client-key-data']),
    token: text(fields['token']),
    username: text(fields['username']),
    password: text(fields['password']),
    impersonateUser: text(fields['as']),
    exec: execOf(fields),
    authProvider:
      tokenFile === undefined ? fields['auth-provider'] : { name: 'tokenFile', config: { tokenFile } },
  };
}

/** A command with a separator is relative to its kubeconfig, as in client-go; a bare one is looked up in PATH. */
function execOf(fields: Fields): unknown {
  const exec = fields['exec'] as Fields | null | undefined;
  const command = text(exec?.['command']);
  if (!command?.includes('/') || isAbsolute(command)) return exec;
  return { ...exec, command: join(String(fields['directory']), command) };
}

function isLegacyProvider(user: UserEntry | null): user is UserEntry {
  const provider = user?.authProvider as { config?: Fields } | null | undefined;
  return provider !== null && provider !== undefined && provider.config?.['tokenFile'] === undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function file(fields: Fields, field: string): string | undefined {
  const path = text(fields[field]);
  if (path === undefined || isAbsolute(path)) return path;
  return join(String(fields['directory']), path);
}
