import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** kind.sh with stand-ins for the tools, which cannot pull images everywhere; each notes how it was called. */

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kind-'));
  // Nothing else is in PATH: a real kind must never be met.
  for (const tool of ['bash', 'dirname', 'mktemp', 'rm']) {
    const path = ['/usr/bin', '/bin'].map(bin => join(bin, tool)).find(existsSync);
    if (path !== undefined) symlinkSync(path, join(folder, tool));
  }
});
afterEach(() => rmSync(folder, { recursive: true }));

function standIn(tool: string, exit = 0): void {
  const path = join(folder, tool);
  writeFileSync(
    path,
    `#!/bin/sh\necho "${tool} $* KUBECONFIG=$KUBECONFIG E2E_IMAGE=$E2E_IMAGE" >>"${folder}/calls"\nexit ${exit}\n`,
  );
  chmodSync(path, 0o755);
}

function run(): { status: number | null; calls: string[]; stderr: string } {
  const { status, stderr } = spawnSync(join(import.meta.dirname, 'kind.sh'), ['--verbose'], {
    env: { PATH: folder, TMPDIR: folder },
    encoding: 'utf8',
  });
  const log = join(folder, 'calls');
  return { status, stderr, calls: existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [] };
}

test('the image gets into a cluster of its own, the tests run on it, and both are removed', () => {
  for (const tool of ['docker', 'kind', 'kubectl', 'npm']) standIn(tool);

  const { status, calls } = run();

  expect(status).toBe(0);
  const name = /--name (cao-e2e-\d+)/.exec(calls[0] ?? '')?.[1];
  const kubeconfig = /--kubeconfig (\S+)/.exec(calls[0] ?? '')?.[1];
  const image = `localhost/cloud-account-operator:${name}`;
  expect(calls.slice(1)).toEqual([
    `docker build --tag ${image} . KUBECONFIG= E2E_IMAGE=`,
    `kind load docker-image ${image} --name ${name} KUBECONFIG= E2E_IMAGE=`,
    `npm run e2e -- --verbose KUBECONFIG=${kubeconfig} E2E_IMAGE=${image}`,
    `kind delete cluster --name ${name} KUBECONFIG= E2E_IMAGE=`,
    `docker image rm --force ${image} KUBECONFIG= E2E_IMAGE=`,
  ]);
  expect(existsSync(join(kubeconfig ?? '', '..'))).toBe(false);
});

test('failed tests are its exit code, and the cluster is removed all the same', () => {
  for (const tool of ['docker', 'kind', 'kubectl']) standIn(tool);
  standIn('npm', 1);

  const { status, calls } = run();

  expect(status).toBe(1);
  expect(calls.at(-2)).toMatch(/^kind delete cluster --name cao-e2e-\d+/);
});

test('a cluster that could not be made completely is removed as well', () => {
  for (const tool of ['docker', 'kubectl', 'npm']) standIn(tool);
  standIn('kind', 1);

  const { status, calls } = run();

  expect(status).toBe(1);
  expect(calls.map(call => call.split(' ').slice(0, 2).join(' '))).toEqual([
    'kind create',
    'kind delete',
    'docker image',
  ]);
});

test('a missing tool is named, and nothing is begun', () => {
  for (const tool of ['docker', 'kubectl', 'npm']) standIn(tool);

  const { status, calls, stderr } = run();

  expect([status, stderr, calls]).toEqual([1, 'kind.sh: kind is not installed\n', []]);
});
