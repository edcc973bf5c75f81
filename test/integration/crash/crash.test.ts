import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bundle } from '../../../scripts/build.ts';
import { type CrashPoint, openLane } from './lane.ts';
import { type Scenario, SCENARIOS } from './scenarios.ts';

/** By default the process dies where it costs most: after each write and each call. In full: before and after each request. */
const FULL = process.env['CAO_FULL'] === '1';

let folder: string;
let runs: Map<string, Promise<string[]>>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'crash-'));
  const program = join(folder, 'operator.mjs');
  await bundle({ entry: 'operator/main.ts', outfile: program });
  // Side by side: most of a story is waiting.
  runs = new Map(SCENARIOS.map(scenario => [scenario.name, run(scenario, program)]));
  for (const running of runs.values()) running.catch(() => undefined);
});
afterAll(async () => {
  await Promise.allSettled(runs.values());
  rmSync(folder, { recursive: true, force: true });
});

/** Resolves with what went wrong. */
async function run(scenario: Scenario, program: string): Promise<string[]> {
  const lane = await openLane(program, join(folder, 'compiled'));
  const failures: string[] = [];
  let steps: string[] = [];
  try {
    steps = await lane.record(scenario);
    const points = pointsOf(steps);
    const missed: CrashPoint[] = [];
    for (const point of points) if (!(await lane.crash(scenario, point))) missed.push(point);
    // A slow check writes `Verifying` where a quick one does not, so one point may be there once only.
    if (missed.length > Math.max(1, points.length / 4))
      failures.push(`these requests came once and not again: ${missed.map(({ step }) => step).join(', ')}`);
  } catch (error) {
    failures.push((error as Error).message);
  }
  failures.push(...(await lane.close()));
  if (process.env['CAO_TRACE'] === '1') console.log(`${scenario.name}\n  ${steps.join('\n  ')}`);
  return failures;
}

function pointsOf(steps: readonly string[]): CrashPoint[] {
  if (FULL)
    return steps.flatMap(step => [{ step, when: 'before' } as const, { step, when: 'after' } as const]);
  return steps.filter(step => !step.startsWith('GET ')).map(step => ({ step, when: 'after' }));
}

test.each(SCENARIOS)(
  '$name ends well, shows nothing unverified and repeats at most one check, wherever the process dies',
  async ({ name }) => {
    expect(await runs.get(name)).toEqual([]);
  },
  600_000,
);
