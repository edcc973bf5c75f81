import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { goProblem, isStale } from './preconditions.mjs';

const root = join(import.meta.dirname, '..');

let folder: string;
let children: ChildProcess[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entry-'));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function eventuallyExists(path: string): Promise<boolean> {
  const deadline = performance.now() + 30_000;
  while (!existsSync(path) && performance.now() < deadline)
    await new Promise(resolve => setTimeout(resolve, 20));
  return existsSync(path);
}

function writeJson(path: string, value: unknown) {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), JSON.stringify(value));
}

describe('stale packages', () => {
  const lock = {
    packages: {
      '': { name: 'project' },
      'node_modules/a': { version: '1.0.0' },
      'node_modules/other-platform': { version: '2.0.0', optional: true },
    },
  };
  const installed = { packages: { 'node_modules/a': { version: '1.0.0' } } };

  test('are seen when nothing is installed', () => {
    writeJson('package-lock.json', lock);

    expect(isStale(folder)).toBe(true);
  });

  test('are none when all but packages for other platforms is installed', () => {
    writeJson('package-lock.json', lock);
    writeJson('node_modules/.package-lock.json', installed);

    expect(isStale(folder)).toBe(false);
  });

  test.each([
    ['another version', { 'node_modules/a': { version: '0.9.0' } }],
    ['a missing package', {}],
    ['a package too many', { ...installed.packages, 'node_modules/b': { version: '1.0.0' } }],
  ])('are seen by %s', (_what, packages) => {
    writeJson('package-lock.json', lock);
    writeJson('node_modules/.package-lock.json', { packages });

    expect(isStale(folder)).toBe(true);
  });
});

describe('Go', () => {
  test.each(['go1.21', 'go1.21.0', 'go1.26.8', 'go1.100.1'])('%s is good', version => {
    expect(goProblem({ stdout: `${version}\n` })).toBeUndefined();
  });

  test.each(['go1.20.14', 'go1.9', ''])('%p is too old, and the message says what is needed', version => {
    expect(goProblem({ stdout: `${version}\n` })).toMatch(
      /^Go 1\.21 or newer is needed .*; the installed one is/,
    );
  });

  test('that is not installed is said', () => {
    expect(goProblem(spawnSync('no-such-command-go', { encoding: 'utf8' }))).toMatch(/no go is in PATH/);
  });
});

