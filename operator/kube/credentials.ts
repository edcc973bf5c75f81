import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { KubeError } from './errors.ts';

/** Entry of a kubeconfig's `clusters`, with the names that client-node gives its fields. */
export interface ClusterEntry {
  name: string;
  server: string;
  caFile?: string | null | undefined;
  /** base64 of PEM. */
  caData?: string | null | undefined;
  skipTLSVerify?: boolean;
  tlsServerName?: string | null | undefined;
  proxyUrl?: string | null | undefined;
}

/** Entry of a kubeconfig's `users`, likewise. */
export interface UserEntry {
  name: string;
  certFile?: string | null | undefined;
  certData?: string | null | undefined;
  keyFile?: string | null | undefined;
  keyData?: string | null | undefined;
  token?: string | null | undefined;
  username?: string | null | undefined;
  password?: string | null | undefined;
  impersonateUser?: string | null | undefined;
  /** These three client-node does not know. */
  impersonateGroups?: readonly string[];
  impersonateUid?: string | undefined;
  impersonateExtra?: Readonly<Record<string, readonly string[]>>;
  authProvider?: unknown;
  exec?: unknown;
}

/** What is used of client-node's `KubeConfig`; `loadKubeConfig` gives the same. */
export interface KubeConfigSource {
  getCurrentCluster(): ClusterEntry | null;
  getCurrentUser(): UserEntry | null;
  /** Asked for legacy auth providers alone. */
  applyToHTTPSOptions(options: AuthTarget): Promise<void>;
}

export interface AuthTarget {
  headers: Record<string, string>;
  cert?: Buffer;
  key?: Buffer;
}

export interface TlsOptions {
  ca?: Buffer;
  cert?: Buffer | string;
  key?: Buffer | string;
  servername?: string;
  rejectUnauthorized?: boolean;
}

/** Where and as whom to connect, as read at one moment. */
export interface Credentials {
  origin: string;
  /** Path prefix of the API server, `''` mostly; Rancher and other gateways have one. */
  basePath: string;
  proxyUrl: string | undefined;
  tls: TlsOptions;
  /** Name, value, name, value: the form that undici takes without a copy. */
  headers: string[];
}

export interface CredentialSource {
  /**
   * Reads files anew and runs the credential plugin when what it gave before has run out or, with
   * `rejected`, was refused by the API server (a revoked token lives longer than it says).
   */
  read(why: 'due' | 'rejected'): Promise<Credentials>;
}

interface UserCredentials {
  authorization?: string;
  cert?: Buffer | string;
  key?: Buffer | string;
  /** Only the legacy auth providers set further headers. */
  headers?: Record<string, string>;
}

/**
 * Reads what a kubeconfig says. Its own `applyToHTTPSOptions` is used for the rare auth providers only (oidc, gcp,
 * azure, custom ones): it reads the CA file synchronously on every call, keeps a broken token file's error for the
 * caller, has no way to drop a refused exec credential, and never trims a token.
 */
