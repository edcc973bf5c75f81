import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** A process that ignores its signal for so long is killed. */
const STOP_TIMEOUT_MS = 15_000;

export interface Child {
  /** Resolves, when the process is gone, with how it ended. */
  exited: Promise<string>;
  /** SIGTERM, and SIGKILL if that does not help. Resolves when the process is gone. */
  stop(): Promise<void>;
}

/**
 * Starts a program on this Node, its output in the file `log`. It ends with this process, whatever way this one dies:
 * a channel between the two closes then (scripts/die-with-parent.mjs).
 */
export function startChild(args: readonly string[], log: string): Child {
  const output = openSync(log, 'a');
  const preload = new URL('../die-with-parent.mjs', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', preload, ...args], {
    // Ctrl-C in a terminal goes to a whole process group; here it is to reach the demo, which ends its children in order.
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
  });
  closeSync(output);
  const exited = new Promise<string>(resolve => {
    child.once('error', error => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`));
  });
  return {
    exited,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** The last lines of a log, for the message about a process that ended by itself. */
export function logTail(log: string): string {
  return readFileSync(log, 'utf8').trim().split('\n').slice(-10).join('\n');
}
