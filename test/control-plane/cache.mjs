// Versions, the cache folder and its locks. Plain JavaScript without dependencies: scripts/entry.mjs needs it before
// `npm ci`, on whatever Node is installed.
import { randomUUID } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';

/** The commands that make a control plane. */
export const BINARIES = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'];

/**
 * Kubernetes versions that a control plane can be started with: the newest and the oldest that the operator supports.
 * `etcd` is the version of go.etcd.io/etcd/server/v3 that this Kubernetes is released with.
 */
export const RELEASES = [
  { name: '1.37', kubernetes: 'v1.37.2', etcd: 'v3.7.0' },
  { name: '1.34', kubernetes: 'v1.34.4', etcd: 'v3.6.4' },
];

/** How long setting up one of them takes, for a person: built on two cores, alone and beside other load. */
export const SETUP_TIME = '6 to 13 minutes on two cores, less with a way to the published envtest archives';

const HEARTBEAT_MS = 2_000;
/** A holder that did not touch its lock for so long is gone. Long enough for a machine under heavy load. */
const ABANDONED_MS = 60_000;
const POLL_MS = 250;

/** Where this project keeps what it built or downloaded, outside the checkout. */
export function cacheRoot(env = process.env) {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cloud-account-operator');
}

/** Folder of the control plane's binaries of one Kubernetes version (`v1.37.2`) for this machine. */
export function binariesFolder(kubernetes, env = process.env) {
  return join(
    cacheRoot(env),
    'control-plane',
    `kubernetes-${kubernetes}-${process.platform}-${process.arch}`,
  );
}

/** Whether a binary is installed. Installing is a rename, so what is there is whole. */
export function isInstalled(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.isFile() && stat.size > 0;
}

/**
 * Runs `work` while holding the lock file `path`; of several processes that want it one at a time gets it.
 * A lock outlives a killed holder as a file: it is taken over at once when the holder's process is gone, and after
 * a minute without a sign of life where that cannot be seen (another PID namespace, a reused process id).
 */
export async function withLock(path, work, onWait = () => {}, abandonedMs = ABANDONED_MS) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${path}.${randomUUID()}`;
  writeFileSync(mine, String(process.pid));
  try {
    await takeLock(path, mine, onWait, abandonedMs);
  } finally {
    rmSync(mine, { force: true });
  }
  const heartbeat = setInterval(() => touch(path), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    rmSync(path, { force: true });
  }
}

async function takeLock(path, mine, onWait, abandonedMs) {
  let seen = { mtime: -1, since: 0 };
  for (let waits = 0; !tryLink(mine, path); waits++) {
    if (waits === 1) onWait();
    const holder = readLock(path);
    if (!holder) continue; // released meanwhile
    // Time without a heartbeat is counted on our own clock: a file's time may come from another machine's.
    if (holder.mtime !== seen.mtime) seen = { mtime: holder.mtime, since: performance.now() };
    if (!isAlive(holder.pid) || performance.now() - seen.since > abandonedMs) takeAway(path, holder);
    else await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}

/** Removes an abandoned lock, unless another process has replaced it by its own meanwhile. */
function takeAway(path, abandoned) {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  const moved = readLock(aside);
  if (moved && (moved.pid !== abandoned.pid || moved.mtime !== abandoned.mtime)) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function readLock(path) {
  try {
    return { pid: Number(readFileSync(path, 'utf8')), mtime: statSync(path).mtimeMs };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function tryLink(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

function touch(path) {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
