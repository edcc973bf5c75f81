import { afterEach, expect, test } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DemoState } from '../../scripts/demo/folder.ts';
import { eventually } from './support/wait.ts';

const TIMEOUT_MS = 240_000;
const root = join(import.meta.dirname, '..', '..');

let folders: string[] = [];
let demos: ChildProcess[] = [];

afterEach(() => {
  for (const demo of demos) demo.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  [demos, folders] = [[], []];
});

interface RunningDemo {
  process: ChildProcess;
  dir: string;
  output: () => string;
  /** The exit code. */
  ended: Promise<number | null>;
  state(): DemoState;
}

/** A demo of its own, beside any that a person runs in this checkout. */
function startDemo(...args: string[]): RunningDemo {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  folders.push(folder);
  const dir = join(folder, 'here');
  const demo = spawn(process.execPath, [join(root, 'scripts', 'demo.ts'), '--dir', dir, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  demos.push(demo);
  let output = '';
  for (const stream of [demo.stdout, demo.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return {
    process: demo,
    dir,
    output: () => output,
    ended: once(demo, 'close').then(([code]) => code as number | null),
    state: () => JSON.parse(readFileSync(join(dir, 'demo.json'), 'utf8')) as DemoState,
  };
}

function printed(demo: RunningDemo, pattern: RegExp): Promise<string> {
  return eventually(demo.output, output => pattern.test(output), String(pattern), 60_000);
}

/** Runs a printed command as a person would who copied it. Resolves with its exit code and what it said. */
async function shell(command: string): Promise<{ code: number | null; said: string }> {
  const child = spawn('sh', ['-c', command], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url);
    return true;
  } catch {
    return false;
  }
}

test(
  '--once ends with 0 when every example shows what it is meant to show, and leaves nothing behind',
  async () => {
    const demo = startDemo('--once');
    expect([await demo.ended, demo.output()]).toEqual([0, expect.stringContaining('All 12 examples show')]);
    expect(demo.output()).toMatch(/^hetzner +Hetzner +Connected +True/m);
    expect(demo.output()).toMatch(/^wrong-address +Vultr +NeedsAttention +False/m);
    expect(demo.output()).toMatch(/^provider-down +Hostinger +Pending +Unknown/m);
    expect(existsSync(demo.dir)).toBe(false);
  },
  TIMEOUT_MS,
);

test(
  '--once ends with 1 and names the example whose token is wrong, and only that one',
  async () => {
    const demo = startDemo('--once', '--wrong-token', 'hetzner');
    expect([await demo.ended, demo.output()]).toEqual([
      1,
      expect.stringContaining(
        'hetzner is meant to show Connected (Verified) but shows NeedsAttention (CredentialRejected)',
      ),
    ]);
    expect(demo.output()).toMatch(/^1 of 12 examples show something else than meant: hetzner$/m);
  },
  TIMEOUT_MS,
);

test(
  'every command that it prints works by copy and paste, and Ctrl-C ends it',
  async () => {
    const demo = startDemo();
    await printed(demo, /Ctrl-C ends/);
    const commands = demo
      .output()
      .split('\n')
      .filter(line => line.startsWith('    '));
    expect(commands.length).toBeGreaterThan(10);
    const environment = commands.filter(command => command.trim().startsWith('export '));
    expect(environment).toEqual([expect.stringContaining('export KUBECONFIG=')]);
    for (const command of commands) {
      const result = await shell([...environment, command].join('\n'));
      expect({ command, ...result }).toEqual({ command, code: 0, said: expect.any(String) });
      // What follows replaces the token: a person would look first, too.
      if (command.includes('annotate cacct digitalocean')) {
        await printed(
          demo,
          /digitalocean: Connected \(ConfirmingRejection\), Ready True, refused 1 of 3 times/,
        );
      }
    }
    await printed(demo, /digitalocean: Connected \(Verified\)/);
    await printed(demo, /wrong-address: Connected \(Verified\)/);
    await printed(demo, /read-only: Connected \(VerifiedReadOnly\)/);
    await printed(demo, /upcloud: deleted/);
    expect(demo.output()).not.toMatch(/hetzner: (?!Connected)/);

    const { clouds } = demo.state();
    demo.process.kill('SIGINT');

    expect(await demo.ended).toBe(0);
    expect(existsSync(demo.dir)).toBe(false);
    expect(await answers(clouds.Hetzner ?? '')).toBe(false);
  },
  TIMEOUT_MS,
);

test(
  'a killed demo takes clouds and operator along',
  async () => {
    const demo = startDemo();
    await printed(demo, /Ctrl-C ends/);
    const { clouds } = demo.state();
    expect(await answers(clouds.Hetzner ?? '')).toBe(true);

    demo.process.kill('SIGKILL');

    await eventually(
      () => answers(clouds.Hetzner ?? ''),
      alive => !alive,
      'the clouds are gone',
    );
    const log = () => readFileSync(join(demo.dir, 'operator.log'), 'utf8');
    await eventually(log, text => text.includes('operator stopped'), 'the operator is gone');
  },
  TIMEOUT_MS,
);

test(
  'an unknown name is answered with those that there are',
  async () => {
    const demo = startDemo('--once', '--wrong-token', 'hetzer');
    expect([await demo.ended, demo.output()]).toEqual([
      1,
      expect.stringContaining('there are digitalocean, hetzner'),
    ]);
  },
  TIMEOUT_MS,
);
