import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createLineSplitter } from './lines.ts';

function split(bytes: Buffer, cuts: readonly number[]): { lines: string[]; unfinished: boolean } {
  const lines: string[] = [];
  const splitter = createLineSplitter(line => lines.push(line));
  let start = 0;
  for (const end of [...cuts, bytes.length].sort((a, b) => a - b)) {
    if (end > start) splitter.push(bytes.subarray(start, end));
    start = Math.max(start, end);
  }
  return { lines, unfinished: splitter.unfinished() };
}

describe('createLineSplitter', () => {
  test('gives the same lines wherever the chunks end, within a character too', () => {
    const json = fc.string({ unit: 'grapheme' }).map(text => JSON.stringify({ text }));
    fc.assert(
      fc.property(fc.array(json), fc.array(fc.nat(4000)), (values, cuts) => {
        const bytes = Buffer.from(values.map(value => `${value}\n`).join(''));
        const inside = cuts.map(cut => cut % (bytes.length + 1));
        expect(split(bytes, inside)).toEqual({ lines: values, unfinished: false });
      }),
    );
  });

  test('leaves out empty lines and tells of a line without its end', () => {
    expect(split(Buffer.from('a\n\n \nb'), [])).toEqual({ lines: ['a'], unfinished: true });
  });

  test('a very large line in small chunks costs no more than its size', () => {
    const size = 20_000_000;
    const bytes = Buffer.alloc(size, 'x');
    const lines: string[] = [];
    const splitter = createLineSplitter(line => lines.push(line));
    const startedAt = performance.now();
    for (let at = 0; at < size; at += 4096) splitter.push(bytes.subarray(at, at + 4096));
    splitter.push(Buffer.from('\n'));
    expect(lines.map(line => line.length)).toEqual([size]);
    // Joined anew for each of 4,883 chunks it would be 49 GB of copies.
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});
