import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { createCredentialSource } from './credentials.ts';
import { loadKubeConfig } from './kube-config.ts';

jest.setTimeout(30_000);

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kube-config-'));
});

afterEach(async () => {
  await rm(dir, { recursive: true });
});

interface Parts {
  cluster?: Record<string, unknown>;
  user?: Record<string, unknown>;
  context?: string;
}

async function write(file: string, { cluster = {}, user = {}, context = 'x' }: Parts = {}): Promise<string> {
  const path = join(dir, file);
  await writeFile(
    path,
    JSON.stringify({
      'current-context': context,
      clusters: [
        { name: `c-${context}`, cluster: { server: `https://${context}.example:6443/`, ...cluster } },
      ],
      users: [{ name: `u-${context}`, user }],
      contexts: [
        { name: context, context: { cluster: `c-${context}`, user: `u-${context}`, namespace: 'here' } },
      ],
    }),
  );
  return path;
}

describe('where it is looked for', () => {
  test('the named file, then KUBECONFIG, then the pod, then the home directory', async () => {
    await mkdir(join(dir, '.kube'));
    await write('.kube/config', { context: 'home' });
    const pod = join(dir, 'sa');
    await mkdir(pod);
    for (const name of ['token', 'namespace', 'ca.crt']) await writeFile(join(pod, name), `${name}\n`);
    const env = {
      HOME: dir,
      KUBECONFIG: await write('variable', { context: 'variable' }),
      KUBERNETES_SERVICE_HOST: 'fd00::1',
      KUBERNETES_SERVICE_PORT: '443',
    };
    const path = await write('flag', { context: 'flag' });
    const serverOf = async (options: Parameters<typeof loadKubeConfig>[0]): Promise<string | undefined> =>
      (await loadKubeConfig({ serviceAccountDir: pod, ...options })).getCurrentCluster()?.server;

    expect(await serverOf({ path, env })).toBe('https://flag.example:6443');
    expect(await serverOf({ env })).toBe('https://variable.example:6443');
    expect(await serverOf({ env: { ...env, KUBECONFIG: '' } })).toBe('https://[fd00::1]:443');
    expect(await serverOf({ env: { HOME: dir } })).toBe('https://home.example:6443');
  });

  test('a pod knows its namespace, its token file and its certificate authority', async () => {
    for (const name of ['token', 'namespace', 'ca.crt']) await writeFile(join(dir, name), `${name}\n`);
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
    const config = await loadKubeConfig({ env, serviceAccountDir: dir });
    expect(config.namespace).toBe('namespace');
    expect(config.getCurrentCluster()?.caFile).toBe(join(dir, 'ca.crt'));
    expect(config.getCurrentUser()?.authProvider).toEqual({
      name: 'tokenFile',
      config: { tokenFile: join(dir, 'token') },
    });
  });

  test('nothing anywhere is told', async () => {
    await expect(loadKubeConfig({ env: { HOME: dir }, serviceAccountDir: dir })).rejects.toMatchObject({
      code: 'KUBE_CREDENTIALS',
    });
  });
});