describe('the entry script', () => {
  /** A checkout with one entry, whose script is the given one, and with packages as installed. */
  function checkout(script: string) {
    mkdirSync(join(folder, 'scripts'));
    mkdirSync(join(folder, 'test', 'control-plane'), { recursive: true });
    for (const name of ['entry.mjs', 'preconditions.mjs', 'die-with-parent.mjs']) {
      cpSync(join(root, 'scripts', name), join(folder, 'scripts', name));
    }
    cpSync(join(root, 'test/control-plane/cache.mjs'), join(folder, 'test/control-plane/cache.mjs'));
    writeJson('package.json', { type: 'module' });
    writeJson('package-lock.json', { packages: {} });
    writeJson('node_modules/.package-lock.json', { packages: {} });
    mkdirSync(join(folder, 'node_modules', '.bin'));
    symlinkSync(process.execPath, join(folder, 'node_modules', '.bin', 'node'));
    writeFileSync(join(folder, 'scripts', 'build.ts'), script);
    writeFileSync(join(folder, 'scripts', 'test.ts'), script);
  }

  /** Runs it with an empty cache folder and only the given commands in PATH. */
  function enter(args: string[], commands: Record<string, string> = {}, nodeArguments: string[] = []) {
    const path = join(folder, 'path');
    mkdirSync(path);
    for (const [name, text] of Object.entries(commands)) {
      writeFileSync(join(path, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(path, name), 0o755);
    }
    const child = spawn(process.execPath, [...nodeArguments, join(folder, 'scripts', 'entry.mjs'), ...args], {
      env: { PATH: path, XDG_CACHE_HOME: join(folder, 'cache') },
    });
    children.push(child);
    return child;
  }

  async function outcome(child: ChildProcess) {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { code, signal, stdout, stderr };
  }

  test('hands arguments over and keeps the exit code', async () => {
    checkout(`const text: string = process.argv.slice(2).join(); console.log(text); process.exit(7);`);

    expect(await outcome(enter(['build', '--a', 'b c']))).toEqual({
      code: 7,
      signal: null,
      stdout: '--a,b c\n',
      stderr: '',
    });
  });

  test('passes SIGTERM on, and the child decides how it ends', async () => {
    checkout(`
      process.on('SIGTERM', () => { console.log('cleaned up'); process.exit(0); });
      setInterval(() => {}, 1000);
      console.log('ready');`);
    const child = enter(['build']);
    await once(child.stdout, 'data');
    const end = outcome(child);

    child.kill('SIGTERM');

    expect(await end).toMatchObject({ code: 0, stdout: 'cleaned up\n' });
  });

  test('that is killed takes the child along', async () => {
    checkout(`
      import { writeFileSync } from 'node:fs';
      process.on('SIGTERM', () => { writeFileSync('${folder}/cleaned-up', ''); process.exit(0); });
      setInterval(() => {}, 1000);
      console.log('ready');`);
    const child = enter(['build']);
    await once(child.stdout, 'data');

    child.kill('SIGKILL');
    expect(await eventuallyExists(join(folder, 'cleaned-up'))).toBe(true);
  });

  test('that npm started ends when npm is killed', async () => {
    checkout(`
      import { writeFileSync } from 'node:fs';
      process.on('SIGTERM', () => { writeFileSync('${folder}/cleaned-up', ''); process.exit(0); });
      setInterval(() => {}, 1000);
      console.log('ready');`);
    const script = `"${process.execPath}" "${folder}/scripts/entry.mjs" build; true`;
    const npm = spawn('/bin/sh', ['-c', script], {
      env: { PATH: '', XDG_CACHE_HOME: join(folder, 'cache'), npm_lifecycle_event: 'build' },
    });
    children.push(npm);
    await once(npm.stdout, 'data');

    npm.kill('SIGKILL');

    expect(await eventuallyExists(join(folder, 'cleaned-up'))).toBe(true);
  });

  test('installs packages that are missing, and says so', async () => {
    checkout(`console.log('ran');`);
    writeJson('package-lock.json', { packages: { 'node_modules/a': { version: '1.0.0' } } });

    const { stdout, stderr, code } = await outcome(enter(['build'], { npm: `echo "npm $@"` }));

    expect({ stdout, code }).toEqual({ stdout: 'ran\n', code: 0 });
    expect(stderr).toContain('[build] installing npm packages (npm ci, about 10 s)\nnpm ci ');
  });

  test('stops when npm fails or is not there', async () => {
    checkout(`console.log('ran');`);
    writeJson('package-lock.json', { packages: { 'node_modules/a': { version: '1.0.0' } } });
    const without = await outcome(enter(['build']));
    rmSync(join(folder, 'path'), { recursive: true });
    const failing = await outcome(enter(['build'], { npm: 'echo no network >&2; exit 3' }));

    expect(without).toMatchObject({ code: 1, stdout: '' });
    expect(without.stderr).toContain('npm is not installed; Node 20+ and npm are needed.');
    expect(failing).toMatchObject({ code: 1, stdout: '' });
    expect(failing.stderr).toContain('no network\nnpm ci failed (code 3)');
  });

  test('asks for Go before anything else when the control plane is to be built', async () => {
    checkout(`console.log('ran');`);
    rmSync(join(folder, 'node_modules'), { recursive: true });

    const { code, stderr } = await outcome(enter(['test'], { go: 'echo go1.19.8' }));

    expect(code).toBe(1);
    expect(stderr).toMatch(/^Go 1\.21 or newer is needed .* the installed one is go1\.19\.8\./);
  });

  test('tells an old Node what is needed', async () => {
    checkout('');
    const old = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'18.20.0'})`;

    const { code, stderr } = await outcome(enter(['build'], {}, ['--import', old]));

    expect(code).toBe(1);
    expect(stderr).toBe('Node 20 or newer and npm are needed to set the project up; this is Node 18.20.0.\n');
  });

  test('names the entries that there are', async () => {
    checkout('');

    const { code, stderr } = await outcome(enter(['nonsense']));

    expect(code).toBe(1);
    expect(stderr).toMatch(/^usage: .*test\|demo/);
  });
});
