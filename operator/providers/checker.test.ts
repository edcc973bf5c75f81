import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';

import type { ProviderName } from '../api/names.ts';
import type { CheckAnswer, Checker, CheckerOptions } from './checker.ts';
import { createChecker } from './checker.ts';
import { SYSTEM_TIMERS, type Timers } from './line.ts';
import type { Budget, Credential, Provider } from './provider.ts';
import type { ScriptedServer } from './scripted-server.test-support.ts';
import { startScriptedServer } from './scripted-server.test-support.ts';

const REQUEST = { access: 'ReadWrite', depth: 'first' } as const;
const FREE: Budget = { scope: 'credential', ratePerSecond: 1000, burst: 1000 };

/** The system's timers under another clock. */
function at(now: () => number): Timers {
  return { ...SYSTEM_TIMERS, now };
}

let server: ScriptedServer;
let checker: Checker | undefined;

beforeEach(async () => {
  server = await startScriptedServer();
});

afterEach(async () => {
  await checker?.close();
  checker = undefined;
  await server.close();
});

/** A provider that makes the given number of calls and takes the last answer's status for a verdict. */
function provider(changes: Partial<Provider> = {}, calls = 1): Provider {
  return {
    name: 'Hetzner',
    fieldSets: [['token']],
    identityKinds: [],
    guide: { consoleUrl: '', consolePath: '', permissions: { ReadOnly: '', ReadWrite: '' }, notes: [] },
    budget: FREE,
    origins: { api: 'https://invalid.invalid', other: 'https://invalid.invalid' },
    checkShape: () => undefined,
    hint: () => '••••',
    verify: async (credential, _request, http) => {
      for (let call = 1; ; call += 1) {
        const answer = await http.call({ method: 'GET', path: `/${credential.token}` });
        if (!answer.ok) return answer.outcome;
        if (call === calls) return answer.status === 200 ? { kind: 'accepted' } : { kind: 'rejected' };
      }
    },
    ...changes,
  };
}

function start(changes: Partial<Provider> = {}, options: CheckerOptions = {}, calls = 1): Checker {
  const endpoints = { Hetzner: server.origin, Vultr: server.origin };
  const providers = { Hetzner: provider(changes, calls), Vultr: provider({ name: 'Vultr' }) };
  checker = createChecker({ endpoints, providers, env: {}, ...options });
  return checker;
}

function check(token: string, name: ProviderName = 'Hetzner'): Promise<CheckAnswer> {
  if (checker === undefined) throw new Error('no checker');
  return checker.check(name, { token }, REQUEST);
}

describe('a check', () => {
  test('gives what the provider module makes of the answers', async () => {
    start();
    expect(await check('good')).toEqual({ kind: 'accepted' });
    server.answer = () => ({ status: 401 });
    expect(await check('bad')).toEqual({ kind: 'rejected' });
  });

  test('of a malformed credential makes no call, does not wait and does not start', async () => {
    start({ checkShape: () => ({ check: 'x', message: 'y' }) });
    const onStart = jest.fn();
    const outcome = await checker?.check('Hetzner', { token: 'a' }, REQUEST, { onStart });
    expect(outcome).toEqual({ kind: 'malformed', check: 'x', message: 'y' });
    expect(server.paths).toEqual([]);
    expect(onStart).not.toHaveBeenCalled();
  });

  test.each([
    ['verify', { verify: () => Promise.reject(new Error('secret')) }],
    [
      'checkShape',
      {
        checkShape: () => {
          throw new Error('secret');
        },
      },
    ],
  ])('with a bug in %s ends without a verdict and without the text of the error', async (_name, changes) => {
    start(changes);
    const outcome = await check('a');
    expect(outcome).toEqual({ kind: 'unexpected', detail: 'the check failed inside the operator' });
  });

  test('shows no text that holds a part of the credential', async () => {
    start({ verify: async ({ token }) => ({ kind: 'rejected', detail: `no ${token}` }) });
    expect(await check('9f3c61e07ab258d4')).toEqual({ kind: 'rejected' });
  });

  test('ends at its deadline, over all calls', async () => {
    start({}, { deadlineMs: 100 }, 1000);
    server.answer = () => ({ status: 200, delayMs: 30 });
    expect(await check('a')).toEqual({ kind: 'unreachable', cause: 'DeadlineExceeded' });
    expect(server.paths.length).toBeLessThan(10);
  });

  test('keeps a verdict that was complete before the deadline', async () => {
    const verify: Provider['verify'] = async (_credential, _request, http) => {
      await http.call({ method: 'GET', path: '/hang' });
      return { kind: 'accepted' };
    };
    start({ verify }, { deadlineMs: 50 });
    server.answer = () => 'hang';
    expect(await check('a')).toEqual({ kind: 'accepted' });
  });

  test('ends although the provider module never does', async () => {
    start({ verify: () => new Promise(() => undefined) }, { deadlineMs: 10, concurrencyPerProvider: 1 });
    expect(await check('a')).toEqual({ kind: 'unreachable', cause: 'DeadlineExceeded' });
    expect(await check('a')).toEqual({ kind: 'unreachable', cause: 'DeadlineExceeded' });
  });

  test('can be aborted before it starts, in line and under way', async () => {
    start({}, { concurrencyPerProvider: 1 });
    server.answer = () => 'hang';
    const aborted = { kind: 'aborted' };
    const controller = new AbortController();
    const { signal } = controller;
    const running = checker?.check('Hetzner', { token: 'a' }, REQUEST, { signal });
    await server.received(1);
    const inLine = checker?.check('Hetzner', { token: 'b' }, REQUEST, { signal });
    controller.abort();
    expect(await running).toEqual(aborted);
    expect(await inLine).toEqual(aborted);
    expect(await checker?.check('Hetzner', { token: 'c' }, REQUEST, { signal })).toEqual(aborted);
    expect(server.paths).toEqual(['/a']);
    server.answer = () => ({ status: 200 });
    expect(await check('d')).toEqual({ kind: 'accepted' });
  });

  test('ends when the checker is closed, and none begins after', async () => {
    start();
    server.answer = () => 'hang';
    const running = check('a');
    await server.received(1);
    await checker?.close();
    expect(await running).toEqual({ kind: 'aborted' });
    expect(await check('b')).toEqual({ kind: 'aborted' });
  });
});

