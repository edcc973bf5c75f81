import type { CloudAccountStatus, Condition } from '../api/cloudaccount.generated.ts';
import type { AccountReason, Health } from '../api/names.ts';
import { expiringMessage, type Help, replacementMessage } from './messages.ts';
import { DAY, fromTimestamp, toTimestamp } from './time.ts';

/** A reason with its message. `fresh`: decided now, so the message replaces the one that stands there. */
export interface Because {
  reason: AccountReason;
  message: string;
  fresh?: boolean;
}

/** What stands between what is asked for and what is in force. */
export type Blocker =
  /** Works on its own: being judged, retried, waited for. */
  | ({ kind: 'open' } & Because)
  /** A person must act. `refused`: the provider (or the offline check) gave a verdict. */
  | ({ kind: 'stuck'; refused: boolean } & Because);

/** What conditions are computed from. */
export interface Situation {
  now: number;
  generation: number;
  /** `refused`: confirmed. */
  inForce: 'none' | 'good' | 'refused';
  /** Last verdict on what is in force, or with nothing in force on the candidate. */
  verdict: Because;
  /** With nothing in force: whether that verdict was a refusal. */
  refused: boolean;
  blocker?: Blocker;
  suspended?: Because;
  expiresAt?: number;
  help: Help;
}

const EXPIRY_WARNING = 14 * DAY;

const HEALTH: Record<Condition['status'], Health> = {
  True: 'Connected',
  False: 'NeedsAttention',
  Unknown: 'Pending',
};

type Draft = Pick<Condition, 'type' | 'status' | 'reason' | 'message'> & { fresh?: boolean };

/** The provider accepted the candidate, so Ready is False rather than Unknown. */
const UNPUBLISHABLE: ReadonlySet<AccountReason> = new Set([
  'VerifiedSecretNotWritable',
  'VerifiedSecretConflict',
]);

/**
 * Conditions by the matrix in docs/spec/v1alpha1/cloudaccount.md. A condition keeps its transition time while its
 * status, and its message while its status and reason stay (unless decided anew), so that nothing is written when
 * nothing changed.
 */
export function withConditions(status: CloudAccountStatus, situation: Situation): CloudAccountStatus {
  const old = status.conditions ?? [];
  const connected = settle(connectedCondition(situation), old, situation);
  const others = [
    readyCondition(situation, connected, old),
    ...progressConditions(situation),
    ...expiryCondition(situation),
  ];
  return {
    ...status,
    observedGeneration: situation.generation,
    health: HEALTH[connected.status],
    conditions: [connected, ...others.map(draft => settle(draft, old, situation))],
  };
}

function connectedCondition({ inForce, verdict, refused }: Situation): Draft {
  if (inForce === 'good') return { type: 'Connected', status: 'True', ...verdict };
  return { type: 'Connected', status: inForce === 'refused' || refused ? 'False' : 'Unknown', ...verdict };
}

function readyCondition(situation: Situation, connected: Condition, old: readonly Condition[]): Draft {
  const { inForce, blocker, suspended } = situation;
  if (suspended !== undefined) {
    const before = old.find(({ type }) => type === 'Ready')?.status ?? 'Unknown';
    return { type: 'Ready', status: before, ...suspended };
  }
  if (blocker === undefined) {
    const { status, reason, message } = connected;
    return { type: 'Ready', status, reason, message, fresh: true };
  }
  const undecided = inForce === 'none' && blocker.kind === 'open' && !UNPUBLISHABLE.has(blocker.reason);
  return { type: 'Ready', status: undecided ? 'Unknown' : 'False', ...blockerText(situation, blocker) };
}

/** Reconciling or Stalled, never both; neither when all is well or suspended. */
function progressConditions(situation: Situation): Draft[] {
  const { inForce, verdict, blocker, suspended } = situation;
  if (suspended !== undefined) return [];
  if (blocker !== undefined) {
    const type = blocker.kind === 'open' ? 'Reconciling' : 'Stalled';
    return [{ type, status: 'True', ...blockerText(situation, blocker) }];
  }
  return inForce === 'refused' ? [{ type: 'Stalled', status: 'True', ...verdict }] : [];
}

/** A refused candidate beside a working connection is a rejected replacement; the message keeps the cause. */
function blockerText({ inForce }: Situation, blocker: Blocker): Because {
  const { reason, message, fresh } = blocker;
  if (inForce === 'good' && blocker.kind === 'stuck' && blocker.refused) {
    return { reason: 'ReplacementRejected', message: replacementMessage(message), ...(fresh && { fresh }) };
  }
  return { reason, message, ...(fresh && { fresh }) };
}

function expiryCondition({ now, inForce, expiresAt, help }: Situation): Draft[] {
  if (inForce !== 'good' || expiresAt === undefined || now < expiresAt - EXPIRY_WARNING) return [];
  const at = toTimestamp(expiresAt);
  return [
    {
      type: 'CredentialExpiring',
      status: 'True',
      reason: 'ExpiresSoon' satisfies AccountReason,
      message: expiringMessage(at, help),
      fresh: true,
    },
  ];
}

function settle(draft: Draft, old: readonly Condition[], { now, generation }: Situation): Condition {
  const before = old.find(({ type }) => type === draft.type);
  const sameStatus = before?.status === draft.status;
  const keepMessage = sameStatus && before.reason === draft.reason && !draft.fresh;
  return {
    type: draft.type,
    status: draft.status,
    observedGeneration: generation,
    lastTransitionTime: sameStatus ? before.lastTransitionTime : toTimestamp(now),
    reason: draft.reason,
    message: keepMessage ? before.message : draft.message,
  };
}

/** When the warning before expiry is due; undefined where it stands already or there is none to come. */
export function expiryWarningAt(expiresAt: number | undefined, now: number): number | undefined {
  if (expiresAt === undefined) return undefined;
  const at = expiresAt - EXPIRY_WARNING;
  return at > now ? at : undefined;
}

/** The condition of a type. */
export function condition(status: CloudAccountStatus, type: string): Condition | undefined {
  return status.conditions?.find(candidate => candidate.type === type);
}

/** `status.credential.expiresAt` in milliseconds. */
export function expiryOf(status: CloudAccountStatus): number | undefined {
  return fromTimestamp(status.credential?.expiresAt);
}
