import type { Clock } from '../../../operator/accounts/context.ts';
import type { QueueClock } from '../../../operator/kube/work-queue.ts';

/**
 * Time that stands still until it is told to pass. Wall clock, timers and jitter of an operator go by it, so days take
 * seconds; connections to the real API server and to the clouds keep to real time.
 */
export interface SimulatedTime extends Clock {
  timers: QueueClock;
  /**
   * Lets time pass. What falls due is done to its end before time goes on, so nothing depends on how fast the machine is.
   * @param stepMs what falls due within so long is done together
   */
  pass(ms: number, stepMs?: number): Promise<void>;
  /** Sets the wall clock, and it alone, as an administrator or NTP does. */
  jump(ms: number): void;
}

interface Timer {
  at: number;
  callback: () => void;
}

/** @param settled resolves when nothing is under way that does not wait for time to pass */
export function createSimulatedTime(settled: () => Promise<void>): SimulatedTime {
  const timers = new Map<number, Timer>();
  let elapsed = 0;
  let wall = Date.UTC(2026, 0, 1);
  let made = 0;
  let seed = 1;

  function fireDue(): void {
    const due = [...timers].filter(([, { at }]) => at <= elapsed).sort(([, a], [, b]) => a.at - b.at);
    for (const [handle, { callback }] of due) {
      // A callback before it may have taken it back.
      if (timers.delete(handle)) callback();
    }
  }

  return {
    now: () => wall + elapsed,
    random() {
      // mulberry32: the same jitter in every run.
      seed = (seed + 0x6d2b79f5) | 0;
      let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    },
    timers: {
      now: () => elapsed,
      setTimeout(callback, ms) {
        timers.set(++made, { at: elapsed + ms, callback });
        return made;
      },
      clearTimeout: handle => void timers.delete(handle as number),
    },
    async pass(ms, stepMs = 1_000) {
      const end = elapsed + ms;
      await settled();
      while (elapsed < end) {
        const next = Math.min(...Array.from(timers.values(), ({ at }) => at));
        const step = Math.ceil(Math.max(next, elapsed + 1) / stepMs) * stepMs;
        elapsed = Math.min(end, step);
        fireDue();
        await settled();
      }
    },
    jump: ms => void (wall += ms),
  };
}
