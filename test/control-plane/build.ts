import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BINARIES, type Binary, type Release } from './cache.mjs';
import { assertMayBuild } from './prepared.ts';
import { runWithParent } from './with-parent.ts';

/**
 * Builds the control plane's commands from the Go module proxy, with no Go code of ours: a module that requires
 * k8s.io/kubernetes and repeats its `replace` lines, which point to the staging folders, with published versions.
 */

const PACKAGES: Record<Binary, string> = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
};

const PROGRESS_MS = 20_000;

/** Makes one binary of a release at `target`, which is there whole or not at all. */
export type Builder = (
  release: Release,
  binary: Binary,
  target: string,
  say: (line: string) => void,
) => Promise<void>;

/**
 * Builds with the installed Go (1.21 or newer; it fetches the toolchain that the release asks for).
 * @param target file to install; its folder keeps the module between builds
 */
export async function buildBinary(
  release: Release,
  binary: Binary,
  target: string,
  say: (line: string) => void,
): Promise<void> {
  const folder = join(target, '..');
  await mkdir(folder, { recursive: true });
  const module = await prepareModule(release, folder, say);
  const version = binary === 'etcd' ? release.etcd : release.kubernetes;
  await buildCommand(module, PACKAGES[binary], target, {
    flags: binary === 'etcd' ? '-s -w' : kubernetesFlags(release),
    about: `${binary} ${version} with Go`,
    say,
  });
}

export interface CommandOptions {
  /** For the linker. */
  flags: string;
  /** What is built, for a person, and how long it takes. */
  about: string;
  say: (line: string) => void;
}

/**
 * Builds one command of a Go module at `target`, which is there whole or not at all. Equal flags let all builds share
 * what Go's build cache holds.
 * @param module folder with the go.mod; modules that its go.sum lacks are added
 */
export async function buildCommand(
  module: string,
  packagePath: string,
  target: string,
  { flags, about, say }: CommandOptions,
): Promise<void> {
  const name = basename(target);
  assertMayBuild(name, target);
  const temporary = await mkdtemp(join(target, '..', '.build-'));
  try {
    say(`building ${about}`);
    const start = performance.now();
    const progress = setInterval(() => {
      say(`still building ${name}, ${Math.round((performance.now() - start) / 1000)} s so far`);
    }, PROGRESS_MS);
    const output = join(temporary, name);
    const args = ['build', '-mod=mod', '-trimpath', '-ldflags', flags, '-o', output, packagePath];
    await go(module, args).finally(() => clearInterval(progress));
    await rename(output, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** `kubectl version` and the API server's /version read these; without them they say v0.0.0-master. */
export function kubernetesFlags(release: Release): string {
  const [major, minor] = release.name.split('.');
  const base = 'k8s.io/component-base/version';
  return [
    '-s -w',
    `-X ${base}.gitVersion=${release.kubernetes}`,
    `-X ${base}.gitMajor=${major}`,
    `-X ${base}.gitMinor=${minor}`,
  ].join(' ');
}

/** The Go module that holds the release's dependencies. Made once, renamed into place when `go mod tidy` is through. */
export async function prepareModule(
  release: Release,
  folder: string,
  say: (line: string) => void,
): Promise<string> {
  const module = join(folder, 'module');
  if (await isFile(join(module, 'go.sum'))) return module;
  say(`resolving the Go modules of Kubernetes ${release.kubernetes} (about 20 s)`);
  const temporary = await mkdtemp(join(folder, '.module-'));
  try {
    await writeFile(join(temporary, 'go.mod'), 'module controlplane\n');
    const found = await go(temporary, [
      'mod',
      'download',
      '-json',
      `k8s.io/kubernetes@${release.kubernetes}`,
    ]);
    const { GoMod } = JSON.parse(found) as { GoMod: string };
    await writeFile(join(temporary, 'go.mod'), goMod(release, await readFile(GoMod, 'utf8')));
    await writeFile(join(temporary, 'tools.go'), toolsGo());
    // -e: tests of some dependencies import modules that are nowhere published; nothing here compiles them.
    await go(temporary, ['mod', 'tidy', '-e']);
    await rename(temporary, module);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return module;
}

/** @param upstream go.mod of k8s.io/kubernetes itself */
export function goMod(release: Release, upstream: string): string {
  const language = upstream.match(/^(go|godebug) .*$/gm) ?? [];
  const staging = release.kubernetes.replace(/^v1\./, 'v0.');
  const replaced = [...upstream.matchAll(/^\s*(?:replace\s+)?(k8s\.io\/\S+) => \.\/staging\S+$/gm)];
  if (replaced.length === 0)
    throw new Error(`go.mod of Kubernetes ${release.kubernetes} has no staging modules`);
  return [
    'module controlplane',
    ...language,
    `require k8s.io/kubernetes ${release.kubernetes}`,
    `require go.etcd.io/etcd/server/v3 ${release.etcd}`,
    'replace (',
    ...replaced.map(match => `\t${match[1]} => ${match[1]} ${staging}`),
    ')',
    '',
  ].join('\n');
}

function toolsGo(): string {
  const imports = BINARIES.map(binary => `\t_ "${PACKAGES[binary]}"`);
  return ['//go:build tools', '', 'package tools', '', 'import (', ...imports, ')', ''].join('\n');
}

/**
 * Runs go in a module; resolves with what it printed, throws with the last lines of what it complained about. It ends
 * with this process: a build that nobody waits for would take the whole machine for minutes.
 */
export async function go(
  module: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const options = { cwd: module, env: { ...goEnvironment(), ...env } };
  return runWithParent('go', args, options).catch((error: unknown) => {
    // By the shell, which starts it.
    if (!String(error).includes('failed with code 127')) throw error;
    throw new Error('go is not installed (1.21 or newer is needed)', { cause: error });
  });
}

/**
 * Flags are part of the key of Go's build cache, so they are the same everywhere. Debian's Go and the golang images
 * set GOTOOLCHAIN=local, with which a Go older than go.mod asks for just fails; auto fetches the one asked for, and
 * nothing when the installed one is new enough. A version that somebody pinned stays.
 */
function goEnvironment(): NodeJS.ProcessEnv {
  const { GOTOOLCHAIN: pinned = 'local' } = process.env;
  return {
    ...process.env,
    CGO_ENABLED: '0',
    GOFLAGS: '-buildvcs=false',
    GOWORK: 'off',
    GOTOOLCHAIN: pinned === 'local' ? 'auto' : pinned,
  };
}

async function isFile(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
