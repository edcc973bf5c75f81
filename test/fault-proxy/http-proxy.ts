import { once } from 'node:events';
import https from 'node:https';
import type http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

export interface FaultProxyOptions {
  /** The real API server, such as `https://127.0.0.1:6443`. */
  target: string;
  /** PEM of the authority that signed the target's certificate. */
  targetCa: string | Buffer;
  /** What the proxy shows its clients: PEM, valid for 127.0.0.1, signed by an authority that they trust. */
  certificate: { cert: string | Buffer; key: string | Buffer };
  /** A free one by default. */
  port?: number;
}

export interface ProxiedRequest {
  method: string;
  /** With its query. */
  path: string;
  headers: http.IncomingHttpHeaders;
  /** Bytes of the request's body, once it was read. */
  body: string;
  isWatch: boolean;
  /** What the client got: the status of an answer, or the fault. undefined while under way. */
  outcome?: number | 'reset' | 'fin' | 'stall';
}

/** When a connection fault strikes: before the target has seen the request, or after it has answered in full. */
export type When = 'before' | 'after';

export type Action =
  | { kind: 'reset' | 'fin' | 'stall'; when: When }
  /** Breaks while the answer is passed on: after that many bytes of its body, so also within a watch. */
  | { kind: 'reset' | 'fin' | 'stall'; afterBytes: number }
  | { kind: 'delay'; ms: number }
  /** Each part of the answer waits for it: a watch that is half-open for a while, and then tells everything late. */
  | { kind: 'valve'; passes: () => Promise<void> | undefined }
  /** Answers without asking the target. */
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
  /** The same after the target has done it: a gateway that answers in its place. */
  | { kind: 'replace-answer'; status: number; headers?: Record<string, string>; body?: string }
  /** Puts these bytes before the target's own body: a line into a watch. */
  | { kind: 'inject'; bytes: string }
  /** Asks the target for another path. */
  | { kind: 'rewrite'; path: (path: string) => string }
  /** Shows each line of the answer, such as an event of a watch, to a filter of this answer before it is passed on. */
  | { kind: 'lines'; open: (request: ProxiedRequest, stream: LineStream) => LineFilter }
  /** `before`: the target has not seen the request; `after`: it has answered, and the client does not know yet. */
  | {
      kind: 'hook';
      before?: (request: ProxiedRequest) => void | Promise<void>;
      after?: (request: ProxiedRequest, status: number) => void | Promise<void>;
    };

/** Passes on what it resolves with; undefined drops the line. The lines after it wait meanwhile. */
export type LineFilter = (line: string) => Promise<string | undefined> | string | undefined;

/** The client's side of an answer that is passed on in lines. */
export interface LineStream {
  /** Puts a line in, also while the filter holds another one. */
  write(line: string): void;
  end(): void;
}

export interface RequestFilter {
  method?: string;
  /** Tried on path and query; a string must be the whole path without its query. */
  path?: string | RegExp;
  isWatch?: boolean;
  match?: (request: ProxiedRequest) => boolean;
}

export interface Rule extends RequestFilter {
  action: Action;
  /** How often it strikes; for ever by default. */
  times?: number;
  /** How many matching requests it lets pass first. */
  skip?: number;
}

export interface RuleHandle {
  /** How often it has struck. */
  readonly hits: number;
  /** Resolves when it strikes for the first time. */
  firstHit: Promise<ProxiedRequest>;
  remove(): void;
}

export interface FaultProxy {
  url: string;
  /** Rules are tried in the order in which they were added; one strikes per request. */
  addRule(rule: Rule): RuleHandle;
  clearRules(): void;
  /** Every request that came, in order. */
  requests: ProxiedRequest[];
  count(filter: RequestFilter): number;
  /** Client connections that are open now. */
  openConnections(): number;
  /** Breaks every open client connection. */
  breakConnections(how: 'reset' | 'fin'): void;
  /** From now on answers under way bring no further bytes, and no request is forwarded, until `resume`. */
  stallAll(): void;
  resume(): void;
  close(): Promise<void>;
}

interface ActiveRule extends Rule {
  seen: number;
  hits: number;
  struck: PromiseWithResolvers<ProxiedRequest>;
}

