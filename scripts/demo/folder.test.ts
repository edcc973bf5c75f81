import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claimFolder, demoIn, type DemoState, releaseFolder, runningDemos, writeState } from './folder.ts';

let parent = '';
let base = '';

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'demo-folder-'));
  base = join(parent, 'demos');
});

afterEach(() => rmSync(parent, { recursive: true, force: true }));

function stateOf(dir: string): DemoState {
  return JSON.parse(readFileSync(join(dir, 'demo.json'), 'utf8')) as DemoState;
}

/** As a killed demo leaves it: its process is gone. */
function abandon(dir: string): void {
  const { pid } = spawnSync(process.execPath, ['--version']);
  writeState(dir, { ...stateOf(dir), pid });
}

test('demos that start at the same time get folders of their own', async () => {
  const dirs = await Promise.all([claimFolder(base), claimFolder(base)]);
  expect(dirs.sort()).toEqual([join(base, '1'), join(base, '2')]);
});

test('the newest running demo comes first', async () => {
  const first = await claimFolder(base);
  const second = await claimFolder(base);
  writeState(second, { ...stateOf(second), startedAt: stateOf(first).startedAt + 1 });
  expect(runningDemos(base).map(({ dir }) => dir)).toEqual([second, first]);
});

test('what a killed demo left is no running demo, and the next one takes its place', async () => {
  const dir = await claimFolder(base);
  writeFileSync(join(dir, 'operator.log'), 'old');
  abandon(dir);
  expect(runningDemos(base)).toEqual([]);
  expect(await claimFolder(base)).toBe(dir);
  expect(existsSync(join(dir, 'operator.log'))).toBe(false);
});

test('a folder with something else in it is left alone', async () => {
  const dir = join(parent, 'mine');
  mkdirSync(dir);
  writeFileSync(join(dir, 'precious'), '');
  await expect(claimFolder(base, dir)).rejects.toThrow(/is not empty/);
  expect(existsSync(join(dir, 'precious'))).toBe(true);
});

test('a folder in use is refused', async () => {
  const dir = await claimFolder(base, join(parent, 'mine'));
  await expect(claimFolder(base, dir)).rejects.toThrow(/a demo runs in .*mine already/);
  expect(demoIn(dir)?.state.pid).toBe(process.pid);
});

test('the last demo that ends takes the common folder along', async () => {
  const first = await claimFolder(base);
  const second = await claimFolder(base);
  await releaseFolder(base, first);
  expect(existsSync(base)).toBe(true);
  await releaseFolder(base, second);
  expect(existsSync(base)).toBe(false);
});
