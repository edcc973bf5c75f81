import { expect, test } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { createAuthority, issueCertificate, type KeyPair } from './certificates.ts';

const authority = createAuthority('test-ca');

/** The subject of the client as the server saw it, or the code of the error that the client got. */
async function handshake(server: KeyPair, client: KeyPair, servername: string): Promise<unknown> {
  const listener = createServer({ ...server, ca: authority.cert, requestCert: true });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const secured = once(listener, 'secureConnection');
  secured.catch(() => {});
  const socket = connect({
    port: (listener.address() as AddressInfo).port,
    host: '127.0.0.1',
    servername,
    ca: authority.cert,
    ...client,
  });
  try {
    await once(socket, 'secureConnect');
    const [peer] = (await secured) as [TLSSocket];
    return peer.authorized ? { ...peer.getPeerCertificate().subject } : peer.authorizationError;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.destroy();
    listener.close();
  }
}

test('server and client believe each other, and the client is known by name and groups', async () => {
  const server = issueCertificate(authority, { name: 'server', hosts: ['localhost', '127.0.0.1'] });
  const client = issueCertificate(authority, { name: 'jane', groups: ['devs', 'ops'] });

  expect(await handshake(server, client, 'localhost')).toEqual({ CN: 'jane', O: ['devs', 'ops'] });
});

test('a server certificate for another host is refused', async () => {
  const server = issueCertificate(authority, { name: 'server', hosts: ['elsewhere'] });
  const client = issueCertificate(authority, { name: 'jane' });

  expect(await handshake(server, client, 'localhost')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a certificate of another authority of the same name is refused', async () => {
  const server = issueCertificate(createAuthority('test-ca'), { name: 'server', hosts: ['localhost'] });
  const client = issueCertificate(authority, { name: 'jane' });

  expect(await handshake(server, client, 'localhost')).toBe('CERT_SIGNATURE_FAILURE');
});

test('an expired certificate is refused', async () => {
  const server = issueCertificate(authority, { name: 'server', hosts: ['localhost'], validForMs: -60_000 });
  const client = issueCertificate(authority, { name: 'jane' });

  expect(await handshake(server, client, 'localhost')).toBe('CERT_HAS_EXPIRED');
});

test('addresses and names are told apart; validity may pass the year 2050', () => {
  const thirtyYears = 30 * 365 * 86_400_000;
  const hosts = ['127.0.0.1', '::1', 'kubernetes.default.svc'];
  const { cert } = issueCertificate(authority, { name: 'server', hosts, validForMs: thirtyYears });
  const parsed = new X509Certificate(cert);

  expect(parsed.subjectAltName).toBe(
    'IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:kubernetes.default.svc',
  );
  expect(parsed.validToDate.getFullYear()).toBeGreaterThan(2050);
});
