import type { CloudAccount, CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import { GROUP, OPERATOR_NAME, VERSION } from '../api/names.ts';
import type { Proof } from '../domain/facts.ts';
import { transitions } from '../domain/transitions.ts';
import { jitteredBackoff } from '../kube/backoff.ts';
import { isAborted, isConflict, isKubeError, isNotFound, type KubeError } from '../kube/errors.ts';
import { formatKey, keyOf, type KubeObject } from '../kube/resource.ts';
import type { Credential } from '../providers/provider.ts';
import { safeText } from '../providers/redact.ts';
import type { AccountRecord, Context } from './context.ts';
import { buildCopy, inspectCopy, isRecorded, removeCopy, writeCopy } from './copy.ts';
import { equalJson } from './equal-json.ts';
import { placeOf } from './observe.ts';
import { CLOUD_ACCOUNTS, slimAccount } from './resources.ts';
import { copyNameOf } from './spec.ts';
import { announce, fetchSecret, rememberSecret, type Turn, type Writing } from './turn.ts';

/** Between two tries to write the copy. */
const WRITE_BACKOFF = { baseMs: 1_000, maxMs: 300_000 };
/** Faults that may pass at once (a broken connection, an overloaded server) are told only when they go on. */
const TOLERATED_FAULTS = 2;

/**
 * Writes the bytes with their proof under the wanted name and keys. A write that is denied is a fact like others: it is
 * remembered, tried again later, and stops nothing else.
 */
export async function publish(turn: Turn, proof: Proof, credential: Credential): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  const { client, fingerprint } = context;
  const name = copyNameOf(account);
  try {
    const { present } = placeOf(context, account);
    if (present !== undefined && (await hasLivingOwner(turn, present))) return;
    const result = await writeCopy(client, buildCopy(account, credential, proof), present);
    readings.copies.delete(name);
    if ('changed' in result) {
      await fetchSecret(turn, name);
      return;
    }
    rememberSecret(context, result.written);
    readings.copies.set(name, inspectCopy(result.written, account, provider, fingerprint));
    record.memory.published = fingerprint(credential);
    delete record.publishRetry;
  } catch (error) {
    if (!isKubeError(error) || isAborted(error)) throw error;
    const retry = nextRetry(turn, record.publishRetry);
    record.publishRetry = retry;
    if (!isDenial(error) && retry.attempts <= TOLERATED_FAULTS) throw error;
    const detail = safeText((error.serverText ?? '').slice(0, 200), credential);
    record.memory.notWritable = detail === undefined ? {} : { detail };
  }
}

/**
 * The API server (quota, rights, admission, a namespace that ends, annotations that leave no room) or a webhook that it
 * asks said no; a webhook that is down comes as 500.
 */
function isDenial({ code, status = 0 }: KubeError): boolean {
  return code === 'KUBE_HTTP' && status <= 500 && status !== 429;
}

function nextRetry({ context: { clock } }: Turn, before: AccountRecord['publishRetry']) {
  const attempts = (before?.attempts ?? 0) + 1;
  const now = clock.now();
  const delay = jitteredBackoff(attempts, { ...WRITE_BACKOFF, random: () => clock.random() });
  return { attempts, notBefore: now + delay, since: now };
}

/** Whether an account that our cache does not hold owns the Secret: it is read by name before its copy is taken over. */
async function hasLivingOwner({ context, account }: Turn, { metadata }: KubeObject): Promise<boolean> {
  const { namespace } = account.metadata;
  for (const { name, uid } of metadata.ownerReferences ?? []) {
    if (uid === account.metadata.uid) continue;
    const owner = await findAccount(context, { namespace, name });
    if (owner?.metadata.uid === uid) return true;
  }
  return false;
}

/** Reads an account by name, and lets the store know. */
async function findAccount(context: Context, key: { namespace: string; name: string }) {
  try {
    const account = await context.client.get<CloudAccount>(CLOUD_ACCOUNTS, key);
    context.accounts.remember(slimAccount(account));
    return account;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Applies the status where it differs. Returns false when somebody else wrote the account: decide again. */
export async function writeStatus(turn: Writing, status: CloudAccountStatus): Promise<boolean> {
  const { context, account, record } = turn;
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
  for (const copy of turn.readings.copies.values()) {
    if (copy === 'absent' || !isRecorded(copy.secret, status.verifiedSecretRef)) continue;
    if (copy.view.fingerprint !== undefined) record.memory.published = copy.view.fingerprint;
  }
  if (status.candidate === undefined) delete record.memory.refused;
  for (const transition of transitions(before, status)) announce(turn, transition);
  if (status.health !== before.health) context.onHealth?.(turn.account, before.health);
  return true;
}

async function refreshAccount(turn: Writing): Promise<void> {
  const { name, namespace } = turn.account.metadata;
  if ((await findAccount(turn.context, { namespace, name })) === undefined) forgetAccount(turn);
}

/** Lets the store know, so that the next decision rests on it, and returns what the store holds now. */
function keep({ context: { accounts } }: Writing, account: CloudAccount): CloudAccount {
  accounts.remember(slimAccount(account));
  return accounts.get(formatKey(account.metadata)) ?? account;
}

function forgetAccount({ context, account: { metadata } }: Writing): void {
  context.accounts.remove(formatKey(metadata), metadata.resourceVersion);
}

/**
 * Removes copies of this account that are not in force: after a rename the old one, and bytes that nobody verified. A
 * cache may be behind, so the account and the copy in force are read before anything is deleted, and the turn that lost
 * a credential deletes nothing.
 * @param before the status that the turn began with
 */
export async function sweep(turn: Turn, before: CloudAccountStatus | undefined): Promise<void> {
  const { context, account, readings } = turn;
  const { uid, namespace, name } = account.metadata;
  const ref = account.status?.verifiedSecretRef;
  const superfluous = context.copies
    .byIndex('owner', uid)
    .filter(({ metadata }) => metadata.uid !== ref?.uid && metadata.deletionTimestamp === undefined);
  if (superfluous.length === 0 || (ref === undefined && before?.verifiedSecretRef !== undefined)) return;

  const known = await findAccount(context, { namespace, name });
  if (known?.metadata.uid !== uid || known.status?.verifiedSecretRef?.uid !== ref?.uid) return;
  const inForce = ref && (await fetchSecret(turn, ref.name));
  if (inForce?.metadata.uid !== ref?.uid) return;

  for (const copy of superfluous) {
    // With nothing in force, only what was read in this turn and found unproven.
    const read = readings.copies.get(copy.metadata.name);
    const isRead = read !== undefined && read !== 'absent' && isSameVersion(read.secret, copy);
    if (ref === undefined && !isRead) continue;
    await removeCopy(context.client, copy);
    // Not a second time before the watch tells of it; one that was changed meanwhile comes again with the watch.
    context.copies.remove(keyOf(copy), copy.metadata.resourceVersion);
  }
}

function isSameVersion(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion;
}
