import type { CloudAccount, CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import { condition } from '../domain/conditions.ts';
import { decide } from '../domain/decide.ts';
import type { Step } from '../domain/facts.ts';
import { InvariantError } from '../domain/invariant.ts';
import { postponedRecheckNote } from '../domain/messages.ts';
import { isAhead } from '../domain/time.ts';
import { unsupportedStatus } from '../domain/unsupported.ts';
import type { ReconcileResult } from '../kube/controller.ts';
import { isKubeError } from '../kube/errors.ts';
import type { Provider } from '../providers/provider.ts';
import { beginCheck } from './check.ts';
import { type Context, recordOf } from './context.ts';
import { inspectCopy } from './copy.ts';
import { observe, referenceOf } from './observe.ts';
import { copyInForce, lookUpCopyName, lookUpUnwatched, takeCopy, takeSource } from './reading.ts';
import { announce, type Turn } from './turn.ts';
import { publish, readUnanswered, sweep, takeLanded, writeStatus } from './writing.ts';

/** More steps than any path has: a bug must not spin. */
const MAX_STEPS = 25;

/** Brings an account nearer to what it says. Decides from what is known, does one step, decides again. */
export async function reconcileAccount(context: Context, key: string): Promise<ReconcileResult | void> {
  const readings: Turn['readings'] = { copies: new Map() };
  const before = context.accounts.get(key)?.status;
  await readUnanswered(context, key);
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const account = context.accounts.get(key);
    // Removal needs nothing of us: the copy goes with its owner, and no provider is asked.
    if (account === undefined || account.metadata.deletionTimestamp !== undefined) return;
    const record = recordOf(context, account.metadata.uid);
    takeLanded({ context, account, record, readings });
    const provider = providerOf(context, account);
    if (provider === undefined) {
      if (await writeStatus({ context, account, record, readings }, unsupported(context, account))) return;
      continue;
    }
    const turn: Turn = { context, account, provider, record, readings };
    prepare(turn);
    if (steps === 0 && !context.watchSecrets) await lookUpUnwatched(turn);
    if (await lookUpCopyName(turn)) continue;
    const step = decide(observe(context, account, provider, record, readings));
    // Whoever works next begins it.
    if (step.do === 'check' && !context.mayCheck()) return;
    if (step.do !== 'done') {
      await perform(turn, step);
      continue;
    }
    if (step.status !== undefined && !(await writeStatus(turn, step.status, step.settled))) continue;
    if (step.postponedRecheck) {
      announce(turn, {
        type: 'Warning',
        reason: 'CheckPostponed',
        note: postponedRecheckNote(provider.name),
      });
    }
    if (step.settled !== undefined) continue;
    await sweep(turn, before);
    return wakeUp(turn, step);
  }
  throw new InvariantError(`no end after ${MAX_STEPS} steps`);
}

/** Undefined where the CRD knows more providers than this operator, as after a rollback. */
function providerOf({ providers }: Context, { spec }: CloudAccount): Provider | undefined {
  return Object.hasOwn(providers, spec.provider) ? providers[spec.provider] : undefined;
}

function unsupported({ clock }: Context, { metadata, spec, status = {} }: CloudAccount): CloudAccountStatus {
  const { generation } = metadata;
  return unsupportedStatus(status, { now: clock.now(), generation, provider: spec.provider });
}

/**
 * Drops what is void by now: readings of a Secret that is no longer referred to, what copies were found to be for an older
 * version of the account, and a waiting time that is over.
 */
function prepare(turn: Turn): void {
  const { context, account, provider, record, readings } = turn;
  if (readings.inspectedFor !== account) {
    for (const [name, read] of readings.copies) {
      if (read === 'absent') continue;
      readings.copies.set(name, inspectCopy(read.secret, account, provider, context.fingerprint));
    }
    readings.inspectedFor = account;
  }
  if (record.source?.reference !== referenceOf(account)) {
    delete record.source;
    delete readings.source;
  }
  const { publishRetry } = record;
  const now = context.clock.now();
  if (publishRetry !== undefined && (now >= publishRetry.notBefore || isAhead(publishRetry.since, now)))
    delete record.memory.notWritable;
}

async function perform(turn: Turn, step: Exclude<Step, { do: 'done' }>): Promise<void> {
  const { record, readings } = turn;
  switch (step.do) {
    case 'readSource':
      return takeSource(turn);
    case 'readCopy':
      return takeCopy(turn);
    case 'publish': {
      const { accepted, memory } = record;
      if (accepted?.question === memory.inHand?.question && accepted)
        return publish(turn, step.proof, accepted.credential);
      // The bytes of this verdict are not at hand any more: ask again.
      delete memory.inHand;
      return;
    }
    case 'relocate': {
      const copy = await copyInForce(turn);
      if (copy?.credential !== undefined) await publish(turn, step.proof, copy.credential);
      return;
    }
    case 'restore': {
      if (readings.source?.credential === undefined) await takeSource(turn);
      const { credential, view } = readings.source ?? {};
      // Changed while it was read: decide again.
      if (credential === undefined || view?.state !== 'read' || view.fingerprint !== step.fingerprint) return;
      return publish(turn, step.proof, credential);
    }
    case 'check':
      if (!(await showFirst(turn, step.status))) return;
      return startCheck(turn, step);
  }
}

/**
 * Writes the status that shall stand while a check is made. Where that is denied the check is made all the same: its
 * verdict waits in memory.
 * @returns false when somebody else wrote the account: decide again
 */
async function showFirst(turn: Turn, status: CloudAccountStatus | undefined): Promise<boolean> {
  if (status === undefined) return true;
  try {
    return await writeStatus(turn, status);
  } catch (error) {
    if (!isKubeError(error) || error.code !== 'KUBE_HTTP') throw error;
    return true;
  }
}

async function startCheck(turn: Turn, step: Extract<Step, { do: 'check' }>): Promise<void> {
  const { context, account, record, readings } = turn;
  if (step.which === 'candidate' && readings.source?.credential === undefined) await takeSource(turn);
  const { credential, view } = (step.which === 'candidate' ? readings.source : await copyInForce(turn)) ?? {};
  const fingerprint = view !== undefined && 'fingerprint' in view ? view.fingerprint : undefined;
  // Changed while it was read: decide again.
  if (credential === undefined || fingerprint === undefined || !step.question.startsWith(fingerprint)) return;
  beginCheck(context, account, record, step, credential);
}

function wakeUp(
  { context, account, record }: Turn,
  { wakeAt }: Extract<Step, { do: 'done' }>,
): ReconcileResult | void {
  const retryAt = record.memory.notWritable ? record.publishRetry?.notBefore : undefined;
  const isReady = condition(account.status ?? {}, 'Ready')?.status === 'True';
  // No watch tells of the Secret that an account waits for: it is looked for as often as a refused one is asked again.
  const [pollMs = Infinity] = context.watchSecrets || isReady ? [] : context.timing.retryRefusedAfter;
  const lookAt = context.clock.now() + pollMs;
  const at = Math.min(wakeAt ?? Infinity, retryAt ?? Infinity, lookAt);
  if (at !== Infinity) return { requeueAfterMs: Math.max(0, at - context.clock.now()) };
}
