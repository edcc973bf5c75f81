import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createPrivateKey, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKubeClient, type KubeClient, type KubeClientOptions } from '../../../operator/kube/client.ts';
import { loadKubeConfig } from '../../../operator/kube/kube-config.ts';
import { createAuthority, issueCertificate } from '../../control-plane/certificates.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { startFaultProxy, type FaultProxy } from '../../fault-proxy/http-proxy.ts';
import { createNamespace, sharedControlPlane } from '../support/control-plane.ts';
import {
  CONFIG_MAPS,
  adminClient,
  configMap,
  faultProxyFor,
  powerfulToken,
  until,
  untilInSync,
  watchConfigMaps,
} from './support.ts';

const TIMEOUT_MS = 60_000;

let controlPlane: ControlPlane;
let dir: string;
let clients: KubeClient[];

beforeAll(() => {
  controlPlane = sharedControlPlane();
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kube-credentials-'));
  clients = [];
});

afterEach(async () => {
  await Promise.all(clients.map(client => client.close()));
  await rm(dir, { recursive: true });
});

async function clientFrom(path: string, options: KubeClientOptions = {}): Promise<KubeClient> {
  const client = createKubeClient(await loadKubeConfig({ path }), options);
  clients.push(client);
  return client;
}

interface Parts {
  server?: string;
  cluster?: Record<string, unknown>;
  user: Record<string, unknown>;
}

async function writeKubeconfig({ server = controlPlane.server, cluster, user }: Parts): Promise<string> {
  const path = join(dir, 'kubeconfig');
  const ca = { 'certificate-authority-data': Buffer.from(controlPlane.ca).toString('base64') };
  await writeFile(
    path,
    JSON.stringify({
      'current-context': 'x',
      clusters: [{ name: 'c', cluster: { server, ...(cluster ?? ca) } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    }),
  );
  return path;
}

/** Whom the API server takes the client for. */
async function whoAmI(client: KubeClient): Promise<string> {
  const review = await client.request<{ status: { userInfo: { username: string } } }>(
    'POST',
    '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    { body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' } },
  );
  return review.status.userInfo.username;
}

