import type { CloudAccount, CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import { GROUP, OPERATOR_NAME, VERSION } from '../api/names.ts';
import type { Proof } from '../domain/facts.ts';
import { backoff } from '../domain/schedule.ts';
import { transitions } from '../domain/transitions.ts';
import { isConflict, isForbidden, isInvalid, isNotFound } from '../kube/errors.ts';
import { formatKey, keyOf } from '../kube/resource.ts';
import type { Credential } from '../providers/provider.ts';
import { buildCopy, inspectCopy, removeCopy, writeCopy } from './copy.ts';
import { equalJson } from './equal-json.ts';
import { placeOf } from './observe.ts';
import { CLOUD_ACCOUNTS, slimAccount } from './resources.ts';
import { copyNameOf } from './spec.ts';
import { announce, fetchSecret, rememberSecret, type Turn } from './turn.ts';

/** Writes the bytes with their proof under the wanted name and keys. */
export async function publish(turn: Turn, proof: Proof, credential: Credential): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  const { client, clock, fingerprint } = context;
  try {
    const { present } = placeOf(context, account);
    const result = await writeCopy(client, buildCopy(account, credential, proof), present);
    if ('changed' in result) {
      await fetchSecret(turn, copyNameOf(account));
      delete readings.copy;
      return;
    }
    rememberSecret(context, result.written);
    readings.copy = inspectCopy(result.written, account, provider, fingerprint);
    record.memory.published = fingerprint(credential);
    delete record.publishRetry;
  } catch (error) {
    // Quota, rights, admission, a namespace that ends, or foreign annotations that leave no room: the verdict stays in
    // hand, only the write is tried again.
    if (!isForbidden(error) && !isNotFound(error) && !isInvalid(error)) throw error;
    const attempts = (record.publishRetry?.attempts ?? 0) + 1;
    record.publishRetry = { attempts, notBefore: clock.now() + backoff(attempts, clock.random()) };
    record.memory.notWritable = true;
  }
}

/** Applies the status where it differs. Returns false when somebody else wrote the account: decide again. */
export async function writeStatus(turn: Turn, status: CloudAccountStatus): Promise<boolean> {
  const { context, account, record, readings } = turn;
  const { name, namespace, resourceVersion } = account.metadata;
  const before = account.status ?? {};
  if (equalJson(before, status)) return true;
  const object = {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: 'CloudAccount',
    // A UID would not stop a write into an account that was made anew under the same name; the version does.
    metadata: { name, namespace, resourceVersion },
    status,
  };
  try {
    const options = { fieldManager: OPERATOR_NAME, force: true, subresource: 'status' as const };
    const applied = await context.client.apply<CloudAccount>(CLOUD_ACCOUNTS, object, options);
    // What others wrote (a restored status) an apply leaves where it is. It would be decided on again without an end.
    const written = equalJson(applied.status, status)
      ? applied
      : await context.client.replace<CloudAccount>(CLOUD_ACCOUNTS, { ...applied, status }, options);
    turn.account = keep(turn, written);
  } catch (error) {
    if (isConflict(error)) await refreshAccount(turn);
    else if (isNotFound(error)) forgetAccount(turn);
    else throw error;
    return false;
  }
  // A copy that was found proven is what this process knows to be in force.
  const { copy } = readings;
  const isInForce = copy?.view.ref.resourceVersion === status.verifiedSecretRef?.resourceVersion;
  if (isInForce && copy?.view.fingerprint !== undefined) record.memory.published = copy.view.fingerprint;
  if (status.candidate === undefined) delete record.memory.refused;
  for (const transition of transitions(before, status)) announce(turn, transition);
  return true;
}

async function refreshAccount(turn: Turn): Promise<void> {
  const { name, namespace } = turn.account.metadata;
  try {
    keep(turn, await turn.context.client.get<CloudAccount>(CLOUD_ACCOUNTS, { namespace, name }));
  } catch (error) {
    if (!isNotFound(error)) throw error;
    forgetAccount(turn);
  }
}

/** Lets the store know, so that the next decision rests on it, and returns what the store holds now. */
function keep({ context: { accounts } }: Turn, account: CloudAccount): CloudAccount {
  accounts.remember(slimAccount(account));
  return accounts.get(formatKey(account.metadata)) ?? account;
}

function forgetAccount({ context, account: { metadata } }: Turn): void {
  context.accounts.remove(formatKey(metadata), metadata.resourceVersion);
}

/** Removes copies of this account that are not, or no longer, in force: after a rename, or when tampered with. */
export async function sweep({ context, account }: Turn): Promise<void> {
  const inForce = account.status?.verifiedSecretRef?.uid;
  for (const copy of context.copies.byIndex('owner', account.metadata.uid)) {
    if (copy.metadata.uid === inForce || copy.metadata.deletionTimestamp !== undefined) continue;
    await removeCopy(context.client, copy);
    // Not a second time before the watch tells of it; one that was changed meanwhile comes again with the watch.
    context.copies.remove(keyOf(copy), copy.metadata.resourceVersion);
  }
}
