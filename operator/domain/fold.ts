import type {
  CandidateStatus,
  CloudAccountStatus,
  LastAttemptStatus,
  SecretRevision,
  VerifiedSecretRef,
} from '../api/cloudaccount.generated.ts';
import type { AccountReason } from '../api/names.ts';
import { type Because, type Blocker, condition, expiryOf } from './conditions.ts';
import type { Facts, Memory, Proof, Result, Verdict } from './facts.ts';
import { compareAccounts, mergeAccounts } from './identity.ts';
import { InvariantError } from './invariant.ts';
import {
  attemptReason,
  causeIn,
  differentAccountMessage,
  type Help,
  limitsMessage,
  MENDABLE_REASONS,
  refusalMessage,
  refusalReason,
  staticMessage,
} from './messages.ts';
import { type AccountIdentity, isDefinitive, type Outcome, type Permissions } from './outcome.ts';
import { backoff, countRefusal, nextCheckAt, retryRefusedAt } from './schedule.ts';
import { DAY, fromTimestamp, HOUR, isAhead, isBeyond, MINUTE, toTimestamp } from './time.ts';

/** Status in the making, with what its conditions are computed from. Never shared, so it may be changed. */
export interface Draft {
  status: CloudAccountStatus;
  inForce: boolean;
  /** Connected is False: the last verdict was a (confirmed) refusal. */
  refused: boolean;
  /** The last verdict on what is in force, or with nothing in force on the candidate. */
  verdict: Because | undefined;
  /** The last verdict on the candidate, where it is a refused one. */
  candidate: Because | undefined;
}

/** A streak of refusals that was not confirmed within this time is void. */
const STREAK_LIFE = DAY;
/** Expiry told as seconds left wobbles; a change below this is none. */
const EXPIRY_TOLERANCE = 5 * MINUTE;

/** When the streak of refusals becomes void, undefined where there is none. */
export function streakEndsAt({ confirming }: CloudAccountStatus): number | undefined {
  const since = fromTimestamp(confirming?.since);
  return since === undefined ? undefined : since + STREAK_LIFE;
}

/** The draft that stands for the status as it is. */
export function draftOf({ status, now }: Facts): Draft {
  const draft = withoutFuture(structuredClone(status), now);
  const streakEnd = streakEndsAt(draft);
  if (streakEnd !== undefined && now >= streakEnd) delete draft.confirming;
  const connected = condition(status, 'Connected');
  const blocked = condition(status, 'Stalled');
  return {
    status: draft,
    inForce: false,
    refused: connected?.status === 'False',
    verdict: connected && because(connected),
    candidate:
      blocked &&
      status.candidate &&
      because({ reason: status.candidate.reason, message: causeIn(blocked.message) }),
  };
}

/**
 * Times of the past that lie ahead were written under a wrong clock, and count as now: else what is counted from them
 * would wait until the clock gets there. A streak that began more than a day ahead is of an unknown age, so it is void.
 */
function withoutFuture(status: CloudAccountStatus, now: number): CloudAccountStatus {
  const { credential, confirming, refusals, lastAttempt } = status;
  const past = (text: string): string => (isAhead(Date.parse(text), now) ? toTimestamp(now) : text);
  if (isBeyond(fromTimestamp(confirming?.since) ?? now, now)) delete status.confirming;
  else if (confirming !== undefined) confirming.since = past(confirming.since);
  if (credential !== undefined) credential.verifiedAt = past(credential.verifiedAt);
  if (refusals !== undefined) refusals.since = past(refusals.since);
  if (lastAttempt !== undefined) lastAttempt.time = past(lastAttempt.time);
  if (status.lastCheckTime !== undefined) status.lastCheckTime = past(status.lastCheckTime);
  return status;
}

function because({ reason, message }: { reason: string; message: string }): Because {
  return { reason: reason as AccountReason, message };
}

/** Nothing is in force any more: the copy is gone or cannot be trusted. A refusal stays what it is. */
export function loseCredential(draft: Draft): void {
  draft.inForce = false;
  delete draft.status.credential;
  delete draft.status.verifiedSecretRef;
  delete draft.status.confirming;
  if (!draft.refused) draft.verdict = undefined;
}

/**
 * A proven copy is what is in force, whatever status says of it: bytes and proof are written before the status that
 * speaks of them. A status that knows a later verdict on the same bytes keeps it.
 */
