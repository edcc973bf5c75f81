import type { AccountReason } from '../../../operator/api/names.ts';
import type { Outcome } from '../../../operator/domain/outcome.ts';

/** What the design promises for each kind of answer in each situation. Data of its own: nothing here asks the operator's code. */

export const SITUATIONS = ['first', 'inForce', 'replacement'] as const;
/**
 * `first`: nothing is connected yet. `inForce`: a credential works and is checked again. `replacement`: a credential
 * works, and the Secret holds another one.
 */
export type Situation = (typeof SITUATIONS)[number];

/** What a provider's answer means; `differentAccount` is an acceptance by another account than the connected one. */
export type Meaning = Outcome['kind'] | 'differentAccount';

export type AnswerClass = 'accepted' | 'refused' | 'refusedOffline' | 'noVerdict';

interface MeaningFacts {
  class: AnswerClass;
  /** Reason that conditions give. */
  reason: AccountReason;
}

export const MEANINGS: Readonly<Record<Meaning, MeaningFacts>> = {
  accepted: { class: 'accepted', reason: 'Verified' },
  rejected: { class: 'refused', reason: 'CredentialRejected' },
  missingPermission: { class: 'refused', reason: 'MissingPermission' },
  sourceNotAllowed: { class: 'refused', reason: 'SourceAddressNotAllowed' },
  accountLocked: { class: 'refused', reason: 'AccountLocked' },
  differentAccount: { class: 'refused', reason: 'DifferentAccount' },
  malformed: { class: 'refusedOffline', reason: 'SecretInvalid' },
  throttled: { class: 'noVerdict', reason: 'ProviderThrottled' },
  unreachable: { class: 'noVerdict', reason: 'ProviderUnreachable' },
  unexpected: { class: 'noVerdict', reason: 'UnexpectedAnswer' },
};

/** Stands for the reason of the answer. */
export const REASON = '<reason>';
/** Stands for the reason of what is connected: `Verified`, or `VerifiedReadOnly` with `access: ReadOnly`. */
export const GOOD = 'Verified';

export interface Expectation {
  health: 'Connected' | 'NeedsAttention' | 'Pending';
  /** `True <reason>`; absent: the condition is not there. */
  Connected: string;
  Ready: string;
  Reconciling?: string;
  Stalled?: string;
  /** What the verified copy holds. */
  published: 'nothing' | 'the old credential' | 'the new credential';
  /**
   * What status says of the next check. `soon`: a minute after the refusal, and again nine minutes later. `daily`: with
   * the scheduled one. `none`: nothing is scheduled.
   */
  next: 'soon' | 'daily' | 'none';
  /** The same in words, with what status does not tell. */
  asked: string;
}

const RETRIED =
  'after 10 to 20 seconds, then at growing intervals up to an hour; never before a `Retry-After` is over';

const WORKS: Expectation = {
  health: 'Connected',
  Connected: `True ${GOOD}`,
  Ready: `True ${GOOD}`,
  published: 'the new credential',
  next: 'daily',
  asked: 'with the daily check',
};

export const EXPECTED: Readonly<Record<AnswerClass, Partial<Record<Situation, Expectation>>>> = {
  accepted: {
    first: WORKS,
    inForce: { ...WORKS, published: 'the old credential' },
    replacement: WORKS,
  },
  refused: {
    first: {
      health: 'NeedsAttention',
      Connected: `False ${REASON}`,
      Ready: `False ${REASON}`,
      Stalled: `True ${REASON}`,
      published: 'nothing',
      next: 'soon',
      asked:
        'after 1 and 10 minutes, then with the daily check; what is mended at the provider (permissions, address, locked account) also hourly for 18 hours',
    },
    inForce: {
      health: 'Connected',
      Connected: 'True ConfirmingRejection',
      Ready: 'True ConfirmingRejection',
      published: 'the old credential',
      next: 'daily',
      asked: 'after 5 and 10 minutes; only the third refusal counts',
    },
    replacement: {
      health: 'Connected',
      Connected: `True ${GOOD}`,
      Ready: 'False ReplacementRejected',
      Stalled: 'True ReplacementRejected',
      published: 'the old credential',
      next: 'soon',
      asked:
        'after 1 and 10 minutes, then with the daily check, or hourly where it is mended at the provider',
    },
  },
  refusedOffline: {
    first: {
      health: 'NeedsAttention',
      Connected: `False ${REASON}`,
      Ready: `False ${REASON}`,
      Stalled: `True ${REASON}`,
      published: 'nothing',
      next: 'daily',
      asked: 'never with these bytes; a changed Secret is looked at once',
    },
    replacement: {
      health: 'Connected',
      Connected: `True ${GOOD}`,
      Ready: 'False ReplacementRejected',
      Stalled: 'True ReplacementRejected',
      published: 'the old credential',
      next: 'daily',
      asked: 'never with these bytes; a changed Secret is looked at once',
    },
  },
  noVerdict: {
    first: {
      health: 'Pending',
      Connected: `Unknown ${REASON}`,
      Ready: `Unknown ${REASON}`,
      Reconciling: `True ${REASON}`,
      published: 'nothing',
      next: 'none',
      asked: RETRIED,
    },
    inForce: {
      health: 'Connected',
      Connected: `True ${GOOD}`,
      Ready: `True ${GOOD}`,
      published: 'the old credential',
      next: 'daily',
      asked: RETRIED,
    },
    replacement: {
      health: 'Connected',
      Connected: `True ${GOOD}`,
      Ready: `False ${REASON}`,
      Reconciling: `True ${REASON}`,
      published: 'the old credential',
      next: 'daily',
      asked: RETRIED,
    },
  },
};

/** A working credential that was refused three times within ten minutes. */
export const CONFIRMED: Expectation = {
  health: 'NeedsAttention',
  Connected: `False ${REASON}`,
  Ready: `False ${REASON}`,
  Stalled: `True ${REASON}`,
  published: 'the old credential',
  next: 'daily',
  asked: 'with the daily check, and it recovers by itself',
};

/** The most calls that one check makes. */
export const MAX_CALLS = 5;