describe('ways to say who one is', () => {
  test('a client certificate in the kubeconfig', async () => {
    const path = controlPlane.userKubeconfig({ name: 'jane', path: join(dir, 'kubeconfig') });
    expect(await whoAmI(await clientFrom(path))).toBe('jane');
  });

  test('a client certificate in files; new files make new connections', async () => {
    const writeFor = async (name: string): Promise<void> => {
      const pair = controlPlane.issueCertificate(name);
      await writeFile(join(dir, 'me.crt'), pair.cert);
      await writeFile(join(dir, 'me.key'), pair.key);
    };
    await writeFor('jane');
    const path = await writeKubeconfig({ user: { 'client-certificate': 'me.crt', 'client-key': 'me.key' } });
    const client = await clientFrom(path, { rereadMs: 50 });
    expect(await whoAmI(client)).toBe('jane');
    await writeFor('joan');
    await until(async () => (await whoAmI(client)) === 'joan');
  });

  test('a credential plugin', async () => {
    const namespace = await createNamespace(controlPlane, 'kube');
    const token = await powerfulToken(controlPlane, namespace);
    await writeFile(join(dir, 'credential.json'), JSON.stringify({ status: { token } }));
    const path = await writeKubeconfig({
      user: { exec: { command: 'cat', args: [join(dir, 'credential.json')] } },
    });
    expect(await whoAmI(await clientFrom(path))).toBe(`system:serviceaccount:${namespace}:kube-test`);
  });

  test('a plugin that gives a client certificate', async () => {
    const { cert, key } = controlPlane.issueCertificate('from-plugin');
    await writeFile(
      join(dir, 'credential.json'),
      JSON.stringify({ status: { clientCertificateData: cert, clientKeyData: key } }),
    );
    const path = await writeKubeconfig({
      user: { exec: { command: 'cat', args: [join(dir, 'credential.json')] } },
    });
    expect(await whoAmI(await clientFrom(path))).toBe('from-plugin');
  });

  test('a pod: its token, its certificate authority', async () => {
    const namespace = await createNamespace(controlPlane, 'kube');
    await writeFile(join(dir, 'token'), await powerfulToken(controlPlane, namespace));
    await writeFile(join(dir, 'ca.crt'), controlPlane.ca);
    await writeFile(join(dir, 'namespace'), namespace);
    const { hostname, port } = new URL(controlPlane.server);
    const config = await loadKubeConfig({
      env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
      serviceAccountDir: dir,
    });
    const client = createKubeClient(config);
    clients.push(client);
    expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:kube-test`);
    expect(config.namespace).toBe(namespace);
  });
});

describe('whom the client believes', () => {
  test('a server of another certificate authority is refused', async () => {
    const stranger = createAuthority('stranger').cert;
    const cluster = { 'certificate-authority-data': Buffer.from(stranger).toString('base64') };
    const client = await clientFrom(await writeKubeconfig({ cluster, user: { token: 'never-sent' } }));
    await expect(whoAmI(client)).rejects.toMatchObject({ code: 'KUBE_CONNECTION' });
  });

  test('insecure-skip-tls-verify believes anybody', async () => {
    const { cert, key } = controlPlane.issueCertificate('jane');
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const path = await writeKubeconfig({
      cluster: { 'insecure-skip-tls-verify': true },
      user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) },
    });
    expect(await whoAmI(await clientFrom(path))).toBe('jane');
  });

  test('tls-server-name is the name that is verified', async () => {
    const { cert, key } = controlPlane.issueCertificate('jane');
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const withName = async (name: string): Promise<KubeClient> =>
      clientFrom(
        await writeKubeconfig({
          cluster: {
            'certificate-authority-data': base64(controlPlane.ca),
            'tls-server-name': name,
          },
          user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) },
        }),
      );
    expect(await whoAmI(await withName('kubernetes.default.svc'))).toBe('jane');
    await expect(whoAmI(await withName('elsewhere.example'))).rejects.toMatchObject({
      code: 'KUBE_CONNECTION',
    });
  });
});

describe('proxy-url', () => {
  /** A wire to the API server, once the client has said what `answer` waits for. */
  async function startProxy(serve: (client: net.Socket, connect: (port: number) => net.Socket) => void) {
    const passed: number[] = [];
    const sockets = new Set<net.Socket>();
    const server = net.createServer(client => {
      client.on('error', () => undefined);
      sockets.add(client);
      serve(client, port => {
        passed.push(port);
        const upstream = net.connect(port, '127.0.0.1');
        upstream.on('error', () => client.destroy());
        client.on('close', () => upstream.destroy());
        client.pipe(upstream).pipe(client);
        return upstream;
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const close = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    };
    return { port: (server.address() as AddressInfo).port, passed, close };
  }

  const CONNECT: Parameters<typeof startProxy>[0] = (client, connect) => {
    client.once('data', (chunk: Buffer) => {
      const port = /^CONNECT 127\.0\.0\.1:(\d+) /.exec(chunk.toString())?.[1];
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      connect(Number(port));
    });
  };

  /** RFC 1928, without authentication: greeting, then a request for an IPv4 address. */
  const SOCKS5: Parameters<typeof startProxy>[0] = (client, connect) => {
    client.once('data', () => {
      client.write(Buffer.of(5, 0));
      client.once('data', (request: Buffer) => {
        client.write(Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 0));
        connect(request.readUInt16BE(request.length - 2));
      });
    });
  };

  test.each([
    ['http', CONNECT],
    ['socks5', SOCKS5],
  ])('%s: TLS goes to the API server itself, for calls and watches', async (scheme, serve) => {
    const proxy = await startProxy(serve);
    const { cert, key } = controlPlane.issueCertificate('proxied', { groups: ['system:masters'] });
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const path = await writeKubeconfig({
      cluster: {
        'certificate-authority-data': base64(controlPlane.ca),
        'proxy-url': `${scheme}://127.0.0.1:${proxy.port}`,
      },
      user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) },
    });
    const client = await clientFrom(path);
    const namespace = await createNamespace(controlPlane, 'kube');
    const watched = watchConfigMaps(client, namespace);
    try {
      expect(await whoAmI(client)).toBe('proxied');
      await client.create(CONFIG_MAPS, configMap(namespace, 'a'));
      await until(() => watched.store.get(`${namespace}/a`) !== undefined);
      expect(new Set(proxy.passed)).toEqual(new Set([Number(new URL(controlPlane.server).port)]));
    } finally {
      await watched.stop();
      await client.close();
      await proxy.close();
    }
  });
});

