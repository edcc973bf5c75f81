import type { Dispatcher } from 'undici';
import type { Outcome } from '../domain/outcome.ts';
import { causeOf } from './causes.ts';
import { decompress } from './content-coding.ts';
import { field } from './json.ts';
import { retryAfterMs } from './retry-after.ts';
import type { Transport } from './transport.ts';
import { failedOnReusedConnection } from './transport.ts';

/** One request to a provider. `path` includes the query; no credential ever goes into it. */
export interface ProviderRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Role in `Provider.origins`; default `api`. */
  origin?: string;
  path: string;
  headers?: Record<string, string>;
  /** Sent as it is, with `content-type: application/json`. */
  body?: string;
  /** Statuses that say all by themselves: the answer is passed on without its body, whatever that is. */
  statusAlone?: readonly number[];
}

/** An outcome that says nothing about the credential. */
export type NotDefinitive = Extract<Outcome, { kind: 'throttled' | 'unreachable' | 'unexpected' }>;

/**
 * A complete answer with a JSON or an empty body, or why there is none. What is the same for all providers is
 * decided here: 429 is `throttled`; 408, 5xx, HTML or other non-JSON with any status, Cloudflare's own JSON, truncated or
 * oversized bodies, invalid UTF-8 and transport faults are `unreachable`; redirects are `unexpected`.
 */
export type ProviderAnswer =
  | { ok: true; status: number; headers: Record<string, string>; json: unknown }
  | { ok: false; outcome: NotDefinitive };

/** What a provider module gets to make its calls with: budget, deadline and transport are behind it. */
export interface ProviderHttp {
  /** Never rejects. `json` is undefined for an empty body. Header names are lower case. */
  call(request: ProviderRequest): Promise<ProviderAnswer>;
  /** Milliseconds since the epoch. */
  now(): number;
}

export interface CallContext {
  /** By role, without a path. */
  origins: Readonly<Record<string, string>>;
  transport: Transport;
  userAgent: string;
  /** Aborts every call; its reason, a string, becomes the cause of `unreachable`. */
  signal: AbortSignal;
  now: () => number;
  /** Before each request that goes out. */
  onCall: () => void;
  /** After each 429. */
  onThrottled: (retryAfterMs: number | undefined) => void;
}

/** An error page takes a fraction of it; a new connection is cheaper than waiting for longer. */
const DRAIN_MS = 1_000;

export function createProviderHttp(context: CallContext): ProviderHttp {
  return { now: context.now, call: request => call(context, request) };
}

async function call(context: CallContext, request: ProviderRequest): Promise<ProviderAnswer> {
  if (context.signal.aborted) return unreachable(abortCause(context.signal));
  try {
    const response = await send(context, request);
    const headers = plainHeaders(response.headers);
    const status = response.statusCode;
    const decided = decideByStatus(context, status, headers);
    if (decided !== undefined || request.statusAlone?.includes(status) === true) {
      await drain(response.body, context.signal);
      return decided === undefined
        ? { ok: true, status, headers, json: undefined }
        : { ok: false, outcome: decided };
    }
    const body = await readBody(response.body);
    return await judgeBody(request.method, status, headers, body);
  } catch (error) {
    if (context.signal.aborted) return unreachable(abortCause(context.signal));
    return unreachable(causeOf(error));
  }
}

/** A GET that met a connection which the server had just given up is sent once more: nothing came back. */
async function send(context: CallContext, request: ProviderRequest): Promise<Dispatcher.ResponseData> {
  try {
    return await sendOnce(context, request);
  } catch (error) {
    if (request.method !== 'GET' || context.signal.aborted || !failedOnReusedConnection(error)) throw error;
    return await sendOnce(context, request);
  }
}

