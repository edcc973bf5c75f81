/**
 * What all simulated clouds share: an HTTP server on loopback, accounts and tokens, a log of requests, faults, and a
 * control API under `/_control`. A cloud module gives the routes and the bodies, each with its official source.
 * Nothing here may import from the operator: the simulation must not inherit its mistakes.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:http';
import { createServer as createDoor } from 'node:net';

import type { Answer } from './answer.ts';
import type { Fault, FaultScope } from './faults.ts';
import type { Ids } from './ids.ts';
import { serialize, withHeaders } from './answer.ts';
import { answerControl } from './control.ts';
import { distort, encoded, isCut, isInvented, wireOf } from './faults.ts';
import { createIds } from './ids.ts';

/** A token (API key, key pair, user with password) and what the cloud knows of it. */
export interface CloudToken<Account extends object = object, Extra extends object = object> {
  /** In order of creation; logs name tokens by it, never by their bytes. */
  index: number;
  name: string;
  /** The fields of a source Secret: `token`, or `username` and `password`, or `login` and `privateKey`. */
  credential: Record<string, string>;
  account: Account;
  scopes: string[];
  /** Milliseconds since the epoch. */
  createdAt: number;
  expiresAt?: number;
  revoked: boolean;
  /** Addresses that may call with it; absent = any. */
  addresses?: string[];
  extra: Extra;
}

export interface TokenOptions<Extra extends object = object> {
  /** Default `token-<index>`. */
  name?: string;
  /** Tokens with the same account name belong to one account; default: one account for all. */
  account?: string;
  /** Default: all that the cloud knows. */
  scopes?: string[];
  expiresInSeconds?: number;
  addresses?: string[];
  extra?: Partial<Extra>;
}

export interface CloudRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  /** Header names are lower case. */
  headers: Record<string, string>;
  body: string;
  /** Address of the caller. */
  address: string;
}

export interface RoutedRequest<Account extends object, Extra extends object> extends CloudRequest {
  token: CloudToken<Account, Extra>;
  /** The `:name` parts of the route's path. */
  params: Record<string, string>;
}

export interface Route<Account extends object, Extra extends object> {
  method: string;
  /** Such as `/v2/droplets/:id`. */
  path: string;
  handle(request: RoutedRequest<Account, Extra>, cloud: Cloud<Account, Extra>): Answer;
}

/** What a cloud module says of itself. */
export interface CloudDefinition<Account extends object, Extra extends object> {
  name: string;
  allScopes: readonly string[];
  newAccount(ids: Ids, name: string): Account;
  newToken(
    ids: Ids,
    options: TokenOptions<Extra>,
    account: Account,
  ): { credential: Record<string, string>; extra: Extra };
  /** The token that the request presents, whatever its state. */
  identify(request: CloudRequest, cloud: Cloud<Account, Extra>): CloudToken<Account, Extra> | undefined;
  /** Answers a request that may not go on (unknown, revoked, expired, wrong address); undefined lets it pass. */
  refuse(
    token: CloudToken<Account, Extra> | undefined,
    request: CloudRequest,
    cloud: Cloud<Account, Extra>,
  ): Answer | undefined;
  routes: readonly Route<Account, Extra>[];
  /** Paths answered without a token. */
  open?: readonly {
    method: string;
    path: string;
    handle(request: CloudRequest, cloud: Cloud<Account, Extra>): Answer;
  }[];
  notFound(): Answer;
  /** On every answer, such as rate-limit headers. */
  headers?(
    token: CloudToken<Account, Extra> | undefined,
    request: CloudRequest,
    cloud: Cloud<Account, Extra>,
  ): Record<string, string>;
  /** The provider's error body with any status and text. */
  error(status: number, message: string): Answer;
  throttled(): Answer;
  maintenance(): Answer;
}

export interface LogEntry {
  time: number;
  method: string;
  path: string;
  /** As it came, without the question mark. */
  query: string;
  /** Index of the token that was presented. */
  token: number | undefined;
  /** Status of the answer, as far as one was sent. */
  status: number;
  /** The content of the answer was a fault's, not the cloud's own. */
  invented: boolean;
  /** Length of the complete answer on the wire, head included; only where a fault cuts it. */
  bytes?: number;
  /** The caller did not get the whole answer: whatever it says, nothing can be concluded from it. */
  cut?: true;
  /** The port that it came to, which tells callers apart that were given doors of their own. */
  port: number | undefined;
}

