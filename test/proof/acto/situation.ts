import { RECHECK_ANNOTATION, VERIFICATION_ANNOTATION } from '../../../operator/api/names.ts';
import { randomOf } from '../../random.ts';
import { COPY, SOURCE, type Stage } from '../stage.ts';

/** What the user asks for. */
export interface Situation {
  source: 'a' | 'b' | 'another account' | 'revoked' | 'read only' | 'empty' | 'missing';
  copyName: string;
  renamedKeys: boolean;
  access: 'ReadWrite' | 'ReadOnly';
  isPinned: boolean;
  label: string;
  interval: string;
  recheck: string;
}

/** What others do to the copy. All of it is put right, or stays where it hurts nobody. */
export const EDITS = {
  'edit its bytes': { data: { token: Buffer.from('edited').toString('base64') } },
  'add a key': { data: { more: Buffer.from('more').toString('base64') } },
  'take our label off': { metadata: { labels: { 'app.kubernetes.io/managed-by': null } } },
  'take the proof off': { metadata: { annotations: { [VERIFICATION_ANNOTATION]: null } } },
  'spoil the proof': { metadata: { annotations: { [VERIFICATION_ANNOTATION]: '{"credential":{}}' } } },
  'take its owner off': { metadata: { ownerReferences: null } },
  'mark it': { metadata: { labels: { 'example.com/a': 'b' }, annotations: { 'example.com/c': 'd' } } },
  'put a finalizer on it': { metadata: { finalizers: ['example.com/keep'] } },
  'make it immutable': { immutable: true },
} as const;

export type Change =
  | { kind: 'ask'; for: Partial<Situation> }
  | { kind: 'edit'; how: keyof typeof EDITS }
  | { kind: 'delete the copy' }
  /** Back to what was asked for before. */
  | { kind: 'undo' };

export const START: Situation = {
  source: 'a',
  copyName: COPY,
  renamedKeys: false,
  access: 'ReadWrite',
  isPinned: false,
  label: '',
  interval: '24h',
  recheck: '',
};

export function isGood({ source }: Situation): boolean {
  return source === 'a' || source === 'b';
}

/** Refused by the provider: at most one in a sequence, since an account may meet six refusals in an hour. */
function isRefused(source: Situation['source']): boolean {
  return source === 'another account' || source === 'revoked' || source === 'read only';
}

/** Changes that the seed decides. */
export function changesOf(seed: number, length: number): Change[] {
  const random = randomOf(seed);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
  const changes: Change[] = [];
  const past: Situation[] = [START];
  let refusals = 0;
  while (changes.length < length) {
    const now = past.at(-1) as Situation;
    const change = pick<Change>([
      {
        kind: 'ask',
        for: { source: pick(['a', 'b', 'another account', 'revoked', 'read only', 'empty', 'missing']) },
      },
      { kind: 'ask', for: { source: pick(['a', 'b']) } },
      { kind: 'ask', for: { copyName: pick([COPY, 'moved']) } },
      { kind: 'ask', for: { renamedKeys: !now.renamedKeys } },
      { kind: 'ask', for: { access: pick(['ReadWrite', 'ReadOnly']) } },
      { kind: 'ask', for: { isPinned: !now.isPinned } },
      { kind: 'ask', for: { label: pick(['', 'Production']) } },
      { kind: 'ask', for: { interval: pick(['24h', '2h']) } },
      { kind: 'ask', for: { recheck: `${seed}-${changes.length}` } },
      { kind: 'edit', how: pick(Object.keys(EDITS) as (keyof typeof EDITS)[]) },
      { kind: 'edit', how: pick(Object.keys(EDITS) as (keyof typeof EDITS)[]) },
      { kind: 'delete the copy' },
      { kind: 'undo' },
    ]);
    const next = after(past, change);
    if (change.kind === 'undo' && past.length < 2) continue;
    // What is lost while nothing good is asked for stays lost: that is another story.
    if ((change.kind === 'edit' || change.kind === 'delete the copy') && !isGood(now)) continue;
    // Each of these would be asked of the provider once more.
    const isAskedAnew =
      isRefused(next.source) && JSON.stringify(questionOf(next)) !== JSON.stringify(questionOf(now));
    const isRechecked = isRefused(next.source) && next.recheck !== now.recheck;
    if ((isAskedAnew && refusals > 0) || isRechecked) continue;
    if (isAskedAnew) refusals += 1;
    changes.push(change);
    record(past, change);
  }
  return changes;
}

function questionOf({ source, access, isPinned }: Situation) {
  return [source, access, isPinned];
}

/** What is asked for after a change. */
export function after(past: readonly Situation[], change: Change): Situation {
  const now = past.at(-1) ?? START;
  if (change.kind === 'ask') return { ...now, ...change.for };
  // A recheck that was asked for cannot be unasked.
  if (change.kind === 'undo') return { ...(past.at(-2) ?? now), recheck: now.recheck };
  return now;
}

/** Keeps what was asked for, so that it can be gone back to. */
export function record(past: Situation[], change: Change): void {
  const next = after(past, change);
  if (change.kind === 'undo') past.pop();
  if (change.kind === 'undo') past[past.length - 1] = next;
  if (change.kind === 'ask') past.push(next);
}

/** Makes it so: what differs from what was asked for before, or all of it on fresh objects. */
export async function ask(stage: Stage, now: Situation, before?: Situation): Promise<void> {
  const { tokens } = stage;
  if (now.source !== before?.source) {
    const values: Record<Exclude<Situation['source'], 'missing'>, Record<string, string>> = {
      a: tokens.a.credential,
      b: tokens.b.credential,
      revoked: tokens.x.credential,
      'another account': tokens.c.credential,
      'read only': tokens.r.credential,
      empty: { token: '' },
    };
    if (now.source === 'missing') await stage.deleteSecret(SOURCE);
    else await stage.putSecret(SOURCE, values[now.source]);
  }
  const { team } = tokens.a.account as { team?: { uuid: string } };
  const spec = {
    label: now.label === '' ? null : now.label,
    access: now.access,
    recheckInterval: now.interval,
    accountID: now.isPinned ? `team:${team?.uuid}` : null,
    verifiedSecret: {
      name: now.copyName === COPY ? null : now.copyName,
      keys: now.renamedKeys ? { token: 'TOKEN' } : null,
    },
  };
  if (before === undefined) await stage.putAccount();
  const annotations = { [RECHECK_ANNOTATION]: now.recheck === '' ? null : now.recheck };
  const isSame =
    before !== undefined && JSON.stringify({ ...before, source: now.source }) === JSON.stringify(now);
  if (!isSame) await stage.patchAccount({ metadata: { annotations }, spec });
}

/** One line that says it. */
export function describeChange(change: Change): string {
  if (change.kind === 'ask') return `ask for ${JSON.stringify(change.for)}`;
  return change.kind === 'edit' ? `copy: ${change.how}` : change.kind;
}