export function adopt(facts: Facts, draft: Draft, proof: Proof, ref: VerifiedSecretRef): void {
  const { status } = draft;
  const { account, credential } = proof;
  const { published, inHand } = facts.memory;
  draft.inForce = true;
  status.verifiedSecretRef = ref;
  // Bytes that this process knows, and no verdict in hand: an annotation that says more was edited.
  const isSettled = published !== undefined && inHand === undefined && status.credential !== undefined;
  if (isSettled || !isNewer(proof, status)) return;
  const comparison = compareAccounts(status.account?.ids ?? [], account, undefined);
  status.credential = structuredClone(credential);
  if (account === undefined) delete status.account;
  else status.account = structuredClone(account);
  delete status.confirming;
  delete status.lastAttempt;
  draft.refused = false;
  draft.verdict = verified(facts, draft, comparison.kind === 'notComparable');
  // An annotation can be edited: a time to come would keep checks away.
  const verifiedAt = Math.min(Date.parse(credential.verifiedAt), facts.now);
  status.credential.verifiedAt = toTimestamp(verifiedAt);
  scheduleNext(facts, draft, verifiedAt);
}

/**
 * Whether the proof speaks of another credential than status does, or of a later verdict on the same. First by what it
 * is about, and only then by time: a verdict that was written under a clock that ran ahead is not the later one.
 */
function isNewer({ account, credential }: Proof, status: CloudAccountStatus): boolean {
  const known = status.credential;
  if (known === undefined) return true;
  const { access, hint, source, verifiedAt } = credential;
  const knownIds = status.account?.ids ?? [];
  // Later checks of the same bytes may have learnt more of the account.
  const isSameAccount = (account?.ids ?? []).every(id => knownIds.includes(id));
  if (access !== known.access || hint !== known.hint || !isSameAccount) return true;
  if (source.uid === known.source.uid && source.resourceVersion !== known.source.resourceVersion)
    return BigInt(source.resourceVersion) > BigInt(known.source.resourceVersion);
  return Date.parse(verifiedAt) > Date.parse(known.verifiedAt);
}

function verified({ help, noIdentity }: Facts, { status }: Draft, notComparable: boolean): Because {
  // What is in force has one.
  const { access, permissions } = status.credential as Proof['credential'];
  const reason = access === 'ReadOnly' ? 'VerifiedReadOnly' : 'Verified';
  const note = noIdentity
    ? ` ${help.provider} has no way to tell which account a credential belongs to.`
    : notComparable
      ? ' The account it belongs to could not be compared with the one before.'
      : '';
  const limits = limitsMessage(permissions.missing, help);
  return { reason, message: `${staticMessage(reason, help)}${limits}${note}`, fresh: true };
}

/** Writes down a definitive answer of now and when the next check is due. */
function scheduleNext({ wanted, uid }: Facts, draft: Draft, at: number): void {
  draft.status.lastCheckTime = toTimestamp(at);
  const next = nextCheckAt(at, wanted.intervalMs, uid, expiryOf(draft.status));
  draft.status.nextCheckTime = toTimestamp(next);
}

/** The recheck request is answered. */
export function markHandled(draft: Draft, recheck: string | undefined): void {
  if (recheck !== undefined) draft.status.lastHandledRecheck = recheck;
}

/** A check answers the request that it began with, unless a later one was answered meanwhile. */
function markAnswered(facts: Facts, draft: Draft, result: Result): void {
  if (facts.recheck === undefined || draft.status.lastHandledRecheck !== facts.recheck)
    markHandled(draft, result.recheck);
}

/** Takes the verdict on what is in force into the draft. `current`: the bytes are still the same. */
export function foldInForce(facts: Facts, draft: Draft, result: Result, current: boolean): void {
  const { outcome, at } = result;
  markAnswered(facts, draft, result);
  countIfRefused(draft, outcome, at);
  const { credential } = draft.status;
  if (!current || credential === undefined) return;
  if (outcome.kind === 'accepted') {
    delete draft.status.confirming;
    delete draft.status.lastAttempt;
    credential.verifiedAt = toTimestamp(at);
    keepExpiry(credential, outcome.expiresAt);
    if (outcome.account !== undefined)
      draft.status.account = accountStatus(mergeAccounts(draft.status.account, outcome.account));
    const missing = credential.permissions.missing.join();
    keepPermissions(credential, outcome.permissions);
    const isNews =
      draft.refused ||
      draft.verdict?.reason === 'ConfirmingRejection' ||
      credential.permissions.missing.join() !== missing;
    if (isNews) draft.verdict = verified(facts, draft, false);
    draft.refused = false;
    scheduleNext(facts, draft, at);
    return;
  }
  if (!isDefinitiveVerdict(outcome)) {
    noteAttempt(draft, outcome, at);
    return;
  }
  delete draft.status.lastAttempt;
  scheduleNext(facts, draft, at);
  const cause = refusal(outcome, facts.help);
  if (draft.refused) draft.verdict = cause;
  else confirm(facts, draft, cause, at);
}

