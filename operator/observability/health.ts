/** A watch that heard nothing for so long is dead: bookmarks come about each minute, and watches end by themselves. */
const WATCH_DEAD_AFTER_MS = 15 * 60_000;
/** A turn makes some calls of 30 s at most, so one that lasts longer does not end any more. */
const TURN_STUCK_AFTER_MS = 15 * 60_000;
/** What the watches show may be that old before others should not rely on it; one that is broken off is anew in two minutes. */
const STALE_AFTER_MS = 5 * 60_000;

/** All times by one monotonic clock, in milliseconds. */
export interface HealthOptions {
  now: () => number;
  /** When each watch last heard something. */
  lastActivities: () => readonly number[];
  oldestTurnMs: () => number;
  hasSynced: () => boolean;
}

export interface Health {
  /** A call of the API server ended; whether anybody answered it. */
  called(isAnswered: boolean): void;
  /**
   * Why a restart would help; undefined: it would not. That is so for a turn that does not end, and for a watch that is
   * silent while calls are answered all the time. With the API server away nothing is cured by it.
   */
  stuck(): string | undefined;
  /** Why it is not ready; undefined: it is. */
  notReady(): string | undefined;
}

/** What `/healthz` and `/readyz` rest on. Neither depends on an account or a provider. */
export function createHealth({ now, lastActivities, oldestTurnMs, hasSynced }: HealthOptions): Health {
  /** The present run of calls that were all answered. */
  let answered: { since: number; until: number } | undefined;

  function isSilent(lastActivity: number): boolean {
    // Only time in which others were answered counts against a watch, and only up to the last of them.
    return (
      answered !== undefined && answered.until - Math.max(answered.since, lastActivity) >= WATCH_DEAD_AFTER_MS
    );
  }

  return {
    called(isAnswered) {
      const at = now();
      answered = isAnswered ? { since: answered?.since ?? at, until: at } : undefined;
    },
    stuck() {
      if (oldestTurnMs() >= TURN_STUCK_AFTER_MS) return 'a worker is stuck';
      return lastActivities().some(isSilent) ? 'a watch is dead' : undefined;
    },
    notReady() {
      if (!hasSynced()) return 'waiting for the first lists';
      const isStale = lastActivities().some(at => now() - at >= STALE_AFTER_MS);
      return isStale ? 'the API server was not heard of for 5 minutes' : undefined;
    },
  };
}
