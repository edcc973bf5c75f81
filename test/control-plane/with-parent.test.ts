import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runWithParent } from './with-parent.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'with-parent-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function eventually(condition: () => boolean): Promise<boolean> {
  const deadline = performance.now() + 20_000;
  while (!condition() && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 20));
  return condition();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('resolves with what a command printed, and rejects with what it complained about', async () => {
  expect(await runWithParent('sh', ['-c', 'echo "$1"; read -r x; echo "<$x>"', 'sh', 'a b'])).toBe(
    'a b\n<>\n',
  );
  await expect(runWithParent('sh', ['-c', 'echo no >&2; exit 3'])).rejects.toThrow('failed with code 3:\nno');
});

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'a command ends with what it started when its starter ends by %s',
  async signal => {
    const pids = join(folder, 'pids');
    // Like a compiler of a build: started by the command, and deaf to SIGINT.
    const command = `(trap '' INT; sleep 600) & echo $$ $! >${pids}.new; mv ${pids}.new ${pids}; wait`;
    const program = `
      const { runWithParent } = await import(${JSON.stringify(join(import.meta.dirname, 'with-parent.ts'))});
      await runWithParent('sh', ['-c', ${JSON.stringify(command)}]);`;
    const starter = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' });
    expect(await eventually(() => existsSync(pids))).toBe(true);
    const running = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
    expect(running.map(isAlive)).toEqual([true, true]);

    starter.kill(signal);

    expect(await eventually(() => !running.some(isAlive))).toBe(true);
  },
  60_000,
);
