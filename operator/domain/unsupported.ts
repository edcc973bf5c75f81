import type { CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import type { AccountReason } from '../api/names.ts';
import { condition, withConditions } from './conditions.ts';
import { staticMessage } from './messages.ts';

/**
 * Status of an account of a provider that the CRD knows and this operator does not, as after a rollback: a person must
 * act. Nothing is asked, so `Connected` and what is in force stay as they were.
 */
export function unsupportedStatus(
  status: CloudAccountStatus,
  { now, generation, provider }: { now: number; generation: number; provider: string },
): CloudAccountStatus {
  const help = {
    provider,
    consoleUrl: '',
    consolePath: '',
    permissions: '',
    access: '',
    secretName: '',
    copyName: '',
  };
  const connected = condition(status, 'Connected');
  const reason = 'ProviderNotSupported';
  const because = { reason, message: staticMessage(reason, help) } as const;
  const isRefused = connected?.status === 'False';
  return withConditions(
    { servers: { count: 0, names: [] }, ...status },
    {
      now,
      generation,
      inForce: status.credential === undefined ? 'none' : isRefused ? 'refused' : 'good',
      verdict:
        connected === undefined
          ? because
          : { reason: connected.reason as AccountReason, message: connected.message },
      refused: isRefused,
      blocker: { kind: 'stuck', refused: false, ...because },
      help,
    },
  );
}
