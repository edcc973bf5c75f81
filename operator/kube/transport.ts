import { setTimeout as sleep } from 'node:timers/promises';
import { isIP } from 'node:net';
import { Pool, ProxyAgent, type Dispatcher } from 'undici';
import type { CredentialSource, Credentials } from './credentials.ts';
import { KubeError, isAborted, isKubeError, parseRetryAfter } from './errors.ts';
import { exchange, type HttpRequest, type HttpResponse, type Sink } from './exchange.ts';

export interface TransportOptions {
  credentials: CredentialSource;
  /** Connections for calls. Watches have a pool of their own, without a limit: each holds one for minutes. */
  connections: number;
  /** Age at which files of the kubeconfig are read again, in milliseconds. */
  rereadMs: number;
  /** What went wrong while credentials were read again in the background. */
  onFault?: ((error: KubeError) => void) | undefined;
}

export interface Call {
  method: HttpRequest['method'];
  /** From the API server's root, with its query. */
  path: string;
  headers: readonly string[];
  body?: string | undefined;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  maySend?: (() => boolean) | undefined;
}

export interface Transport {
  /** One answer, whatever its status; retries as described at `retryDelay`. Rejects with a KubeError. */
  call(call: Call): Promise<HttpResponse>;
  /** A long answer, on a connection of its own, never retried. Resolves when the server ends it. */
  stream(call: Call, sink: Sink): Promise<HttpResponse>;
  close(): Promise<void>;
}

interface Connection {
  credentials: Credentials;
  /** Everything that the pools were made from. */
  fingerprint: string;
  calls: Dispatcher;
  streams: Dispatcher;
}

/** After a failed connection or a 401 files are read at once, but not by each of a thousand calls. */
const REREAD_AFTER_FAULT_MS = 1000;
/** A longer `Retry-After` is the caller's to wait for: its work queue does not hold a worker meanwhile. */
const LONGEST_WAIT_MS = 5000;
const MAX_ATTEMPTS = 4;
/** Longer than undici's 4 s, so that a quiet operator reacts without a TLS handshake; shorter than the 60 s of common load balancers. */
const KEEP_ALIVE_MS = 30_000;

export function createTransport(options: TransportOptions): Transport {
  let connection: Connection | undefined;
  let reading: Promise<Connection> | undefined;
  let readAt = -Infinity;
  let closed = false;

  /** The current connection; files are read again in the background once they are due. */
  function connect(): Connection | Promise<Connection> {
    if (closed) throw new KubeError('KUBE_ABORTED', 'the client is closed');
    if (connection === undefined) return reread('due');
    if (performance.now() - readAt > options.rereadMs) reread('due').catch(reportFault);
    return connection;
  }

  function reread(why: 'due' | 'rejected'): Promise<Connection> {
    reading ??= readCredentials(why).finally(() => {
      reading = undefined;
    });
    return reading;
  }

  async function readCredentials(why: 'due' | 'rejected'): Promise<Connection> {
    let credentials: Credentials;
    try {
      credentials = await options.credentials.read(why);
    } finally {
      readAt = performance.now();
    }
    if (closed) throw new KubeError('KUBE_ABORTED', 'the client is closed');
    const fingerprint = fingerprintOf(credentials);
    const previous = connection;
    if (previous?.fingerprint === fingerprint) {
      connection = { ...previous, credentials };
      return connection;
    }
    connection = {
      credentials,
      fingerprint,
      calls: createDispatcher(credentials, options.connections),
      streams: createDispatcher(credentials, null),
    };
    if (previous !== undefined) {
      // Calls under way may finish. Watches resume elsewhere without a loss, and must not stay for minutes on a
      // connection that was verified by a certificate authority that is no longer trusted.
      void previous.calls.close().catch(() => undefined);
      void previous.streams.destroy().catch(() => undefined);
    }
    return connection;
  }

  function reportFault(error: unknown): void {
    if (isKubeError(error) && !isAborted(error)) options.onFault?.(error);
  }

  /** Reads credentials again after a fault that new ones might mend, and tells whether they differ. */
  async function mend(used: Connection, why: 'due' | 'rejected'): Promise<boolean> {
    const alreadyNewer = connection !== undefined && !sameCredentials(connection, used);
    if (alreadyNewer) return true;
    if (performance.now() - readAt < REREAD_AFTER_FAULT_MS && reading === undefined) return false;
    try {
      return !sameCredentials(await reread(why), used);
    } catch (error) {
      reportFault(error);
      return false;
    }
  }

  async function send(call: Call, sink?: Sink, renewed = false): Promise<HttpResponse> {
    const current = connect();
    const used = current instanceof Promise ? await current : current;
    const { credentials } = used;
    const request: HttpRequest = {
      origin: credentials.origin,
      method: call.method,
      path: credentials.basePath + call.path,
      headers: [...credentials.headers, ...call.headers],
      body: call.body,
    };
    let response: HttpResponse;
    try {
      response = await exchange(sink === undefined ? used.calls : used.streams, request, call, sink);
    } catch (error) {
      if (closed) throw new KubeError('KUBE_ABORTED', 'the client is closed');
      // A certificate authority that was replaced shows as a failing handshake, here first.
      if (isKubeError(error) && error.code === 'KUBE_CONNECTION') await mend(used, 'due');
      throw error;
    }
    if (response.status !== 401 || renewed || !(await mend(used, 'rejected'))) return response;
    // Nothing was done under the refused credential, so sending it again is safe for every method.
    return send(call, sink, true);
  }

  async function callWithRetries(call: Call): Promise<HttpResponse> {
    const deadline = performance.now() + call.timeoutMs;
    for (let attempt = 1; ; attempt++) {
      const timeoutMs = Math.max(1, deadline - performance.now());
      let response: HttpResponse | undefined;
      let failure: unknown;
      try {
        response = await send(attempt === 1 ? call : { ...call, timeoutMs });
      } catch (error) {
        failure = error;
      }
      const delayMs =
        response === undefined
          ? retryDelayAfterFault(call, failure, attempt)
          : retryDelay(call, response, attempt);
      const givesUp =
        delayMs === undefined || attempt === MAX_ATTEMPTS || performance.now() + delayMs >= deadline;
      if (givesUp) {
        if (response === undefined) throw failure;
        return response;
      }
      await sleep(delayMs, undefined, call.signal && { signal: call.signal }).catch(() => {
        throw new KubeError('KUBE_ABORTED', `${call.method} aborted`);
      });
    }
  }

  async function close(): Promise<void> {
    closed = true;
    const last = connection;
    connection = undefined;
    await Promise.all([last?.calls.destroy(), last?.streams.destroy()]);
  }

  return { call: callWithRetries, stream: (call, sink) => send(call, sink), close };
}

