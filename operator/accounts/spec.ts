import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { RECHECK_ANNOTATION } from '../api/names.ts';
import type { Wanted } from '../domain/facts.ts';
import type { Help } from '../domain/messages.ts';
import { DEFAULT_INTERVAL } from '../domain/schedule.ts';
import { parseDuration } from '../domain/time.ts';
import type { Provider } from '../providers/provider.ts';

/** Name of the verified copy: `spec.verifiedSecret.name`, or `<name>-verified`. */
export function copyNameOf({ metadata, spec }: CloudAccount): string {
  return spec.verifiedSecret?.name ?? `${metadata.name}-verified`;
}

/** `spec.recheckInterval` in milliseconds. */
export function intervalOf({ spec }: CloudAccount): number {
  return parseDuration(spec.recheckInterval ?? '') ?? DEFAULT_INTERVAL;
}

/**
 * Value of the recheck annotation. Longer ones than status can echo are none: they could never be told from a new
 * request, and a status with one is refused by the API server.
 */
export function recheckOf({ metadata }: CloudAccount): string | undefined {
  const value = metadata.annotations?.[RECHECK_ANNOTATION];
  return value === undefined || value.length > 128 ? undefined : value;
}

/** `spec` with its defaults. */
export function wantedOf(account: CloudAccount): Wanted {
  const { spec } = account;
  return {
    access: spec.access ?? 'ReadWrite',
    ...(spec.accountID !== undefined && { accountID: spec.accountID }),
    intervalMs: intervalOf(account),
    suspend: spec.suspend ?? false,
    copyName: copyNameOf(account),
  };
}

/** What messages need to say what to do. */
export function helpFor(account: CloudAccount, { name, guide }: Provider): Help {
  const { access, copyName } = wantedOf(account);
  return {
    provider: name,
    consoleUrl: guide.consoleUrl,
    consolePath: guide.consolePath,
    permissions: guide.permissions[access],
    ...(guide.furtherRights && { furtherRights: guide.furtherRights }),
    access,
    secretName: account.spec.credentialsSecretRef.name,
    copyName,
  };
}
