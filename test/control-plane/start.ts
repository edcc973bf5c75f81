import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findBinaries } from './binaries.ts';
import { attachControlPlane, type ControlPlane } from './control-plane.ts';
import type { SupervisorInput, SupervisorMessage } from './supervisor.ts';
import { DEFAULT_VERSION, findRelease } from './versions.ts';

export interface StartOptions {
  /** Kubernetes minor version, one of `RELEASES`. Default 1.37. */
  kubernetes?: string;
  /** Where the administrator's kubeconfig is written. Default: in the control plane's own temporary folder. */
  kubeconfig?: string;
  /**
   * Log every request (without bodies), so that requests can be counted. Default true; costs the API server a few
   * per cent, so measurements turn it off.
   */
  audit?: boolean;
  /** Told in whole lines what takes time. Default: standard error. */
  say?: (line: string) => void;
  /** Called when the supervisor was killed later on; what it ran is killed then, and its folder removed. */
  onLost?: () => void;
}

/**
 * Starts a control plane on free ports of loopback; resolves in seconds when all three processes are ready, longer when
 * binaries are to be set up first. It ends with `stop()` or with this process, whatever way this process ends.
 */
export async function startControlPlane(options: StartOptions = {}): Promise<ControlPlane> {
  const { kubernetes = DEFAULT_VERSION, audit = true, say = line => console.error(line) } = options;
  const release = findRelease(kubernetes);
  const binaries = await findBinaries(release, { say });
  const dir = mkdtempSync(join(tmpdir(), 'control-plane-'));
  const kubeconfig = options.kubeconfig ?? join(dir, 'kubeconfig');
  await supervise({ dir, release, binaries, audit, kubeconfig }, options.onLost);
  return attachControlPlane(dir);
}

/** Starts the supervisor and resolves when it says that the control plane is ready. */
function supervise(input: SupervisorInput, onLost = () => {}): Promise<void> {
  const program = fileURLToPath(new URL('supervisor.ts', import.meta.url));
  const supervisor = spawn(process.execPath, [program, JSON.stringify(input)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  const running = new Set<number>();

  return new Promise((resolve, reject) => {
    supervisor.once('error', reject);
    // After `exit` lines can still be unread; `close` comes when they are read.
    supervisor.once('close', () => {
      if (running.size > 0) {
        killOrphans(input, running);
        onLost();
      }
      reject(new Error('The supervisor of the control plane ended before it was ready'));
    });
    createInterface({ input: supervisor.stdout }).on('line', line => {
      const message = JSON.parse(line) as SupervisorMessage;
      switch (message.type) {
        case 'started':
          running.add(message.pid);
          break;
        case 'exited':
          running.delete(message.pid);
          break;
        case 'failed':
          reject(new Error(`The control plane does not start: ${message.message}`));
          break;
        case 'ready':
          // From here on it does not keep this process alive, which can just end.
          supervisor.unref();
          // Pipes to a child are sockets, which their types do not say.
          for (const stream of [supervisor.stdin, supervisor.stdout]) (stream as unknown as Socket).unref();
          resolve();
      }
    });
  });
}

/** The supervisor was killed: the one case in which it cannot clean up itself. */
function killOrphans(input: SupervisorInput, pids: Set<number>): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  rmSync(input.kubeconfig, { force: true });
  rmSync(input.dir, { recursive: true, force: true });
}
