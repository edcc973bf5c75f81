import { once } from 'node:events';
import { createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface GateHooks {
  /** The cloud has not seen the call; a rejection keeps it from ever doing so. */
  before: (call: IncomingMessage) => void | Promise<void>;
  /** The cloud has answered, and the caller does not know yet. */
  after: (call: IncomingMessage) => void | Promise<void>;
}

export interface CloudGate {
  url: string;
  close(): Promise<void>;
}

/** A gate before a simulated cloud that holds each call up on its way there and on its way back. */
export async function startCloudGate(target: string, { before, after }: GateHooks): Promise<CloudGate> {
  const server = createServer((call, response) => {
    pass(call, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  async function pass(call: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(call);
    await before(call);
    const outgoing = send(new URL(call.url ?? '/', target), { method: call.method, headers: call.headers });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    const answered = await buffer(answer);
    await after(call);
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    response.end(answered);
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
