import type { Watched, WatchedEvent } from '../watch-gate.ts';
import { WATCHED } from '../watch-gate.ts';

/** An event as it is found again in another run: the how-manieth of its kind since the act began. */
export interface EventPoint {
  kind: Watched;
  index: number;
  /** For people. */
  what: string;
}

/** What a run does to the operator in the middle of a story. */
export type Perturbation =
  /** The process dies on that side of a request or call, and another one starts. */
  | { pattern: 'crash'; step: string; when: 'before' | 'after' }
  /** From that event on the watch is behind while requests go through, until nothing more happens. */
  | { pattern: 'behind'; at: EventPoint }
  /** A follower whose watch is behind from that event on takes over: at that moment, or in the end. */
  | { pattern: 'hand-over behind'; at: EventPoint; early: boolean }
  /** In the end the process dies; the next one lists how it was before that event: of one kind, or of all. */
  | { pattern: 'restart in the past'; at: EventPoint; all: boolean }
  /** The watch never shows that event; in the end a list does. */
  | { pattern: 'unobserved'; at: EventPoint };

export const PATTERNS = ['crash', 'behind', 'hand-over behind', 'restart in the past', 'unobserved'] as const;

/** What a reference run saw: steps in order, and events. */
export interface Seen {
  steps: readonly string[];
  events: readonly WatchedEvent[];
}

/** Every perturbation that a reference run gives. */
export function perturbationsOf({ steps, events }: Seen, handsOver: boolean): Perturbation[] {
  const points = WATCHED.flatMap(kind =>
    events
      .filter(event => event.kind === kind)
      .map(({ type, name }, index): EventPoint => ({ kind, index, what: `${type} ${name}` })),
  );
  return [
    ...steps.flatMap((step): Perturbation[] => [
      { pattern: 'crash', step, when: 'before' },
      { pattern: 'crash', step, when: 'after' },
    ]),
    ...points.flatMap((at): Perturbation[] => [
      ...(handsOver ? [] : ([{ pattern: 'behind', at }] as const)),
      { pattern: 'hand-over behind', at, early: false },
      { pattern: 'hand-over behind', at, early: true },
      { pattern: 'restart in the past', at, all: false },
      { pattern: 'restart in the past', at, all: true },
      { pattern: 'unobserved', at },
    ]),
  ];
}

/** One line that says it. */
export function describePerturbation(perturbation: Perturbation): string {
  if (perturbation.pattern === 'crash') return `crash ${perturbation.when} ${perturbation.step}`;
  const { at, pattern } = perturbation;
  const how =
    perturbation.pattern === 'hand-over behind'
      ? perturbation.early
        ? ', at once'
        : ', in the end'
      : perturbation.pattern === 'restart in the past' && perturbation.all
        ? ', all kinds'
        : '';
  return `${pattern}${how}: ${at.kind} #${at.index + 1} (${at.what})`;
}
