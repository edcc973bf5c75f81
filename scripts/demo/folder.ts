import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ProviderName } from '../../operator/api/names.ts';
import { cacheRoot, withLock } from '../../test/control-plane/cache.mjs';

/** What a running demo tells `npm run demo:cloud`, in `demo.json` of its folder. */
export interface DemoState {
  pid: number;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** How the folder's kubectl is called from the root of the checkout. */
  kubectl: string;
  /** Origins of the simulated clouds; a provider that is left alone has none. */
  clouds: Partial<Record<ProviderName, string>>;
  accounts: DemoAccount[];
  /** What is broken now. The clouds can only forget all faults at once, so that the others are then switched on again. */
  faults: DemoFault[];
}

export interface DemoAccount {
  name: string;
  provider: ProviderName;
  secret: string;
}

export interface DemoFault {
  provider: ProviderName;
  /** Only calls with a token of this account; absent: every call. */
  account?: string;
  kind: string;
}

export interface Demo {
  dir: string;
  state: DemoState;
}

/** The folder is in use or holds something else; the message is for the person who named it. */
export class FolderError extends Error {
  override readonly name = 'FolderError';
}

/**
 * Takes the folder `dir`, or else the first free one of `base/1`, `base/2` and so on, so that several demos run side by
 * side. What a killed demo left there is removed.
 */
export function claimFolder(base: string, dir?: string): Promise<string> {
  return locked(async () => {
    if (dir !== undefined) return claim(dir);
    for (let n = 1; ; n++) {
      const numbered = join(base, String(n));
      if (!isRunning(readState(numbered))) return claim(numbered);
    }
  });
}

function claim(dir: string): string {
  const state = readState(dir);
  if (isRunning(state)) throw new FolderError(`a demo runs in ${dir} already`);
  if (state === undefined && existsSync(dir) && readdirSync(dir).length > 0) {
    throw new FolderError(`${dir} is not empty; the demo needs a folder of its own`);
  }
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  writeState(dir, {
    pid: process.pid,
    startedAt: Date.now(),
    kubectl: '',
    clouds: {},
    accounts: [],
    faults: [],
  });
  return dir;
}

/** Removes the folder, and `base` with the last one in it. */
export function releaseFolder(base: string, dir: string): Promise<void> {
  return locked(async () => {
    rmSync(dir, { recursive: true, force: true });
    if (existsSync(base) && readdirSync(base).length === 0) rmdirSync(base);
  });
}

/** Demos that run now in `base`, the newest first. */
export function runningDemos(base: string): Demo[] {
  if (!existsSync(base)) return [];
  return readdirSync(base)
    .map(name => join(base, name))
    .flatMap(dir => demoIn(dir) ?? [])
    .sort((a, b) => b.state.startedAt - a.state.startedAt);
}

/** The demo that runs in this folder. */
export function demoIn(dir: string): Demo | undefined {
  const state = readState(dir);
  return state !== undefined && isRunning(state) ? { dir, state } : undefined;
}

/** Renamed into place: another process never reads half of it. */
export function writeState(dir: string, state: DemoState): void {
  const path = join(dir, 'demo.json');
  writeFileSync(`${path}.tmp`, JSON.stringify(state, null, 2));
  renameSync(`${path}.tmp`, path);
}

function readState(dir: string): DemoState | undefined {
  const path = join(dir, 'demo.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as DemoState) : undefined;
}

function isRunning(state: DemoState | undefined): boolean {
  if (state === undefined) return false;
  try {
    process.kill(state.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Outside of the folders, which come and go under it. */
function locked<T>(work: () => Promise<T>): Promise<T> {
  return withLock(join(cacheRoot(), 'demo.lock'), work);
}
