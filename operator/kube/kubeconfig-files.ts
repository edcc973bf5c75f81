import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { load } from 'js-yaml';
import type { ClusterEntry, UserEntry } from './credentials.ts';
import { KubeError } from './errors.ts';
import type { LoadedKubeConfig } from './kube-config.ts';

/*
 * Kubeconfig files, read by client-node's `KubeConfig`. Ours is what it does otherwise than kubectl
 * (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and k8s.io/client-go/tools/clientcmd):
 * it refuses two files that name the same entry and takes the last current-context, where the first counts; it reads no
 * `tokenFile`, and drops `as-groups`, `as-uid` and `as-user-extra`; it leaves a relative plugin command as it is. In a pod
 * nothing of this is loaded.
 */

type Fields = Record<string, unknown>;

/** The file's own fields of a user that client-node leaves out. */
type User = UserEntry & { name: string };

/** Of several files the first that names an entry counts. Throws a `KubeError` with code `KUBE_CREDENTIALS`. */
export function fromFiles(files: readonly string[], context: string | undefined): LoadedKubeConfig {
  const parsed = files.map(parseFile);
  const where = files.join(', ');
  const currentContext =
    context ?? parsed.map(({ kubeConfig }) => kubeConfig.getCurrentContext()).find(Boolean);
  if (currentContext === undefined) throw new KubeError('KUBE_CREDENTIALS', `${where}: no current-context`);

  function find<T extends { name: string }>(
    what: string,
    name: string,
    entriesOf: (file: (typeof parsed)[number]) => readonly T[],
  ): T {
    const found = parsed.flatMap(entriesOf).find(entry => entry.name === name);
    if (found === undefined) throw new KubeError('KUBE_CREDENTIALS', `${where}: no ${what} named ${name}`);
    return found;
  }

  const chosen = find('context', currentContext, ({ kubeConfig }) => kubeConfig.getContexts());
  const cluster = find<ClusterEntry>('cluster', chosen.cluster, ({ kubeConfig }) => kubeConfig.getClusters());
  if (!URL.canParse(cluster.server)) {
    throw new KubeError('KUBE_CREDENTIALS', `cluster ${cluster.name} of the kubeconfig has no valid server`);
  }
  const user = chosen.user ? find<User>('user', chosen.user, ({ users }) => users) : null;
  // For the legacy auth providers (oidc, gcp, azure) it is asked for headers.
  const whole = new KubeConfig();
  whole.loadFromOptions({
    clusters: [cluster],
    users: user === null ? [] : [user],
    contexts: [chosen],
    currentContext,
  });
  return {
    namespace: chosen.namespace,
    getCurrentCluster: () => cluster,
    getCurrentUser: () => user,
    applyToHTTPSOptions: target => whole.applyToHTTPSOptions(target),
  };
}

function parseFile(file: string): { kubeConfig: KubeConfig; users: User[] } {
  const document = readDocument(file);
  const listed = document['users'];
  const raw = (Array.isArray(listed) ? (listed as (Fields | null)[]) : []).map(entry => ({
    name: entry?.['name'],
    fields: (entry?.['user'] ?? {}) as Fields,
  }));
  const kubeConfig = new KubeConfig();
  // Without `token-file`, which it would read here and now, and never again.
  const users = raw.map(({ name, fields }) => ({ name, user: { ...fields, 'token-file': undefined } }));
  // As kubectl: an entry that is not whole harms nobody but who uses it.
  kubeConfig.loadFromString(JSON.stringify({ ...document, users }), { onInvalidEntry: 'filter' });
  kubeConfig.makePathsAbsolute(dirname(file));
  return {
    kubeConfig,
    users: kubeConfig
      .getUsers()
      .map(user => completed(user, raw.find(({ name }) => name === user.name)?.fields ?? {}, dirname(file))),
  };
}

function completed(user: User, fields: Fields, directory: string): User {
  const tokenFile = text(fields['tokenFile']) ?? text(fields['token-file']);
  const groups = fields['as-groups'];
  const extra = fields['as-user-extra'];
  return {
    ...user,
    exec: execOf(fields, directory),
    ...(tokenFile !== undefined && {
      authProvider: { name: 'tokenFile', config: { tokenFile: beside(directory, tokenFile) } },
    }),
    ...(Array.isArray(groups) && { impersonateGroups: groups.map(String) }),
    ...(text(fields['as-uid']) !== undefined && { impersonateUid: text(fields['as-uid']) }),
    ...(typeof extra === 'object' &&
      extra !== null && { impersonateExtra: extra as Record<string, string[]> }),
  };
}

/** A command with a separator is relative to its kubeconfig; a bare one is looked up in PATH. */
function execOf(fields: Fields, directory: string): unknown {
  const exec = fields['exec'] as Fields | null | undefined;
  const command = text(exec?.['command']);
  if (!command?.includes('/')) return exec;
  return { ...exec, command: beside(directory, command) };
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

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function beside(directory: string, path: string): string {
  return isAbsolute(path) ? path : join(directory, path);
}
