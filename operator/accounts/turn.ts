import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { GROUP, VERIFIED_SECRET_TYPE, VERSION } from '../api/names.ts';
import type { Transition } from '../domain/transitions.ts';
import { isNotFound } from '../kube/errors.ts';
import { formatKey, keyOf } from '../kube/resource.ts';
import type { Provider } from '../providers/provider.ts';
import type { AccountRecord, Context } from './context.ts';
import type { Readings } from './observe.ts';
import { SECRETS, type Secret, slimSecret } from './resources.ts';

/** One account in the hands of a worker. */
export interface Turn {
  context: Context;
  account: CloudAccount;
  provider: Provider;
  record: AccountRecord;
  readings: Readings;
}

/** What it takes to write status; a provider is not needed. */
export type Writing = Omit<Turn, 'provider'>;

/** Reads a Secret of the account's namespace, and lets the store that it belongs to know. */
export async function fetchSecret({ context, account }: Turn, name: string): Promise<Secret | undefined> {
  const key = { namespace: account.metadata.namespace, name };
  try {
    const secret = await context.client.get<Secret>(SECRETS, key);
    rememberSecret(context, secret);
    return secret;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    forgetSecret(context, formatKey(key));
    return undefined;
  }
}

/** It is gone, or no account speaks of it any more. */
export function forgetSecret({ copies, sources }: Pick<Context, 'copies' | 'sources'>, key: string): void {
  for (const store of [copies, sources]) {
    const seen = store.get(key);
    if (seen !== undefined) store.remove(key, seen.metadata.resourceVersion);
  }
}

/** What the watch dropped before an account referred to it, or what we wrote, is followed from now on. */
export function rememberSecret({ copies, sources }: Context, secret: Secret): void {
  const [home, other] = secret.type === VERIFIED_SECRET_TYPE ? [copies, sources] : [sources, copies];
  home.remember(slimSecret(secret));
  // A Secret of another type had this name, and its watch did not tell yet that it is gone.
  const key = keyOf(secret);
  if (other.get(key) !== undefined) other.remove(key, secret.metadata.resourceVersion);
}

/** Tells people of it, as an event of the account. */
export function announce({ context, account }: Writing, { type, reason, note }: Transition): void {
  const { name, namespace, uid, resourceVersion } = account.metadata;
  const apiVersion = `${GROUP}/${VERSION}`;
  const regarding = { apiVersion, kind: 'CloudAccount', namespace, name, uid, resourceVersion };
  context.events.record(regarding, { type, reason, action: 'Verify', note });
}
