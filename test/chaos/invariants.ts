import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFICATION_ANNOTATION } from '../../operator/api/names.ts';
import type { Secret } from '../../operator/accounts/resources.ts';
import { brokenCaps } from './caps.ts';
import {
  aheadDuring,
  bytesIn,
  checkEnd,
  type History,
  LONGEST_CHECK_MS,
  overlap,
  type Verdict,
  type Violation,
} from './history.ts';
import { lostFinalizers, unansweredRechecks, writeStorms } from './manners.ts';
import { statusOf, type Version } from './recorder.ts';

/** Until a loss stands in status, with the operator killed and the API server gone meanwhile. */
const LOSS_NOTICED_MS = 30_000;
/** `--confirm-after` of the run has two times, so two refusals stand in status before the one that demotes. */
const CONFIRMATIONS = 2;

const HEALTH: Readonly<Record<string, string>> = {
  True: 'Connected',
  False: 'NeedsAttention',
  Unknown: 'Pending',
};

/**
 * What broke a promise.
 * @param until versions seen later are not judged yet: what the run itself did to them may not be known
 */
export function violationsIn(history: History, until = Infinity): Violation[] {
  return [
    ...unverifiedCopies(history, until),
    ...contradictions(history, until),
    ...unfoundedFlips(history, until),
    ...inventedRefusals(history, until),
    ...brokenCaps(history),
    ...unansweredRechecks(history, until),
    ...writeStorms(history),
    ...lostFinalizers(history, until),
  ];
}

/** A copy holds what the provider accepted, just those bytes, when its proof says so; or what the run put into it. */
function unverifiedCopies(history: History, until: number): Violation[] {
  const { copies, verdicts, credentials } = history;
  const isTampered = tamperedVersions(history);
  const accepted = Map.groupBy(
    verdicts.filter(({ says }) => says === 'accepted'),
    ({ credential }) => credential,
  );
  return copies.flatMap(version => {
    const { at, object, gone } = version;
    const { metadata } = object;
    if (gone || at > until || isTampered.has(version)) return [];
    const account = metadata.ownerReferences?.[0]?.name ?? '';
    const broken = (what: string): Violation[] => [{ rule: 'verified before stored', account, at, what }];
    const owner = credentials.get(bytesIn(object));
    if (owner === undefined) return broken(`${metadata.name} holds bytes that are no credential`);
    const { credential } = owner;
    if (owner.account !== account) return broken(`${metadata.name} holds the credential of another account`);
    const proof = proofOf(object);
    if (proof === undefined) return broken(`${metadata.name} has no proof`);
    if (owner.only !== undefined && proof.access !== owner.only)
      return broken(`${metadata.name} holds ${credential}, which is good for ${owner.only} alone`);
    const isProven = (accepted.get(credential) ?? []).some(verdict =>
      proves(verdict, proof.verifiedAt, at, history),
    );
    return isProven ? [] : broken(`${metadata.name} holds ${credential}, which was not accepted then`);
  });
}

/** As the run left them, and what the API server alone made of that: it marks what is to be deleted. */
function tamperedVersions({ copies, tampered }: History): Set<Version<Secret>> {
  const found = new Set<Version<Secret>>();
  const last = new Map<string, Version<Secret>>();
  for (const version of copies) {
    const { uid, resourceVersion, deletionTimestamp } = version.object.metadata;
    const previous = last.get(uid);
    last.set(uid, version);
    const isLeft = previous !== undefined && found.has(previous) && deletionTimestamp !== undefined;
    if (tampered.has(resourceVersion) || isLeft) found.add(version);
  }
  return found;
}

/** Whether a check is the one that a proof speaks of, by the clock of the process that made it. */
function proves(verdict: Verdict, provenAt: number, seenAt: number, history: History): boolean {
  const { at } = verdict;
  const end = checkEnd(verdict, history);
  return aheadDuring(verdict, history).some(
    aheadMs =>
      // Proofs tell whole seconds.
      (at + aheadMs < provenAt + 1_000 && end + aheadMs >= provenAt) ||
      // Under a clock that is further back such a time has yet to come, and is not trusted beyond then.
      (provenAt < at + aheadMs + 1_000 && at < seenAt && wasBehind(aheadMs, at, seenAt, history)),
  );
}

function wasBehind(aheadMs: number, from: number, to: number, { processes }: History): boolean {
  return processes.some(({ clock, startedAt }) =>
    clock.some(
      (step, index) =>
        step.aheadMs < aheadMs &&
        Math.max(step.at, startedAt) <= to &&
        (clock[index + 1]?.at ?? Infinity) >= from,
    ),
  );
}

