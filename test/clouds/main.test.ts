import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { control } from './control.ts';

jest.setTimeout(60_000);

let dir: string;
let child: ChildProcess;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'clouds-'));
});

afterEach(() => {
  child.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

async function start(...options: string[]): Promise<Record<string, string>> {
  const file = join(dir, 'ports.json');
  const program = fileURLToPath(new URL('main.ts', import.meta.url));
  child = spawn(process.execPath, [program, '--port-file', file, ...options], { stdio: 'ignore' });
  while (!existsSync(file)) await sleep(20);
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
}

test('runs all seven clouds in one process, with a control API each, until it is told to stop', async () => {
  const origins = await start('--latency', '1');
  expect(Object.keys(origins).sort()).toEqual(
    ['DigitalOcean', 'Hetzner', 'Hostinger', 'Linode', 'TransIP', 'UpCloud', 'Vultr'].sort(),
  );
  const secrets = new Set<string>();
  for (const origin of Object.values(origins)) {
    const made = (await control(origin, 'create-token', { name: 'demo' })) as { credential: object };
    secrets.add(JSON.stringify(made.credential));
    expect(await control(origin, 'revoke', { token: 'demo' })).toMatchObject({ name: 'demo', revoked: true });
  }
  expect(secrets.size).toBe(7);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});
