import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createDelayHeap } from './delay-heap.ts';

test('keys come out in the order of their earliest times, whatever was put in and taken out between', () => {
  const step = fc.option(fc.record({ key: fc.nat(40).map(String), at: fc.nat(1000) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), steps => {
      const heap = createDelayHeap();
      const model = new Map<string, number>();
      const check = (): void => {
        const popped = heap.pop();
        expect(popped?.at).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
        if (popped === undefined) return;
        expect(model.get(popped.key)).toBe(popped.at);
        model.delete(popped.key);
      };
      for (const put of steps) {
        if (put === null) {
          check();
          continue;
        }
        heap.set(put.key, put.at);
        model.set(put.key, Math.min(put.at, model.get(put.key) ?? Infinity));
        expect(heap.size).toBe(model.size);
      }
      while (model.size > 0) check();
      expect(heap.pop()).toBeUndefined();
    }),
  );
});
