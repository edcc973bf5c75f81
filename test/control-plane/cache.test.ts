import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withLock } from './cache.mjs';

let folder: string;
let lock: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
  lock = join(folder, 'sub', 'lock');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('one at a time gets the lock, and it is gone afterwards', async () => {
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise(resolve => setTimeout(resolve, 5));
    inside--;
  };

  await Promise.all([withLock(lock, work), withLock(lock, work), withLock(lock, work)]);

  expect(most).toBe(1);
  expect(existsSync(lock)).toBe(false);
});

test('work that fails releases the lock', async () => {
  await expect(withLock(lock, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');

  await expect(withLock(lock, async () => 'done')).resolves.toBe('done');
});

test('the lock of a killed process is taken over', async () => {
  const script = `
    import { withLock } from ${JSON.stringify(new URL('cache.mjs', import.meta.url).href)};
    await withLock(process.argv[1], async () => {
      console.log('held');
      await new Promise(resolve => setTimeout(resolve, 60_000));
    });`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script, lock]);
  await once(holder.stdout, 'data');
  let waited = false;
  const mine = withLock(
    lock,
    async () => 'mine',
    () => {
      waited = true;
      holder.kill('SIGKILL');
    },
  );

  await expect(mine).resolves.toBe('mine');
  expect(waited).toBe(true);
}, 30_000);

test('a lock without a sign of life is taken over, though a process has its number', async () => {
  mkdirSync(join(folder, 'sub'));
  writeFileSync(lock, String(process.pid));

  await expect(withLock(lock, async () => 'mine', undefined, 100)).resolves.toBe('mine');
});
