import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubeConfigSource, UserEntry } from '../credentials.ts';
import type { KubeObject, Resource } from '../resource.ts';

/** Answers one request. The body was read already. */
export type Handler = (request: ScriptedRequest, response: http.ServerResponse) => void | Promise<void>;

export interface ScriptedRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: http.IncomingHttpHeaders;
  body: string;
  isWatch: boolean;
}

export interface ScriptedServer {
  url: string;
  requests: ScriptedRequest[];
  /** Handlers for the next requests, one each; when they are used up the fallback answers. */
  script(...handlers: Handler[]): void;
  fallback(handler: Handler): void;
  close(): Promise<void>;
}

/** An API server that says what a test tells it to say. For faults that the real one cannot be brought to. */
export async function startScriptedServer(): Promise<ScriptedServer> {
  const requests: ScriptedRequest[] = [];
  const scripted: Handler[] = [];
  let fallback: Handler = (_request, response) => answer(response, 500, statusObject(500, 'InternalError'));

  const server = http.createServer((incoming, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const url = new URL(incoming.url ?? '/', 'http://127.0.0.1');
      const request: ScriptedRequest = {
        method: incoming.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        isWatch: url.searchParams.get('watch') === 'true',
      };
      requests.push(request);
      await (scripted.shift() ?? fallback)(request, response);
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    script: (...handlers) => void scripted.push(...handlers),
    fallback: handler => {
      fallback = handler;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export function kubeConfigFor(url: string, user: Partial<UserEntry> = {}): KubeConfigSource {
  return {
    getCurrentCluster: () => ({ name: 'scripted', server: url }),
    getCurrentUser: () => ({ name: 'tester', ...user }),
    applyToHTTPSOptions: () => Promise.resolve(),
  };
}

export function answer(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

export function statusObject(code: number, reason: string, message = reason): Record<string, unknown> {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message };
}

export const WIDGETS: Resource = {
  group: 'example.com',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
};

export interface Widget extends KubeObject {
  spec?: { size: number };
}

export function widget(name: string, resourceVersion: string | number, size = 0): Widget {
  return {
    metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: String(resourceVersion) },
    spec: { size },
  };
}

export function listOf(resourceVersion: string | number, ...items: KubeObject[]): Record<string, unknown> {
  return { kind: 'WidgetList', metadata: { resourceVersion: String(resourceVersion) }, items };
}

export function eventLine(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

export function bookmark(resourceVersion: string | number): string {
  return eventLine('BOOKMARK', { kind: 'Widget', metadata: { resourceVersion: String(resourceVersion) } });
}

/** Begins a watch's answer and leaves it open. */
export function openWatch(response: http.ServerResponse, ...lines: string[]): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  for (const line of lines) response.write(line);
}

/** Polls until the condition holds. Gives up by itself: a poll that outlives its test keeps jest from ending. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 25_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`in vain: ${condition.toString()}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
