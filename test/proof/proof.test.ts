import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sharedControlPlane } from '../integration/support/control-plane.ts';
import { acto } from './acto/suite.ts';
import { type Arena, openArena } from './arena.ts';
import { createFindings } from './findings.ts';
import { sieve } from './sieve/suite.ts';
import { STORIES } from './sieve/stories.ts';

/** A short fixed part of `npm run proof`. The same seeds each time: a red run is about the change. */
const QUICK_STORIES = ['create', 'replace', 'rename the copy', 'rename the copy to a taken name'];

let arena: Arena;

beforeAll(async () => {
  arena = await openArena(sharedControlPlane());
});
afterAll(() => arena.close());

const silent = () => undefined;
const LONG_MS = 600_000;

test(
  'what watches show late or never, and a crash at any step, breaks no promise and changes no end',
  async () => {
    const findings = createFindings(silent);
    const stories = STORIES.filter(({ name }) => QUICK_STORIES.includes(name));
    await sieve(arena, { seed: 1, ms: LONG_MS, width: 6, runs: 18, stories }, findings, silent);
    expect(findings.all).toEqual([]);
    expect(findings.rows.reduce((sum, { runs }) => sum + runs, 0)).toBeGreaterThan(18);
  },
  LONG_MS,
);

test(
  'after any change the state is that of a fresh operator on fresh objects, and nothing more is written',
  async () => {
    const findings = createFindings(silent);
    await acto(arena, { seed: 1, ms: LONG_MS, width: 4, runs: 2, length: 3 }, findings, silent);
    expect(findings.all).toEqual([]);
  },
  LONG_MS,
);
