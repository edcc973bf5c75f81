import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findOrBuildHelm } from '../../../scripts/generate/helm.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../../..');

/** The chart as it is now, and as it was released before. */
export const CHART = join(ROOT, 'charts/cloud-account-operator');
export const RELEASED_CHART = join(import.meta.dirname, 'fixtures/cloud-account-operator-0.1.0.tgz');

export interface ReleaseName {
  name: string;
  namespace: string;
}

/** Values of the chart, as a values file holds them. */
export type Values = Record<string, unknown>;

/** The real Helm, against one control plane. */
export interface Helm {
  install(release: ReleaseName, chart: string, values?: Values): Promise<string>;
  upgrade(release: ReleaseName, chart: string, values?: Values): Promise<string>;
  rollback(release: ReleaseName, revision: number): Promise<void>;
  uninstall(release: ReleaseName): Promise<string>;
  /** What `helm template` prints; with `skipTests` without the hooks of `helm test`. */
  template(release: ReleaseName, values?: Values, options?: { skipTests?: boolean }): Promise<string>;
}

/** Finds or builds Helm. Every function rejects with what Helm said when it fails. */
export async function createHelm(controlPlane: ControlPlane): Promise<Helm> {
  const helm = await findOrBuildHelm();
  const home = join(controlPlane.dir, 'helm');
  mkdirSync(home, { recursive: true });
  // Nothing of the person's own Helm: no plugins, no settings, no cluster.
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    HELM_CACHE_HOME: home,
    HELM_CONFIG_HOME: home,
    HELM_DATA_HOME: home,
    KUBECONFIG: controlPlane.kubeconfig,
  };

  async function call(args: string[], { name, namespace }: ReleaseName, values?: Values): Promise<string> {
    const file = join(home, `${randomUUID()}.json`);
    writeFileSync(file, JSON.stringify(values ?? {}));
    const [command = '', ...rest] = args;
    const withValues = values === undefined ? [] : ['--values', file];
    const { stdout } = await run(helm, [command, name, ...rest, '--namespace', namespace, ...withValues], {
      env,
      timeout: 120_000,
      maxBuffer: 64 * 2 ** 20,
    });
    return stdout;
  }

  return {
    install: (release, chart, values = {}) => call(['install', chart, '--create-namespace'], release, values),
    upgrade: (release, chart, values = {}) => call(['upgrade', chart, '--reset-values'], release, values),
    rollback: async (release, revision) => void (await call(['rollback', String(revision)], release)),
    uninstall: release => call(['uninstall', '--wait'], release),
    template: (release, values = {}, { skipTests = false } = {}) =>
      call(['template', CHART, ...(skipTests ? ['--skip-tests'] : [])], release, values),
  };
}