describe('an answer that never ends', () => {
  const sockets = new Set<Socket>();
  let hostileServer: Server | undefined;

  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    hostileServer?.close();
  });

  async function listen(hostile: Server): Promise<string> {
    hostileServer = hostile.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    hostile.listen(0, '127.0.0.1');
    await once(hostile, 'listening');
    return `127.0.0.1:${(hostile.address() as AddressInfo).port}`;
  }

  test.each([429, 503, 302, 407, 200])(
    '(%i, by drips) holds a place no longer than its check',
    async status => {
      const hostile = createServer(socket => {
        socket.on('error', () => undefined);
        socket.write(`HTTP/1.1 ${status} Slow\r\ncontent-length: 60000\r\n\r\n`);
        const drip = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(drip));
      });
      const address = await listen(hostile);
      const options = { deadlineMs: 200, concurrencyPerProvider: 2 };
      start({}, { ...options, endpoints: { Hetzner: `http://${address}` } });
      await Promise.all(['a', 'b', 'c', 'd'].map(token => check(token)));
      await new Promise(resolve => setTimeout(resolve, 100));
      expect(sockets.size).toBe(0);
    },
  );

  test.each(['head', 'handshake', 'CONNECT'])('(its %s) starves nobody who comes after', async what => {
    let isHostile = true;
    const hostile = createServer(socket => {
      socket.on('error', () => undefined);
      if (!isHostile) return void socket.end('HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n');
      if (what === 'handshake') return;
      const drip = setInterval(() => socket.write('HTTP/1.1 200 OK\r\nx: y'.charAt(at++) || 'x'), 10);
      let at = 0;
      socket.on('close', () => clearInterval(drip));
    });
    const address = await listen(hostile);
    const endpoint =
      what === 'CONNECT'
        ? 'https://api.provider.invalid'
        : `${what === 'head' ? 'http' : 'https'}://${address}`;
    const env = what === 'CONNECT' ? { HTTPS_PROXY: `http://${address}` } : {};
    // The time limit of a connection, which is told in whole seconds, frees it within the next check's deadline.
    const deadlineMs = what === 'head' ? 150 : 3_000;
    const limits = { connectTimeoutMs: 50, deadlineMs, concurrencyPerProvider: 2 };
    start({}, { ...limits, env, endpoints: { Hetzner: endpoint } });
    const begun = performance.now();
    const slow = await Promise.all(['a', 'b', 'c', 'd'].map(token => check(token)));
    expect(slow.map(({ kind }) => kind)).toEqual(slow.map(() => 'unreachable'));
    expect(performance.now() - begun).toBeLessThan(2 * deadlineMs + 1_000);
    isHostile = false;
    const outcome = (await check('e')) as { cause?: string };
    expect(outcome.cause).not.toBe('DeadlineExceeded');
  });
});