/**
 * Which answers are asked for again: 429 for every method (the API server refuses before it acts) and 503 with
 * `Retry-After` (starting, stopping, overloaded); for reads also 502, 503 and 504 without one. 500 is an answer.
 */
function retryDelay(call: Call, response: HttpResponse, attempt: number): number | undefined {
  const { status } = response;
  if (status < 429) return undefined;
  const retryAfterMs = parseRetryAfter(response.retryAfter, Date.now());
  const refusedUnprocessed = status === 429 || (status === 503 && retryAfterMs !== undefined);
  const transientRead = call.method === 'GET' && status >= 502 && status <= 504;
  if (!refusedUnprocessed && !transientRead) return undefined;
  const delayMs = Math.max(retryAfterMs ?? 0, backoff(attempt));
  return delayMs > LONGEST_WAIT_MS ? undefined : delayMs;
}

/** A read is repeated when its connection broke; of a write nobody knows whether it happened. */
function retryDelayAfterFault(call: Call, error: unknown, attempt: number): number | undefined {
  if (call.method !== 'GET' || !isKubeError(error) || error.code !== 'KUBE_CONNECTION') return undefined;
  // The usual case is a kept connection that the server closed at this very moment.
  return attempt === 1 ? 0 : backoff(attempt);
}

/** 100 ms doubling, half of it random: calls that failed together must not come back together. */
function backoff(attempt: number): number {
  return 50 * 2 ** attempt * (0.5 + Math.random() / 2);
}

function sameCredentials(a: Connection, b: Connection): boolean {
  return (
    a.fingerprint === b.fingerprint && a.credentials.headers.join('\n') === b.credentials.headers.join('\n')
  );
}

function fingerprintOf({ origin, proxyUrl, tls }: Credentials): string {
  return JSON.stringify([
    origin,
    proxyUrl,
    tls.ca?.toString('base64'),
    tls.cert?.toString(),
    tls.key?.toString(),
    tls.servername,
    tls.rejectUnauthorized,
  ]);
}

function createDispatcher({ origin, proxyUrl, tls }: Credentials, connections: number | null): Dispatcher {
  const common = {
    connections,
    // One request at a time on a connection: HTTP/2 would put every watch and call onto one, to be lost together.
    allowH2: false,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  // As client-go and kubelet: finds a peer that is gone before a load balancer's 60 s are over.
  const connect = { ...tls, allowH2: false, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 30_000 };
  if (proxyUrl === undefined) return new Pool(origin, { ...common, connect });
  const { hostname } = new URL(origin);
  // undici takes the name to verify from here alone once there are TLS options.
  const servername = tls.servername ?? (isIP(hostname.replace(/^\[|\]$/g, '')) ? undefined : hostname);
  return new ProxyAgent({
    ...common,
    uri: proxyUrl.replace(/^socks5h:/, 'socks5:'),
    requestTls: { ...connect, ...(servername !== undefined && { servername }) },
  });
}
