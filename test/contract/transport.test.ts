import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';

import type { CheckAnswer, CheckerOptions } from '../../operator/providers/checker.ts';
import { createChecker } from '../../operator/providers/checker.ts';
import { createAuthority, issueCertificate } from '../control-plane/certificates.ts';

// Slow machines: many small calls in one test.
jest.setTimeout(60_000);

const authority = createAuthority('test-ca');
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A provider (every Hetzner token is good there) behind TLS. Gives its port. */
function startProvider(hosts: string[]): Promise<number> {
  const { cert, key } = issueCertificate(authority, { name: 'provider', hosts });
  return listen(createHttpsServer({ cert, key }, (_request, response) => response.end('{"locations":[]}')));
}

/** A forward proxy that leads every name to one port of this machine and writes down what it was asked for. */
async function startProxy(port: number, status = 200): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const proxy = createHttpServer();
  proxy.on('connect', (request, client: Socket, head: Buffer) => {
    asked.push(request.url ?? '');
    if (status !== 200) return void client.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  return { url: `http://127.0.0.1:${await listen(proxy)}`, asked };
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

async function check(endpoint: string, options: CheckerOptions): Promise<CheckAnswer> {
  const checker = createChecker({ endpoints: { Hetzner: endpoint }, env: {}, ...options });
  const outcome = await checker.check(
    'Hetzner',
    { token: 'Ab1'.repeat(22).slice(0, 64) },
    { access: 'ReadWrite', depth: 'first' },
  );
  await checker.close();
  return outcome;
}

function unreachable(cause: string): object {
  return { kind: 'unreachable', cause };
}

describe('certificates', () => {
  test('of an authority that was added are trusted, others are not', async () => {
    const endpoint = `https://localhost:${await startProvider(['localhost'])}`;
    expect(await check(endpoint, { ca: authority.cert })).toMatchObject({ kind: 'accepted' });
    expect(await check(endpoint, {})).toEqual(unreachable('CertificateNotTrusted'));
    expect(await check(endpoint, { ca: createAuthority('other').cert })).toEqual(
      unreachable('CertificateNotTrusted'),
    );
  });

  test('of another host are refused', async () => {
    const endpoint = `https://localhost:${await startProvider(['elsewhere.example'])}`;
    expect(await check(endpoint, { ca: authority.cert })).toEqual(unreachable('CertificateWrongName'));
  });
});

describe('a proxy', () => {
  // The name exists nowhere: only the proxy can lead there.
  const endpoint = 'https://api.provider.invalid';

  test.each(['HTTPS_PROXY', 'https_proxy'])(
    'named by %s is used, and TLS goes through it to the provider',
    async name => {
      const proxy = await startProxy(await startProvider(['api.provider.invalid']));
      const outcome = await check(endpoint, { ca: authority.cert, env: { [name]: proxy.url } });
      expect(outcome).toMatchObject({ kind: 'accepted' });
      expect(proxy.asked).toEqual(['api.provider.invalid:443']);
    },
  );

  test('cannot pose as the provider', async () => {
    const proxy = await startProxy(await startProvider(['proxy.example']));
    const outcome = await check(endpoint, { ca: authority.cert, env: { HTTPS_PROXY: proxy.url } });
    expect(outcome).toEqual(unreachable('CertificateWrongName'));
  });

  test.each([403, 407, 502])('that refuses with %i says nothing about the credential', async status => {
    const proxy = await startProxy(0, status);
    const outcome = await check(endpoint, { env: { HTTPS_PROXY: proxy.url } });
    expect(outcome).toEqual(unreachable('ProxyRefused'));
  });

  test('is not asked for this machine itself', async () => {
    const port = await startProvider(['localhost']);
    const proxy = await startProxy(port);
    const options = { ca: authority.cert, env: { HTTPS_PROXY: proxy.url } };
    expect(await check(`https://localhost:${port}`, options)).toMatchObject({ kind: 'accepted' });
    expect(proxy.asked).toEqual([]);
  });

  test('is not asked for what NO_PROXY names', async () => {
    // An address that leads to this machine without being one of its loopback names.
    const port = await startProvider(['0.0.0.0']);
    const proxy = await startProxy(port);
    const options = (noProxy: string): CheckerOptions => ({
      ca: authority.cert,
      env: { HTTPS_PROXY: proxy.url, NO_PROXY: noProxy },
    });
    expect(await check(`https://0.0.0.0:${port}`, options('0.0.0.0'))).toMatchObject({ kind: 'accepted' });
    expect(proxy.asked).toEqual([]);
    expect(await check(`https://0.0.0.0:${port}`, options('example.com'))).toMatchObject({
      kind: 'accepted',
    });
    expect(proxy.asked).toEqual([`0.0.0.0:${port}`]);
  });
});
