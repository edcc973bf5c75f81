import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** A process of the bench's own, its output in a file. */
export interface Child {
  pid: number;
  /** Milliseconds since the epoch, just before it was started. */
  startedAt: number;
  /** What it wrote so far. */
  output(): string;
  /** SIGTERM; rejects when it does not end with code 0. */
  stop(): Promise<void>;
}

const STOP_TIMEOUT_MS = 20_000;
const PRELOAD = new URL('../../scripts/die-with-parent.mjs', import.meta.url).href;

/** Starts a program on this Node. It ends with this process, whatever way this one dies (die-with-parent.mjs). */
export function startChild(
  args: readonly string[],
  log: string,
  env: Readonly<Record<string, string>> = {},
): Child {
  const file = openSync(log, 'w');
  const startedAt = Date.now();
  const child = spawn(process.execPath, ['--import', PRELOAD, ...args], {
    detached: true,
    stdio: ['ignore', file, file, 'ipc'],
    env: { ...process.env, ...env },
  });
  closeSync(file);
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${args[0]}`);
  const ended = new Promise<string>(resolve =>
    child.once('exit', (code, signal) => resolve(signal ?? String(code))),
  );
  const output = (): string => readFileSync(log, 'utf8');
  return {
    pid,
    startedAt,
    output,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      const how = await ended;
      clearTimeout(timer);
      if (how !== '0') throw new Error(`${args[0]} ended with ${how}: ${output().slice(-2_000)}`);
    },
  };
}
