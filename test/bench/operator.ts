import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from './children.ts';
import { accountPath, createAccount, MARKERS, type World } from './world.ts';

/** Providers whose limit counts for all accounts together; it would decide every figure. */
export const LIFTED_BUDGETS = ['Vultr', 'Hostinger', 'UpCloud'] as const;

/** How Node runs the operator. */
export interface NodeSettings {
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

/**
 * As the Dockerfile says, with the heap that Node 24 gives itself in the chart's pod, whose memory limit is 512 MiB
 * (`heap_size_limit` in a cgroup of that size).
 */
export const AS_IN_POD: NodeSettings = asInPod();

/** `node dist/operator.mjs`: without a limit V8 lets 64 MiB of young garbage lie about, whatever the program needs. */
export const PLAIN: NodeSettings = { args: [], env: {} };

const BUNDLE = fileURLToPath(new URL('../../dist/operator.mjs', import.meta.url));

export interface OperatorProcess extends Child {
  /** The most memory that it ever had, in MiB (VmHWM of Linux). */
  peakRssMiB(): number;
}

let started = 0;

/** Starts the bundle under its own service account. */
export function startOperator(world: World, { args, env }: NodeSettings = AS_IN_POD): OperatorProcess {
  const { origins, caFile } = world.clouds;
  const child = startChild(
    [
      ...args,
      BUNDLE,
      `--kubeconfig=${world.kubeconfig}`,
      ...Object.entries(origins).map(([name, url]) => `--provider-endpoint=${name}=${url}`),
      ...LIFTED_BUDGETS.map(name => `--provider-budget=${name}=100000/100000`),
    ],
    join(world.dir, `operator-${started++}.log`),
    { ...env, NODE_EXTRA_CA_CERTS: caFile },
  );
  return { ...child, peakRssMiB: () => peakRssMiB(child.pid) };
}

/** Waits until every account of the bench is Connected. */
export async function untilConnected(
  { call }: World,
  operator: OperatorProcess,
  namespace: string,
  timeoutMs: number,
) {
  const query = `?fieldSelector=${encodeURIComponent('status.health!=Connected')}&limit=1`;
  for (const deadline = Date.now() + timeoutMs; ; await sleep(100)) {
    const { items } = await call<{ items: unknown[] }>('GET', accountPath(namespace) + query);
    if (items.length === 0) return;
    if (Date.now() < deadline) continue;
    throw new Error(
      `not Connected after ${timeoutMs} ms: ${JSON.stringify(items)}\n${operator.output().slice(-5_000)}`,
    );
  }
}

let markers = 0;

/**
 * Waits until the operator has looked at everything that was there before now: accounts come in turn, so one that is
 * made now comes last. It is suspended, which costs one status write and no call.
 */
export async function untilCaughtUp(world: World, timeoutMs = 120_000): Promise<void> {
  const name = `marker-${markers++}`;
  await createAccount(world, { name, provider: 'Hetzner' }, MARKERS, { suspend: true });
  for (const deadline = Date.now() + timeoutMs; ; await sleep(100)) {
    const { status } = await world.call<{ status?: { observedGeneration?: number } }>(
      'GET',
      accountPath(MARKERS, name),
    );
    if (status?.observedGeneration === 1) return;
    if (Date.now() > deadline) throw new Error(`the operator did not come to ${name}`);
  }
}

/** Waits until a process has used next to no processor time for half a second. */
export async function untilIdle(pid: number, timeoutMs = 60_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline;) {
    const before = cpuTicks(pid);
    await sleep(500);
    if (cpuTicks(pid) - before <= 1) return;
  }
}

/** utime and stime of proc(5), in hundredths of a second. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

function peakRssMiB(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) / 1024;
}

function asInPod(): NodeSettings {
  const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8');
  const [, entrypoint = '[]'] = /^ENTRYPOINT (.+)$/m.exec(dockerfile) ?? [];
  const [, variables = ''] = /^ENV NODE_ENV=production (.+)$/m.exec(dockerfile) ?? [];
  const args = (JSON.parse(entrypoint) as string[]).filter(arg => arg.startsWith('--'));
  const env = Object.fromEntries(variables.split(' ').map(text => text.split('=') as [string, string]));
  if (args.length === 0 || env['MALLOC_ARENA_MAX'] === undefined)
    throw new Error('the Dockerfile does not say how it runs Node');
  return { args: [...args, '--max-heap-size=259'], env };
}
