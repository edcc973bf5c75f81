import type { CloudAccount, CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import { GROUP, OPERATOR_NAME, VERSION } from '../api/names.ts';
import type { Proof } from '../domain/facts.ts';
import { transitions } from '../domain/transitions.ts';
import { jitteredBackoff } from '../kube/backoff.ts';
import { isAborted, isConflict, isKubeError, isNotFound, type KubeError } from '../kube/errors.ts';
import { formatKey, keyOf, type KubeObject } from '../kube/resource.ts';
import type { Credential } from '../providers/provider.ts';
import { safeText } from '../providers/redact.ts';
import type { AccountRecord, Context, StatusWrite } from './context.ts';
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
/** So many writes without an answer are remembered of one account. */
const MAX_UNANSWERED = 4;

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

/**
 * Applies the status where it differs; the verdicts that stand in it are forgotten.
 * @returns false when somebody else wrote the account: decide again
 */
export async function writeStatus(
  turn: Writing,
  status: CloudAccountStatus,
  settled: StatusWrite['settled'] = [],
): Promise<boolean> {
  const { context, account, record } = turn;
  const { name, namespace, resourceVersion } = account.metadata;
  const before = account.status ?? {};
  if (equalJson(before, status)) {
    settle(record, settled);
    return true;
  }
  const object = {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: 'CloudAccount',
    // A UID would not stop a write into an account that was made anew under the same name; the version does.
    metadata: { name, namespace, resourceVersion },
    status,
  };
  const write = { before, status, settled };
  const options = { fieldManager: OPERATOR_NAME, force: true, subresource: 'status' as const };
  try {
    const applied = await context.client.apply<CloudAccount>(CLOUD_ACCOUNTS, object, options);
    landed(turn, write, applied);
    if (equalJson(applied.status, status)) return true;
    // What others wrote (a restored status) an apply leaves where it is. It would be decided on again without an end.
    const whole = { ...applied, status };
    turn.account = keep(turn, await context.client.replace<CloudAccount>(CLOUD_ACCOUNTS, whole, options));
    return true;
  } catch (error) {
    if (isConflict(error)) await refreshAccount(turn);
    else if (isNotFound(error)) forgetAccount(turn);
    else {
      if (!wasDenied(error)) remember(record, write);
      throw error;
    }
    return false;
  }
}

/** The API server said no before it wrote anything: of an error of its own that cannot be known. */
function wasDenied(error: unknown): boolean {
  return isKubeError(error) && error.code === 'KUBE_HTTP' && (error.status ?? 0) < 500;
}

/** In an outage the same status is tried again and again: it is kept once. */
function remember(record: AccountRecord, write: StatusWrite): void {
  const others = record.unanswered.filter(({ status }) => !equalJson(status, write.status));
  record.unanswered = [...others, write].slice(-MAX_UNANSWERED);
}

/**
 * A write that got no answer may have been done all the same. Its verdicts must not be counted once more, so the account
 * is read by name before anything is decided.
 */
export async function readUnanswered(context: Context, key: string): Promise<void> {
  const account = context.accounts.get(key);
  if (account === undefined || !context.records.get(account.metadata.uid)?.unanswered.length) return;
  await refreshAccount({ context, account });
}

/** Takes it for done where status is as it was to be. */
export function takeLanded(turn: Writing): void {
  const { account, record } = turn;
  const write = record.unanswered.findLast(({ status }) => equalJson(account.status ?? {}, status));
  if (write !== undefined) landed(turn, write, account);
}

function landed(turn: Writing, { before, status, settled }: StatusWrite, account: CloudAccount): void {
  const { context, record, readings } = turn;
  turn.account = keep(turn, account);
  record.unanswered = [];
  settle(record, settled);
  // A copy that was found proven is what this process knows to be in force.
  for (const copy of readings.copies.values()) {
    if (copy === 'absent' || !isRecorded(copy.secret, status.verifiedSecretRef)) continue;
    if (copy.view.fingerprint !== undefined) record.memory.published = copy.view.fingerprint;
  }
  if (status.candidate === undefined) delete record.memory.refused;
  for (const transition of transitions(before, status)) announce(turn, transition);
  if (status.health !== before.health) context.onHealth?.(turn.account, before.health);
}

/** What stands in status is remembered no longer. */
function settle(record: AccountRecord, slots: StatusWrite['settled']): void {
  for (const slot of slots) delete record.memory[slot];
  if (slots.includes('inHand')) delete record.accepted;
}

async function refreshAccount({ context, account }: Pick<Writing, 'context' | 'account'>): Promise<void> {
  const { name, namespace } = account.metadata;
  if ((await findAccount(context, { namespace, name })) === undefined) forgetAccount({ context, account });
}

/** Lets the store know, so that the next decision rests on it, and returns what the store holds now. */
function keep({ context: { accounts } }: Writing, account: CloudAccount): CloudAccount {
  accounts.remember(slimAccount(account));
  return accounts.get(formatKey(account.metadata)) ?? account;
}

function forgetAccount({ context, account: { metadata } }: Pick<Writing, 'context' | 'account'>): void {
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
