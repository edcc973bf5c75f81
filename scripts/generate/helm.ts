import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { go } from '../../test/control-plane/build.ts';
import { cacheRoot, isInstalled, withLock } from '../../test/control-plane/cache.mjs';
import { assertMayBuild } from '../../test/control-plane/prepared.ts';

const run = promisify(execFile);

/** The Helm that what is committed is rendered with: another version may render other white space. */
export const HELM_VERSION = 'v4.3.1';

/** Where a built Helm is kept. */
function cachedHelm(env: NodeJS.ProcessEnv): string {
  return join(cacheRoot(env), `helm-${HELM_VERSION}-${process.platform}-${process.arch}`, 'helm');
}

/** Path of Helm: the environment variable `HELM`, or the cache folder. Undefined when neither has it. */
export function findHelm(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env['HELM']) return env['HELM'];
  const cached = cachedHelm(env);
  return isInstalled(cached) ? cached : undefined;
}

/** Path of Helm, built from the Go module proxy into the cache folder when it is not there (Go 1.21 or newer). */
export async function findOrBuildHelm(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const found = findHelm(env);
  if (found !== undefined) return found;
  const target = cachedHelm(env);
  const folder = join(target, '..');
  assertMayBuild(`Helm ${HELM_VERSION}`, target, env);
  await mkdir(folder, { recursive: true });
  await withLock(join(folder, 'lock'), async () => {
    if (isInstalled(target)) return;
    console.error(`building Helm ${HELM_VERSION} with Go (2-4 min the first time)`);
    const temporary = await mkdtemp(join(folder, '.build-'));
    try {
      const module = `helm.sh/helm/v4/cmd/helm@${HELM_VERSION}`;
      await go(temporary, ['install', '-trimpath', '-ldflags', '-s -w', module], { GOBIN: temporary });
      await rename(join(temporary, 'helm'), target);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  });
  return target;
}

/**
 * `helm template` of a chart.
 * @param args values and the like, such as `['--set', 'crds.enabled=false']`
 */
export async function renderChart(
  helm: string,
  chart: string,
  release: { name: string; namespace: string },
  args: readonly string[] = [],
): Promise<string> {
  const { stdout } = await run(
    helm,
    ['template', release.name, chart, '--namespace', release.namespace, ...args],
    {
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  return stdout;
}