describe('the line of a provider', () => {
  test('has its own places: a provider that hangs holds up no other', async () => {
    start({}, { concurrencyPerProvider: 2 });
    server.answer = path => (path.startsWith('/hang') ? 'hang' : { status: 200 });
    const stuck = Array.from({ length: 10 }, (_, at) => check(`hang-${at}`));
    await server.received(2);
    expect(await check('good', 'Vultr')).toEqual({ kind: 'accepted' });
    expect(server.paths.filter(path => path.startsWith('/hang'))).toHaveLength(2);
    await checker?.close();
    await Promise.all(stuck);
  });

  test('is served in turn', async () => {
    start({}, { concurrencyPerProvider: 1 });
    await Promise.all(['a', 'b', 'c', 'd'].map(token => check(token)));
    expect(server.paths).toEqual(['/a', '/b', '/c', '/d']);
  });

  test('starts the deadline only when the check begins', async () => {
    start({}, { concurrencyPerProvider: 1, deadlineMs: 1_000 });
    server.answer = () => ({ status: 200, delayMs: 300 });
    const outcomes = await Promise.all(Array.from({ length: 5 }, (_, at) => check(`t${at}`)));
    expect(outcomes).toEqual(Array.from({ length: 5 }, () => ({ kind: 'accepted' })));
  });

  test('waits for the budget of an address, calls of a check included', async () => {
    const budget: Budget = { scope: 'egress', ratePerSecond: 100, burst: 2 };
    start({ budget }, { deadlineMs: 1_000 }, 2);
    const begun = performance.now();
    // 2 at once, the other 8 in 80 ms; the last check may begin a call before its second one is paid for.
    await Promise.all(Array.from({ length: 5 }, (_, at) => check(`t${at}`)));
    expect(server.paths).toHaveLength(10);
    expect(performance.now() - begun).toBeGreaterThan(50);
  });
});

describe('a provider that asks to be left alone', () => {
  test('is not asked for the same credential again, and goes on answering others', async () => {
    let elapsed = 0;
    start({}, { timers: at(() => elapsed) });
    server.answer = path =>
      path === '/a' ? { status: 429, headers: { 'retry-after': '30' } } : { status: 200 };
    expect(await check('a')).toEqual({ kind: 'throttled', retryAfterMs: 30_000 });
    elapsed = 10_000;
    expect(await check('a')).toEqual({ kind: 'turnedAway', retryAfterMs: 20_000 });
    expect(await check('b')).toEqual({ kind: 'accepted' });
    expect(server.paths).toEqual(['/a', '/b']);
    elapsed = 30_000;
    await check('a');
    expect(server.paths).toEqual(['/a', '/b', '/a']);
  });

  test('is not asked at all where its limit is one for all', async () => {
    let elapsed = 0;
    start({ budget: { ...FREE, scope: 'egress' } }, { timers: at(() => elapsed), concurrencyPerProvider: 1 });
    server.answer = () => ({ status: 429, headers: { 'retry-after': '30' } });
    const outcomes = await Promise.all(['a', 'b', 'c'].map(token => check(token)));
    // One was asked; those that were not say nothing of what the provider would have answered them.
    expect(outcomes).toEqual(
      ['throttled', 'turnedAway', 'turnedAway'].map(kind => ({ kind, retryAfterMs: 30_000 })),
    );
    expect(server.paths).toEqual(['/a']);
    elapsed = 30_000;
    server.answer = () => ({ status: 200 });
    expect(await check('b')).toEqual({ kind: 'accepted' });
  });

  test('is believed to mean one credential, until two meet it, where its limit is not known', async () => {
    let elapsed = 0;
    start({ budget: { ...FREE, scope: 'unknown' } }, { timers: at(() => elapsed) });
    const refused = { status: 429, headers: { 'retry-after': '600' } };
    server.answer = path => (path === '/good' ? { status: 200 } : refused);
    expect(await check('a')).toMatchObject({ kind: 'throttled' });
    expect(await check('a')).toEqual({ kind: 'turnedAway', retryAfterMs: 600_000 });
    expect(await check('good')).toEqual({ kind: 'accepted' });
    expect(await check('b')).toEqual({ kind: 'throttled', retryAfterMs: 600_000 });
    expect(await check('good')).toEqual({ kind: 'turnedAway', retryAfterMs: 60_000 });
    expect(server.paths).toEqual(['/a', '/good', '/b']);
    elapsed = 60_000;
    expect(await check('good')).toEqual({ kind: 'accepted' });
    expect(await check('a')).toEqual({ kind: 'turnedAway', retryAfterMs: 540_000 });
  });

  test('without saying for how long is left alone for 10 s', async () => {
    start({}, { timers: at(() => 0) });
    server.answer = () => ({ status: 429 });
    expect(await check('a')).toEqual({ kind: 'throttled' });
    expect(await check('a')).toEqual({ kind: 'turnedAway', retryAfterMs: 10_000 });
  });

  test('and a credential that used up its budget is turned away, not queued', async () => {
    start({}, { budgets: { Hetzner: { ratePerSecond: 0.5, burst: 2 } }, timers: at(() => 0) });
    expect(await check('a')).toEqual({ kind: 'accepted' });
    expect(await check('a')).toEqual({ kind: 'accepted' });
    expect(await check('a')).toEqual({ kind: 'turnedAway', retryAfterMs: 2_000 });
    expect(await check('b')).toEqual({ kind: 'accepted' });
  });
});

describe('a replaced endpoint', () => {
  test('stands for all origins of the provider, and paths stay', async () => {
    const verify: Provider['verify'] = async (_credential: Credential, _request, http) => {
      await http.call({ method: 'GET', origin: 'other', path: '/v1/oauth?x=1' });
      return { kind: 'accepted' };
    };
    start({ verify });
    await check('a');
    expect(server.paths).toEqual(['/v1/oauth?x=1']);
  });
});
