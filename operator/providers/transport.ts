import diagnosticsChannel from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { getCACertificates } from 'node:tls';
import type { buildConnector, Dispatcher } from 'undici';
import { Agent, buildConnector as createConnector, EnvHttpProxyAgent, Pool } from 'undici';

/** Bodies of the calls that we make are a few kilobytes; more than this is no answer. */
export const MAX_BODY_BYTES = 1_048_576;

export interface TransportOptions {
  /** PEM bundle of certificate authorities, trusted beside those of Node and `NODE_EXTRA_CA_CERTS`. */
  ca?: string;
  /** Connections to one origin. */
  connections: number;
  /** Default 5 s. */
  connectTimeoutMs?: number;
  /** From the request to the end of the answer's head, and between two pieces of the body. Default 10 s. */
  answerTimeoutMs?: number;
  /** Where `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (in either case) are read; default `process.env`. */
  env?: Record<string, string | undefined>;
}

export interface Transport {
  dispatcherFor(origin: string): Dispatcher;
  /** Breaks what is under way. */
  close(): Promise<void>;
}

/**
 * The connections of one provider. Redirects are not followed: a credential goes to its provider's origins only.
 */
export function createTransport(options: TransportOptions): Transport {
  const { ca, connections, connectTimeoutMs = 5_000, answerTimeoutMs = 10_000 } = options;
  const trusted = ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] };
  const settings = {
    connections,
    allowH2: false,
    pipelining: 1,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    maxResponseSize: MAX_BODY_BYTES,
  };
  const direct = new Agent({
    ...settings,
    connect: watchedConnector({ ...trusted, timeout: connectTimeoutMs, allowH2: false }),
  });
  const proxy = readProxy(options.env ?? process.env);
  const proxied =
    proxy &&
    new EnvHttpProxyAgent({
      ...settings,
      ...proxy,
      // The agent gives neither time limit nor signal to its CONNECT, so a proxy that drips would hold it for minutes.
      clientFactory: (origin, given: Pool.Options) =>
        new Pool(origin, { ...given, headersTimeout: connectTimeoutMs }),
      connect: { ...trusted, timeout: connectTimeoutMs },
      requestTls: { ...trusted, timeout: connectTimeoutMs },
      proxyTls: { ...trusted, timeout: connectTimeoutMs },
    });
  return {
    // As Go's net/http: a proxy is never asked for this machine itself.
    dispatcherFor: origin => (proxied === undefined || isLoopback(new URL(origin)) ? direct : proxied),
    close: async () => {
      await Promise.all([direct.destroy(), proxied?.destroy()]);
    },
  };
}

export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

/** Undefined where no proxy is named, so that the agent need not decide for each request. */
function readProxy(env: Record<string, string | undefined>): EnvHttpProxyAgent.Options | undefined {
  const httpProxy = env['http_proxy'] ?? env['HTTP_PROXY'] ?? '';
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? '';
  if (httpProxy === '' && httpsProxy === '') return undefined;
  return { httpProxy, httpsProxy, noProxy: env['no_proxy'] ?? env['NO_PROXY'] ?? '' };
}

const requestsOnSocket = new WeakMap<Socket, number>();
const staleErrors = new WeakSet<object>();

// undici does not say on which connection a request failed; its documented diagnostics channel does.
diagnosticsChannel.subscribe('undici:client:sendHeaders', message => {
  const { socket } = message as { socket: Socket };
  requestsOnSocket.set(socket, (requestsOnSocket.get(socket) ?? 0) + 1);
});

/**
 * Whether a request that got no answer failed on a connection that had served another one before: the server may have
 * closed it, idle, while the request was on its way, and never have read it.
 */
export function failedOnReusedConnection(error: unknown): boolean {
  return typeof error === 'object' && error !== null && staleErrors.has(error);
}

function watchedConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = createConnector(options);
  return (target, callback) => {
    connect(target, (...[error, socket]: buildConnector.CallbackArgs) => {
      if (error !== null) return callback(error, null);
      socket.once('error', (failure: Error) => {
        if ((requestsOnSocket.get(socket) ?? 0) > 1) staleErrors.add(failure);
      });
      callback(null, socket);
    });
  };
}
