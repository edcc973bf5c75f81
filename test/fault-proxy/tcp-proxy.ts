import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { breakSocket } from './http-proxy.ts';

export interface TcpProxy {
  port: number;
  /** Connections that clients have opened so far. */
  readonly accepted: number;
  openConnections(): number;
  breakConnections(how: 'reset' | 'fin'): void;
  /** Half-open: connections stay, new ones are accepted, and no byte passes in either direction until `resume`. */
  stall(): void;
  resume(): void;
  /** Connections are reset as soon as they are made, until `accept`. */
  refuse(): void;
  accept(): void;
  close(): Promise<void>;
}

/** A proxy of bytes: TLS passes through it, so clients see the target's own certificate. */
export async function startTcpProxy(target: { host?: string; port: number }): Promise<TcpProxy> {
  const pairs = new Map<net.Socket, net.Socket>();
  let accepted = 0;
  let isStalled = false;
  let isRefusing = false;

  const server = net.createServer(client => {
    accepted++;
    client.on('error', () => undefined);
    if (isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = net.connect({ host: target.host ?? '127.0.0.1', port: target.port });
    pairs.set(client, upstream);
    upstream.on('error', () => breakSocket(client, 'reset'));
    client.on('close', () => {
      pairs.delete(client);
      upstream.destroy();
    });
    upstream.on('close', () => {
      // A stalled connection hides the target's end as well.
      if (!isStalled) client.destroy();
    });
    client.pipe(upstream);
    upstream.pipe(client, { end: false });
    if (isStalled) hold(client, upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  function hold(client: net.Socket, upstream: net.Socket): void {
    client.unpipe(upstream);
    upstream.unpipe(client);
    client.pause();
    upstream.pause();
  }

  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    openConnections: () => pairs.size,
    breakConnections(how) {
      for (const client of pairs.keys()) breakSocket(client, how);
    },
    stall() {
      isStalled = true;
      for (const [client, upstream] of pairs) hold(client, upstream);
    },
    resume() {
      isStalled = false;
      for (const [client, upstream] of pairs) {
        if (upstream.destroyed) client.destroy();
        else {
          client.pipe(upstream);
          upstream.pipe(client, { end: false });
        }
      }
    },
    refuse() {
      isRefusing = true;
    },
    accept() {
      isRefusing = false;
    },
    async close() {
      for (const client of pairs.keys()) client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