export function createCredentialSource(
  kubeConfig: KubeConfigSource,
  options: { now?: () => number } = {},
): CredentialSource {
  const now = options.now ?? Date.now;
  const runPlugin = createExecPlugin(now);

  async function read(why: 'due' | 'rejected'): Promise<Credentials> {
    const cluster = kubeConfig.getCurrentCluster();
    if (cluster === null) throw new KubeError('KUBE_CREDENTIALS', 'the kubeconfig names no current cluster');
    const user = kubeConfig.getCurrentUser();
    const url = new URL(cluster.server);
    const [ca, identity] = await Promise.all([
      fileOrData(cluster.caFile, cluster.caData, 'certificate authority'),
      readUser(cluster, user, why),
    ]);
    return {
      origin: url.origin,
      basePath: url.pathname.replace(/\/+$/, ''),
      proxyUrl: cluster.proxyUrl || undefined,
      tls: {
        ...(ca !== undefined && { ca }),
        ...(identity.cert !== undefined && { cert: identity.cert }),
        ...(identity.key !== undefined && { key: identity.key }),
        ...(cluster.tlsServerName && { servername: cluster.tlsServerName }),
        ...(cluster.skipTLSVerify && { rejectUnauthorized: false }),
      },
      headers: headersOf(user, identity),
    };
  }

  async function readUser(
    cluster: ClusterEntry,
    user: UserEntry | null,
    why: 'due' | 'rejected',
  ): Promise<UserCredentials> {
    if (user === null) return {};
    const provider = user.authProvider as
      { name?: string; config?: Record<string, unknown> } | null | undefined;
    const exec = (user.exec ?? provider?.config?.['exec']) as ExecConfig | null | undefined;
    const tokenFile = provider?.config?.['tokenFile'];

    const [cert, key] = await Promise.all([
      fileOrData(user.certFile, user.certData, 'client certificate'),
      fileOrData(user.keyFile, user.keyData, 'client key'),
    ]);
    const pair = { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
    // The order of client-go's transport: a token file wins over a token, a token over a password.
    if (typeof tokenFile === 'string') {
      return { ...pair, authorization: bearer((await readNamedFile(tokenFile, 'token')).toString('utf8')) };
    }
    if (user.token) return { ...pair, authorization: bearer(user.token) };
    if (exec) return { ...pair, ...(await runPlugin(exec, cluster, why)) };
    if (provider) return { ...pair, ...(await askAuthProvider()) };
    if (user.username) {
      const pair64 = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64');
      return { ...pair, authorization: `Basic ${pair64}` };
    }
    return pair;
  }

  async function askAuthProvider(): Promise<UserCredentials> {
    const target: AuthTarget = { headers: {} };
    try {
      await kubeConfig.applyToHTTPSOptions(target);
    } catch {
      // The text of the error may repeat a refresh token.
      throw new KubeError('KUBE_CREDENTIALS', 'the auth provider of the kubeconfig failed');
    }
    return target;
  }

  return { read };
}

function headersOf(user: UserEntry | null, identity: UserCredentials): string[] {
  const headers: string[] = [];
  if (identity.authorization !== undefined) headers.push('authorization', identity.authorization);
  for (const [name, value] of Object.entries(identity.headers ?? {})) headers.push(name.toLowerCase(), value);
  if (user?.impersonateUser && !headers.includes('impersonate-user')) {
    headers.push('impersonate-user', user.impersonateUser);
  }
  const further = [
    ...(user?.impersonateGroups ?? []).map(group => ['impersonate-group', group] as const),
    ...(user?.impersonateUid ? [['impersonate-uid', user.impersonateUid] as const] : []),
    ...Object.entries(user?.impersonateExtra ?? {}).flatMap(([key, values]) =>
      values.map(value => [`impersonate-extra-${encodeURIComponent(key.toLowerCase())}`, value] as const),
    ),
  ];
  if (further.length > 0 && !headers.includes('impersonate-user')) {
    // As client-go: without it the request would be made with all the rights of who asks.
    throw new KubeError('KUBE_CREDENTIALS', 'the kubeconfig names groups to impersonate, but no user (as)');
  }
  for (const [name, value] of further) headers.push(name, value);
  return headers;
}

function bearer(text: string): string {
  const token = text.trim();
  // undici's own refusal of such a header would quote it.
  if (token === '' || /[^\x21-\x7e]/.test(token)) {
    throw new KubeError(
      'KUBE_CREDENTIALS',
      'the token of the kubeconfig is empty or holds characters no token has',
    );
  }
  return `Bearer ${token}`;
}

async function fileOrData(
  file: string | null | undefined,
  data: string | null | undefined,
  what: string,
): Promise<Buffer | undefined> {
  // As kubectl; client-node takes the file.
  if (data) return Buffer.from(data, 'base64');
  return file ? readNamedFile(file, what) : undefined;
}

async function readNamedFile(file: string, what: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new KubeError('KUBE_CREDENTIALS', `cannot read the ${what} file ${file}: ${codeOf(error)}`);
  }
}

