import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createWorkQueue, type QueueClock, type WorkQueue } from './work-queue.ts';

interface FakeClock extends QueueClock {
  advance(ms: number): void;
  armed(): number;
  longestArmed(): number;
}

/** Fires like Node's timers, the trap included: a delay beyond 2^31-1 ms is taken for 1 ms. */
function fakeClock(): FakeClock {
  let time = 0;
  let longest = 0;
  const timers = new Map<number, { at: number; callback: () => void }>();
  let next = 0;
  return {
    now: () => time,
    setTimeout(callback, ms) {
      longest = Math.max(longest, ms);
      timers.set(++next, { at: time + (ms > 2 ** 31 - 1 ? 1 : ms), callback });
      return next;
    },
    clearTimeout: handle => void timers.delete(handle as number),
    advance(ms) {
      const end = time + ms;
      for (;;) {
        const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
        if (due === undefined) break;
        timers.delete(due[0]);
        time = Math.max(time, due[1].at);
        due[1].callback();
      }
      time = end;
    },
    armed: () => timers.size,
    longestArmed: () => longest,
  };
}

function setUp(): { queue: WorkQueue; clock: FakeClock } {
  const clock = fakeClock();
  return { queue: createWorkQueue({ clock, baseDelayMs: 10, maxDelayMs: 1000 }), clock };
}

async function takeAll(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.length > 0) keys.push((await queue.get()) ?? '');
  return keys;
}

describe('order and duplicates', () => {
  test('keys come out in the order they went in, each once', async () => {
    const { queue } = setUp();
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    expect(await takeAll(queue)).toEqual(['a', 'b', 'c']);
  });

  test('a key that is being worked on comes back when it is done, once', async () => {
    const { queue } = setUp();
    queue.add('a');
    await queue.get();
    queue.add('a');
    queue.add('a');
    expect([queue.length, queue.busy]).toEqual([0, 1]);
    queue.done('a');
    expect(await takeAll(queue)).toEqual(['a']);
    queue.done('a');
    expect([queue.length, queue.busy]).toEqual([0, 0]);
  });

  test('thousands of keys keep their order', async () => {
    const { queue } = setUp();
    const keys = Array.from({ length: 5000 }, (_, index) => `key-${index}`);
    for (const key of keys) queue.add(key);
    expect(await takeAll(queue)).toEqual(keys);
  });

  test('a waiting worker gets the key at once, and no second one does', async () => {
    const { queue } = setUp();
    const first = queue.get();
    const second = queue.get();
    queue.add('a');
    queue.add('a');
    expect(await first).toBe('a');
    queue.done('a');
    expect(await second).toBe('a');
  });
});

describe('delays', () => {
  test('a key comes when its time has come', async () => {
    const { queue, clock } = setUp();
    queue.addAfter('a', 100);
    clock.advance(99);
    expect(queue.length).toBe(0);
    clock.advance(1);
    expect(await takeAll(queue)).toEqual(['a']);
  });

  test.each([
    [100, 50],
    [50, 100],
  ])('of %d ms and %d ms the earlier counts, and the other is gone', async (first, second) => {
    const { queue, clock } = setUp();
    queue.addAfter('a', first);
    queue.addAfter('a', second);
    clock.advance(50);
    expect(await takeAll(queue)).toEqual(['a']);
    queue.done('a');
    clock.advance(1000);
    expect(queue.length).toBe(0);
  });

  test('a delay of more than 2^31-1 ms does not fire at once', () => {
    const { queue, clock } = setUp();
    const thirtyDays = 30 * 24 * 3600 * 1000;
    queue.addAfter('a', thirtyDays);
    clock.advance(thirtyDays - 1);
    expect(queue.length).toBe(0);
    expect(clock.longestArmed()).toBeLessThanOrEqual(2 ** 31 - 1);
    clock.advance(1);
    expect(queue.length).toBe(1);
  });

  test('any number of delays share one timer', () => {
    const { queue, clock } = setUp();
    for (let index = 0; index < 1000; index++) queue.addAfter(`key-${index}`, 1000 - index);
    expect(clock.armed()).toBe(1);
    expect(queue.waiting).toBe(1000);
  });
});

