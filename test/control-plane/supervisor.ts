import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Binaries } from './binaries.ts';
import type { Release } from './cache.mjs';
import {
  controlSocket,
  DESCRIPTION_FILE,
  kubeconfigText,
  readPair,
  writePki,
  type Description,
} from './files.ts';
import { freePorts } from './ports.ts';
import { PROCESS_FILES, PROCESS_NAMES, processArguments, type Ports, type ProcessName } from './processes.ts';

/**
 * The process that owns etcd, kube-apiserver and kube-controller-manager. It lives as long as its standard input, a
 * pipe that the starting process holds: whatever way that one dies, the kernel closes the pipe, and the supervisor
 * kills its children and removes their folder. It leads a process group of its own, so that Ctrl-C and `kill -9` of
 * the starter's group do not take it along before it has cleaned up.
 */

/** What the starter passes as the only argument, as JSON. */
export interface SupervisorInput {
  dir: string;
  release: Release;
  binaries: Binaries;
  audit: boolean;
  /** Where the administrator's kubeconfig is written; removed at the end. */
  kubeconfig: string;
}

/** What the supervisor prints, one JSON object a line. The starter needs the process ids if the supervisor is killed. */
export type SupervisorMessage =
  | { type: 'started'; name: ProcessName; pid: number }
  | { type: 'exited'; name: ProcessName; pid: number }
  | { type: 'ready' }
  | { type: 'failed'; message: string };

const READY_TIMEOUT_MS = 180_000;
const POLL_MS = 50;
/** A process that ignores its signal for so long is killed. */
const STOP_TIMEOUT_MS = 30_000;
const START_ATTEMPTS = 3;

const input = JSON.parse(process.argv[2] ?? '{}') as SupervisorInput;
const children = new Map<ProcessName, ChildProcess>();
let ports: Ports;
let admin: Agent;
let etcdClient: Agent;
let ending = false;

// The starter may be gone already: nothing that is said to it may end this process before it has cleaned up.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0));
process.stdin.on('end', () => void end(0)).on('error', () => void end(0));
process.stdin.resume();
process.on('uncaughtException', error => void fail(error));

start().then(() => say({ type: 'ready' }), fail);

async function start(): Promise<void> {
  const { dir } = input;
  writePki(dir);
  for (const [name, text] of Object.entries(PROCESS_FILES)) writeFileSync(join(dir, name), text);
  const ca = readFileSync(join(dir, 'ca.crt'), 'utf8');
  admin = new Agent({ connect: { ca, ...readPair(dir, 'admin') } });
  const etcdCa = readFileSync(join(dir, 'etcd-ca.crt'), 'utf8');
  etcdClient = new Agent({ connect: { ca: etcdCa, ...readPair(dir, 'etcd-client') } });

  for (let attempt = 1; ; attempt++) {
    const [etcd = 0, etcdPeer = 0, apiServer = 0] = await freePorts(3);
    ports = { etcd, etcdPeer, apiServer };
    try {
      await startAll(ca);
      break;
    } catch (error) {
      // Between looking for a free port and listening on it, somebody else can take it.
      if (attempt === START_ATTEMPTS || !String(error).includes('address already in use')) throw error;
      await Promise.all(PROCESS_NAMES.map(name => stop(name, 'SIGKILL')));
      rmSync(join(dir, 'etcd'), { recursive: true, force: true });
    }
  }
  await serveControl();
}

async function startAll(ca: string): Promise<void> {
  const { dir } = input;
  const server = `https://127.0.0.1:${ports.apiServer}`;
  writeKubeconfig(input.kubeconfig, kubeconfigText(server, ca, readPair(dir, 'admin')));
  writeKubeconfig(
    join(dir, 'controller-manager.kubeconfig'),
    kubeconfigText(server, ca, readPair(dir, 'controller-manager')),
  );
  await startProcess('etcd');
  await startProcess('kube-apiserver');
  await startProcess('kube-controller-manager');
  const description: Description = {
    dir,
    release: input.release.name,
    version: input.release.kubernetes,
    server,
    etcd: `https://127.0.0.1:${ports.etcd}`,
    kubectl: input.binaries.kubectl,
    kubeconfig: input.kubeconfig,
    ...(input.audit && { auditLog: join(dir, 'audit.log') }),
  };
  writeFileSync(join(dir, DESCRIPTION_FILE), JSON.stringify(description));
}

