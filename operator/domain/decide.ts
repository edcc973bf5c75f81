import type { AccountReason } from '../api/names.ts';
import { assess, type Candidate, recordCandidate, settleCopy } from './assess.ts';
import {
  type Because,
  type Blocker,
  condition,
  expiryOf,
  expiryWarningAt,
  withConditions,
} from './conditions.ts';
import type { Facts, Memory, Result, Step } from './facts.ts';
import {
  connectedVerdict,
  type Draft,
  draftOf,
  foldCandidate,
  foldInForce,
  markHandled,
  streakEndsAt,
} from './fold.ts';
import { InvariantError } from './invariant.ts';
import {
  notWritableMessage,
  postponedMessage,
  REFUSED_REASONS,
  staticMessage,
  unreachableMessage,
} from './messages.ts';
import { checksAllowedFrom, nextCheckAt, refusalsInWindow } from './schedule.ts';
import { DAY, fromTimestamp, isAhead, isBeyond, SECOND, toTimestamp } from './time.ts';

/** A re-created account meets its old copy until it is collected. */
const CONFLICT_GRACE = 30 * SECOND;
/** How long a check may run before `Verifying` is written. */
const VERDICT_GRACE = SECOND;

/**
 * Decides the next step for an account. Pure: the same facts give the same step. The caller does the step, adds what
 * it learnt to the facts and asks again, until `done`.
 */
export function decide(facts: Facts): Step {
  const draft = draftOf(facts);
  const step = settleCopy(facts, draft);
  if (step !== undefined) return step;
  reschedule(facts, draft);
  const movable = draft.inForce && !facts.nameTaken && !facts.memory.notWritable;
  const move = movable ? moveCopy(facts, draft) : undefined;
  if (move !== undefined) return move;
  if (facts.wanted.suspend) return suspended(facts, draft);

  const candidate = assess(facts, draft);
  if ('do' in candidate) return candidate;
  recordCandidate(facts, draft, candidate);
  return settleResult(facts, draft, candidate) ?? nextCheck(facts, draft, candidate);
}

/**
 * Another interval counts from the last definitive answer, so a shorter one may be due at once. A time further away than
 * the interval was written under a clock that ran ahead; the check must not wait for as long as it did.
 */
function reschedule(
  { status, generation, wanted, uid, now }: Facts,
  { status: next, inForce, refused }: Draft,
): void {
  const { intervalMs } = wanted;
  const isAhead = (fromTimestamp(next.nextCheckTime) ?? 0) > now + intervalMs;
  if (status.observedGeneration === generation && !isAhead) return;
  const last = fromTimestamp(inForce && !refused ? next.credential?.verifiedAt : next.lastCheckTime);
  if (last === undefined) return;
  next.nextCheckTime = toTimestamp(nextCheckAt(Math.min(last, now), intervalMs, uid, expiryOf(next)));
}

/** A copy under another name or other keys than asked for is written anew from the bytes in force, without a call. */
function moveCopy({ copy, status, wanted, generation }: Facts, draft: Draft): Step | undefined {
  const layoutDiffers = 'layoutDiffers' in copy ? copy.layoutDiffers : undefined;
  const { verifiedSecretRef: ref, account, credential } = draft.status;
  if (ref?.name === wanted.copyName && layoutDiffers !== true) {
    // A write that was denied is not done because status was written meanwhile.
    const mayDiffer =
      status.observedGeneration !== generation ||
      condition(status, 'Ready')?.reason === 'VerifiedSecretNotWritable';
    return layoutDiffers === undefined && mayDiffer ? { do: 'readCopy' } : undefined;
  }
  if (credential === undefined) throw new InvariantError('what is in force has a credential record');
  return { do: 'relocate', proof: { ...(account && { account }), credential } };
}

/** No calls; a check that was under way only counts. Requests wait. */
function suspended(facts: Facts, draft: Draft): Step {
  const { result, inHand } = facts.memory;
  if (result?.which === 'inForce')
    foldInForce(facts, draft, result, isCurrent(facts, draft, result.question));
  if (result?.which === 'candidate') foldCandidate(facts, draft, result, false);
  if (inHand !== undefined) foldCandidate(facts, draft, inHand, false);
  const because = { reason: 'Suspended' as const, message: staticMessage('Suspended', facts.help) };
  const settled = (['result', 'inHand'] as const).filter(slot => facts.memory[slot] !== undefined);
  return finish(facts, draft, { suspended: because, settled });
}

function isCurrent({ memory }: Facts, draft: Draft, fingerprint: string): boolean {
  return draft.inForce && memory.published === fingerprint;
}