export interface CloudOptions {
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Ids and credentials follow from it; default: the cloud's name. */
  seed?: string;
}

export interface Cloud<Account extends object = object, Extra extends object = object> {
  name: string;
  /** Origin, such as `http://127.0.0.1:40001`; only after `listen`. */
  url: string;
  now(): number;
  ids: Ids;
  tokens: CloudToken<Account, Extra>[];
  accounts: Map<string, Account>;
  log: LogEntry[];
  /** Answers instead of a provider that has hit its limit, from the number of requests in a window. */
  used(key: string, windowMs: number): { count: number; oldest: number };
  listen(port?: number): Promise<string>;
  /** Another origin of the same cloud, on a port of its own. */
  openDoor(): Promise<string>;
  close(): Promise<void>;
  /** Closes connections that serve no request just now. */
  dropIdle(): void;
  createToken(options?: TokenOptions<Extra>): CloudToken<Account, Extra>;
  /** By name or index; throws when there is none. */
  token(which: string | number): CloudToken<Account, Extra>;
  /** The token with this value in this credential field, whatever its state. */
  find(field: string, value: string): CloudToken<Account, Extra> | undefined;
  /** Changes a token, such as `{ revoked: true }`, `{ expiresAt: 0 }`, `{ addresses: [] }`, `{ scopes }`. */
  change(which: string | number, changes: Partial<CloudToken<Account, Extra>>): void;
  revoke(which: string | number): void;
  expire(which: string | number): void;
  /** What can be called, as the routes name it, such as `/v2/account`. */
  paths: readonly string[];
  /** Switches a fault on and returns what switches it off. Throws for a path that is not in `paths`: it would hit nothing. */
  inject(fault: Fault, scope?: FaultScope): () => void;
  clearFaults(): void;
  /** Number of requests, of one token or path if asked. */
  calls(filter?: { token?: string | number; path?: string }): number;
}

interface ActiveFault {
  fault: Fault;
  scope: FaultScope;
  left: number;
}

export function isExpired(token: CloudToken, now: number): boolean {
  return token.expiresAt !== undefined && token.expiresAt <= now;
}

/** Whether the caller's address is on the token's list; without a list any is. */
export function isAllowedFrom(token: CloudToken, address: string): boolean {
  return token.addresses === undefined || token.addresses.includes(address);
}

/** The token of an `Authorization: Bearer` header. */
export function bearer(request: CloudRequest): string | undefined {
  return /^Bearer (.+)$/i.exec(request.headers['authorization'] ?? '')?.[1];
}

/** One page of a list, and what links need. Pages count from 1. */
export function page<T>(items: readonly T[], number: number, size: number): { items: T[]; pages: number } {
  const from = (number - 1) * size;
  return { items: items.slice(from, from + size), pages: Math.max(1, Math.ceil(items.length / size)) };
}

/** A whole number of the query within bounds, else the default. */
export function queryNumber(request: CloudRequest, name: string, fallback: number, max: number): number {
  const value = Number(request.query.get(name) ?? fallback);
  return Number.isInteger(value) && value >= 1 && value <= max ? value : fallback;
}

