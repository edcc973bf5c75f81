import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

/**
 * Standard input is a pipe from the process that started this: the kernel closes it, whatever way that one ends. The
 * whole process group is told then, compilers of `go build` included: SIGINT first, with which Go removes its
 * temporary folder.
 */
const SCRIPT = `
exec 3<&0
(trap '' INT; read -r _ <&3; kill -INT 0; sleep 3; kill -KILL 0) &
watcher=$!
"$@" </dev/null 3<&-
code=$?
kill $watcher
exit $code`;

/** Starts a command that ends, with all that it starts, when this process ends. Its output is read from pipes. */
export function spawnWithParent(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): ChildProcessByStdio<Writable, Readable, Readable> {
  // A group of its own: Ctrl-C reaches this process alone, which ends and takes the group along.
  return spawn('sh', ['-c', SCRIPT, 'sh', command, ...args], {
    ...options,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
}

/** Runs a command like that; resolves with what it printed, rejects with the last lines of what it complained about. */
export async function runWithParent(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const child = spawnWithParent(command, args, options);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-8000)));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code === 0) return stdout;
  const tail = stderr.trim().split('\n').slice(-12).join('\n');
  throw new Error(`${command} ${args.slice(0, 2).join(' ')} failed with code ${code}:\n${tail}`);
}