/**
 * Takes a finished check into the draft. Answers to a question that is no longer asked only count as refusals.
 * An accepted candidate is published first; where its copy cannot be written, the verdict waits.
 */
function settleResult(facts: Facts, draft: Draft, candidate: Candidate): Step | undefined {
  const { result, inHand } = facts.memory;
  if (result !== undefined) {
    if (result.which === 'inForce')
      foldInForce(facts, draft, result, isCurrent(facts, draft, result.question));
    else foldCandidate(facts, draft, result, isAsked(candidate, result));
    return finish(facts, draft, { blocker: blockerOf(facts, draft, candidate), settled: ['result'] });
  }
  if (inHand === undefined) return undefined;
  const proof = foldCandidate(
    facts,
    draft,
    inHand,
    isAsked(candidate, inHand) && facts.now < staleAt(facts, inHand),
  );
  if (proof !== undefined) return mustWait(facts) ? undefined : { do: 'publish', proof };
  return finish(facts, draft, { blocker: blockerOf(facts, draft, candidate), settled: ['inHand'] });
}

function isAsked(candidate: Candidate, { question }: Result): boolean {
  return 'question' in candidate && candidate.question === question;
}

/** An acceptance that could not be published for so long would be checked again by now if it had been. */
function staleAt({ wanted }: Facts, { at }: Result): number {
  return at + wanted.intervalMs;
}

/**
 * An accepted candidate is not published now. Nor while what is in force is asked: the answer would be about bytes
 * that were replaced meanwhile.
 */
function mustWait({ memory, nameTaken }: Facts): boolean {
  return nameTaken || memory.notWritable !== undefined || memory.checking !== undefined;
}

/** Chooses the check that is due, or when the next one will be. */
function nextCheck(facts: Facts, draft: Draft, candidate: Candidate): Step {
  const { now, memory, recheck } = facts;
  const blocker = blockerOf(facts, draft, candidate);
  if (memory.checking !== undefined) return whileChecking(facts, draft, memory.checking, blocker);

  const askable = isAskable(facts, candidate);
  const allowedFrom = checksAllowedFrom(now, memory.refusals, draft.status.refusals);
  const requested = isRequested(facts, draft);
  const postponed = requested && allowedFrom > now;
  if (postponed || (requested && !askable && !draft.inForce)) markHandled(draft, recheck);

  const round = roundOf(facts, draft);
  const question = 'question' in candidate ? candidate.question : undefined;
  const candidateTurn = askable ? candidateDue(facts, draft, candidate, round) : Infinity;
  const inForceTurn = draft.inForce ? inForceDue(facts, draft, askable, round) : Infinity;
  const candidateAt = Math.max(candidateTurn, turnedAwayUntil(facts, 'candidate', question));
  const inForceAt = Math.max(inForceTurn, turnedAwayUntil(facts, 'inForce', memory.published));
  const dueAt = Math.max(Math.min(candidateAt, inForceAt), allowedFrom);
  if (dueAt > now) {
    const isTurnedAway = candidateTurn <= now && candidateAt > now && allowedFrom <= now;
    // Own waiting is nothing to tell; as in line, a first check shows only once it has begun.
    if (isTurnedAway && isFirstCheck(facts, draft)) return { do: 'done', wakeAt: dueAt };
    const shown =
      candidateTurn <= now && allowedFrom > now
        ? postponedBlocker(facts, candidate, blocker, allowedFrom)
        : blocker;
    return finish(facts, draft, { blocker: shown, times: [dueAt], postponed });
  }

  const inRound = round !== undefined && round.at <= now ? { round: round.id } : {};
  if (candidateAt > now) {
    const step = { do: 'check', which: 'inForce', depth: 'recheck', ...inRound } as const;
    if (memory.published !== undefined) return { ...step, question: memory.published };
    const { copy } = facts;
    // Adopted after a crash: it must stand in status before anything is concluded about it.
    if (copy.state === 'read' && copy.fingerprint !== undefined)
      return { ...step, question: copy.fingerprint, status: render(facts, draft, { blocker }) };
    return { do: 'readCopy' };
  }
  if (question === undefined) return { do: 'readSource' };
  return {
    do: 'check',
    which: 'candidate',
    question,
    depth: 'first',
    ...inRound,
    // A changed Secret does not change `generation`: who waits for a working connection must see that it is not done.
    ...(draft.inForce && { status: render(facts, draft, { blocker }) }),
  };
}

