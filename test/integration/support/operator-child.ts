import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PROVIDER_NAMES } from '../../../operator/api/names.ts';
import { operatorKubeconfig } from './control-plane.ts';
import type { Testbed } from './testbed.ts';
import { eventually } from './wait.ts';

/** The operator as people run it: a process whose streams hold all that it says, runtime and warnings included. */
export interface OperatorChild {
  /** All of it so far. */
  stdout(): string;
  stderr(): string;
  /** Undefined while it runs. */
  exitCode(): number | null | undefined;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

const WITH_PARENT = fileURLToPath(new URL('../../../scripts/die-with-parent.mjs', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../../operator/main.ts', import.meta.url));

/**
 * Starts the operator for the namespace and the clouds of a testbed, at log level trace and with short confirmation
 * and retry times. Resolves when it works.
 */
export async function startOperatorChild(bed: Testbed, args: readonly string[] = []): Promise<OperatorChild> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      WITH_PARENT,
      PROGRAM,
      `--kubeconfig=${await operatorKubeconfig(bed.controlPlane)}`,
      `--watch-namespaces=${bed.namespace}`,
      ...PROVIDER_NAMES.map(name => `--provider-endpoint=${name}=${bed.cloud(name).url}`),
      '--confirm-after=1s,2s',
      '--retry-refused-after=1s,2s',
      '--log-level=trace',
      ...args,
    ],
    // The flags of jest are none of its business.
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  let exitCode: number | null | undefined;
  // All that it said is there only when its streams are closed.
  const closed = once(child, 'close').then(([code]) => (exitCode = code as number | null));
  await eventually(
    () => said.stdout.includes('accounts listed; working') || exitCode !== undefined,
    Boolean,
    'an operator that works',
    60_000,
  );
  if (exitCode !== undefined) throw new Error(`the operator ended with ${exitCode}: ${said.stderr}`);
  return {
    stdout: () => said.stdout,
    stderr: () => said.stderr,
    exitCode: () => exitCode,
    stop() {
      child.kill('SIGTERM');
      return closed;
    },
  };
}
