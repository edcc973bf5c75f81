import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ControlPlane } from './control-plane.ts';

const TIMEOUT_MS = 120_000;

/**
 * Applies files and folders of manifests as administrator, in the order given, and waits until the CRDs among them are
 * served. Throws with kubectl's words if one is refused.
 */
export async function applyManifests(controlPlane: ControlPlane, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await kubectl(controlPlane, ['apply', '--server-side', '--force-conflicts', '-f', path]);
  }
  await kubectl(controlPlane, [
    'wait',
    'customresourcedefinitions',
    '--all',
    '--for=condition=Established',
    '--timeout=60s',
  ]);
}

/** Runs kubectl as administrator; resolves with what it printed, throws with its error output. */
export async function kubectl(controlPlane: ControlPlane, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    controlPlane.kubectl,
    ['--kubeconfig', controlPlane.kubeconfig, ...args],
    { timeout: TIMEOUT_MS, maxBuffer: 64 * 2 ** 20 },
  );
  return stdout;
}