/** A candidate that the provider can be asked about, and whose acceptance could be published. */
function isAskable({ nameTaken, memory }: Facts, candidate: Candidate): boolean {
  if (memory.inHand !== undefined && isAsked(candidate, memory.inHand)) return false;
  const isJudgeable = candidate.state === 'open' || candidate.state === 'refused';
  return isJudgeable && !nameTaken && !memory.notWritable;
}

function isRequested({ recheck }: Facts, { status }: Draft): boolean {
  return recheck !== undefined && recheck !== status.lastHandledRecheck;
}

function isFirstCheck({ status }: Facts, draft: Draft): boolean {
  return !draft.inForce && status.credential === undefined;
}

/** With nothing in force, `Verifying` is written only when the verdict takes longer than a second. */
function whileChecking(
  facts: Facts,
  draft: Draft,
  { which, startedAt }: NonNullable<Memory['checking']>,
  blocker: Blocker | undefined,
): Step {
  const isFirst = which === 'candidate' && isFirstCheck(facts, draft);
  if (isFirst && (startedAt === undefined || facts.now < startedAt + VERDICT_GRACE)) {
    return { do: 'done', ...(startedAt !== undefined && { wakeAt: startedAt + VERDICT_GRACE }) };
  }
  return finish(facts, draft, { blocker });
}

/** A scheduled or a requested check: the candidate first, then what is in force. */
interface Round {
  id: string;
  at: number;
  requested: boolean;
}

function roundOf(facts: Facts, draft: Draft): Round | undefined {
  const { now, recheck, memory } = facts;
  if (isRequested(facts, draft)) return { id: `requested ${recheck}`, at: now, requested: true };
  const { nextCheckTime } = draft.status;
  const scheduled = fromTimestamp(nextCheckTime);
  if (scheduled === undefined) return undefined;
  const { startOffset = 0 } = memory;
  const at = isBeyond(startOffset, now) ? scheduled : Math.max(scheduled, startOffset);
  return { id: `scheduled ${nextCheckTime}`, at, requested: false };
}

/** When the candidate is asked: new bytes at once, refused ones at their time, both with a round. */
function candidateDue(facts: Facts, draft: Draft, candidate: Candidate, round: Round | undefined): number {
  const question = 'question' in candidate ? candidate.question : undefined;
  const retryAt = pendingRetry(facts, 'candidate', question);
  const ownTime = candidate.state === 'open' ? 0 : fromTimestamp(draft.status.candidate?.nextAttemptTime);
  const own = retryAt ?? ownTime ?? Infinity;
  if (round === undefined || facts.memory.askedInRound === round.id) return own;
  return round.requested ? round.at : Math.min(own, retryAt ?? round.at);
}

/** When what is in force is asked: with a round after the candidate, and while a refusal is being confirmed. */
function inForceDue(
  facts: Facts,
  { status: { confirming } }: Draft,
  candidateFirst: boolean,
  round: Round | undefined,
): number {
  const { memory, timing } = facts;
  const turn = round !== undefined && (!candidateFirst || memory.askedInRound === round.id);
  if (turn && round.requested) return round.at;
  const retryAt = pendingRetry(facts, 'inForce', memory.published);
  if (retryAt !== undefined) return retryAt;
  const since = fromTimestamp(confirming?.since);
  const offset = timing.confirmAfter[(confirming?.count ?? 0) - 1];
  const confirmAt = since !== undefined && offset !== undefined ? since + offset : Infinity;
  return Math.min(confirmAt, turn ? round.at : Infinity);
}

/** The question was asked and not answered: it is asked again then, and not before. */
function pendingRetry(
  { memory, now }: Facts,
  which: 'candidate' | 'inForce',
  question: string | undefined,
): number | undefined {
  const retry = memory.retries[which];
  if (retry === undefined || retry.question !== question) return undefined;
  // The clock was set back since it was planned.
  return isAhead(retry.since, now) ? now : retry.notBefore;
}

/** Until when our own line keeps a question waiting, a requested one too; 0: it does not. */
function turnedAwayUntil(
  { memory, now }: Facts,
  which: 'candidate' | 'inForce',
  question: string | undefined,
): number {
  const wait = memory.turnedAway?.[which];
  // The clock was set back since: the line is asked again, it knows.
  if (wait === undefined || wait.question !== question || isAhead(wait.since, now)) return 0;
  return wait.until;
}

