export interface Delayed {
  key: string;
  at: number;
}

/** A binary heap of keys by time, each key at most once. */
export interface DelayHeap {
  /** Adds the key, or moves it to an earlier time; a later time changes nothing. */
  set(key: string, at: number): void;
  peek(): Delayed | undefined;
  pop(): Delayed | undefined;
  clear(): void;
  readonly size: number;
}

interface Entry extends Delayed {
  index: number;
}

export function createDelayHeap(): DelayHeap {
  const heap: Entry[] = [];
  const entries = new Map<string, Entry>();

  function place(entry: Entry, index: number): void {
    heap[index] = entry;
    entry.index = index;
  }

  function up(entry: Entry): void {
    let { index } = entry;
    while (index > 0) {
      const parent = heap[(index - 1) >> 1];
      if (parent === undefined || parent.at <= entry.at) break;
      const free = parent.index;
      place(parent, index);
      index = free;
    }
    place(entry, index);
  }

  function down(entry: Entry): void {
    let { index } = entry;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const child = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (child === undefined || child.at >= entry.at) break;
      const free = child.index;
      place(child, index);
      index = free;
    }
    place(entry, index);
  }

  return {
    set(key, at) {
      const known = entries.get(key);
      if (known !== undefined) {
        if (known.at <= at) return;
        known.at = at;
        up(known);
        return;
      }
      const entry = { key, at, index: heap.length };
      entries.set(key, entry);
      heap.push(entry);
      up(entry);
    },
    peek: () => heap[0],
    pop() {
      const [first] = heap;
      const last = heap.pop();
      if (first === undefined || last === undefined) return undefined;
      entries.delete(first.key);
      if (last !== first) {
        last.index = 0;
        down(last);
      }
      return first;
    },
    clear() {
      heap.length = 0;
      entries.clear();
    },
    get size() {
      return heap.length;
    },
  };
}
