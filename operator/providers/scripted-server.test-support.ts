import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** `hang`: no answer ever. `drop`: the connection is closed. A string is sent as it is, then the connection is closed. */
export type ScriptedAnswer =
  | { status: number; headers?: Record<string, string>; body?: string | Buffer; delayMs?: number }
  | { raw: string }
  | 'hang'
  | 'drop';

/** For unit tests of the transport: an HTTP server on loopback that answers as it is told. */
export interface ScriptedServer {
  origin: string;
  /** Path and query of each request, in order. */
  paths: string[];
  headers: IncomingHttpHeaders[];
  /** Default: 200 with an empty JSON object. */
  answer: (path: string) => ScriptedAnswer;
  /** Resolves when so many requests have come in. */
  received(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function startScriptedServer(): Promise<ScriptedServer> {
  const waiting: { count: number; resolve: () => void }[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    scripted.paths.push(path);
    scripted.headers.push(request.headers);
    for (const { count, resolve } of waiting) if (scripted.paths.length >= count) resolve();
    const answer = scripted.answer(path);
    if (answer === 'hang') return;
    if (answer === 'drop') return void request.socket.destroy();
    if ('raw' in answer) return void request.socket.end(answer.raw);
    const body = answer.body ?? '{}';
    setTimeout(() => {
      response.writeHead(answer.status, { 'content-length': Buffer.byteLength(body), ...answer.headers });
      response.end(body);
    }, answer.delayMs ?? 0);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const scripted: ScriptedServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths: [],
    headers: [],
    answer: () => ({ status: 200 }),
    received: count =>
      scripted.paths.length >= count
        ? Promise.resolve()
        : new Promise(resolve => waiting.push({ count, resolve })),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return scripted;
}
