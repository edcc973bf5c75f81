import { expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from '../integration/support/wait.ts';

/** Set when the tests run on a node of this machine. */
const onNode = process.env['E2E_NODE'] === '1' ? test : test.skip;

onNode('a node goes with the process that started it, even when that one is killed', async () => {
  const program = `
    const { startNode } = await import(${JSON.stringify(join(import.meta.dirname, 'node/node.ts'))});
    console.log((await startNode(undefined, () => {})).kubeconfig);
    setInterval(() => {}, 60_000);`;
  const starter = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [kubeconfig] = (await once(createInterface({ input: starter.stdout }), 'line')) as [string];
  const folder = dirname(kubeconfig);
  const cgroups = readFileSync(join(folder, 'cgroups'), 'utf8').trim().split('\n');
  expect(processesOf(folder).length).toBeGreaterThan(5);

  starter.kill('SIGKILL');

  await eventually(
    () => processesOf(folder),
    pids => pids.length === 0,
    'no process of the node',
    60_000,
  );
  await eventually(
    () => cgroups.filter(existsSync),
    left => left.length === 0,
    'no cgroup',
    60_000,
  );
  await eventually(
    () => existsSync(folder),
    exists => !exists,
    'no folder',
    60_000,
  );
});

/** Commands that run and name the node's folder. */
function processesOf(folder: string): string[] {
  return globSync('/proc/[0-9]*/cmdline').filter(file => {
    try {
      return readFileSync(file, 'utf8').includes(folder);
    } catch {
      return false; // ended meanwhile
    }
  });
}
