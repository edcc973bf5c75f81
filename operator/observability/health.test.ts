import { beforeEach, describe, expect, test } from '@jest/globals';
import { createHealth, type Health } from './health.ts';

const MINUTE = 60_000;
let time: number;
let watches: number[];
let oldestTurnMs: number;
let synced: boolean;
let health: Health;

beforeEach(() => {
  time = 0;
  watches = [0, 0, 0];
  oldestTurnMs = 0;
  synced = true;
  health = createHealth({
    now: () => time,
    lastActivities: () => watches,
    oldestTurnMs: () => oldestTurnMs,
    hasSynced: () => synced,
  });
});

/** Time passes; a call each minute, which ends as told. Of the watches the first ones are silent. */
function pass(minutes: number, isAnswered: boolean, silent = 0): void {
  for (let minute = 0; minute < minutes; minute++) {
    time += MINUTE;
    health.called(isAnswered);
    watches = watches.map((at, i) => (isAnswered && i >= silent ? time : at));
  }
}

describe('/healthz', () => {
  test('an API server that is away for hours is no reason to restart, nor is its return', () => {
    pass(600, false);
    expect(health.stuck()).toBeUndefined();
    // Calls are answered again before the watches are back.
    time += MINUTE;
    health.called(true);
    expect(health.stuck()).toBeUndefined();
  });

  test('a watch that is silent while calls are answered is', () => {
    pass(14, true, 1);
    expect(health.stuck()).toBeUndefined();
    pass(3, true, 1);
    expect(health.stuck()).toBe('a watch is dead');
  });

  test('without calls nobody knows whether the API server is there', () => {
    pass(1, true);
    time += 600 * MINUTE;
    expect(health.stuck()).toBeUndefined();
  });

  test('an outage in between begins the time anew', () => {
    pass(14, true, 1);
    pass(1, false);
    pass(14, true, 1);
    expect(health.stuck()).toBeUndefined();
  });

  test('a turn that does not end is', () => {
    oldestTurnMs = 15 * MINUTE - 1;
    expect(health.stuck()).toBeUndefined();
    oldestTurnMs = 15 * MINUTE;
    expect(health.stuck()).toBe('a worker is stuck');
  });
});

describe('/readyz', () => {
  test('waits for the first lists', () => {
    synced = false;
    expect(health.notReady()).toBe('waiting for the first lists');
  });

  test('tells that what is known is old', () => {
    time = 5 * MINUTE - 1;
    expect(health.notReady()).toBeUndefined();
    time++;
    expect(health.notReady()).toMatch('5 minutes');
    watches = [time, time, time];
    expect(health.notReady()).toBeUndefined();
  });
});
