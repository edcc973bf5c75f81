import { execFile } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildBinary, type Builder } from './build.ts';
import {
  BINARIES,
  binariesFolder,
  isInstalled,
  SETUP_TIME,
  withLock,
  type Binary,
  type Release,
} from './cache.mjs';
import { downloadBinaries } from './download.ts';
import { createEstimate } from './estimate.ts';
import { assertMayBuild } from './prepared.ts';

/** Path of each binary. */
export type Binaries = Record<Binary, string>;

export interface FindOptions {
  env?: NodeJS.ProcessEnv;
  build?: Builder;
  /** Told in whole lines what takes time. */
  say?: (line: string) => void;
}

/**
 * Finds the binaries of a release. Each by itself: KUBEBUILDER_ASSETS (controller-runtime's convention), the cache
 * folder; and into the cache folder an archive of controller-tools or a Go build. With everything there the network is not touched.
 */
export async function findBinaries(release: Release, options: FindOptions = {}): Promise<Binaries> {
  const { env = process.env, build = buildBinary, say = () => {} } = options;
  const found: Partial<Binaries> = await fromAssets(release, env, say);
  const folder = binariesFolder(release.kubernetes, env);
  const missing = () => BINARIES.filter(binary => !found[binary]);
  const lookInCache = () => {
    for (const binary of missing()) {
      if (isInstalled(join(folder, binary))) found[binary] = join(folder, binary);
    }
  };
  lookInCache();
  if (missing().length > 0) {
    assertMayBuild(`${missing().join(', ')} of Kubernetes ${release.kubernetes}`, folder, env);
    say(`setting up Kubernetes ${release.kubernetes} in ${folder}, once: ${SETUP_TIME}`);
    const waiting = () => say('waiting for another process that is setting up the control plane');
    await withLock(
      join(folder, 'lock'),
      async () => {
        removeLeftovers(folder);
        lookInCache();
        await downloadBinaries(release, missing(), folder, env, say);
        lookInCache();
        const estimate = createEstimate(missing());
        for (const binary of missing()) {
          const target = join(folder, binary);
          await build(release, binary, target, line => say(`${line}; ${estimate.left()}`));
          estimate.finished(binary);
          found[binary] = target;
        }
      },
      waiting,
    );
  }
  return found as Binaries;
}

/** Temporary folders of a download or build that was killed. Only the holder of the lock has any. */
function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name.startsWith('.')) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** What KUBEBUILDER_ASSETS holds, but for Kubernetes commands of another minor version than asked for. */
async function fromAssets(
  release: Release,
  env: NodeJS.ProcessEnv,
  say: (line: string) => void,
): Promise<Partial<Binaries>> {
  const assets = env['KUBEBUILDER_ASSETS'];
  if (!assets) return {};
  const found: Partial<Binaries> = {};
  for (const binary of BINARIES) {
    const path = join(assets, binary);
    if (!isInstalled(path)) continue;
    const version = binary === 'etcd' ? undefined : await kubernetesVersion(path, binary);
    if (version === undefined || version.startsWith(`v${release.name}.`)) found[binary] = path;
    else say(`${binary} in KUBEBUILDER_ASSETS is ${version}, not ${release.name}: looking further`);
  }
  return found;
}

async function kubernetesVersion(path: string, binary: Binary): Promise<string> {
  const args = binary === 'kubectl' ? ['version', '--client'] : ['--version'];
  const { stdout } = await promisify(execFile)(path, args);
  return /v\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? 'of an unknown version';
}