describe('backoff', () => {
  test('doubles for one key up to the limit, and not for another', () => {
    const { queue, clock } = setUp();
    const waits: number[] = [];
    for (let failure = 0; failure < 9; failure++) {
      queue.addRateLimited('a');
      let waited = 0;
      for (; queue.length === 0; waited++) clock.advance(1);
      waits.push(waited);
      void queue.get();
      queue.done('a');
    }
    expect(waits).toEqual([10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    expect(queue.failures('b')).toBe(0);
  });

  test('begins anew after forget', () => {
    const { queue, clock } = setUp();
    for (let failure = 0; failure < 5; failure++) queue.addRateLimited('a');
    queue.forget('a');
    clock.advance(1000);
    void queue.get();
    queue.done('a');
    queue.addRateLimited('a');
    clock.advance(10);
    expect(queue.length).toBe(1);
  });

  test('does not come before the minimum that a server asked for', () => {
    const { queue, clock } = setUp();
    queue.addRateLimited('a', 500);
    clock.advance(499);
    expect(queue.length).toBe(0);
    clock.advance(1);
    expect(queue.length).toBe(1);
  });
});

describe('shutting down', () => {
  test('gives out what is in line, then undefined; drops delays and takes nothing more', async () => {
    const { queue, clock } = setUp();
    queue.add('a');
    queue.addAfter('b', 10);
    queue.shutDown();
    queue.add('c');
    clock.advance(1000);
    expect([await queue.get(), await queue.get()]).toEqual(['a', undefined]);
    expect(clock.armed()).toBe(0);
  });

  test('releases waiting workers', async () => {
    const { queue } = setUp();
    const waiting = [queue.get(), queue.get()];
    queue.shutDown();
    expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
  });
});

/** client-go's queue, written down as naively as possible. */
interface Model {
  line: string[];
  dirty: Set<string>;
  processing: string[];
  delays: Map<string, number>;
  now: number;
}

function modelAdd(model: Model, key: string): void {
  if (model.dirty.has(key)) return;
  model.dirty.add(key);
  if (!model.processing.includes(key)) model.line.push(key);
}

const KEYS = ['a', 'b', 'c', 'd'];
const command = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), key: fc.constantFrom(...KEYS) }),
  fc.record({
    kind: fc.constant('addAfter' as const),
    key: fc.constantFrom(...KEYS),
    ms: fc.integer({ min: 0, max: 50 }),
  }),
  fc.record({ kind: fc.constant('get' as const) }),
  fc.record({ kind: fc.constant('done' as const), index: fc.nat(3) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 30 }) }),
);

describe('against a model', () => {
  test('gives out the same keys in the same order, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 80 }), async commands => {
        const { queue, clock } = setUp();
        const model: Model = { line: [], dirty: new Set(), processing: [], delays: new Map(), now: 0 };
        for (const step of commands) {
          switch (step.kind) {
            case 'add':
              queue.add(step.key);
              modelAdd(model, step.key);
              break;
            case 'addAfter': {
              queue.addAfter(step.key, step.ms);
              const at = model.now + step.ms;
              if (step.ms === 0) modelAdd(model, step.key);
              else model.delays.set(step.key, Math.min(at, model.delays.get(step.key) ?? Infinity));
              break;
            }
            case 'get': {
              if (model.line.length === 0) break;
              const expected = model.line.shift() ?? '';
              expect(await queue.get()).toBe(expected);
              model.dirty.delete(expected);
              model.processing.push(expected);
              break;
            }
            case 'done': {
              const key = model.processing[step.index];
              if (key === undefined) break;
              model.processing.splice(step.index, 1);
              queue.done(key);
              if (model.dirty.has(key)) model.line.push(key);
              break;
            }
            case 'advance':
              // Millisecond by millisecond and one key each, so that the order of equal times is not compared.
              for (let ms = 0; ms < step.ms; ms++) {
                clock.advance(1);
                model.now++;
                const due = [...model.delays].filter(([, at]) => at <= model.now);
                if (due.length > 1) return;
                for (const [key] of due) {
                  model.delays.delete(key);
                  modelAdd(model, key);
                }
              }
          }
          expect(queue.length).toBe(model.line.length);
          expect(queue.waiting).toBe(model.delays.size);
        }
      }),
      { numRuns: 3 * (fc.readConfigureGlobal().numRuns ?? 100) },
    );
  });
});
