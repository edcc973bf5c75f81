import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { runController } from './controller.ts';
import { KubeError } from './errors.ts';
import { until } from './testing/scripted-server.ts';
import { createWorkQueue, type WorkQueue } from './work-queue.ts';

jest.setTimeout(30_000);

let queue: WorkQueue;
let stop: AbortController;

beforeEach(() => {
  queue = createWorkQueue({ baseDelayMs: 1, maxDelayMs: 20 });
  stop = new AbortController();
});

describe('runController', () => {
  test('works on many keys at once, and never on one key twice at a time', async () => {
    const active = new Map<string, number>();
    let most = 0;
    let worstPerKey = 0;
    let runs = 0;
    const running = runController(
      {
        name: 'test',
        queue,
        workers: 4,
        reconcile: async key => {
          runs++;
          active.set(key, (active.get(key) ?? 0) + 1);
          worstPerKey = Math.max(worstPerKey, active.get(key) ?? 0);
          most = Math.max(
            most,
            [...active.values()].reduce((sum, count) => sum + count, 0),
          );
          queue.add(runs < 200 ? key : 'last');
          await new Promise(resolve => setImmediate(resolve));
          active.set(key, (active.get(key) ?? 0) - 1);
          if (key === 'last') stop.abort();
        },
      },
      stop.signal,
    );
    for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key);
    await running;
    expect(worstPerKey).toBe(1);
    expect(most).toBe(4);
  });

  test('a failing key is tried again until it does well, and others are not held up', async () => {
    const attempts: string[] = [];
    const errors: string[] = [];
    const running = runController(
      {
        name: 'test',
        queue,
        workers: 1,
        reconcile: async key => {
          attempts.push(key);
          if (key === 'bad' && attempts.filter(other => other === 'bad').length < 4)
            throw new Error('not yet');
        },
        onError: (_error, key) => errors.push(key),
      },
      stop.signal,
    );
    queue.add('bad');
    queue.add('good');
    await until(() => attempts.filter(key => key === 'bad').length === 4 && queue.failures('bad') === 0);
    stop.abort();
    await running;
    expect(errors).toEqual(['bad', 'bad', 'bad']);
    expect(attempts.indexOf('good')).toBe(1);
  });

  test('waits as long as the API server asks', async () => {
    const times: number[] = [];
    const running = runController(
      {
        name: 'test',
        queue,
        workers: 1,
        reconcile: async () => {
          times.push(performance.now());
          if (times.length === 1)
            throw new KubeError('KUBE_HTTP', 'busy', { status: 429, retryAfterMs: 200 });
          stop.abort();
        },
      },
      stop.signal,
    );
    queue.add('a');
    await running;
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(199);
  });

  test('comes back after the time that reconcile asks for', async () => {
    let runs = 0;
    const running = runController(
      {
        name: 'test',
        queue,
        workers: 1,
        reconcile: async () => {
          if (++runs === 3) stop.abort();
          return { requeueAfterMs: 5 };
        },
      },
      stop.signal,
    );
    queue.add('a');
    await running;
    expect(runs).toBe(3);
  });

  test('stops: what is under way is told and waited for, what is in line is not begun', async () => {
    const begun: string[] = [];
    let finished = false;
    const running = runController(
      {
        name: 'test',
        queue,
        workers: 1,
        reconcile: async (key, signal) => {
          begun.push(key);
          await until(() => signal.aborted);
          finished = true;
        },
      },
      stop.signal,
    );
    queue.add('a');
    queue.add('b');
    await until(() => begun.length === 1);
    stop.abort();
    await running;
    expect(finished).toBe(true);
    expect(begun).toEqual(['a']);
  });

  test('a hook that throws takes no worker with it', async () => {
    let runs = 0;
    const running = runController(
      {
        name: 'test',
        queue,
        workers: 1,
        reconcile: async () => {
          if (++runs === 3) stop.abort();
          throw new Error('always');
        },
        onError: () => {
          throw new Error('bug in the hook');
        },
      },
      stop.signal,
    );
    queue.add('a');
    await running;
    expect(runs).toBe(3);
  });
});
