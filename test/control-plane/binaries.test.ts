import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinaries } from './binaries.ts';
import { goMod, type Builder } from './build.ts';
import { BINARIES, binariesFolder, type Binary, type Release } from './cache.mjs';
import { archiveName } from './download.ts';

const release: Release = { name: '1.37', kubernetes: 'v1.37.2', etcd: 'v3.7.0' };

let root: string;
let env: NodeJS.ProcessEnv;
let folder: string;
let said: string[];
let built: Binary[];
let server: Server | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'binaries-'));
  // Port 9 of loopback (discard): nothing answers there.
  env = { XDG_CACHE_HOME: join(root, 'cache'), CONTROL_PLANE_INDEX: 'http://127.0.0.1:9/' };
  folder = binariesFolder(release.kubernetes, env);
  said = [];
  built = [];
  server = undefined;
});

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<unknown>(resolve => (server ? server.close(resolve) : resolve(undefined)));
  rmSync(root, { recursive: true, force: true });
});

const build: Builder = async (_release, binary, target) => {
  built.push(binary);
  writeFileSync(target, `built ${binary}`);
};

function find() {
  return findBinaries(release, { env, build, say: line => said.push(line) });
}

describe('without anything', () => {
  test('every binary is built, once', async () => {
    const found = await find();
    await find();

    expect(built).toEqual([...BINARIES]);
    expect(found.kubectl).toBe(join(folder, 'kubectl'));
  });

  test('two that look at the same time build once', async () => {
    await Promise.all([find(), find()]);

    expect(built).toEqual([...BINARIES]);
  });

  test('what a killed build left behind is removed', async () => {
    mkdirSync(join(folder, '.build-x1'), { recursive: true });

    await find();

    expect(readdirSync(folder).sort()).toEqual([...BINARIES].sort());
  });

  test('a failing build says so and leaves what was built before it', async () => {
    const failing: Builder = async (asked, binary, target, say) => {
      if (binary === 'kubectl') throw new Error('no space left');
      await build(asked, binary, target, say);
    };

    await expect(findBinaries(release, { env, build: failing })).rejects.toThrow('no space left');
    await find();

    expect(built).toEqual(['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl']);
  });
});

describe('KUBEBUILDER_ASSETS', () => {
  function asset(binary: Binary, version: string) {
    const assets = join(root, 'assets');
    mkdirSync(assets, { recursive: true });
    writeFileSync(join(assets, binary), `#!/bin/sh\necho Kubernetes ${version}\n`);
    chmodSync(join(assets, binary), 0o755);
    env['KUBEBUILDER_ASSETS'] = assets;
    return join(assets, binary);
  }

  test('is used for what it holds, of any patch version', async () => {
    const path = asset('kube-apiserver', 'v1.37.9');

    const found = await find();

    expect(found['kube-apiserver']).toBe(path);
    expect(built).toEqual(['etcd', 'kube-controller-manager', 'kubectl']);
  });

  test('of another minor version is passed over, and said', async () => {
    asset('kube-apiserver', 'v1.33.0');

    const found = await find();

    expect(found['kube-apiserver']).toBe(join(folder, 'kube-apiserver'));
    expect(said).toContain('kube-apiserver in KUBEBUILDER_ASSETS is v1.33.0, not 1.37: looking further');
  });
});

describe('published archives', () => {
  const name = archiveName(release);

  /** A tarball as controller-tools makes it. */
  function archive(): Buffer {
    const content = join(root, 'content', 'controller-tools', 'envtest');
    mkdirSync(content, { recursive: true });
    for (const binary of ['etcd', 'kube-apiserver', 'kubectl']) {
      writeFileSync(join(content, binary), `downloaded ${binary} `.repeat(10_000));
    }
    const file = join(root, name);
    execFileSync('tar', ['-czf', file, '-C', join(root, 'content'), 'controller-tools']);
    return readFileSync(file);
  }

  function sha512(bytes: Buffer): string {
    return createHash('sha512').update(bytes).digest('hex');
  }

  async function listen(handler: RequestListener): Promise<string> {
    server = createServer(handler);
    await new Promise<void>(resolve => server?.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    env['CONTROL_PLANE_INDEX'] = `${origin}/index.yaml`;
    return origin;
  }

  /** Serves an index that lists one archive, and the archive by a handler of the test's. */
  async function publish(hash: string, serveArchive: RequestListener, version = release.kubernetes) {
    const origin = await listen((request, response) => {
      if (request.url !== '/index.yaml') return serveArchive(request, response);
      response.end(
        `releases:\n  ${version}:\n    ${name}:\n      hash: ${hash}\n      selfLink: ${origin}/${name}\n`,
      );
    });
  }

  test('are installed; what they lack is built', async () => {
    const bytes = archive();
    await publish(sha512(bytes), (_request, response) => response.end(bytes));

    const found = await find();

    expect(built).toEqual(['kube-controller-manager']);
    expect(readFileSync(found['kube-apiserver'], 'utf8')).toMatch(/^downloaded kube-apiserver/);
    expect(readdirSync(folder).sort()).toEqual([...BINARIES].sort());
  });

  test('with a wrong checksum are an error, and nothing is installed or built', async () => {
    const bytes = archive();
    await publish(sha512(Buffer.from('another')), (_request, response) => response.end(bytes));

    await expect(find()).rejects.toThrow(/is not what the index says: SHA-512 is [0-9a-f]{128}, expected/);

    expect(built).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('that are cut off are an error, and nothing is installed or built', async () => {
    const bytes = archive();
    await publish(sha512(bytes), (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
    });

    await expect(find()).rejects.toThrow(/was cut off: .*Nothing was installed/);

    expect(built).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of another version only: everything is built', async () => {
    await publish('00', (_request, response) => response.writeHead(404).end(), 'v1.37.0');

    await find();

    expect(built).toEqual([...BINARIES]);
    expect(said).toContain('Kubernetes v1.37.2 is not published ready-made for this platform');
  });

  test('that answer with an error: everything is built', async () => {
    await publish('00', (_request, response) => response.writeHead(503).end());

    await find();

    expect(built).toEqual([...BINARIES]);
    expect(said).toContain('the archive cannot be reached (status 503)');
  });

  test('on a server that accepts and says nothing are given up after 5 s', async () => {
    await listen(() => {});
    const start = performance.now();

    await find();

    expect(performance.now() - start).toBeGreaterThan(4_900);
    expect(said).toContain('no index of ready-made binaries (no answer within 5 s)');
    expect(built).toEqual([...BINARIES]);
  }, 30_000);
});

describe('the Go module', () => {
  test('repeats the language version and replaces the staging modules by published ones', () => {
    const upstream = [
      'module k8s.io/kubernetes',
      'go 1.26.0',
      'godebug default=go1.26',
      'require (',
      '\tk8s.io/api v0.0.0',
      ')',
      'replace (',
      '\tk8s.io/api => ./staging/src/k8s.io/api',
      '\tk8s.io/cri-api => ./staging/src/k8s.io/cri-api',
      ')',
    ].join('\n');

    expect(goMod(release, upstream).split('\n')).toEqual([
      'module controlplane',
      'go 1.26.0',
      'godebug default=go1.26',
      'require k8s.io/kubernetes v1.37.2',
      'require go.etcd.io/etcd/server/v3 v3.7.0',
      'replace (',
      '\tk8s.io/api => k8s.io/api v0.37.2',
      '\tk8s.io/cri-api => k8s.io/cri-api v0.37.2',
      ')',
      '',
    ]);
  });
});