/** One more refusal of a working credential: the last of the streak demotes. */
function confirm({ timing, help }: Facts, draft: Draft, cause: Because, at: number): void {
  const { confirming } = draft.status;
  const { confirmAfter } = timing;
  const since = fromTimestamp(confirming?.since);
  const before = confirming?.count ?? 0;
  const dueAt = since === undefined ? at : since + (confirmAfter[before - 1] ?? 0);
  // A requested check before its time answers the request and does not shorten the confirmation.
  if (at < dueAt) return;
  const count = before + 1;
  if (count > confirmAfter.length) {
    delete draft.status.confirming;
    draft.refused = true;
    draft.verdict = cause;
    return;
  }
  draft.status.confirming = { reason: cause.reason, count, since: confirming?.since ?? toTimestamp(at) };
  if (count === 1) {
    const message = staticMessage('ConfirmingRejection', help);
    draft.verdict = { reason: 'ConfirmingRejection', message, fresh: true };
  }
}

/**
 * Takes the verdict on a candidate into the draft.
 * @param current it is still what is asked for
 * @returns the proof to publish it with, when it was accepted
 */
export function foldCandidate(
  facts: Facts,
  draft: Draft,
  result: Result,
  current: boolean,
): Proof | undefined {
  const { outcome, at } = result;
  const { status } = draft;
  countIfRefused(draft, outcome, at);
  if (outcome.kind === 'accepted' || !draft.inForce) markAnswered(facts, draft, result);
  const { candidate } = status;
  if (!current || candidate === undefined) return undefined;
  if (outcome.kind === 'accepted') {
    return proofOf(facts, result, outcome, candidate.source);
  }
  if (!isDefinitiveVerdict(outcome)) {
    const { reason } = noteAttempt(draft, outcome, at);
    if (draft.candidate === undefined) candidate.reason = reason;
    return undefined;
  }
  delete status.lastAttempt;
  if (draft.inForce) status.lastCheckTime = toTimestamp(at);
  else scheduleNext(facts, draft, at);
  const cause = refusal(outcome, facts.help);
  const attempts = candidate.attempts + 1;
  const again =
    outcome.kind === 'malformed'
      ? undefined
      : retryRefusedAt(at, attempts, MENDABLE_REASONS.has(cause.reason), facts.timing);
  const { source, observedGeneration } = candidate;
  refuseCandidate(draft, cause, {
    ...(source && { source }),
    observedGeneration,
    attempts,
    ...(again !== undefined && { nextAttemptTime: toTimestamp(again) }),
  });
  return undefined;
}

/** The candidate is refused; with nothing in force that is the verdict on the account. */
export function refuseCandidate(draft: Draft, cause: Because, about: Omit<CandidateStatus, 'reason'>): void {
  draft.status.candidate = { ...about, reason: cause.reason };
  draft.candidate = cause;
  if (draft.inForce) return;
  draft.refused = true;
  draft.verdict = cause;
}

function proofOf(
  { wanted, now }: Facts,
  { at, hint }: Result,
  { account, permissions, expiresAt }: Extract<Outcome, { kind: 'accepted' }>,
  source: SecretRevision | undefined,
): Proof {
  if (source === undefined || hint === undefined)
    throw new InvariantError('an accepted candidate has a source');
  return {
    ...(account && { account: accountStatus(account) }),
    credential: {
      hint,
      verifiedAt: toTimestamp(Math.min(at, now)),
      ...(typeof expiresAt === 'number' && { expiresAt: toTimestamp(expiresAt) }),
      access: wanted.access,
      permissions: permissions ?? { state: 'Unknown', missing: [] },
      source,
    },
  };
}

function accountStatus({ ids, name }: AccountIdentity): NonNullable<Proof['account']> {
  // Never empty, by its contract.
  return { id: ids[0] as string, ids, ...(name !== undefined && { name }) };
}

/** What was known of the same bytes stays where the provider cannot tell it any more. */
function keepPermissions(credential: Proof['credential'], permissions: Permissions | undefined): void {
  if (permissions !== undefined && permissions.state !== 'Unknown') credential.permissions = permissions;
}

function keepExpiry(credential: Proof['credential'], expiresAt: number | null | undefined): void {
  if (expiresAt === undefined) return;
  if (expiresAt === null) {
    delete credential.expiresAt;
    return;
  }
  const before = fromTimestamp(credential.expiresAt);
  if (before === undefined || Math.abs(before - expiresAt) > EXPIRY_TOLERANCE) {
    credential.expiresAt = toTimestamp(expiresAt);
  }
}

