import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { gzipSync } from 'node:zlib';

import type { CallContext } from './http.ts';
import { createProviderHttp } from './http.ts';
import type { ProviderAnswer, ProviderRequest } from './http.ts';
import type { ScriptedAnswer, ScriptedServer } from './scripted-server.test-support.ts';
import { startScriptedServer } from './scripted-server.test-support.ts';
import type { Transport } from './transport.ts';
import { createTransport } from './transport.ts';

const NOW = Date.UTC(2030, 0, 1);

let server: ScriptedServer;
let transport: Transport;
let throttled: (number | undefined)[];
let calls: number;

beforeEach(async () => {
  server = await startScriptedServer();
  // One connection: the second request finds it used.
  transport = createTransport({ connections: 1, env: {} });
  throttled = [];
  calls = 0;
});

afterEach(async () => {
  await transport.close();
  await server.close();
});

function call(
  request: Partial<ProviderRequest> = {},
  changes: Partial<CallContext> = {},
): Promise<ProviderAnswer> {
  const http = createProviderHttp({
    origins: { api: server.origin },
    transport,
    userAgent: 'cloud-account-operator/1.2.3',
    signal: new AbortController().signal,
    now: () => NOW,
    onCall: () => (calls += 1),
    onThrottled: wait => throttled.push(wait),
    ...changes,
  });
  return http.call({ method: 'GET', path: '/x', ...request });
}

function answering(answer: ScriptedAnswer, request: Partial<ProviderRequest> = {}): Promise<ProviderAnswer> {
  server.answer = () => answer;
  return call(request);
}

const CLOUDFLARE = JSON.stringify({
  title: 'Error 1010',
  status: 403,
  error_code: 1010,
  cloudflare_error: true,
});

function raw(head: string, body: string): ScriptedAnswer {
  return { raw: `HTTP/1.1 ${head}\r\n\r\n${body}` };
}

function unreachable(cause: string): object {
  return { ok: false, outcome: { kind: 'unreachable', cause } };
}

describe('a complete answer', () => {
  test.each([200, 201, 400, 401, 403, 404, 409, 422])(
    '%i is passed on with its JSON and headers',
    async status => {
      const answer = await answering({ status, headers: { 'X-Thing': 'a' }, body: '{"a":[1]}' });
      expect(answer).toMatchObject({ ok: true, status, json: { a: [1] }, headers: { 'x-thing': 'a' } });
    },
  );

  test.each([
    ['HTML', { status: 404, body: '<html>Not found</html>' }],
    ['no body', { status: 404, body: '' }],
    ['half a body', raw('404 No\r\nContent-Length: 99', '{"id":')],
    ['JSON', { status: 404, body: '{"id":"not_found"}' }],
  ] satisfies [string, ScriptedAnswer][])(
    'of a status that says all by itself is passed on with %s',
    async (_name, reply) => {
      const answer = await answering(reply, { statusAlone: [404, 410] });
      expect(answer).toMatchObject({ ok: true, status: 404, json: undefined });
    },
  );

  test('of another status, or one that decides for all providers, is judged as ever', async () => {
    const html = '<html>Not found</html>';
    expect(await answering({ status: 403, body: html }, { statusAlone: [404] })).toEqual(
      unreachable('HtmlAnswer'),
    );
    expect(await answering({ status: 500, body: html }, { statusAlone: [500] })).toEqual(
      unreachable('Http500'),
    );
  });

  test.each(['text/html', 'text/plain', undefined])(
    'is known by its bytes, not by the type %s',
    async type => {
      const headers = type === undefined ? {} : { 'content-type': type };
      expect(await answering({ status: 401, headers, body: '{}' })).toMatchObject({ ok: true, json: {} });
    },
  );

  test.each([
    ['401 with length 0', { status: 401, body: '' }],
    ['401 in no chunks', raw('401 Unauthorized\r\ntransfer-encoding: chunked', '0\r\n\r\n')],
    ['204', raw('204 No Content', '')],
    ['401 with a line break', { status: 401, body: '\n' }],
  ])('may have no body: %s', async (_name, answer) => {
    expect(await answering(answer)).toMatchObject({ ok: true, json: undefined });
  });

  test('without a body is no answer to a GET that succeeded, but may be one to an order', async () => {
    expect(await answering({ status: 200, body: '' })).toEqual(unreachable('EmptyBody'));
    expect(await answering({ status: 200, body: '' }, { method: 'POST', body: '{}' })).toMatchObject({
      ok: true,
    });
  });

  test('may be compressed although its name for it is unusual', async () => {
    const body = gzipSync('{"a":1}');
    expect(await answering({ status: 200, headers: { 'content-encoding': 'X-GZip' }, body })).toMatchObject({
      json: { a: 1 },
    });
    expect(await answering({ status: 200, headers: { 'content-encoding': 'zstd' }, body })).toEqual(
      unreachable('UnknownContentCoding'),
    );
  });
});

