import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** The operator as a process that is killed and started again. */
export interface Operator {
  start(): void;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** When it was started, in milliseconds since the epoch. */
  starts: readonly number[];
  /** How often it ended by itself, which it never may. */
  ends(): number;
  /** All that it said so far. */
  output(): string;
}

const PRELOAD = new URL('../../scripts/die-with-parent.mjs', import.meta.url).href;

/** Starts the bundle in `program`. What it says, and what Node compiles of it, goes into `dir`. */
export function startOperator(program: string, dir: string, args: readonly string[]): Operator {
  const log = join(dir, 'operator.log');
  const starts: number[] = [];
  let ends = 0;
  let running: { kill: () => Promise<void> } | undefined;

  function start(): void {
    const file = openSync(log, 'a');
    const child = spawn(process.execPath, ['--import', PRELOAD, program, ...args], {
      stdio: ['ignore', file, file, 'ipc'],
      // Most of a start is compiling.
      env: { ...process.env, NODE_COMPILE_CACHE: join(dir, 'compiled') },
    });
    closeSync(file);
    starts.push(Date.now());
    let isKilled = false;
    const ended = once(child, 'exit').then(() => void (ends += isKilled ? 0 : 1));
    running = {
      async kill() {
        isKilled = true;
        child.kill('SIGKILL');
        await ended;
      },
    };
  }

  start();
  return {
    start,
    async kill() {
      await running?.kill();
      running = undefined;
    },
    starts,
    ends: () => ends,
    output: () => readFileSync(log, 'utf8'),
  };
}
