import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../api/names.ts';
import { type CopyReading, inspectCopy, isRecorded } from './copy.ts';
import { placeOf, readCopyOf, referenceOf, unreadCopyName } from './observe.ts';
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

/** Reads the next Secret that is, or may be, the copy. */
export async function takeCopy(turn: Turn): Promise<void> {
  const { context, account, readings } = turn;
  const name = unreadCopyName(context, account, readings) ?? account.status?.verifiedSecretRef?.name;
  if (name !== undefined) await readCopy(turn, name);
}

async function readCopy(turn: Turn, name: string): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  const secret = await fetchSecret(turn, name);
  if (secret?.type !== VERIFIED_SECRET_TYPE) return void readings.copies.set(name, 'absent');
  const reading = inspectCopy(secret, account, provider, context.fingerprint);
  readings.copies.set(name, reading);
  const { fingerprint } = reading.view;
  const isKnown = isRecorded(secret, account.status?.verifiedSecretRef);
  if (isKnown && fingerprint !== undefined) record.memory.published = fingerprint;
}

/** The copy that is in force, with its bytes; read where this turn did not yet. */
export async function copyInForce(turn: Turn): Promise<CopyReading | undefined> {
  const { context, account, record, readings } = turn;
  const found = readCopyOf(context, account, record, readings);
  if (found !== undefined) return found;
  await takeCopy(turn);
  return readCopyOf(context, account, record, readings);
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
