import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cloud } from '../clouds/kit.ts';
import type { Process } from './history.ts';

/** An operator that is killed, frozen and started again; each start is another process with a way to the clouds of its own. */
export interface Operator {
  start(): Promise<void>;
  /** Resolves when the process is gone. SIGTERM must end it well. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** SIGSTOP; returns false where nothing runs. */
  freeze(): boolean;
  thaw(): void;
  /** Sets its wall clock, also for the processes that are started later. */
  setClock(aheadMs: number): void;
  isRunning(): boolean;
}

export interface Operators {
  all: readonly Operator[];
  /** In the order in which they were started. */
  processes: readonly Process[];
  /** Which process made a call: the index in `processes`. */
  processOf: (cloud: string, port: number | undefined) => number | undefined;
  /** What ended by itself and should not have. */
  ends: readonly { at: number; what: string }[];
  /** All that they said so far. */
  output(): string;
  close(): Promise<void>;
}

export interface OperatorsOptions {
  count: number;
  /** The bundle. */
  program: string;
  /** What they say, and what Node compiles of the bundle, goes there. */
  dir: string;
  clouds: readonly Cloud[];
  argsOf: (operator: number) => readonly string[];
}

const preload = (path: string): string => new URL(path, import.meta.url).href;
const PRELOADS = [preload('../../scripts/die-with-parent.mjs'), preload('clock.mjs')];
/** What a kubelet does with a process that ended by itself. */
const RESTARTED_AFTER_MS = 500;
const LOST_LEAD = 'LeadershipLostError';

export function createOperators({ count, program, dir, clouds, argsOf }: OperatorsOptions): Operators {
  const logOf = (index: number): string => join(dir, `operator-${index}.log`);
  const processes: Process[] = [];
  const doors = new Map<string, number>();
  const ends: { at: number; what: string }[] = [];
  const all = Array.from({ length: count }, (_, index) => createOperator(index));
  let isOver = false;

  function createOperator(slot: number): Operator {
    let child: ChildProcess | undefined;
    let process_: Process | undefined;
    let aheadMs = 0;
    let ending: 'SIGKILL' | 'SIGTERM' | undefined;
    let ended: Promise<unknown> = Promise.resolve();

    let starting: Promise<void> | undefined;

    /** Once, whoever asks: a deed, and what starts anew what ended by itself. */
    function start(): Promise<void> {
      if (child !== undefined || isOver) return Promise.resolve();
      starting ??= spawnOne().finally(() => (starting = undefined));
      return starting;
    }

    async function spawnOne(): Promise<void> {
      const index = processes.length;
      const process: Process = { startedAt: Date.now(), clock: [{ at: 0, aheadMs }], pauses: [] };
      processes.push(process);
      process_ = process;
      const endpoints: string[] = [];
      for (const cloud of clouds) {
        const door = await cloud.openDoor();
        doors.set(`${cloud.name} ${new URL(door).port}`, index);
        endpoints.push(`--provider-endpoint=${cloud.name}=${door}`);
      }
      if (isOver) return;
      const file = openSync(logOf(index), 'a');
      const started = spawn(
        globalThis.process.execPath,
        [...PRELOADS.flatMap(url => ['--import', url]), program, ...argsOf(slot), ...endpoints],
        {
          stdio: ['ignore', file, file, 'ipc'],
          // Most of a start is compiling.
          env: {
            ...globalThis.process.env,
            NODE_OPTIONS: '',
            NODE_COMPILE_CACHE: join(dir, 'compiled'),
            CHAOS_CLOCK_AHEAD_MS: String(aheadMs),
          },
        },
      );
      closeSync(file);
      child = started;
      ending = undefined;
      ended = once(started, 'exit').then(([code]) => {
        if (child === started) child = undefined;
        thawed(process);
        const ageMs = Date.now() - process.startedAt;
        // Until the program is loaded, and says so, nobody handles the signal.
        const isLoaded = said(index) !== '';
        const isStopped = ending === 'SIGTERM' && (code === 0 || (code === null && !isLoaded));
        if (ending === 'SIGKILL' || isStopped || isOver) return;
        // Whoever loses the lease ends, and is started anew: that is how it is meant.
        const isLost = said(index).includes(LOST_LEAD);
        if (ending === 'SIGTERM' || !isLost)
          ends.push({ at: Date.now(), what: `${ending ?? 'by itself'}, code ${code}, after ${ageMs} ms` });
        if (ending === undefined) setTimeout(() => void start(), RESTARTED_AFTER_MS);
      });
    }

    function thawed({ pauses }: Process): void {
      const last = pauses.at(-1);
      if (last?.to === Infinity) last.to = Date.now();
    }

    return {
      start,
      isRunning: () => child !== undefined,
      async end(signal) {
        await starting;
        ending = signal;
        if (signal === 'SIGTERM') child?.kill('SIGCONT');
        child?.kill(signal);
        await ended;
        child = undefined;
      },
      freeze() {
        if (child?.kill('SIGSTOP') !== true) return false;
        process_?.pauses.push({ from: Date.now(), to: Infinity });
        return true;
      },
      thaw() {
        child?.kill('SIGCONT');
        if (process_ !== undefined) thawed(process_);
      },
      setClock(ms) {
        aheadMs = ms;
        process_?.clock.push({ at: Date.now(), aheadMs });
        if (child?.connected) child.send({ aheadMs }, () => undefined);
      },
    };
  }

  function said(index: number): string {
    return existsSync(logOf(index)) ? readFileSync(logOf(index), 'utf8') : '';
  }

  function output(): string {
    return processes.map((_, index) => said(index)).join('');
  }

  return {
    all,
    processes,
    processOf: (cloud, port) => doors.get(`${cloud} ${port}`),
    ends,
    output,
    async close() {
      isOver = true;
      await Promise.all(all.map(operator => operator.end('SIGKILL')));
    },
  };
}
