import { afterEach, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { attachControlPlane, type ControlPlane } from '../control-plane/control-plane.ts';
import { startControlPlane } from '../control-plane/start.ts';

const TIMEOUT_MS = 120_000;
/** Only the full run has prepared a second Kubernetes, which takes minutes to build. */
const withTwoVersions = process.env['CAO_FULL'] === '1' ? test : test.skip;
const program = fileURLToPath(new URL('../control-plane/main.ts', import.meta.url));

let folders: string[] = [];
let starters: ChildProcess[] = [];
let controlPlanes: ControlPlane[] = [];

afterEach(async () => {
  for (const starter of starters) starter.kill('SIGKILL');
  for (const controlPlane of controlPlanes) await controlPlane.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  [starters, controlPlanes, folders] = [[], [], []];
});

/** `npm run control-plane -- --dir …`, up to the line that says it is ready. */
async function startProgram() {
  const folder = mkdtempSync(join(tmpdir(), 'lifetime-'));
  folders.push(folder);
  const starter = spawn(process.execPath, [program, '--dir', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  starters.push(starter);
  const lines = createInterface({ input: starter.stdout });
  const kubeconfig = join(folder, 'kubeconfig');
  let state = '';
  for await (const line of lines) {
    state = /^state: (.*)$/.exec(line)?.[1] ?? state;
    if (line === kubeconfig) break;
  }
  const controlPlane = attachControlPlane(state);
  const pids = await Promise.all(
    [controlPlane.etcd, controlPlane.apiServer, controlPlane.controllerManager].map(child => child.pid()),
  );
  return { starter, controlPlane, kubeconfig, pids: pids.map(Number) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function eventually(condition: () => boolean): Promise<boolean> {
  const deadline = performance.now() + 30_000;
  while (!condition() && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 50));
  return condition();
}

test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)(
  'a starter that ends by %s takes everything along',
  async signal => {
    const { starter, controlPlane, kubeconfig, pids } = await startProgram();
    expect(pids.map(isAlive)).toEqual([true, true, true]);
    expect(existsSync(kubeconfig)).toBe(true);

    starter.kill(signal);

    expect(await eventually(() => !pids.some(isAlive))).toBe(true);
    expect(await eventually(() => !existsSync(controlPlane.dir) && !existsSync(kubeconfig))).toBe(true);
  },
  TIMEOUT_MS,
);

test(
  'SIGTERM ends the program with code 0',
  async () => {
    const { starter } = await startProgram();
    const exit = once(starter, 'exit');

    starter.kill('SIGTERM');

    expect(await exit).toEqual([0, null]);
  },
  TIMEOUT_MS,
);

test(
  'a killed supervisor leaves nothing behind as long as its starter lives',
  async () => {
    const { starter, controlPlane, pids } = await startProgram();
    const supervisor = await controlPlane.supervisorPid();

    process.kill(supervisor, 'SIGKILL');

    expect(await eventually(() => !pids.some(isAlive))).toBe(true);
    expect(await eventually(() => !existsSync(controlPlane.dir))).toBe(true);
    expect(await eventually(() => starter.exitCode === 1)).toBe(true);
  },
  TIMEOUT_MS,
);

withTwoVersions(
  'two versions run side by side, each with its own data',
  async () => {
    controlPlanes = await Promise.all([
      startControlPlane({ kubernetes: '1.37' }),
      startControlPlane({ kubernetes: '1.34', audit: false }),
    ]);
    const [newest, oldest] = controlPlanes as [ControlPlane, ControlPlane];

    await newest.api('POST', '/api/v1/namespaces', { metadata: { name: 'only-here' } });

    expect((await newest.api<{ minor: string }>('GET', '/version')).body.minor).toBe('37');
    expect((await oldest.api<{ minor: string }>('GET', '/version')).body.minor).toBe('34');
    expect((await oldest.api('GET', '/api/v1/namespaces/only-here')).status).toBe(404);
  },
  TIMEOUT_MS,
);

test(
  'the API server can be stopped, killed and started again; its data and address stay',
  async () => {
    const controlPlane = await startControlPlane();
    controlPlanes.push(controlPlane);
    await controlPlane.api('POST', '/api/v1/namespaces', { metadata: { name: 'kept' } });
    const before = await controlPlane.apiServer.pid();

    await controlPlane.apiServer.stop('SIGKILL');
    expect(await controlPlane.apiServer.pid()).toBeUndefined();
    await expect(controlPlane.api('GET', '/readyz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });

    await controlPlane.apiServer.start();
    expect((await controlPlane.api('GET', '/api/v1/namespaces/kept')).status).toBe(200);
    expect(await controlPlane.apiServer.pid()).not.toBe(before);

    await controlPlane.apiServer.restart();
    expect((await controlPlane.api('GET', '/api/v1/namespaces/kept')).status).toBe(200);
  },
  TIMEOUT_MS,
);

test(
  'after a compaction and a restart an old resourceVersion is gone',
  async () => {
    const controlPlane = await startControlPlane();
    controlPlanes.push(controlPlane);
    const configMaps = '/api/v1/namespaces/default/configmaps';
    const list = await controlPlane.api<{ metadata: { resourceVersion: string } }>('GET', configMaps);
    const { resourceVersion } = list.body.metadata;
    await controlPlane.api('POST', configMaps, { metadata: { name: 'newer' } });

    const revision = await controlPlane.compact();
    await controlPlane.apiServer.restart('SIGKILL');

    expect(revision).toBeGreaterThan(Number(resourceVersion));
    const watch = `${configMaps}?watch=1&timeoutSeconds=5&resourceVersion=${resourceVersion}`;
    const answer = await controlPlane.api<unknown>('GET', watch);
    expect(JSON.stringify(answer)).toContain('"code":410');
  },
  TIMEOUT_MS,
);

test('a version that nobody prepared is said at once, not built', async () => {
  const { XDG_CACHE_HOME: before, KUBEBUILDER_ASSETS: assets } = process.env;
  const folder = mkdtempSync(join(tmpdir(), 'empty-'));
  folders.push(folder);
  process.env['XDG_CACHE_HOME'] = folder;
  delete process.env['KUBEBUILDER_ASSETS'];
  try {
    await expect(startControlPlane({ kubernetes: '1.34' })).rejects.toThrow(
      /^etcd, kube-apiserver, .* of Kubernetes v1\.34\.\d+ is not there .* a test builds nothing/,
    );
  } finally {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
    if (assets !== undefined) process.env['KUBEBUILDER_ASSETS'] = assets;
  }
  expect(existsSync(join(folder, 'cloud-account-operator'))).toBe(false);
});

test(
  'a binary that does not run makes the start fail with what it said',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'assets-'));
    folders.push(folder);
    writeFileSync(join(folder, 'etcd'), '#!/bin/sh\necho out of order\nexit 3\n', { mode: 0o755 });
    process.env['KUBEBUILDER_ASSETS'] = folder;
    try {
      await expect(startControlPlane()).rejects.toThrow(/etcd ended at once:\nout of order/);
    } finally {
      delete process.env['KUBEBUILDER_ASSETS'];
    }
  },
  TIMEOUT_MS,
);
