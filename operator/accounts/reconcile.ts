import type { CloudAccount, CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import { GROUP, OPERATOR_NAME, VERSION } from '../api/names.ts';
import { decide } from '../domain/decide.ts';
import type { Proof, Step } from '../domain/facts.ts';
import { postponedRecheckNote } from '../domain/messages.ts';
import { backoff } from '../domain/schedule.ts';
import { transitions } from '../domain/transitions.ts';
import type { ReconcileResult } from '../kube/controller.ts';
import { isConflict, isForbidden, isNotFound } from '../kube/errors.ts';
import { formatKey } from '../kube/resource.ts';
import type { Credential, Provider } from '../providers/provider.ts';
import { beginCheck } from './check.ts';
import { type AccountRecord, type Context, recordOf } from './context.ts';
import { buildCopy, inspectCopy, removeCopy, writeCopy } from './copy.ts';
import { equalJson } from './equal-json.ts';
import { observe, placeOf, type Readings, referenceOf } from './observe.ts';
import { CLOUD_ACCOUNTS, SECRETS, type Secret, slimAccount, slimSecret } from './resources.ts';
import { readSource } from './source.ts';
import { copyNameOf } from './spec.ts';

/** More steps than any path has: a bug must not spin. */
const MAX_STEPS = 25;

/** One account in the hands of a worker. */
interface Turn {
  context: Context;
  account: CloudAccount;
  provider: Provider;
  record: AccountRecord;
  readings: Readings;
}

/** Brings an account nearer to what it says. Decides from what is known, does one step, decides again. */
export async function reconcileAccount(context: Context, key: string): Promise<ReconcileResult | void> {
  for (let turn: Turn | undefined, steps = 0; steps < MAX_STEPS; steps++) {
    const account = context.accounts.get(key);
    // Removal needs nothing of us: the copy goes with its owner, and no provider is asked.
    if (account === undefined || account.metadata.deletionTimestamp !== undefined) return;
    const provider = context.providers[account.spec.provider];
    if (turn?.account !== account) {
      turn = {
        context,
        account,
        provider,
        record: recordOf(context, account.metadata.uid),
        readings: turn?.readings ?? {},
      };
      reviseReadings(turn);
    }
    const { record, readings } = turn;
    const now = context.clock.now();
    if (record.publishRetry !== undefined && now >= record.publishRetry.notBefore)
      delete record.memory.notWritable;
    if (await lookUpCopyName(turn)) continue;
    const step = decide(observe(context, account, provider, record, readings));
    if (step.do !== 'done') {
      await perform(turn, step);
      continue;
    }
    if (step.status !== undefined && !(await writeStatus(turn, step.status))) continue;
    if (step.postponedRecheck) {
      announce(turn, {
        type: 'Warning',
        reason: 'CheckPostponed',
        note: postponedRecheckNote(provider.name),
      });
    }
    if (step.settled) {
      delete record.memory.result;
      delete record.held;
      continue;
    }
    await sweep(turn);
    return wakeUp(turn, step);
  }
  throw new Error(`no end after ${MAX_STEPS} steps`);
}

/** Readings of a Secret that the account no longer refers to are void. */
function reviseReadings({ account, record, readings }: Turn): void {
  if (record.source?.reference !== referenceOf(account)) {
    delete record.source;
    delete readings.source;
  }
}

/**
 * A Secret of somebody else under the copy's name must be seen before any call. The watch keeps only Secrets that an
 * account refers to, so one that was there before the account is looked up once.
 * @returns whether something was found
 */
async function lookUpCopyName({ context, account, record }: Turn): Promise<boolean> {
  const name = copyNameOf(account);
  const { namespace } = account.metadata;
  if (account.status?.verifiedSecretRef?.name === name || record.lookedUp === name) return false;
  record.lookedUp = name;
  if (placeOf(context, account).present !== undefined) return false;
  return refreshSecret(context, namespace, name);
}

/** Reads a Secret by name into the store that it belongs to. Returns whether it is there. */
async function refreshSecret(context: Context, namespace: string, name: string): Promise<boolean> {
  try {
    rememberSecret(context, await context.client.get<Secret>(SECRETS, { namespace, name }));
    return true;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    for (const store of [context.copies, context.sources]) {
      const seen = store.get(formatKey({ namespace, name }));
      if (seen !== undefined) store.remove(formatKey({ namespace, name }), seen.metadata.resourceVersion);
    }
    return false;
  }
}

function rememberSecret({ copies, sources }: Context, secret: Secret): void {
  const isCopy = secret.type === 'strackt.io/verified-credential';
  (isCopy ? copies : sources).remember(slimSecret(secret));
}

async function perform(turn: Turn, step: Exclude<Step, { do: 'done' }>): Promise<void> {
  switch (step.do) {
    case 'readSource':
      return takeSource(turn);
    case 'readCopy':
      return takeCopy(turn);
    case 'publish':
      return publish(turn, step.proof, turn.record.held?.credential);
    case 'relocate':
      if (turn.readings.copy === undefined) await takeCopy(turn);
      return publish(turn, step.proof, turn.readings.copy?.credential);
    case 'check':
      if (step.status !== undefined && !(await writeStatus(turn, step.status))) return;
      return startCheck(turn, step);
  }
}

async function takeSource(turn: Turn): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  const reading = await readSource(context.client, account, provider, context.fingerprint);
  readings.source = reading;
  record.source = { reference: referenceOf(account), view: reading.view };
  // What was dropped by the watch before the account referred to it is followed from now on.
  if (reading.secret !== undefined) rememberSecret(context, reading.secret);
}

