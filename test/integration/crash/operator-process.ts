import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The operator as a process of its own, so that it can die as processes do. */
export interface OperatorProcess {
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** What it said last, for a failing test. */
  said(): string;
}

const WITH_PARENT = fileURLToPath(new URL('../../../scripts/die-with-parent.mjs', import.meta.url));

export function startOperatorProcess(
  program: string,
  args: readonly string[],
  cache: string,
): OperatorProcess {
  const child = spawn(process.execPath, ['--import', WITH_PARENT, program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Most of a start is compiling; the flags of jest are none of its business.
    env: { ...process.env, NODE_OPTIONS: '', NODE_COMPILE_CACHE: cache },
  });
  const ended = once(child, 'exit');
  let lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      lines = [...lines, ...chunk.toString().trimEnd().split('\n')].slice(-20);
    });
  }
  return {
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    said: () => lines.join('\n'),
  };
}
