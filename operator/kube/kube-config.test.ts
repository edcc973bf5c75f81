import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

    expect(await serverOf({ path, env })).toBe('https://flag.example:6443/');
    expect(await serverOf({ env })).toBe('https://variable.example:6443/');
    expect(await serverOf({ env: { ...env, KUBECONFIG: '' } })).toBe('https://[fd00::1]:443');
    expect(await serverOf({ env: { HOME: dir } })).toBe('https://home.example:6443/');
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