/** Reads the Secret that is, or may be, the copy. */
async function takeCopy({ context, account, provider, record, readings }: Turn): Promise<void> {
  const { namespace } = account.metadata;
  const { status } = account;
  const ref = status?.verifiedSecretRef;
  const wantedName = copyNameOf(account);
  const known = ref && context.copies.get(formatKey({ namespace, name: ref.name }));
  const isAtRef = known !== undefined && known.metadata.uid === ref?.uid;
  const recorded = isAtRef && known.metadata.resourceVersion === ref?.resourceVersion;
  const present = placeOf(context, account).present;
  const name = recorded ? ref.name : present !== undefined ? wantedName : isAtRef ? ref.name : wantedName;
  delete readings.copy;
  let secret: Secret;
  try {
    secret = await context.client.get<Secret>(SECRETS, { namespace, name });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const seen = context.copies.get(formatKey({ namespace, name }));
    if (seen !== undefined)
      context.copies.remove(formatKey({ namespace, name }), seen.metadata.resourceVersion);
    return;
  }
  rememberSecret(context, secret);
  const reading = inspectCopy(secret, account, provider, context.fingerprint);
  readings.copy = reading;
  const { fingerprint } = reading.view;
  const isAsRecorded =
    secret.metadata.resourceVersion === ref?.resourceVersion && secret.metadata.uid === ref.uid;
  if (isAsRecorded && fingerprint !== undefined) record.memory.published = fingerprint;
}

/** Writes the bytes with their proof under the wanted name and keys. */
async function publish(turn: Turn, proof: Proof, credential: Credential | undefined): Promise<void> {
  const { context, account, provider, record, readings } = turn;
  // The copy changed under our hands: decide again from what is there now.
  if (credential === undefined) return;
  const { namespace } = account.metadata;
  const place = placeOf(context, account);
  try {
    const result = await writeCopy(context.client, buildCopy(account, credential, proof), place.present);
    if ('changed' in result) {
      await refreshSecret(context, namespace, copyNameOf(account));
      delete readings.copy;
      return;
    }
    const { written } = result;
    rememberSecret(context, written);
    readings.copy = inspectCopy(written, account, provider, context.fingerprint);
    record.memory.published = context.fingerprint(credential);
    delete record.publishRetry;
  } catch (error) {
    // Quota, rights, admission, or a namespace that ends: the verdict stays in hand, only the write is tried again.
    if (!isForbidden(error) && !isNotFound(error)) throw error;
    const attempts = (record.publishRetry?.attempts ?? 0) + 1;
    const delay = backoff(attempts, context.clock.random());
    record.publishRetry = { attempts, notBefore: context.clock.now() + delay };
    record.memory.notWritable = true;
  }
}