function sendOnce(context: CallContext, request: ProviderRequest): Promise<Dispatcher.ResponseData> {
  const role = request.origin ?? 'api';
  const origin = context.origins[role];
  if (origin === undefined) throw new Error(`no origin for ${role}`);
  context.onCall();
  return context.transport.dispatcherFor(origin).request({
    origin,
    path: request.path,
    method: request.method,
    headers: {
      'user-agent': context.userAgent,
      accept: 'application/json',
      // What Go's clients send, so the best-trodden path of every server.
      'accept-encoding': 'gzip',
      ...(request.body !== undefined && { 'content-type': 'application/json' }),
      ...request.headers,
    },
    body: request.body ?? null,
    signal: context.signal,
  });
}

/** What the head of an answer decides, whatever its body is. */
function decideByStatus(
  context: CallContext,
  status: number,
  headers: Record<string, string>,
): NotDefinitive | undefined {
  if (status === 429) {
    const wait = retryAfterMs(headers, context.now(), true);
    context.onThrottled(wait);
    return { kind: 'throttled', ...(wait !== undefined && { retryAfterMs: wait }) };
  }
  if (status === 408 || status >= 500) {
    const wait = retryAfterMs(headers, context.now(), false);
    // No status beyond 599 is one (RFC 9110 section 15), and causes are labels of a metric: few.
    const cause = status > 599 ? 'MalformedAnswer' : `Http${status}`;
    return { kind: 'unreachable', cause, ...(wait !== undefined && { retryAfterMs: wait }) };
  }
  // A forward proxy on the way, not the provider (RFC 9110 section 15.5.8).
  if (status === 407) return { kind: 'unreachable', cause: 'ProxyAuthenticationRequired' };
  if (status >= 300 && status < 400) return { kind: 'unexpected', detail: `redirect (HTTP ${status})` };
  return undefined;
}

/**
 * Reads a body that nobody looks at to its end, so that the connection can be used again; one that is long, slow, broken or
 * still under way at the deadline is given up with its connection. Waited for: 16 bodies that drip would else hold all
 * connections of a provider for hours, while the places of their checks are given to others.
 */
async function drain(body: Dispatcher.ResponseData['body'], signal: AbortSignal): Promise<void> {
  const limits = { limit: 65_536, signal: AbortSignal.any([signal, AbortSignal.timeout(DRAIN_MS)]) };
  await body.dump(limits).catch(() => undefined);
}

async function readBody(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

async function judgeBody(
  method: string,
  status: number,
  headers: Record<string, string>,
  body: Buffer,
): Promise<ProviderAnswer> {
  const text = decodeText(await decompress(body, headers['content-encoding']));
  if (text === undefined) return unreachable('InvalidEncoding');
  // Without a length the end of the connection is the end of the body, and a cut cannot be told from it.
  const endKnown =
    headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined || status === 204;
  if (text.trim() === '') {
    if (!endKnown) return unreachable('TruncatedBody');
    if (method === 'GET' && status === 200) return unreachable('EmptyBody');
    return { ok: true, status, headers, json: undefined };
  }
  const json = parseJson(text);
  if (json === undefined) return unreachable(text.trimStart().startsWith('<') ? 'HtmlAnswer' : 'NotJson');
  // Cloudflare's error pages for clients that ask for JSON (RFC 9457: developers.cloudflare.com "Custom errors"): what
  // blocked or could not reach the provider's server, not the provider.
  if (field(json, 'cloudflare_error') === true) return unreachable('CloudflareBlock');
  // A cut number is another number; a cut object or list is no JSON.
  if (!endKnown && (typeof json !== 'object' || json === null)) return unreachable('TruncatedBody');
  return { ok: true, status, headers, json };
}

/** Undefined for invalid UTF-8: a lenient decoder would compare texts that nobody sent. */
function decodeText(body: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function plainHeaders(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) plain[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return plain;
}

function unreachable(cause: string): ProviderAnswer {
  return { ok: false, outcome: { kind: 'unreachable', cause } };
}

function abortCause(signal: AbortSignal): string {
  return typeof signal.reason === 'string' ? signal.reason : 'Aborted';
}
