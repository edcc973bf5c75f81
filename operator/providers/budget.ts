/** Why a call has to wait, and how long. `blocked`: the provider said so; else the budget is used up. */
export interface BudgetWait {
  waitMs: number;
  blocked: boolean;
}

export interface BudgetOptions {
  ratePerSecond: number;
  burst: number;
  /** A monotonic clock in milliseconds. */
  elapsed: () => number;
  /** More buckets than this are never kept; the oldest goes first, full again. Default 50,000. */
  maxBuckets?: number;
}

/** Token buckets by key: each starts full, and is forgotten once it is full again. */
export interface Buckets {
  /** Undefined when a call may be made now. */
  wait(key: string): BudgetWait | undefined;
  /** Counts a call. The bucket may go into debt: the calls that follow the first of a check do not wait. */
  take(key: string): void;
  /** After a 429: no call for so long. */
  block(key: string, ms: number): void;
  size(): number;
}

interface Bucket {
  tokens: number;
  at: number;
  blockedUntil: number;
}

/** Below this, looking for buckets that can be forgotten is not worth the time. */
const SWEEP_FROM = 1024;

export function createBuckets(options: BudgetOptions): Buckets {
  const { ratePerSecond, burst, elapsed, maxBuckets = 50_000 } = options;
  const buckets = new Map<string, Bucket>();
  let sweepAt = SWEEP_FROM;

  function refill(bucket: Bucket): void {
    const now = elapsed();
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * ratePerSecond);
    bucket.at = now;
  }

  function bucketOf(key: string): Bucket {
    const known = buckets.get(key);
    if (known !== undefined) {
      refill(known);
      return known;
    }
    if (buckets.size >= Math.min(sweepAt, maxBuckets)) sweep();
    const bucket = { tokens: burst, at: elapsed(), blockedUntil: 0 };
    buckets.set(key, bucket);
    return bucket;
  }

  function sweep(): void {
    for (const [key, bucket] of buckets) {
      refill(bucket);
      if (bucket.tokens >= burst && bucket.blockedUntil <= bucket.at) buckets.delete(key);
    }
    for (const key of buckets.keys()) {
      if (buckets.size < maxBuckets) break;
      buckets.delete(key);
    }
    sweepAt = Math.max(SWEEP_FROM, buckets.size * 2);
  }

  return {
    wait(key) {
      const bucket = buckets.get(key);
      if (bucket === undefined) return undefined;
      refill(bucket);
      if (bucket.blockedUntil > bucket.at) return { waitMs: bucket.blockedUntil - bucket.at, blocked: true };
      if (bucket.tokens >= 1) return undefined;
      return { waitMs: ((1 - bucket.tokens) / ratePerSecond) * 1000, blocked: false };
    },
    take(key) {
      bucketOf(key).tokens -= 1;
    },
    block(key, ms) {
      const bucket = bucketOf(key);
      bucket.blockedUntil = Math.max(bucket.blockedUntil, bucket.at + ms);
    },
    size: () => buckets.size,
  };
}
