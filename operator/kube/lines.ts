const NEWLINE = 0x0a;

export interface LineSplitter {
  push(chunk: Buffer): void;
  /** Whether bytes of a line without its end are left. */
  unfinished(): boolean;
}

/**
 * Splits newline-delimited JSON. Works on bytes, so that a character cut by a chunk's end stays whole; a line over
 * many chunks is joined once, so that a very large event costs no more than its size. Empty lines are left out.
 */
export function createLineSplitter(onLine: (line: string) => void): LineSplitter {
  let pending: Buffer[] = [];

  function push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      const line = take(chunk, start, end);
      start = end + 1;
      if (line.trim() !== '') onLine(line);
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
  }

  function take(chunk: Buffer, start: number, end: number): string {
    if (pending.length === 0) return chunk.toString('utf8', start, end);
    pending.push(chunk.subarray(start, end));
    const line = Buffer.concat(pending).toString('utf8');
    pending = [];
    return line;
  }

  return { push, unfinished: () => pending.length > 0 };
}
