import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { freePorts } from '../../control-plane/ports.ts';
import { findNodeTools } from './binaries.ts';

/** `f_type` of statfs(2) on tmpfs, in which cgroup v1 hierarchies are mounted; on cgroup v2 it is cgroup2fs. */
const TMPFS_MAGIC = 0x01021994;

const ROOT = join(import.meta.dirname, '../../..');

export interface RunningNode {
  kubeconfig: string;
  kubectl: string;
  /** Ends it and removes all that it made. It ends as well when this process dies, whatever way. */
  stop(): Promise<void>;
}

/** What decides whether a node can run. */
export interface Machine {
  platform: string;
  arch: string;
  isRoot: boolean;
  hasApt: boolean;
  hasCgroupV1: boolean;
}

function thisMachine(): Machine {
  const cgroups = '/sys/fs/cgroup';
  return {
    platform: process.platform,
    arch: process.arch,
    isRoot: process.getuid?.() === 0,
    hasApt: existsSync('/usr/bin/apt-get'),
    hasCgroupV1: existsSync(cgroups) && statfsSync(cgroups).type === TMPFS_MAGIC,
  };
}

/** Why a node cannot run on this machine; undefined: it can. */
export function whyNoNode(machine: Machine = thisMachine()): string | undefined {
  if (machine.platform !== 'linux' || machine.arch !== 'x64') return 'it runs on Linux on x64 only';
  if (!machine.isRoot) return 'it needs root, for namespaces, mounts and cgroups';
  if (!machine.hasApt) return "it is made of Debian's packages, and there is no apt-get";
  // up.sh mounts the hierarchies of version 1.
  if (!machine.hasCgroupV1) return 'it is written for cgroup v1 or hybrid, and this machine has cgroup v2';
  return undefined;
}

/**
 * A Kubernetes node.
 * @param image name under which it has the image of this checkout's Dockerfile; undefined: it has none
 * @param say told in whole lines what takes time
 */
export async function startNode(
  image: string | undefined,
  say: (line: string) => void,
): Promise<RunningNode> {
  const tools = await findNodeTools(say);
  const dir = mkdtempSync(join(tmpdir(), 'cao-node-'));
  const [port] = await freePorts(1);
  const env = { ...process.env, ...tools, CAO_NODE_DIR: dir, CAO_NODE_PORT: String(port) };
  const holder = spawn(join(import.meta.dirname, 'hold.sh'), {
    env,
    // In a session of its own: Ctrl-C ends this process, and that ends the node in order.
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(holder, 'exit');
  const stop = async () => {
    holder.stdin.end();
    await exited;
  };
  try {
    // down.sh removes it as well.
    const archive = `${dir}.tar`;
    const [kubeconfig] = await Promise.all([
      started(holder, say),
      image !== undefined && buildImage(image, archive, env, say),
    ]);
    if (image !== undefined) await script('image.sh', ['load', archive], env);
    rmSync(archive, { force: true });
    return { kubeconfig, kubectl: join(tools.CAO_NODE_BIN, 'kubectl'), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads what up.sh prints until it says where the kubeconfig is. */
async function started(
  { stdout }: { stdout: NodeJS.ReadableStream },
  say: (line: string) => void,
): Promise<string> {
  const lines = createInterface({ input: stdout });
  return new Promise((resolve, reject) => {
    lines.on('line', line => {
      if (line.startsWith('KUBECONFIG=')) resolve(line.slice('KUBECONFIG='.length));
      else if (line === 'FAILED') reject(new Error('the node did not start; what it said stands above'));
      else say(`node: ${line}`);
    });
    lines.on('close', () => reject(new Error('the node ended before it was ready')));
  });
}

async function buildImage(
  image: string,
  archive: string,
  env: NodeJS.ProcessEnv,
  say: (line: string) => void,
): Promise<void> {
  const start = performance.now();
  await script('image.sh', ['dockerfile', image, archive, ROOT], env);
  say(`image built of the Dockerfile in ${Math.round((performance.now() - start) / 1000)} s`);
}

/** Runs a script of this folder. Rejects with the last lines that it printed. */
async function script(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  try {
    await promisify(execFile)(join(import.meta.dirname, name), args, { env, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    const tail = `${stdout}\n${stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`${name} ${args[0]} failed:\n${tail}`, { cause: error });
  }
}