async function startCheck(turn: Turn, step: Extract<Step, { do: 'check' }>): Promise<void> {
  const { context, account, record, readings } = turn;
  if (step.which === 'candidate' && readings.source?.credential === undefined) await takeSource(turn);
  if (step.which === 'inForce' && readings.copy?.credential === undefined) await takeCopy(turn);
  const reading = step.which === 'candidate' ? readings.source : readings.copy;
  const { credential, view } = reading ?? {};
  const fingerprint = view !== undefined && 'fingerprint' in view ? view.fingerprint : undefined;
  // Changed while it was read: decide again.
  if (credential === undefined || fingerprint === undefined || !step.question.startsWith(fingerprint)) return;
  beginCheck(context, account, record, step, credential);
}

/** Applies the status where it differs. Returns false when somebody else wrote the account: decide again. */
async function writeStatus(turn: Turn, status: CloudAccountStatus): Promise<boolean> {
  const { context, account, record, readings } = turn;
  const { metadata } = account;
  const before = account.status ?? {};
  if (equalJson(before, status)) return true;
  const { name, namespace, resourceVersion } = metadata;
  const object = {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: 'CloudAccount',
    // The UID alone would not stop a write into an account that was made anew under the same name.
    metadata: { name, namespace, resourceVersion },
    status,
  };
  try {
    const options = { fieldManager: OPERATOR_NAME, force: true, subresource: 'status' as const };
    const written = await context.client.apply<CloudAccount>(CLOUD_ACCOUNTS, object, options);
    context.accounts.remember(slimAccount(written));
    turn.account = context.accounts.get(`${namespace}/${name}`) ?? written;
  } catch (error) {
    if (isNotFound(error)) return dropAccount(turn);
    if (!isConflict(error)) throw error;
    await refreshAccount(turn);
    return false;
  }
  // A copy that was found proven is what this process knows to be in force.
  const { copy } = readings;
  if (
    copy?.view.fingerprint !== undefined &&
    copy.secret.metadata.resourceVersion === status.verifiedSecretRef?.resourceVersion
  ) {
    record.memory.published = copy.view.fingerprint;
  }
  if (status.candidate === undefined) delete record.memory.refused;
  for (const transition of transitions(before, status)) announce(turn, transition);
  return true;
}

async function refreshAccount(turn: Turn): Promise<void> {
  const { context, account } = turn;
  const { name, namespace } = account.metadata;
  try {
    const read = await context.client.get<CloudAccount>(CLOUD_ACCOUNTS, { namespace, name });
    context.accounts.remember(slimAccount(read));
  } catch (error) {
    if (!isNotFound(error)) throw error;
    dropAccount(turn);
  }
}

function dropAccount({ context, account }: Turn): false {
  const { name, namespace, resourceVersion } = account.metadata;
  context.accounts.remove(`${namespace}/${name}`, resourceVersion);
  return false;
}

function announce(
  { context, account }: Turn,
  { type, reason, note }: { type: 'Normal' | 'Warning'; reason: string; note: string },
): void {
  const { name, namespace, uid, resourceVersion } = account.metadata;
  const regarding = {
    apiVersion: `${GROUP}/${VERSION}`,
    kind: 'CloudAccount',
    namespace,
    name,
    uid,
    resourceVersion,
  };
  context.events.record(regarding, { type, reason, action: 'Verify', note });
}

/** Removes copies of this account that are not, or no longer, what is in force: after a rename, or when tampered with. */
async function sweep({ context, account }: Turn): Promise<void> {
  const ref = account.status?.verifiedSecretRef;
  for (const copy of context.copies.byIndex('owner', account.metadata.uid)) {
    if (copy.metadata.uid === ref?.uid || copy.metadata.deletionTimestamp !== undefined) continue;
    await removeCopy(context.client, copy);
  }
}

function wakeUp(
  { context, record }: Turn,
  { wakeAt }: Extract<Step, { do: 'done' }>,
): ReconcileResult | void {
  const retryAt = record.memory.notWritable ? record.publishRetry?.notBefore : undefined;
  const at = Math.min(wakeAt ?? Infinity, retryAt ?? Infinity);
  if (at !== Infinity) return { requeueAfterMs: Math.max(0, at - context.clock.now()) };
}