test(
  'the certificate authority changes: once its file is new, calls and watches go on',
  async () => {
    const namespace = await createNamespace(controlPlane, 'kube');
    const token = await powerfulToken(controlPlane, namespace);
    const caFile = join(dir, 'ca.crt');
    await writeFile(caFile, controlPlane.ca);
    const before = await faultProxyFor(controlPlane);
    const path = await writeKubeconfig({
      server: before.url,
      cluster: { 'certificate-authority': caFile },
      user: { token },
    });
    const client = await clientFrom(path);
    const admin = adminClient(controlPlane);
    clients.push(admin);
    const watched = watchConfigMaps(client, namespace);
    let after: FaultProxy | undefined;
    try {
      await untilInSync(watched, admin, namespace);

      const next = createAuthority('next');
      await before.close();
      after = await startFaultProxy({
        target: controlPlane.server,
        targetCa: controlPlane.ca,
        certificate: issueCertificate(next, { name: 'fault-proxy', hosts: ['127.0.0.1'] }),
        port: Number(new URL(before.url).port),
      });
      await until(() => watched.faults.length > 0);
      await expect(whoAmI(client)).rejects.toMatchObject({ code: 'KUBE_CONNECTION' });
      expect(after.requests).toEqual([]);

      await writeFile(caFile, next.cert);
      await admin.create(CONFIG_MAPS, configMap(namespace, 'new'));
      await untilInSync(watched, admin, namespace);
      expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:kube-test`);
    } finally {
      await watched.stop();
      await after?.close();
    }
  },
  TIMEOUT_MS,
);

interface Claims {
  exp: number;
  iat: number;
  nbf: number;
}

/** The same token with other times, signed with the control plane's key: TokenRequest gives none below 10 minutes. */
async function tokenThatExpires(token: string, expiresAtSeconds: number): Promise<string> {
  const [header = '', payload = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Claims;
  const changed = {
    ...claims,
    iat: expiresAtSeconds - 3600,
    nbf: expiresAtSeconds - 3600,
    exp: expiresAtSeconds,
  };
  const body = `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}`;
  const key = createPrivateKey(await readFile(join(controlPlane.dir, 'service-accounts.key')));
  return `${body}.${sign('sha256', Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

test(
  'the service account token expires: a watch that has to connect anew takes the one that was written since',
  async () => {
    const namespace = await createNamespace(controlPlane, 'kube');
    const fresh = await powerfulToken(controlPlane, namespace);
    const tokenFile = join(dir, 'token');
    // The API server grants a minute of leeway; its cache of good tokens holds one for 10 s more.
    await writeFile(tokenFile, await tokenThatExpires(fresh, Math.floor(Date.now() / 1000) - 57));
    const proxy = await faultProxyFor(controlPlane);
    const client = await clientFrom(await writeKubeconfig({ server: proxy.url, user: { tokenFile } }));
    const admin = adminClient(controlPlane);
    clients.push(admin);
    const watched = watchConfigMaps(client, namespace);
    try {
      await untilInSync(watched, admin, namespace);
      await until(async () => {
        proxy.breakConnections('reset');
        await new Promise(resolve => setTimeout(resolve, 200));
        return watched.faults.some(fault => fault.status === 401);
      });
      await admin.create(CONFIG_MAPS, configMap(namespace, 'unheard'));
      await expect(whoAmI(client)).rejects.toMatchObject({ status: 401 });

      await writeFile(tokenFile, fresh);
      await untilInSync(watched, admin, namespace);
      expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:kube-test`);
    } finally {
      await watched.stop();
      await proxy.close();
    }
  },
  TIMEOUT_MS,
);