describe('what it says', () => {
  test('relative files are found beside it', async () => {
    const path = await write('config', {
      cluster: { 'certificate-authority': 'ca.pem' },
      user: { 'client-certificate': 'me.pem', 'client-key': '/abs/me.key', tokenFile: 'token' },
    });
    const config = await loadKubeConfig({ path });
    expect(config.getCurrentCluster()?.caFile).toBe(join(dir, 'ca.pem'));
    expect(config.getCurrentUser()).toMatchObject({
      certFile: join(dir, 'me.pem'),
      keyFile: '/abs/me.key',
      authProvider: { config: { tokenFile: join(dir, 'token') } },
    });
    expect(config.namespace).toBe('here');
  });

  test.each([
    ['plugin', 'plugin'],
    ['/usr/bin/plugin', '/usr/bin/plugin'],
  ])('plugin command %s stays', async (command, expected) => {
    const config = await loadKubeConfig({ path: await write('config', { user: { exec: { command } } }) });
    expect(config.getCurrentUser()?.exec).toMatchObject({ command: expected });
  });

  test('a relative plugin command is found beside it', async () => {
    const config = await loadKubeConfig({
      path: await write('config', { user: { exec: { command: './bin/plugin' } } }),
    });
    expect(config.getCurrentUser()?.exec).toMatchObject({ command: join(dir, 'bin/plugin') });
  });

  test('another context can be chosen, and of several files the first that names it counts', async () => {
    const first = await write('first', { context: 'a', user: { token: 'one' } });
    const second = await write('second', { context: 'b', user: { token: 'two' } });
    const env = { KUBECONFIG: `${first}:${second}` };
    expect((await loadKubeConfig({ env })).getCurrentUser()?.token).toBe('one');
    expect((await loadKubeConfig({ env, context: 'b' })).getCurrentUser()?.token).toBe('two');
    await expect(loadKubeConfig({ env, context: 'none' })).rejects.toThrow('no context named none');
  });

  test('a legacy auth provider is served by client-node', async () => {
    const tomorrow = Math.floor(Date.now() / 1000) + 86_400;
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const idToken = `${part({ alg: 'none' })}.${part({ exp: tomorrow })}.${part('signature')}`;
    const path = await write('config', {
      user: { 'auth-provider': { name: 'oidc', config: { 'id-token': idToken } } },
    });
    const target = { headers: {} as Record<string, string> };
    await (await loadKubeConfig({ path })).applyToHTTPSOptions(target);
    expect(target.headers['Authorization']).toBe(`Bearer ${idToken}`);
  });

  test('a file that is no YAML is named and not quoted', async () => {
    const path = join(dir, 'broken');
    await writeFile(path, 'token: "abc\n  secret: [');
    await expect(loadKubeConfig({ path })).rejects.toThrow(`${path} is not a kubeconfig`);
  });

  test('a server that is no address is told', async () => {
    const path = await write('config', { cluster: { server: 'localhost' } });
    await expect(loadKubeConfig({ path })).rejects.toThrow('no valid server');
  });
});