interface ExecConfig {
  apiVersion?: string;
  command?: string;
  args?: string[];
  env?: { name: string; value: string }[];
  provideClusterInfo?: boolean;
}

interface ExecCredential {
  status?: {
    token?: string;
    clientCertificateData?: string;
    clientKeyData?: string;
    expirationTimestamp?: string;
  };
}

/** A plugin may open a browser or ask a cloud; one that hangs must not hang every call for ever. */
const PLUGIN_LIMIT_MS = 60_000;
/** A credential that runs out while a request is under way costs a 401 and a second run. */
const PLUGIN_EXPIRY_SKEW_MS = 10_000;

/** The client side of the exec protocol, client.authentication.k8s.io/v1 and v1beta1. */
function createExecPlugin(now: () => number) {
  let kept: { credentials: UserCredentials; expiresAt: number } | undefined;

  return async function run(
    exec: ExecConfig,
    cluster: ClusterEntry,
    why: 'due' | 'rejected',
  ): Promise<UserCredentials> {
    if (kept !== undefined && why === 'due' && now() < kept.expiresAt - PLUGIN_EXPIRY_SKEW_MS) {
      return kept.credentials;
    }
    const status = await runExecPlugin(exec, cluster);
    const expiry = status.expirationTimestamp === undefined ? NaN : Date.parse(status.expirationTimestamp);
    kept = {
      credentials: {
        ...(status.token !== undefined && { authorization: bearer(status.token) }),
        ...(status.clientCertificateData !== undefined && { cert: status.clientCertificateData }),
        ...(status.clientKeyData !== undefined && { key: status.clientKeyData }),
      },
      expiresAt: Number.isNaN(expiry) ? Infinity : expiry,
    };
    return kept.credentials;
  };
}

function runExecPlugin(
  exec: ExecConfig,
  cluster: ClusterEntry,
): Promise<NonNullable<ExecCredential['status']>> {
  const { command } = exec;
  if (!command) throw new KubeError('KUBE_CREDENTIALS', 'the kubeconfig names no credential plugin command');
  const name = basename(command);
  const apiVersion = exec.apiVersion ?? 'client.authentication.k8s.io/v1';
  const info = {
    apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo && {
        cluster: {
          server: cluster.server,
          'tls-server-name': cluster.tlsServerName,
          'insecure-skip-tls-verify': cluster.skipTLSVerify,
          'certificate-authority-data': cluster.caData,
          'proxy-url': cluster.proxyUrl,
        },
      }),
    },
  };
  const env: NodeJS.ProcessEnv = { ...process.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  for (const { name: variable, value } of exec.env ?? []) env[variable] = value;

  return new Promise((resolve, reject) => {
    // stderr goes nowhere: plugins print tokens and device codes there, and it would end in our log.
    const child = spawn(command, exec.args ?? [], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // spawn's own `timeout` keeps the process alive for a minute after a command that does not exist.
    const timer = setTimeout(() => child.kill('SIGKILL'), PLUGIN_LIMIT_MS);
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', error => {
      clearTimeout(timer);
      reject(new KubeError('KUBE_CREDENTIALS', `credential plugin ${name} cannot run: ${codeOf(error)}`));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code !== 0) {
        reject(
          new KubeError(
            'KUBE_CREDENTIALS',
            `credential plugin ${name} ended with ${signal ?? `code ${code}`}`,
          ),
        );
        return;
      }
      const status = parseExecCredential(Buffer.concat(output).toString('utf8'));
      if (status === undefined) {
        reject(
          new KubeError(
            'KUBE_CREDENTIALS',
            `credential plugin ${name} printed no ExecCredential with a status`,
          ),
        );
        return;
      }
      resolve(status);
    });
  });
}

function parseExecCredential(text: string): ExecCredential['status'] {
  try {
    return (JSON.parse(text) as ExecCredential | null)?.status;
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'unknown error';
}