/** An HTTP-aware proxy that ends TLS in front of a real API server and breaks what its rules say. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const target = new URL(options.target);
  const agent = new https.Agent({ keepAlive: true, ca: options.targetCa });
  const requests: ProxiedRequest[] = [];
  let rules: ActiveRule[] = [];
  /** Raw sockets by the client's port: a TLS socket cannot send a TCP reset. */
  const clients = new Map<number, net.Socket>();
  let stalled: PromiseWithResolvers<void> | undefined;

  const secure = https.createServer({ ...options.certificate, keepAlive: true, ALPNProtocols: ['http/1.1'] });
  // Watches are long, and a stalled answer is the point.
  secure.requestTimeout = 0;
  secure.keepAliveTimeout = 120_000;
  secure.on('request', (request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  secure.on('tlsClientError', () => undefined);

  const server = net.createServer(socket => {
    const port = socket.remotePort ?? 0;
    clients.set(port, socket);
    socket.on('close', () => clients.delete(port));
    socket.on('error', () => undefined);
    secure.emit('connection', socket);
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');

  async function handle(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const path = incoming.url ?? '/';
    const request: ProxiedRequest = {
      method: incoming.method ?? 'GET',
      path,
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString('utf8'),
      isWatch: /[?&]watch=(true|1)(&|$)/.test(path),
    };
    requests.push(request);
    response.on('error', () => undefined);
    await stalled?.promise;

    const action = strike(request);
    if (action?.kind === 'answer') {
      request.outcome = action.status;
      response.writeHead(action.status, { 'content-type': 'application/json', ...action.headers });
      response.end(action.body ?? '');
      return;
    }
    if (action?.kind === 'delay') await new Promise(resolve => setTimeout(resolve, action.ms));
    if (action?.kind === 'hook') await action.before?.(request);
    if (isBreak(action) && 'when' in action && action.when === 'before') {
      breakConnection(request, incoming.socket, action.kind);
      return;
    }
    await forward(request, incoming, response, action);
  }

  function strike(request: ProxiedRequest): Action | undefined {
    for (const rule of rules) {
      if (!matches(rule, request)) continue;
      rule.seen++;
      if (rule.seen <= (rule.skip ?? 0) || rule.hits >= (rule.times ?? Infinity)) continue;
      rule.hits++;
      rule.struck.resolve(request);
      return rule.action;
    }
    return undefined;
  }

  function breakConnection(
    request: ProxiedRequest,
    socket: net.Socket,
    how: 'reset' | 'fin' | 'stall',
  ): void {
    request.outcome = how;
    // Stalled: the client's connection stays open, and nothing comes.
    if (how !== 'stall') breakSocket(clients.get(socket.remotePort ?? 0), how);
  }

  async function forward(
    request: ProxiedRequest,
    incoming: http.IncomingMessage,
    response: http.ServerResponse,
    action: Action | undefined,
  ): Promise<void> {
    const outgoing = https.request({
      agent,
      host: target.hostname,
      port: target.port,
      method: request.method,
      path:
        target.pathname.replace(/\/$/, '') +
        (action?.kind === 'rewrite' ? action.path(request.path) : request.path),
      headers: { ...incoming.headers, host: target.host },
    });
    // The client went away: the target must see that, or watches pile up there.
    response.on('close', () => outgoing.destroy());
    outgoing.end(request.body);
    let answer: http.IncomingMessage;
    try {
      [answer] = (await once(outgoing, 'response')) as [http.IncomingMessage];
    } catch {
      // The target is down or was killed: the client sees what it would see without a proxy.
      breakConnection(request, incoming.socket, 'reset');
      return;
    }
    const status = answer.statusCode ?? 502;

    const waitsForAll =
      (isBreak(action) && 'when' in action) || action?.kind === 'hook' || action?.kind === 'replace-answer';
    if (waitsForAll && !request.isWatch) {
      const body: Buffer[] = [];
      for await (const chunk of answer) body.push(chunk as Buffer);
      if (action.kind === 'replace-answer') {
        request.outcome = action.status;
        response.writeHead(action.status, action.headers);
        response.end(action.body);
        return;
      }
      if (action.kind === 'hook') await action.after?.(request, status);
      else {
        breakConnection(request, incoming.socket, action.kind);
        return;
      }
      request.outcome = status;
      response.writeHead(status, answer.rawHeaders);
      response.end(Buffer.concat(body));
      return;
    }
    request.outcome = status;
    response.writeHead(status, answer.rawHeaders);
    response.flushHeaders();
    await passOn(request, incoming, response, answer, action);
  }

  async function passOn(
    request: ProxiedRequest,
    incoming: http.IncomingMessage,
    response: http.ServerResponse,
    answer: http.IncomingMessage,
    action: Action | undefined,
  ): Promise<void> {
    if (action?.kind === 'inject') response.write(action.bytes);
    const source =
      action?.kind === 'lines'
        ? filterLines(answer, request, response, action.open)
        : (answer as AsyncIterable<Buffer>);
    const limit = isBreak(action) && 'afterBytes' in action ? action.afterBytes : Infinity;
    let passed = 0;
    try {
      for await (const chunk of source) {
        await stalled?.promise;
        if (action?.kind === 'valve') await action.passes();
        const part = chunk.subarray(0, limit - passed);
        passed += part.length;
        if (!response.write(part)) await once(response, 'drain');
        if (passed >= limit && isBreak(action)) {
          // Written is not sent: the bytes before the break are part of the fault.
          await new Promise(resolve => setTimeout(resolve, 20));
          breakConnection(request, incoming.socket, action.kind);
          if (action.kind === 'stall') await once(response, 'close');
          return;
        }
      }
    } catch {
      // The target broke off within its answer: so does the proxy.
      breakConnection(request, incoming.socket, 'reset');
      return;
    }
    if (!response.writableEnded) response.end();
  }

  async function close(): Promise<void> {
    stalled?.resolve();
    for (const socket of clients.values()) socket.destroy();
    agent.destroy();
    server.close();
    await once(server, 'close');
  }

  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    addRule(rule) {
      const active: ActiveRule = { ...rule, seen: 0, hits: 0, struck: Promise.withResolvers() };
      rules.push(active);
      return {
        get hits() {
          return active.hits;
        },
        firstHit: active.struck.promise,
        remove: () => {
          rules = rules.filter(other => other !== active);
        },
      };
    },
    clearRules: () => {
      rules = [];
    },
    requests,
    count: filter => requests.filter(request => matches(filter, request)).length,
    openConnections: () => clients.size,
    breakConnections(how) {
      for (const socket of clients.values()) breakSocket(socket, how);
    },
    stallAll() {
      stalled ??= Promise.withResolvers();
    },
    resume() {
      stalled?.resolve();
      stalled = undefined;
    },
    close,
  };
}

function matches(filter: RequestFilter, request: ProxiedRequest): boolean {
  if (filter.method !== undefined && filter.method !== request.method) return false;
  if (filter.isWatch !== undefined && filter.isWatch !== request.isWatch) return false;
  if (typeof filter.path === 'string' && filter.path !== request.path.split('?', 1)[0]) return false;
  if (filter.path instanceof RegExp && !filter.path.test(request.path)) return false;
  return filter.match?.(request) ?? true;
}

async function* filterLines(
  answer: AsyncIterable<Buffer>,
  request: ProxiedRequest,
  response: http.ServerResponse,
  open: Extract<Action, { kind: 'lines' }>['open'],
): AsyncGenerator<Buffer> {
  const filter = open(request, {
    write: line => void response.write(`${line}\n`),
    end: () => void response.end(),
  });
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const passed = await filter(line);
      if (response.writableEnded || response.destroyed) return;
      if (passed !== undefined) yield Buffer.from(`${passed}\n`);
    }
  }
  if (rest !== '') yield Buffer.from(rest);
}

function isBreak(action: Action | undefined): action is Extract<Action, { kind: 'reset' | 'fin' | 'stall' }> {
  return action?.kind === 'reset' || action?.kind === 'fin' || action?.kind === 'stall';
}

/** A FIN without TLS's own goodbye, as from a proxy that was restarted; or a TCP reset. */
export function breakSocket(socket: net.Socket | TLSSocket | undefined, how: 'reset' | 'fin'): void {
  if (socket === undefined || socket.destroyed) return;
  if (how === 'reset') socket.resetAndDestroy();
  else socket.destroy();
}