/** Starts a process and waits until it does its work. */
async function startProcess(name: ProcessName): Promise<void> {
  if (ending) throw new Error('the control plane is being stopped');
  if (children.has(name)) return;
  const log = openSync(logFile(name), 'a');
  const child = spawn(input.binaries[name], processArguments(name, input.dir, ports, input.audit), {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  children.set(name, child);
  let failure: Error | undefined;
  child.once('error', error => {
    failure = error;
    children.delete(name);
  });
  const { pid } = child;
  if (pid !== undefined) {
    say({ type: 'started', name, pid });
    child.once('exit', () => {
      if (children.get(name) === child) children.delete(name);
      say({ type: 'exited', name, pid });
    });
  }
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await isReady(name))) {
    if (children.get(name) !== child) throw failure ?? new Error(`${name} ended at once:\n${logTail(name)}`);
    if (performance.now() > deadline) throw new Error(`${name} is not ready:\n${logTail(name)}`);
    await delay(POLL_MS);
  }
}

async function isReady(name: ProcessName): Promise<boolean> {
  switch (name) {
    case 'etcd':
      return answers(`https://127.0.0.1:${ports.etcd}/health`, etcdClient);
    case 'kube-apiserver':
      return answers(`https://127.0.0.1:${ports.apiServer}/readyz`, admin);
    case 'kube-controller-manager':
      // Its work is seen: it makes the default service account of every namespace.
      return answers(
        `https://127.0.0.1:${ports.apiServer}/api/v1/namespaces/default/serviceaccounts/default`,
        admin,
      );
  }
}

async function answers(url: string, dispatcher: Agent): Promise<boolean> {
  try {
    const response = await request(url, { dispatcher, signal: AbortSignal.timeout(5_000) });
    await response.body.dump();
    return response.statusCode === 200;
  } catch {
    return false;
  }
}

/** Ends a process by a signal, by SIGKILL if that does not help within 30 s. Resolves when it is gone. */
async function stop(name: ProcessName, signal: NodeJS.Signals): Promise<void> {
  const child = children.get(name);
  if (!child) return;
  const gone = new Promise(resolve => child.once('exit', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}

/** `GET /pids`, `POST /<process>/start`, `POST /<process>/stop?signal=SIGTERM`, `POST /stop` (everything). */
async function serveControl(): Promise<void> {
  const server = createServer((incoming, response) => {
    handle(incoming, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error instanceof Error ? error.message : error));
    });
  });
  await new Promise<void>(resolve => server.listen(controlSocket(input.dir), resolve));
  chmodSync(controlSocket(input.dir), 0o600);
}

async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(incoming.url ?? '/', 'http://supervisor');
  const [, first, action] = url.pathname.split('/');
  const name = PROCESS_NAMES.find(candidate => candidate === first);
  if (incoming.method === 'GET' && first === 'pids') {
    const pids = Object.fromEntries([...children].map(([key, child]) => [key, child.pid]));
    response.end(JSON.stringify({ ...pids, supervisor: process.pid }));
  } else if (first === 'stop') {
    await cleanUp();
    response.end('{}', () => process.exit(0));
  } else if (name && action === 'start') {
    await startProcess(name);
    response.end('{}');
  } else if (name && action === 'stop') {
    await stop(name, (url.searchParams.get('signal') ?? 'SIGTERM') as NodeJS.Signals);
    response.end('{}');
  } else {
    response.writeHead(404).end(`no such action: ${url.pathname}`);
  }
}

async function fail(error: unknown): Promise<void> {
  say({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  await end(1);
}

async function end(code: number): Promise<void> {
  await cleanUp();
  process.exit(code);
}

/** SIGKILL, since nothing of them is kept. */
async function cleanUp(): Promise<void> {
  ending = true;
  await Promise.all(PROCESS_NAMES.map(name => stop(name, 'SIGKILL')));
  rmSync(input.kubeconfig, { force: true });
  rmSync(input.dir, { recursive: true, force: true });
}

function say(message: SupervisorMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function writeKubeconfig(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
}

function logFile(name: ProcessName): string {
  return join(input.dir, `${name}.log`);
}

function logTail(name: ProcessName): string {
  return readFileSync(logFile(name), 'utf8').trim().split('\n').slice(-15).join('\n');
}