/** Each also shows what client-node makes of it: when that is mended there, ours can go. */
describe('what kubectl does and client-node alone does not', () => {
  async function ours(path: string) {
    return createCredentialSource(await loadKubeConfig({ path })).read('due');
  }

  function alone(path: string): KubeConfig {
    const kubeConfig = new KubeConfig();
    kubeConfig.loadFromFile(path);
    return kubeConfig;
  }

  /** What client-node reads from $KUBECONFIG. */
  function aloneFromVariable(value: string): KubeConfig {
    const before = process.env['KUBECONFIG'];
    process.env['KUBECONFIG'] = value;
    try {
      const kubeConfig = new KubeConfig();
      kubeConfig.loadFromDefault();
      return kubeConfig;
    } finally {
      if (before === undefined) delete process.env['KUBECONFIG'];
      else process.env['KUBECONFIG'] = before;
    }
  }

  async function headersOf(kubeConfig: KubeConfig): Promise<string> {
    const target: { headers: Record<string, string> } = { headers: {} };
    await kubeConfig.applyToHTTPSOptions(target);
    return JSON.stringify(target.headers).toLowerCase();
  }

  test('a file of the list that is missing is passed over', async () => {
    const list = `${join(dir, 'missing')}:${await write('there', { context: 'a' })}`;
    const config = await loadKubeConfig({ env: { KUBECONFIG: list } });
    expect(config.getCurrentCluster()?.server).toBe('https://a.example:6443');
    expect(() => aloneFromVariable(list)).toThrow('ENOENT');
  });

  test('a file that was named by the flag must be there', async () => {
    await expect(loadKubeConfig({ path: join(dir, 'missing') })).rejects.toThrow('ENOENT');
  });

  test('where two files name the same entry, the first counts', async () => {
    const first = await write('first', { context: 'a', user: { token: 'one' } });
    const second = await write('second', { context: 'a', user: { token: 'two' } });
    const config = await loadKubeConfig({ env: { KUBECONFIG: `${first}:${second}` } });
    expect(config.getCurrentUser()?.token).toBe('one');
    expect(() => aloneFromVariable(`${first}:${second}`)).toThrow('Duplicate');
  });

  test('the first current-context counts', async () => {
    const first = await write('first', { context: 'a' });
    const second = await write('second', { context: 'b' });
    const config = await loadKubeConfig({ env: { KUBECONFIG: `${first}:${second}` } });
    expect(config.getCurrentCluster()?.name).toBe('c-a');
    expect(aloneFromVariable(`${first}:${second}`).getCurrentContext()).toBe('b');
  });

  test('data in the file beats a file that it names', async () => {
    for (const name of ['ca', 'crt', 'key']) await writeFile(join(dir, name), `${name} of a file`);
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const path = await write('config', {
      cluster: { 'certificate-authority': 'ca', 'certificate-authority-data': base64('CA') },
      user: {
        'client-certificate': 'crt',
        'client-certificate-data': base64('CRT'),
        'client-key': 'key',
        'client-key-data': base64('KEY'),
      },
    });
    const { tls } = await ours(path);
    expect([tls.ca, tls.cert, tls.key].map(String)).toEqual(['CA', 'CRT', 'KEY']);
    const target: { headers: Record<string, string>; ca?: unknown } = { headers: {} };
    await alone(path).applyToHTTPSOptions(target);
    expect(String(target.ca)).toBe('ca of a file');
  });

  test('a whole impersonation: user, groups, uid and extra', async () => {
    const path = await write('config', {
      user: {
        as: 'jane',
        'as-groups': ['dev', 'ops'],
        'as-uid': '42',
        'as-user-extra': { 'example.com/Scopes': ['view', 'edit'] },
      },
    });
    const { headers } = await ours(path);
    expect(headers).toEqual([
      ...['impersonate-user', 'jane', 'impersonate-group', 'dev', 'impersonate-group', 'ops'],
      ...['impersonate-uid', '42'],
      ...[
        'impersonate-extra-example.com%2fscopes',
        'view',
        'impersonate-extra-example.com%2fscopes',
        'edit',
      ].map(text => text.replace('%2f', '%2F')),
    ]);
    expect(await headersOf(alone(path))).not.toContain('group');
  });

  test('groups without a user are refused, not left out', async () => {
    const path = await write('config', { user: { token: 't', 'as-groups': ['dev'] } });
    await expect(ours(path)).rejects.toThrow('no user (as)');
    expect(await headersOf(alone(path))).toContain('bearer t');
  });

  test('tokenFile, also beside the file, and read again when it changes', async () => {
    const path = await write('config', { user: { tokenFile: 'token' } });
    await writeFile(join(dir, 'token'), 'one\n');
    const source = createCredentialSource(await loadKubeConfig({ path }));
    expect((await source.read('due')).headers).toEqual(['authorization', 'Bearer one']);
    await writeFile(join(dir, 'token'), 'two\n');
    expect((await source.read('due')).headers).toEqual(['authorization', 'Bearer two']);
    expect(await headersOf(alone(path))).toBe('{}');
  });

  test('a plugin command with a separator is found beside the file', async () => {
    const path = await write('config', { user: { exec: { command: './plugin' } } });
    const config = await loadKubeConfig({ path });
    expect(config.getCurrentUser()?.exec).toMatchObject({ command: join(dir, 'plugin') });
    expect(alone(path).getCurrentUser()?.exec).toMatchObject({ command: './plugin' });
  });

  test('an entry that is not whole harms nobody who does not use it', async () => {
    const path = await write('config', { user: { token: 't' } });
    const document = JSON.parse(await readFile(path, 'utf8')) as { clusters: unknown[] };
    document.clusters.push({ name: 'half' });
    await writeFile(path, JSON.stringify(document));
    expect((await loadKubeConfig({ path })).getCurrentUser()?.token).toBe('t');
    expect(() => alone(path)).toThrow('missing');
  });

  test('what client-node reads well comes through: proxy, TLS name, insecure', async () => {
    const path = await write('config', {
      cluster: {
        'proxy-url': 'http://proxy.example:3128',
        'tls-server-name': 'api.example',
        'insecure-skip-tls-verify': true,
      },
    });
    expect(await ours(path)).toMatchObject({
      proxyUrl: 'http://proxy.example:3128',
      tls: { servername: 'api.example', rejectUnauthorized: false },
    });
  });
});
