import type {
  AccountStatus,
  CloudAccountStatus,
  CredentialStatus,
  SecretRevision,
  VerifiedSecretRef,
} from '../api/cloudaccount.generated.ts';
import type { Access } from '../api/names.ts';
import type { Help } from './messages.ts';
import type { Outcome } from './outcome.ts';
import type { Timing } from './schedule.ts';

/** `spec` with its defaults. */
export interface Wanted {
  access: Access;
  accountID?: string;
  intervalMs: number;
  suspend: boolean;
  copyName: string;
}

/**
 * The user's Secret as far as it is known. A fingerprint stands for the effective bytes: an HMAC under a key that
 * lives as long as the process, so it is never stored.
 */
export type SourceView =
  /** Not read; the revision where the watch knows it. */
  | { state: 'unread'; revision?: SecretRevision }
  | { state: 'missing' }
  /** Cannot be a source, or holds no usable set of fields; `message` says what to do. */
  | { state: 'invalid'; revision: SecretRevision; message: string }
  | { state: 'read'; revision: SecretRevision; fingerprint: string };

/** The verified copy as far as it is known. */
export type CopyView =
  /** Nothing is recorded; or what is recorded was read by name from the API server and is not there. */
  | { state: 'absent' }
  /** Exactly as `status.verifiedSecretRef` says. The fingerprint where this process wrote or read it. */
  | { state: 'recorded'; fingerprint?: string; layoutDiffers?: boolean }
  /** Ours, but not as recorded: must be read. */
  | { state: 'unread' }
  /**
   * Read. `proof` only where it belongs to this account and the annotation is whole; `writtenByUs`: no other
   * field manager wrote its data.
   */
  | {
      state: 'read';
      ref: VerifiedSecretRef;
      fingerprint?: string;
      proof?: Proof;
      layoutDiffers?: boolean;
      writtenByUs: boolean;
    };

/** What was written together with the bytes of a copy. */
export interface Proof {
  account?: AccountStatus;
  credential: CredentialStatus;
}

/** An outcome, held against the account that it must belong to. */
export type Verdict = Outcome | { kind: 'differentAccount'; expected: string; proven?: string };

/** A check that ended, until it stands in status. */
export interface Result {
  which: 'candidate' | 'inForce';
  /** What was asked: {@link questionOf} for a candidate, the fingerprint for what is in force. */
  question: string;
  outcome: Verdict;
  /** Milliseconds since the epoch. */
  at: number;
  /** Masked hint; only with an accepted candidate. */
  hint?: string;
  /** The round (scheduled or requested check) that this check belongs to. */
  round?: string;
  /** Value of the recheck annotation when the check began. */
  recheck?: string;
}

/** What the process remembers of an account; lost with the process. */
export interface Memory {
  checking?: { which: Result['which']; question: string; startedAt?: number };
  /** The last check that ended, until it stands in status. Never an accepted candidate. */
  result?: Result;
  /** The accepted candidate, until it is published: other checks may end meanwhile. */
  inHand?: Result;
  /** The refused question, so that a touched annotation of its Secret costs no call. */
  refused?: string;
  /** Questions whose last answer was not definitive, and when they are asked again; planned at `since`. */
  retries: Partial<
    Record<Result['which'], { question: string; attempts: number; notBefore: number; since: number }>
  >;
  /**
   * Questions that our own line turned away at `since`, and when they may be asked; no answer, so neither an attempt nor
   * told in status.
   */
  turnedAway?: Partial<Record<Result['which'], { question: string; until: number; since: number }>>;
  /** Times of refusals of the last hour, ascending. */
  refusals: readonly number[];
  /** The round in which the candidate was already asked. */
  askedInRound?: string;
  /** Fingerprint of the bytes last written to, or found proven in, the copy. */
  published?: string;
  /** The copy could not be written, in the API server's words where they may be shown; it is tried again later. */
  notWritable?: { detail?: string };
  /** Since when the copy's name is seen taken. */
  conflictSince?: number;
  /** Overdue checks wait until then after a start. */
  startOffset?: number;
}

/** Everything that a decision rests on. */
export interface Facts {
  /** Milliseconds since the epoch. */
  now: number;
  uid: string;
  generation: number;
  wanted: Wanted;
  help: Help;
  /** The provider has no identity that could be compared. */
  noIdentity: boolean;
  /** Value of the recheck annotation. */
  recheck?: string;
  status: CloudAccountStatus;
  source: SourceView;
  copy: CopyView;
  /** The name of the copy belongs to another live owner or another type. */
  nameTaken: boolean;
  memory: Memory;
  timing: Timing;
}

/** The next thing to do. The caller does it and decides again, until `done`. */
export type Step =
  | { do: 'readSource' }
  | { do: 'readCopy' }
  /** Write `status` first where given, then begin the check; its result arrives in memory. */
  | {
      do: 'check';
      which: 'candidate' | 'inForce';
      question: string;
      depth: 'first' | 'recheck';
      round?: string;
      status?: CloudAccountStatus;
    }
  /** Write the accepted candidate of `memory.inHand` into the copy, with this proof. */
  | { do: 'publish'; proof: Proof }
  /** Write the bytes in force under the wanted name and keys. */
  | { do: 'relocate'; proof: Proof }
  /** Somebody changed the bytes of the copy: write those of the source, which are the verified ones. */
  | { do: 'restore'; proof: Proof; fingerprint: string }
  /**
   * Write `status` where given and different. `settled`: these verdicts in memory stand in that status, so forget them
   * and decide again; else at `wakeAt` (milliseconds since the epoch) or when something changes.
   */
  | {
      do: 'done';
      status?: CloudAccountStatus;
      wakeAt?: number;
      settled?: readonly ('result' | 'inHand')[];
      postponedRecheck?: true;
    };

/** What a candidate is judged for: other bytes, other access or another pin is another question. */
export function questionOf(fingerprint: string, { access, accountID }: Wanted): string {
  return `${fingerprint} ${access} ${accountID ?? ''}`;
}
