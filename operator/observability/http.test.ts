import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Endpoint, serve } from './http.ts';

let endpoint: Endpoint;
const sockets: Socket[] = [];

beforeEach(async () => {
  endpoint = await serve(
    'pages',
    { host: '127.0.0.1', port: 0 },
    { '/healthz': () => ({ status: 200, body: 'ok\n' }) },
  );
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await endpoint.close();
});

async function get(path: string): Promise<number> {
  return (await fetch(`http://127.0.0.1:${endpoint.port}${path}`)).status;
}

/** Sends the text over a connection of its own, which then stays as it is. */
async function say(text: string): Promise<Socket> {
  const socket = connect(endpoint.port, '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

test('only what is served is found', async () => {
  expect(await get('/healthz?verbose')).toBe(200);
  expect(await get('/constructor')).toBe(404);
  expect(await get('/__proto__')).toBe(404);
});

test('callers that say nothing, or send a request in drips, are let go of, and keep nobody out', async () => {
  const silent = await Promise.all(Array.from({ length: 100 }, () => say('')));
  const slow = await Promise.all(
    Array.from({ length: 100 }, () => say('GET /healthz HTTP/1.1\r\nhost: a\r\n')),
  );
  const closed = [...silent, ...slow].map(socket => once(socket.resume(), 'close'));
  const drip = setInterval(() => slow.forEach(socket => socket.write('a: b\r\n')), 500);

  expect(await get('/healthz')).toBe(200);
  await Promise.all(closed);

  clearInterval(drip);
  expect(await get('/healthz')).toBe(200);
}, 20_000);

test('a request with a head of many kilobytes is refused', async () => {
  const socket = await say(`GET /healthz HTTP/1.1\r\nhost: a\r\na: ${'b'.repeat(20_000)}\r\n\r\n`);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 431 /);
});