/** The first answer of an outage that was not definitive; later ones only when the reason changes, at most hourly. */
function noteAttempt(draft: Draft, outcome: Outcome, at: number): LastAttemptStatus {
  const reason = attemptReason(outcome);
  const before = draft.status.lastAttempt;
  const since = fromTimestamp(before?.time) ?? -Infinity;
  if (before !== undefined && (before.reason === reason || at < since + HOUR)) return before;
  const { cause, host } = outcome.kind === 'unreachable' ? outcome : {};
  draft.status.lastAttempt = {
    time: toTimestamp(at),
    reason,
    ...(cause !== undefined && { cause }),
    ...(host !== undefined && { host }),
  };
  return draft.status.lastAttempt;
}

function isDefinitiveVerdict(
  verdict: Verdict,
): verdict is RefusalVerdict | Extract<Outcome, { kind: 'accepted' }> {
  return verdict.kind === 'differentAccount' || isDefinitive(verdict);
}

type RefusalVerdict = Exclude<Verdict, { kind: 'accepted' | 'throttled' | 'unreachable' | 'unexpected' }>;

function refusal(verdict: RefusalVerdict, help: Help): Because {
  if (verdict.kind === 'differentAccount') {
    const message = differentAccountMessage(verdict.expected, verdict.proven, help);
    return { reason: 'DifferentAccount', message, fresh: true };
  }
  return { reason: refusalReason(verdict), message: refusalMessage(verdict, help), fresh: true };
}

function countIfRefused(draft: Draft, verdict: Verdict, at: number): void {
  if (isRefusedByProvider(verdict)) draft.status.refusals = countRefusal(draft.status.refusals, at);
}

/** A check with a call that ended in a refusal: what the caps count. */
function isRefusedByProvider(verdict: Verdict): boolean {
  return isDefinitiveVerdict(verdict) && verdict.kind !== 'accepted' && verdict.kind !== 'malformed';
}

/** Turns an acceptance into `differentAccount` where the account proven is not the one it must be. */
export function judge(outcome: Outcome, knownIds: readonly string[], pin: string | undefined): Verdict {
  if (outcome.kind !== 'accepted') return outcome;
  const comparison = compareAccounts(knownIds, outcome.account, pin);
  if (comparison.kind !== 'different') return outcome;
  const { expected, proven } = comparison;
  return { kind: 'differentAccount', expected, ...(proven !== undefined && { proven }) };
}

/**
 * What the process remembers once a check ended.
 * @param random in [0, 1), for the jitter of the retry
 */
export function remember(memory: Memory, result: Result, random: number): Memory {
  const { outcome, question, at, which, round } = result;
  const isInHand = which === 'candidate' && outcome.kind === 'accepted';
  const next: Memory = {
    ...memory,
    ...(isInHand ? { inHand: result } : { result }),
    retries: { ...memory.retries },
  };
  delete next.checking;
  if (which === 'candidate' && round !== undefined) next.askedInRound = round;
  if (!isDefinitiveVerdict(outcome)) {
    const before = memory.retries[which];
    const attempts = before?.question === question ? before.attempts + 1 : 1;
    const floor = 'retryAfterMs' in outcome ? outcome.retryAfterMs : undefined;
    next.retries[which] = { question, attempts, notBefore: at + backoff(attempts, random, floor), since: at };
    return next;
  }
  delete next.retries[which];
  if (isRefusedByProvider(outcome)) next.refusals = [...memory.refusals.filter(time => time > at - HOUR), at];
  if (which === 'candidate' && outcome.kind !== 'accepted') next.refused = question;
  return next;
}

/** What the process remembers once a check was turned away by our own line: not before then, and nothing else. */
export function waitInLine(
  memory: Memory,
  { which, question }: Pick<Result, 'which' | 'question'>,
  at: number,
  retryAfterMs: number,
): Memory {
  const wait = { question, until: at + retryAfterMs, since: at };
  const next: Memory = { ...memory, turnedAway: { ...memory.turnedAway, [which]: wait } };
  delete next.checking;
  return next;
}

/** The verdict that Connected speaks of. */
export function connectedVerdict(facts: Facts, draft: Draft, blocker: Blocker | undefined): Because {
  if (draft.inForce && !draft.refused) {
    if (draft.status.confirming === undefined && draft.verdict?.reason === 'ConfirmingRejection') {
      return verified(facts, draft, false);
    }
    return draft.verdict ?? verified(facts, draft, false);
  }
  if (draft.refused && draft.verdict !== undefined) return draft.verdict;
  if (blocker !== undefined) return blocker;
  return { reason: 'Suspended', message: staticMessage('Suspended', facts.help) };
}