function proofOf({ metadata }: Secret): { verifiedAt: number; access: string } | undefined {
  try {
    const { credential } = JSON.parse(metadata.annotations?.[VERIFICATION_ANNOTATION] ?? '') as {
      credential: { verifiedAt: string; access: string };
    };
    return { verifiedAt: Date.parse(credential.verifiedAt), access: credential.access };
  } catch {
    return undefined;
  }
}

/** What no status may ever say. */
function contradictions({ accounts }: History, until: number): Violation[] {
  return accounts.flatMap(({ at, object, gone }) => {
    const { status, metadata } = object;
    if (gone || at > until || status?.conditions === undefined) return [];
    const connected = statusOf(object, 'Connected');
    const has = (type: string): boolean => status.conditions?.some(shown => shown.type === type) ?? false;
    // While suspended it only tells how it was.
    const isReady = status.conditions.some(
      shown => shown.type === 'Ready' && shown.status === 'True' && shown.reason !== 'Suspended',
    );
    const rules: [boolean, string][] = [
      [has('Reconciling') && has('Stalled'), 'Reconciling and Stalled at once'],
      [status.health !== HEALTH[connected], `health ${status.health} while Connected is ${connected}`],
      [
        connected === 'True' && status.verifiedSecretRef === undefined,
        'Connected without a credential in force',
      ],
      [isReady && connected !== 'True', 'Ready and not Connected'],
    ];
    return rules
      .filter(([isBroken]) => isBroken)
      .map(([, what]) => ({ rule: 'status is consistent', account: metadata.name, at, what }));
  });
}

/** Connected ends by refusals, each confirmed in status, or because the copy was taken away. */
function unfoundedFlips(history: History, until: number): Violation[] {
  const { accounts, verdicts, losses, gaps, disturbances } = history;
  const before = new Map<string, Version<CloudAccount>>();
  // What hinders the operator puts off that it notices; what hinders a provider does not.
  const hindrances = disturbances.filter(({ provider }) => provider === undefined);
  return accounts.flatMap(version => {
    const { at, object, gone } = version;
    const { uid, name } = object.metadata;
    const previous = before.get(uid);
    before.set(uid, version);
    if (gone || at > until || previous === undefined) return [];
    if (statusOf(previous.object, 'Connected') !== 'True' || statusOf(object, 'Connected') === 'True')
      return [];
    const since = previous.at - LOSS_NOTICED_MS;
    const from = since - overlap(hindrances, since, at);
    if ((losses.get(name) ?? []).some(loss => loss >= from && loss <= at)) return [];
    const broken = (what: string): Violation[] => [
      { rule: 'only a real rejection demotes', account: name, at, what },
    ];
    if (statusOf(object, 'Connected') !== 'False') return broken('Connected became Unknown by itself');
    const refusals = verdicts.filter(
      verdict => verdict.account === name && verdict.says === 'refused' && verdict.at <= at,
    );
    if (refusals.length <= CONFIRMATIONS) return broken(`after ${refusals.length} refusals`);
    const wasMissed = gaps.some(gap => gap >= previous.at - 1_000 && gap <= at);
    const count = previous.object.status?.confirming?.count ?? 0;
    return count === CONFIRMATIONS || wasMissed ? [] : broken(`with ${count} refusals in status before`);
  });
}

/** Each refusal that status counts was a provider's: no timeout, no broken answer, no refusal counted twice. */
function inventedRefusals(history: History, until: number): Violation[] {
  const { accounts, verdicts, credentials } = history;
  // Accepted by the provider, and refused for what they are: another account's, or good for less than asked.
  const unfit = new Set(
    [...credentials.values()]
      .filter(owner => owner.account === undefined || owner.only !== undefined)
      .map(owner => owner.credential),
  );
  const possible = Map.groupBy(
    verdicts.filter(({ says, credential }) => says === 'refused' || unfit.has(credential)),
    ({ account }) => account,
  );
  const windows = new Map<string, number>();
  return accounts.flatMap(({ at, object, gone }) => {
    const { refusals } = object.status ?? {};
    const { name, uid } = object.metadata;
    if (gone || refusals === undefined) return [];
    const window = `${uid} ${refusals.since}`;
    const shownAt = windows.get(window) ?? at;
    windows.set(window, shownAt);
    if (at > until) return [];
    const since = Date.parse(refusals.since) - LONGEST_CHECK_MS;
    const given = (possible.get(name) ?? []).filter(
      verdict =>
        verdict.at <= at &&
        (checkEnd(verdict, history) >= shownAt ||
          aheadDuring(verdict, history).some(aheadMs => verdict.at + aheadMs >= since)),
    );
    if (given.length >= refusals.count) return [];
    const what = `status counts ${refusals.count} refusals, the provider gave ${given.length}`;
    return [{ rule: 'only a real rejection is a refusal', account: name, at, what }];
  });
}