/** What stands between what is asked for and what is in force, for the conditions. */
function blockerOf(facts: Facts, draft: Draft, candidate: Candidate): Blocker | undefined {
  const { help, memory, now, nameTaken, status } = facts;
  if (nameTaken) {
    const reason = 'VerifiedSecretConflict';
    const stuck = condition(status, 'Stalled')?.reason === reason || now >= conflictStuckAt(memory, now);
    const because = { reason, message: staticMessage(reason, help) } as const;
    return stuck ? { kind: 'stuck', refused: false, ...because } : { kind: 'open', ...because };
  }
  const { candidate: refused } = draft;
  const reason = (draft.status.candidate?.reason ?? 'Verifying') as AccountReason;
  const { lastAttempt } = draft.status;
  const message =
    reason === 'ProviderUnreachable' && lastAttempt?.cause !== undefined
      ? unreachableMessage(lastAttempt.cause, lastAttempt.host, help)
      : staticMessage(reason, help);
  const open = { kind: 'open', reason, message } as const;
  if (memory.notWritable) {
    return {
      ...open,
      reason: 'VerifiedSecretNotWritable',
      message: notWritableMessage(memory.notWritable.detail, help),
    };
  }
  if (candidate.state === 'none') return undefined;
  if (candidate.state === 'missing') {
    const until = fromTimestamp(draft.status.candidate?.nextAttemptTime);
    return until !== undefined && now >= until ? { ...open, kind: 'stuck', refused: false } : open;
  }
  if (refused !== undefined && refused.reason === reason) return { kind: 'stuck', refused: true, ...refused };
  return candidate.state === 'refused' ? { ...open, kind: 'stuck', refused: true } : open;
}

/** New bytes beyond a cap on refusals are not judged yet. */
function postponedBlocker(
  { help }: Facts,
  { state }: Candidate,
  blocker: Blocker | undefined,
  until: number,
): Blocker | undefined {
  if (state !== 'open' || blocker?.kind !== 'open') return blocker;
  return {
    kind: 'open',
    reason: 'CheckPostponed',
    message: postponedMessage(toTimestamp(until), help),
    fresh: true,
  };
}

function conflictStuckAt({ conflictSince }: Memory, now: number): number {
  return (conflictSince ?? now) + CONFLICT_GRACE;
}

interface Rendering {
  blocker?: Blocker | undefined;
  suspended?: Because;
}

/** The draft with its conditions. */
function render(facts: Facts, draft: Draft, { blocker, suspended }: Rendering): Facts['status'] {
  const { now, generation, help } = facts;
  const { inForce, refused } = draft;
  const next = draft.status;
  const expiresAt = expiryOf(next);
  if (refusalsInWindow(next.refusals, now) === undefined) delete next.refusals;
  next.servers ??= { count: 0, names: [] };
  // A missing Secret stays one whatever else blocks: the time for which it is waited for hangs on it.
  const isOpen = (reason: string): boolean => reason !== 'SecretNotFound' && !REFUSED_REASONS.has(reason);
  if (next.candidate !== undefined && blocker !== undefined && isOpen(next.candidate.reason)) {
    next.candidate.reason = blocker.reason;
  }
  return withConditions(next, {
    now,
    generation,
    inForce: !inForce ? 'none' : refused ? 'refused' : 'good',
    verdict: connectedVerdict(facts, draft, blocker),
    refused: refused || (blocker?.kind === 'stuck' && blocker.refused),
    ...(blocker !== undefined && { blocker }),
    ...(suspended !== undefined && { suspended }),
    ...(expiresAt !== undefined && { expiresAt }),
    help,
  });
}

interface Ending extends Rendering {
  times?: number[];
  postponed?: boolean;
  settled?: readonly ('result' | 'inHand')[];
}

/** Ends the turn: what to write, and when to look again. */
function finish(
  facts: Facts,
  draft: Draft,
  { times = [], postponed = false, settled = [], ...rendering }: Ending,
): Step {
  const { now, memory, nameTaken } = facts;
  const status = render(facts, draft, rendering);
  const { candidate, refusals } = status;
  const graceEnds =
    candidate?.reason === 'SecretNotFound' ? fromTimestamp(candidate.nextAttemptTime) : undefined;
  const windowStart = fromTimestamp(refusals?.since);
  const wake = [
    ...times,
    graceEnds,
    windowStart === undefined ? undefined : windowStart + DAY,
    streakEndsAt(status),
    memory.inHand && staleAt(facts, memory.inHand),
    expiryWarningAt(expiryOf(status), now),
    nameTaken ? conflictStuckAt(memory, now) : undefined,
  ].filter((time): time is number => time !== undefined && time > now && time !== Infinity);
  return {
    do: 'done',
    status,
    ...(wake.length > 0 && { wakeAt: Math.min(...wake) }),
    ...(settled.length > 0 && { settled }),
    ...(postponed && { postponedRecheck: true as const }),
  };
}
