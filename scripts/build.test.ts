import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from './build.ts';

let folder: string;
let outfile: string;

/** Uses what a bundle can trip over: names that an old Node lacks, top-level await, a CommonJS package. */
const PROGRAM = `
import { getCallSites } from 'node:util';
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'timers/promises';
import * as packageJson from './legacy.cjs';
await setTimeout(1);
using resource = { [Symbol.dispose]() {} };
console.log(typeof getCallSites, typeof readFile, packageJson.default.isAbsolute('/'), import.meta.url.length > 0);
`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'build-'));
  writeFileSync(join(folder, 'main.ts'), PROGRAM);
  writeFileSync(join(folder, 'legacy.cjs'), `module.exports = { isAbsolute: require('path').isAbsolute };`);
  outfile = join(folder, 'dist', 'operator.mjs');
  await bundle({ entry: join(folder, 'main.ts'), outfile });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(program: string, nodeArguments: string[] = []) {
  return spawnSync(program, [...nodeArguments, outfile], { encoding: 'utf8', cwd: tmpdir() });
}

test('the bundle runs by itself', () => {
  const { stdout, stderr, status } = run(process.execPath);

  expect({ stdout, stderr, status }).toEqual({
    stdout: 'function function true true\n',
    stderr: '',
    status: 0,
  });
});

test('the bundle is one file with its source map beside it, and the same every time', async () => {
  const again = join(folder, 'again', 'operator.mjs');
  mkdirSync(join(folder, 'again'));
  await bundle({ entry: join(folder, 'main.ts'), outfile: again });

  expect(readdirSync(join(folder, 'dist'))).toEqual(['operator.mjs', 'operator.mjs.map']);
  expect(readFileSync(again)).toEqual(readFileSync(outfile));
});

test('an older Node is told which one is needed', () => {
  const older = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'18.20.0'})`;
  const { stdout, stderr, status } = run(process.execPath, ['--import', older]);

  expect({ stdout, stderr, status }).toEqual({
    stdout: '',
    stderr: 'Node 24 or newer is needed; this is Node 18.20.0.\n',
    status: 1,
  });
});

/** A Node outside the project that is older than 24, where there is one. */
function olderNode(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':').filter(path => !path.includes('node_modules'));
  return folders
    .map(path => join(path, 'node'))
    .find(node => {
      const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
      const major = Number(/^v(\d+)/.exec(stdout ?? '')?.[1]);
      return major < 24;
    });
}

const older = olderNode();
(older ? test : test.skip)('the older Node of this machine says so too, instead of a syntax error', () => {
  const { stderr, status } = run(older ?? '');

  expect(stderr).toMatch(/^Node 24 or newer is needed; this is Node \d+\.\d+\.\d+\.\n$/);
  expect(status).toBe(1);
});
