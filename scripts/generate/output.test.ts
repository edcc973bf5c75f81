import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { staleFiles } from './output.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'generate-'));
  mkdirSync(join(root, 'folder'));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

test('a file that is as generated is not stale, a changed and an absent one are', () => {
  writeFileSync(join(root, 'folder/same'), 'content\n');
  writeFileSync(join(root, 'folder/changed'), 'content\r\n');
  const files = ['same', 'changed', 'absent'].map(name => ({ path: `folder/${name}`, content: 'content\n' }));
  expect(staleFiles(files, root)).toEqual(['folder/changed', 'folder/absent']);
});
