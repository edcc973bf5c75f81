import type { CandidateStatus, SecretRevision } from '../api/cloudaccount.generated.ts';
import { type Facts, questionOf, type Step } from './facts.ts';
import { adopt, type Draft, loseCredential, refuseCandidate } from './fold.ts';
import { ATTEMPT_REASONS, invalidSecretMessage, REFUSED_REASONS } from './messages.ts';
import { MINUTE, toTimestamp } from './time.ts';

/** How long a vanished source of a working connection is waited for before a person is called. */
const SOURCE_GRACE = 10 * MINUTE;

/** What the user asks for, held against what is in force. */
export type Candidate =
  | { state: 'none' }
  | { state: 'missing' }
  | { state: 'invalid'; message: string }
  /** Refused before, and nothing changed since. The question is known only when the source was read. */
  | { state: 'refused'; question?: string }
  | { state: 'open'; question: string };

/** Establishes what is in force: what the copy holds, where it is proven. Returns what must be read for that. */
export function settleCopy(facts: Facts, draft: Draft): Step | undefined {
  const { copy } = facts;
  switch (copy.state) {
    case 'recorded':
      draft.inForce = true;
      return undefined;
    case 'absent':
      loseCredential(draft);
      return undefined;
    case 'unread':
      return { do: 'readCopy' };
    case 'read': {
      const trust = trusted(facts, copy);
      if (trust === 'needsSource') return { do: 'readSource' };
      if (trust !== undefined) {
        adopt(facts, draft, trust, copy.ref);
        return undefined;
      }
      const restored = restoration(facts, draft);
      if (restored === undefined) loseCredential(draft);
      return restored;
    }
  }
}

/**
 * Somebody changed the copy. Where the source still holds the bytes that were verified, they are put back without a
 * call, also while the provider is down; else nothing is in force.
 */
function restoration({ source, memory, nameTaken }: Facts, { status }: Draft): Step | undefined {
  const { account, credential } = status;
  if (credential === undefined || nameTaken || memory.notWritable || memory.inHand) return undefined;
  if (source.state === 'unread') return { do: 'readSource' };
  if (source.state !== 'read') return undefined;
  const { fingerprint, revision } = source;
  const isVerified =
    memory.published === undefined
      ? sameRevision(revision, credential.source)
      : memory.published === fingerprint;
  return isVerified
    ? { do: 'restore', proof: { ...(account && { account }), credential }, fingerprint }
    : undefined;
}

/**
 * The proof of a copy that was read, where its bytes are the ones it speaks of: this process wrote or saw them, or,
 * after a crash between copy and status, the source still holds them at the very revision that was judged. A source
 * that moved on meanwhile proves nothing either way: then nobody else may have written the bytes.
 */
function trusted({ source, memory }: Facts, copy: Extract<Facts['copy'], { state: 'read' }>) {
  const { proof, fingerprint } = copy;
  if (proof === undefined || fingerprint === undefined) return undefined;
  if (memory.published !== undefined) return memory.published === fingerprint ? proof : undefined;
  if (source.state === 'unread') return 'needsSource' as const;
  if (source.state !== 'missing' && sameRevision(source.revision, proof.credential.source)) {
    return source.state === 'read' && source.fingerprint === fingerprint ? proof : undefined;
  }
  return copy.writtenByUs ? proof : undefined;
}

/** Holds what is asked for against what is in force, reading what is needed for that and no more. */
export function assess(facts: Facts, draft: Draft): Candidate | Step {
  const { source, copy, status, generation, wanted, memory } = facts;
  const { credential, account } = draft.status;
  // The source of a copy that was lost is judged at once, refused before or not.
  const prior = status.credential !== undefined && !draft.inForce ? undefined : status.candidate;
  if (source.state === 'missing') return { state: 'missing' };
  if (source.state === 'invalid') return { state: 'invalid', message: source.message };
  if (source.state === 'unread') {
    const { revision } = source;
    if (revision === undefined) return { do: 'readSource' };
    if (wasRefused(prior, revision, generation)) return { state: 'refused' };
    const settled =
      draft.inForce && status.candidate === undefined && status.observedGeneration === generation;
    return settled && sameRevision(credential?.source, revision) ? { state: 'none' } : { do: 'readSource' };
  }
  const question = questionOf(source.fingerprint, wanted);
  if (draft.inForce) {
    const held = 'fingerprint' in copy ? copy.fingerprint : undefined;
    if (held === undefined) return { do: 'readCopy' };
    const pinned = wanted.accountID === undefined || account?.ids.includes(wanted.accountID);
    if (held === source.fingerprint && credential?.access === wanted.access && pinned)
      return { state: 'none' };
  }
  const known = prior !== undefined && REFUSED_REASONS.has(prior.reason) && memory.refused === question;
  const refused = known || wasRefused(prior, source.revision, generation);
  return refused ? { state: 'refused', question } : { state: 'open', question };
}

/** Refused as it stands, at this revision of the Secret and this generation of the account. */
function wasRefused(
  prior: CandidateStatus | undefined,
  revision: SecretRevision,
  generation: number,
): boolean {
  return (
    prior !== undefined &&
    REFUSED_REASONS.has(prior.reason) &&
    prior.observedGeneration === generation &&
    sameRevision(prior.source, revision)
  );
}

/** Writes the candidate down; what was known of the same one stays. */
export function recordCandidate(facts: Facts, draft: Draft, candidate: Candidate): void {
  const { status, source, generation, now, help } = facts;
  const prior = status.candidate;
  const revision = source.state === 'missing' ? undefined : source.revision;
  const about = { ...(revision && { source: revision }), observedGeneration: generation };
  const same = prior?.observedGeneration === generation && sameRevision(prior.source, revision);
  switch (candidate.state) {
    case 'none':
      delete draft.status.candidate;
      draft.status.credential &&= { ...draft.status.credential, ...(revision && { source: revision }) };
      return;
    case 'missing': {
      const waiting = prior?.reason === 'SecretNotFound' ? prior.nextAttemptTime : undefined;
      const graceEnds = draft.inForce ? (waiting ?? toTimestamp(now + SOURCE_GRACE)) : undefined;
      draft.status.candidate = {
        observedGeneration: generation,
        reason: 'SecretNotFound',
        attempts: 0,
        ...(graceEnds !== undefined && { nextAttemptTime: graceEnds }),
      };
      return;
    }
    case 'invalid': {
      const message = invalidSecretMessage(candidate.message, help);
      const fresh = !(same && prior.reason === 'SecretInvalid');
      refuseCandidate(draft, { reason: 'SecretInvalid', message, fresh }, { ...about, attempts: 0 });
      return;
    }
    case 'refused':
      draft.status.candidate &&= { ...draft.status.candidate, ...about };
      return;
    case 'open': {
      const reason = same && ATTEMPT_REASONS.has(prior.reason) ? prior.reason : 'Verifying';
      // What had its early repeats gets no second series: the same revision, and, in a process that knows nothing of
      // the refusal before, whatever stands in its place. It cannot tell touched bytes from new ones.
      const isRepeat = facts.memory.refused === undefined || sameRevision(prior?.source, revision);
      const attempts = isRepeat ? (prior?.attempts ?? 0) : 0;
      draft.candidate = undefined;
      draft.status.candidate = { ...about, reason, attempts };
    }
  }
}

function sameRevision(a: SecretRevision | undefined, b: SecretRevision | undefined): boolean {
  return a !== undefined && b !== undefined && a.uid === b.uid && a.resourceVersion === b.resourceVersion;
}
