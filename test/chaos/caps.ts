import type { History, Process, Verdict, Violation } from './history.ts';

const HOUR = 3_600_000;
const REFUSALS_PER_HOUR = 6;
const REFUSALS_PER_DAY = 24;

/**
 * Promise 9: the hour is counted by the process, the day in status, where a kill may lose the last one. A refusal that
 * reached nobody, because the answer was cut, is none (`verdicts.ts`).
 */
export function brokenCaps(history: History): Violation[] {
  const { verdicts, lives, processes } = history;
  const refused = Map.groupBy(
    verdicts.filter(({ says, isRepeat }) => says === 'refused' && !isRepeat),
    ({ account }) => account,
  );
  return [...lives.keys()].flatMap(account =>
    livesOf(account, history).flatMap(({ sure, end }) => {
      const life = (refused.get(account) ?? []).filter(({ at }) => at >= sure && at < end);
      // Each process may have died before the last refusal stood in status.
      const lost = processes.filter(({ startedAt }) => startedAt > sure && startedAt < end).length;
      return life.flatMap(verdict => {
        const what = brokenBy(verdict, life, processes[verdict.process], lost);
        return what === undefined ? [] : [{ rule: 'polite', account, at: verdict.at, what }];
      });
    }),
  );
}

/** What is wrong with the refusals of a life that begin with this one. */
function brokenBy(
  first: Verdict,
  life: readonly Verdict[],
  process: Process | undefined,
  lost: number,
): string | undefined {
  const within = (ms: number): Verdict[] => life.filter(({ at }) => at >= first.at && at < first.at + ms);
  const end = process === undefined ? Infinity : hourIsOver(process, first.at);
  const hour = within(HOUR).filter(({ at, process: asked }) => asked === first.process && at < end).length;
  if (hour > REFUSALS_PER_HOUR) return `${hour} refusals in an hour of one process`;
  const day = within(24 * HOUR).length;
  return day > REFUSALS_PER_DAY + lost ? `${day} refusals in a day` : undefined;
}

/** A clock that is set ahead tells the process that the hour is over. */
function hourIsOver({ clock }: Process, after: number): number {
  const step = clock.find(
    ({ at, aheadMs }, index) => at > after && aheadMs > (clock[index - 1]?.aheadMs ?? aheadMs),
  );
  return step?.at ?? Infinity;
}

/**
 * The objects of an account's name, each with a count of its own. Until the operator first wrote about an object, a
 * refusal may still be one of the object before: what it is told of late, it does not know. Such a one counts for neither.
 */
function livesOf(account: string, { lives, accounts }: History): { sure: number; end: number }[] {
  const known = lives.get(account) ?? [];
  return known.map(({ uid }, index) => {
    const shown = accounts.find(
      ({ object }) => object.metadata.uid === uid && object.status?.conditions !== undefined,
    );
    return { sure: shown?.at ?? Infinity, end: known[index + 1]?.from ?? Infinity };
  });
}
