import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Path → what is served. `undefined`: 404. Throwing or rejecting: 500 without a text. */
export type Routes = Readonly<Record<string, () => Promise<Page> | Page>>;

export interface Page {
  status: number;
  body: string;
  contentType?: string;
}

export interface Endpoint {
  port: number;
  close(): Promise<void>;
}

/** An address that cannot be listened on; the message says which and why. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use by another process',
  EACCES: 'this user may not use the port',
  EADDRNOTAVAIL: 'this machine does not have the address',
};

/**
 * Nothing here asks who calls: a caller that sends its request in drips, or none, must not keep the kubelet's probes out.
 * A scraper or a kubelet sends a few hundred bytes at once.
 */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8_192,
};
const MAX_CONNECTIONS = 1_000;

/**
 * Serves a few pages for probes and scrapers. Port 0 takes a free one. Rejects with a {@link ListenError}.
 * @param what is served, for the error
 */
export async function serve(
  what: string,
  address: { host?: string; port: number },
  routes: Routes,
): Promise<Endpoint> {
  const server = createServer(LIMITS, (request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    void Promise.resolve()
      .then(() => route?.() ?? { status: 404, body: 'not found\n' })
      .catch(() => ({ status: 500, body: 'failed\n' }))
      .then(({ status, body, contentType = 'text/plain; charset=utf-8' }: Page) => {
        response.writeHead(status, { 'content-type': contentType }).end(body);
      });
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await listen(server, address);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const where = `port ${address.port} of ${address.host ?? 'all addresses'}`;
    throw new ListenError(`${what} cannot be served on ${where}: ${WHY[code ?? ''] ?? String(code)}`, code);
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { host, port }: { host?: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host !== undefined && { host }) }, resolve);
  });
}