describe('what is no answer', () => {
  test.each([
    ['an end without a length and without a body', raw('401 Unauthorized', ''), 'TruncatedBody'],
    ['an end without a length within a number', raw('401 Unauthorized', '40'), 'TruncatedBody'],
    ['a body shorter than its length', raw('401 Unauthorized\r\ncontent-length: 9', '{}'), 'ConnectionReset'],
    ['no HTTP', { raw: 'SSH-2.0-OpenSSH_9.9\r\n' }, 'MalformedAnswer'],
    ['a head without an end', raw(`200 OK\r\nx: ${'x'.repeat(40_000)}`, '{}'), 'MalformedAnswer'],
    ['a dropped connection', 'drop', 'ConnectionReset'],
    ['a decompression bomb', bomb(), 'OversizedBody'],
    ['Cloudflare itself', { status: 403, body: CLOUDFLARE }, 'CloudflareBlock'],
    ['407 of a proxy', { status: 407 }, 'ProxyAuthenticationRequired'],
  ] satisfies [string, ScriptedAnswer, string][])('%s', async (_name, answer, cause) => {
    expect(await answering(answer)).toEqual(unreachable(cause));
  });

  function bomb(): ScriptedAnswer {
    const body = gzipSync(JSON.stringify({ x: 'x'.repeat(5_000_000) }));
    return { status: 200, headers: { 'content-encoding': 'gzip' }, body };
  }

  test('a refused connection', async () => {
    const { origin } = server;
    await server.close();
    expect(await call({}, { origins: { api: origin } })).toEqual(unreachable('ConnectionRefused'));
    server = await startScriptedServer();
  });

  test('a server that speaks no TLS', async () => {
    const origins = { api: server.origin.replace('http:', 'https:') };
    expect(await call({}, { origins })).toEqual(unreachable('TlsFailure'));
  });

  test('silence, before and within the answer', async () => {
    const impatient = createTransport({ connections: 1, env: {}, answerTimeoutMs: 200 });
    server.answer = () => 'hang';
    expect(await call({}, { transport: impatient })).toEqual(unreachable('AnswerTimeout'));
    await impatient.close();
  });

  test.each([301, 302, 307, 308])('a redirect (%i), which is never followed', async status => {
    const headers = { location: `${server.origin}/other` };
    const answer = await answering({ status, headers, body: '{}' });
    expect(answer).toEqual({
      ok: false,
      outcome: { kind: 'unexpected', detail: `redirect (HTTP ${status})` },
    });
    expect(server.paths).toEqual(['/x']);
  });
});

describe('a provider that wants less traffic', () => {
  test.each([
    [429, { 'retry-after': '30' }, { kind: 'throttled', retryAfterMs: 30_000 }],
    [429, { 'ratelimit-reset': String(NOW / 1000 + 60) }, { kind: 'throttled', retryAfterMs: 60_000 }],
    [429, {}, { kind: 'throttled' }],
    [503, { 'retry-after': '30' }, { kind: 'unreachable', cause: 'Http503', retryAfterMs: 30_000 }],
    [500, {}, { kind: 'unreachable', cause: 'Http500' }],
    [408, {}, { kind: 'unreachable', cause: 'Http408' }],
  ])('%i %j', async (status, headers, outcome) => {
    expect(await answering({ status, headers })).toEqual({ ok: false, outcome });
    const wait = 'retryAfterMs' in outcome ? outcome.retryAfterMs : undefined;
    expect(throttled).toEqual(status === 429 ? [wait] : []);
  });

  test('is understood although its body never ends', async () => {
    const answer = raw('429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 100', '{');
    expect(await answering(answer)).toEqual({
      ok: false,
      outcome: { kind: 'throttled', retryAfterMs: 5000 },
    });
  });
});

describe('a request', () => {
  test('says who asks, and takes its own headers', async () => {
    await call({ method: 'POST', body: '{"a":1}', headers: { authorization: 'Bearer x' } });
    expect(server.headers[0]).toMatchObject({
      'user-agent': 'cloud-account-operator/1.2.3',
      accept: 'application/json',
      'content-type': 'application/json',
      authorization: 'Bearer x',
    });
  });

  test('is not made once the check is over', async () => {
    const signal = AbortSignal.abort('DeadlineExceeded');
    expect(await call({}, { signal })).toEqual(unreachable('DeadlineExceeded'));
    expect(server.paths).toEqual([]);
  });

  test('is given up when the check is over, with its reason', async () => {
    const controller = new AbortController();
    server.answer = () => 'hang';
    const answer = call({}, { signal: controller.signal });
    await server.received(1);
    controller.abort('DeadlineExceeded');
    expect(await answer).toEqual(unreachable('DeadlineExceeded'));
  });

  test('that meets a connection which was just closed is sent once more', async () => {
    await call();
    server.answer = () => (server.paths.length === 2 ? 'drop' : { status: 200 });
    expect(await call()).toMatchObject({ ok: true, status: 200 });
    expect([server.paths.length, calls]).toEqual([3, 3]);
  });

  test('that fails on a new connection, or that is an order, is not sent again', async () => {
    server.answer = () => 'drop';
    expect(await call()).toEqual(unreachable('ConnectionReset'));
    expect(server.paths).toHaveLength(1);
    server.answer = () => ({ status: 200 });
    await call();
    server.answer = () => 'drop';
    expect(await call({ method: 'POST', body: '{}' })).toEqual(unreachable('ConnectionReset'));
    expect(server.paths).toHaveLength(3);
  });
});