export function createCloud<Account extends object, Extra extends object>(
  definition: CloudDefinition<Account, Extra>,
  options: CloudOptions = {},
): Cloud<Account, Extra> {
  const now = options.now ?? Date.now;
  const ids = createIds(options.seed ?? definition.name);
  const byCredential = new Map<string, CloudToken<Account, Extra>>();
  const usage = new Map<string, number[]>();
  const timers = new Set<NodeJS.Timeout>();
  const sockets = new Set<Socket>();
  const doors: Server[] = [];
  let faults: ActiveFault[] = [];
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
    serve(request, response).catch((error: unknown) => {
      // A bug of the simulation must not look like a provider: tests see the stack and a dead connection.
      console.error(error);
      request.socket.destroy();
    });
  });
  server.on('connection', socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });

  const cloud: Cloud<Account, Extra> = {
    name: definition.name,
    url: '',
    now,
    ids,
    tokens: [],
    accounts: new Map(),
    log: [],
    used,
    listen,
    openDoor,
    close,
    dropIdle: () => server.closeIdleConnections(),
    createToken,
    token,
    find: (field, value) => byCredential.get(`${field}\0${value}`),
    change: (which, changes) => void Object.assign(token(which), changes),
    revoke: which => void (token(which).revoked = true),
    expire: which => void (token(which).expiresAt = now()),
    paths: [...new Set([...(definition.open ?? []), ...definition.routes].map(({ path }) => path))],
    inject,
    clearFaults: () => void (faults = []),
    calls,
  };
  return cloud;

  function createToken(wanted: TokenOptions<Extra> = {}): CloudToken<Account, Extra> {
    const accountName = wanted.account ?? 'default';
    const account = cloud.accounts.get(accountName) ?? definition.newAccount(ids, accountName);
    cloud.accounts.set(accountName, account);
    const { credential, extra } = definition.newToken(ids, wanted, account);
    const index = cloud.tokens.length;
    const created: CloudToken<Account, Extra> = {
      index,
      name: wanted.name ?? `token-${index}`,
      credential,
      account,
      scopes: wanted.scopes ?? [...definition.allScopes],
      createdAt: now(),
      revoked: false,
      extra: { ...extra, ...wanted.extra },
    };
    if (wanted.expiresInSeconds !== undefined) created.expiresAt = now() + wanted.expiresInSeconds * 1000;
    if (wanted.addresses !== undefined) created.addresses = wanted.addresses;
    cloud.tokens.push(created);
    for (const [field, value] of Object.entries(credential)) byCredential.set(`${field}\0${value}`, created);
    return created;
  }

  function token(which: string | number): CloudToken<Account, Extra> {
    const found = typeof which === 'number' ? cloud.tokens[which] : cloud.tokens.find(t => t.name === which);
    if (found === undefined) throw new Error(`${definition.name} has no token ${which}`);
    return found;
  }

  function inject(fault: Fault, scope: FaultScope = {}): () => void {
    const { path } = scope;
    if (path !== undefined && !cloud.paths.some(known => known === path || match(known, path)))
      throw new Error(`${definition.name} has no call ${path}; there are ${cloud.paths.join(', ')}`);
    const active = { fault, scope, left: scope.times ?? Infinity };
    faults.push(active);
    return () => {
      faults = faults.filter(other => other !== active);
    };
  }

  function calls(filter: { token?: string | number; path?: string } = {}): number {
    const index = filter.token === undefined ? undefined : token(filter.token).index;
    return cloud.log.filter(
      entry =>
        (index === undefined || entry.token === index) &&
        (filter.path === undefined || entry.path === filter.path),
    ).length;
  }

  function used(key: string, windowMs: number): { count: number; oldest: number } {
    const times = (usage.get(key) ?? []).filter(time => time > now() - windowMs);
    usage.set(key, times);
    return { count: times.length, oldest: times[0] ?? now() };
  }

  async function listen(port = 0): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    cloud.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return cloud.url;
  }

  async function openDoor(): Promise<string> {
    const door = createDoor(socket => void server.emit('connection', socket));
    doors.push(door);
    await new Promise<void>((resolve, reject) => {
      door.once('error', reject);
      door.listen(0, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
  }

  async function close(): Promise<void> {
    for (const timer of timers) clearTimeout(timer);
    for (const door of doors) door.close();
    for (const socket of sockets) socket.destroy();
    await new Promise<void>(resolve => server.close(() => resolve()));
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const port = incoming.socket.localPort;
    const request = await readRequest(incoming);
    if (request === undefined) return;
    if (request.path.startsWith('/_control/')) {
      send(response, answerControl(cloud, request));
      return;
    }
    const presented = definition.identify(request, cloud);
    const active = activeFaults(presented, request);
    count(presented, request);
    const truth = answer(presented, request);
    const told = distort(truth, active, definition, request.headers['authorization'] ?? request.body);
    const wire = wireOf(active);
    const entry: LogEntry = {
      time: now(),
      method: request.method,
      path: request.path,
      query: request.query.toString(),
      token: presented?.index,
      status: told.status,
      invented: active.some(isInvented),
      port,
    };
    cloud.log.push(entry);
    await wait(active.reduce((ms, fault) => ms + (fault.kind === 'latency' ? fault.ms : 0), 0));
    if (wire === undefined) return send(response, told);
    const bytes = serialize(encoded(told, wire.encoding), wire.framing ?? 'length');
    entry.bytes = bytes.length;
    if (isCut(wire, bytes.length)) entry.cut = true;
    await sendRaw(incoming.socket, bytes, wire);
  }

  function answer(presented: CloudToken<Account, Extra> | undefined, request: CloudRequest): Answer {
    const headers = definition.headers?.(presented, request, cloud) ?? {};
    return withHeaders(trueAnswer(presented, request), headers);
  }

  function trueAnswer(presented: CloudToken<Account, Extra> | undefined, request: CloudRequest): Answer {
    const open = definition.open?.find(
      route => route.method === request.method && match(route.path, request.path),
    );
    if (open !== undefined) return open.handle(request, cloud);
    const refusal = definition.refuse(presented, request, cloud);
    if (refusal !== undefined) return refusal;
    if (presented === undefined) throw new Error(`${definition.name} let a request without a token pass`);
    for (const route of definition.routes) {
      const params = route.method === request.method ? match(route.path, request.path) : undefined;
      if (params !== undefined) return route.handle({ ...request, token: presented, params }, cloud);
    }
    return definition.notFound();
  }

  function activeFaults(presented: CloudToken | undefined, request: CloudRequest): Fault[] {
    const hits = faults.filter(
      ({ scope }) =>
        (scope.token === undefined || token(scope.token) === presented) &&
        (scope.path === undefined || match(scope.path, request.path) !== undefined),
    );
    for (const hit of hits) hit.left -= 1;
    faults = faults.filter(fault => fault.left > 0);
    return hits.map(hit => hit.fault);
  }

  function count(presented: CloudToken | undefined, request: CloudRequest): void {
    for (const key of [`token ${presented?.index}`, `address ${request.address}`]) {
      const times = usage.get(key) ?? [];
      times.push(now());
      // Long runs: only the newest matter for any limit that a cloud knows.
      if (times.length > 10_000) times.splice(0, 5_000);
      usage.set(key, times);
    }
  }

  async function wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        resolve();
      }, ms);
      timers.add(timer);
    });
  }

  async function sendRaw(
    socket: Socket,
    bytes: Buffer,
    wire: NonNullable<ReturnType<typeof wireOf>>,
  ): Promise<void> {
    if (wire.kind === 'drip') {
      for (let at = 0; at < bytes.length && !socket.destroyed; at += 1) {
        socket.write(bytes.subarray(at, at + 1));
        await wait(wire.everyMs ?? 100);
      }
      socket.end();
      return;
    }
    const part = wire.kind === 'wire' ? bytes : bytes.subarray(0, wire.afterBytes ?? 0);
    if (part.length > 0) await new Promise<void>(resolve => void socket.write(part, () => resolve()));
    if (wire.kind === 'hang') return;
    if (wire.kind === 'reset') socket.resetAndDestroy();
    else socket.end();
  }
}

function send(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length });
  response.end(answer.body);
}

async function readRequest(incoming: IncomingMessage): Promise<CloudRequest | undefined> {
  const parts: Buffer[] = [];
  try {
    for await (const part of incoming) parts.push(part as Buffer);
  } catch {
    // The caller went away before its request was complete.
    return undefined;
  }
  const url = new URL(incoming.url ?? '/', 'http://cloud');
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    ),
    body: Buffer.concat(parts).toString(),
    address: (incoming.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
  };
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    const value = given[at] ?? '';
    if (part.startsWith(':')) params[part.slice(1)] = decodeURIComponent(value);
    else if (part !== value) return undefined;
  }
  return params;
}
