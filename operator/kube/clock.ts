/**
 * A clock that never goes back and does not stop while the machine sleeps or a virtual machine is paused. The monotonic
 * clock of Linux (CLOCK_MONOTONIC, `performance.now()` and `process.hrtime()` alike) stands still meanwhile; the wall
 * clock is put right afterwards, but is stepped for other reasons too. Of the time that passed between two looks the
 * longer one counts: a step forward may only end a lead early, and a step back never lengthens one.
 */
export function createSleeplessClock(
  monotonic: () => number = () => performance.now(),
  wall: () => number = Date.now,
): () => number {
  let last = { monotonic: monotonic(), wall: wall() };
  let time = last.monotonic;
  return () => {
    const seen = { monotonic: monotonic(), wall: wall() };
    // The wall clock has whole milliseconds: without this its rounding would add up at each look.
    const stepped = seen.wall - last.wall - (seen.monotonic - last.monotonic);
    time += seen.monotonic - last.monotonic;
    if (stepped > ROUNDING_MS) time += stepped;
    last = seen;
    return time;
  };
}

/** Less than this between the two clocks is no step: rounding, and the slewing of a clock that is being adjusted. */
const ROUNDING_MS = 50;
