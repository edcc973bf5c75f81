import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { formatKey } from '../kube/resource.ts';
import { inspectCopy, isRecorded } from './copy.ts';
import { placeOf, referenceOf } from './observe.ts';
import { inspectSource } from './source.ts';
import { copyNameOf } from './spec.ts';
import { fetchSecret, type Turn } from './turn.ts';

/** Names of the Secrets that an account's decisions rest on, in its namespace. */
export function secretNamesOf(account: CloudAccount): Set<string> {
  const recorded = account.status?.verifiedSecretRef?.name;
  const names = [account.spec.credentialsSecretRef.name, copyNameOf(account)];
  return new Set(recorded === undefined ? names : [...names, recorded]);
}

/** Without a watch, what it would have told is read by name. */
export async function lookUpUnwatched(turn: Turn): Promise<void> {
  await Promise.all([...secretNamesOf(turn.account)].map(name => fetchSecret(turn, name)));
}

/** Reads the user's Secret. It is never written. */
export async function takeSource(turn: Turn): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  const secret = await fetchSecret(turn, account.spec.credentialsSecretRef.name);
  const reading = inspectSource(secret, account, provider, context.fingerprint);
  readings.source = reading;
  record.source = { reference: referenceOf(account), view: reading.view };
}

/** Reads the Secret that is, or may be, the copy. */
export async function takeCopy(turn: Turn): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  delete readings.copy;
  const secret = await fetchSecret(turn, nameToRead(turn));
  if (secret === undefined) return;
  const reading = inspectCopy(secret, account, provider, context.fingerprint);
  readings.copy = reading;
  const { fingerprint } = reading.view;
  const isKnown = isRecorded(secret, account.status?.verifiedSecretRef);
  if (isKnown && fingerprint !== undefined) record.memory.published = fingerprint;
}

/** What is recorded, as long as it is just that; else what has the wanted name; else what is left of the recorded. */
function nameToRead({ context, account }: Turn): string {
  const ref = account.status?.verifiedSecretRef;
  const { namespace } = account.metadata;
  const atRef = ref && context.copies.get(formatKey({ namespace, name: ref.name }));
  if (ref === undefined || atRef === undefined || atRef.metadata.uid !== ref.uid) return copyNameOf(account);
  const isElsewhere = !isRecorded(atRef, ref) && placeOf(context, account).present !== undefined;
  return isElsewhere ? copyNameOf(account) : ref.name;
}

/**
 * A Secret of somebody else under the copy's name must be seen before any call. The watch keeps only Secrets that an
 * account refers to, so one that was there before the account is looked up once.
 * @returns whether something was found
 */
export async function lookUpCopyName(turn: Turn): Promise<boolean> {
  const { context, account, record } = turn;
  const name = copyNameOf(account);
  if (account.status?.verifiedSecretRef?.name === name || record.lookedUp === name) return false;
  record.lookedUp = name;
  if (placeOf(context, account).present !== undefined) return false;
  return (await fetchSecret(turn, name)) !== undefined;
}
