import type { CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import { condition } from './conditions.ts';

/** An event about an account. */
export interface Transition {
  type: 'Normal' | 'Warning';
  reason: string;
  note: string;
}

/** What a person should hear of between two versions of status: transitions only, so that nothing is repeated. */
export function transitions(before: CloudAccountStatus, after: CloudAccountStatus): Transition[] {
  const found: Transition[] = [];
  const connected = condition(after, 'Connected');
  const was = condition(before, 'Connected');
  const turned = connected !== undefined && connected.status !== was?.status;
  if (turned && connected.status === 'True') found.push({ type: 'Normal', ...said(connected) });
  if (turned && connected.status === 'False') found.push({ type: 'Warning', ...said(connected) });
  if (!turned && connected?.reason === 'ConfirmingRejection' && was?.reason !== connected.reason) {
    found.push({ type: 'Warning', ...said(connected) });
  }
  for (const type of ['Reconciling', 'Stalled', 'CredentialExpiring']) {
    const now = condition(after, type);
    if (now === undefined || QUIET.has(now.reason) || found.some(({ reason }) => reason === now.reason))
      continue;
    if (condition(before, type)?.reason !== now.reason) found.push({ type: 'Warning', ...said(now) });
  }
  return found;
}

/** Passing states that nobody has to act on. */
const QUIET: ReadonlySet<string> = new Set(['Verifying']);

function said({ reason, message }: { reason: string; message: string }): { reason: string; note: string } {
  return { reason, note: message };
}
