import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFICATION_ANNOTATION } from '../../operator/api/names.ts';
import type { Secret } from '../../operator/accounts/resources.ts';
import { statusOf, type Version } from './recorder.ts';

/** A provider's verdict on a credential, as the cloud gave it. */
export interface Verdict {
  at: number;
  /** Whose credential it is. */
  account: string;
  /** Names the credential, never by its bytes. */
  credential: string;
  says: 'accepted' | 'refused';
}

/** Whose a credential is. */
export interface Owner {
  /** Names it, never by its bytes. */
  credential: string;
  /** The account that may publish it; absent: none. */
  account: string | undefined;
}

/** What tells a credential from all others: its fields together, since accounts may share a key or a name. */
export function bytesOf(values: readonly string[]): string {
  return values
    .map(value => value.trim())
    .sort()
    .join('\0');
}

/** The same of what a copy holds. */
export function bytesIn({ data = {} }: Secret): string {
  return bytesOf(Object.values(data).map(value => Buffer.from(value, 'base64').toString()));
}

/** Everything that is known of a run. Times in milliseconds since the epoch, by one clock. */
export interface History {
  accounts: readonly Version<CloudAccount>[];
  copies: readonly Version<Secret>[];
  verdicts: readonly Verdict[];
  /** By {@link bytesOf}. */
  credentials: ReadonlyMap<string, Owner>;
  /** Resource versions of copies as the run itself left them. */
  tampered: ReadonlySet<string>;
  /** When the run took a copy away from an account or made it worthless, by the account's name. */
  losses: ReadonlyMap<string, readonly number[]>;
  /** When an operator started. */
  starts: readonly number[];
  /** When the watches were interrupted: versions may be missing there. */
  gaps: readonly number[];
}

export interface Violation {
  rule: string;
  account: string;
  at: number;
  what: string;
}

/** A check ends at most so long after the provider gave its first answer. */
const LONGEST_CHECK_MS = 17_000;
/** Until a loss stands in status, with the operator killed and the API server gone meanwhile. */
const LOSS_NOTICED_MS = 30_000;
/** `--confirm-after` of the run has two times, so two refusals stand in status before the one that demotes. */
const CONFIRMATIONS = 2;
const HOUR = 3_600_000;
const REFUSALS_PER_HOUR = 6;
const REFUSALS_PER_DAY = 24;

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
  ];
}

/** A copy holds what the provider accepted, just those bytes, when its proof says so; or what the run put into it. */
function unverifiedCopies({ copies, verdicts, credentials, tampered }: History, until: number): Violation[] {
  return copies.flatMap(({ at, object, gone }) => {
    const { metadata } = object;
    if (gone || at > until || tampered.has(metadata.resourceVersion)) return [];
    const account = metadata.ownerReferences?.[0]?.name ?? '';
    const broken = (what: string): Violation[] => [{ rule: 'verified before stored', account, at, what }];
    const owner = credentials.get(bytesIn(object));
    if (owner === undefined) return broken(`${metadata.name} holds bytes that are no credential`);
    const { credential } = owner;
    if (owner.account !== account) return broken(`${metadata.name} holds the credential of another account`);
    const provenAt = verifiedAt(object);
    if (provenAt === undefined) return broken(`${metadata.name} has no proof`);
    const isProven = verdicts.some(
      verdict =>
        verdict.credential === credential &&
        verdict.says === 'accepted' &&
        // Proofs tell whole seconds.
        verdict.at < provenAt + 1_000 &&
        verdict.at >= provenAt - LONGEST_CHECK_MS,
    );
    return isProven ? [] : broken(`${metadata.name} holds ${credential}, which was not accepted then`);
  });
}

function verifiedAt({ metadata }: Secret): number | undefined {
  try {
    const proof = JSON.parse(metadata.annotations?.[VERIFICATION_ANNOTATION] ?? '') as {
      credential: { verifiedAt: string };
    };
    return Date.parse(proof.credential.verifiedAt);
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
function unfoundedFlips({ accounts, verdicts, losses, gaps }: History, until: number): Violation[] {
  const before = new Map<string, Version<CloudAccount>>();
  return accounts.flatMap(version => {
    const { at, object, gone } = version;
    const { uid, name } = object.metadata;
    const previous = before.get(uid);
    before.set(uid, version);
    if (gone || at > until || previous === undefined) return [];
    if (statusOf(previous.object, 'Connected') !== 'True' || statusOf(object, 'Connected') === 'True')
      return [];
    const since = previous.at - LOSS_NOTICED_MS;
    if ((losses.get(name) ?? []).some(loss => loss >= since && loss <= at)) return [];
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
function inventedRefusals({ accounts, verdicts, credentials }: History, until: number): Violation[] {
  const foreign = new Set(
    [...credentials.values()].filter(owner => owner.account === undefined).map(owner => owner.credential),
  );
  return accounts.flatMap(({ at, object, gone }) => {
    const { refusals } = object.status ?? {};
    const { name } = object.metadata;
    if (gone || at > until || refusals === undefined) return [];
    const since = Date.parse(refusals.since) - LONGEST_CHECK_MS;
    const given = verdicts.filter(
      ({ account, at: time, says, credential }) =>
        account === name && time >= since && time <= at && (says === 'refused' || foreign.has(credential)),
    );
    if (given.length >= refusals.count) return [];
    const what = `status counts ${refusals.count} refusals, the provider gave ${given.length}`;
    return [{ rule: 'only a real rejection is a refusal', account: name, at, what }];
  });
}

/** Promise 9: the hour is counted by the process, the day in status, where a kill may lose the last one. */
function brokenCaps({ accounts, verdicts, starts }: History): Violation[] {
  const births = new Map<string, number[]>();
  const seen = new Set<string>();
  for (const { object, at } of accounts) {
    const { uid, name } = object.metadata;
    if (seen.has(uid)) continue;
    seen.add(uid);
    births.set(name, [...(births.get(name) ?? []), at]);
  }
  const violations: Violation[] = [];
  for (const [account, born] of births) {
    const refusals = verdicts
      .filter(verdict => verdict.account === account && verdict.says === 'refused')
      .map(({ at }) => at);
    const within = (from: number, to: number): number => refusals.filter(at => at >= from && at < to).length;
    const lives = [...born, ...starts].sort((a, b) => a - b);
    for (const at of refusals) {
      const end = Math.min(lives.find(life => life > at) ?? Infinity, at + HOUR);
      const hour = within(at, end);
      const birth = born.findLast(time => time <= at) ?? 0;
      const died = born.find(time => time > at) ?? Infinity;
      const day = within(at, Math.min(died, at + 24 * HOUR));
      const lost = starts.filter(start => start > birth && start < died).length;
      const what =
        hour > REFUSALS_PER_HOUR
          ? `${hour} refusals in an hour of one process`
          : day > REFUSALS_PER_DAY + lost
            ? `${day} refusals in a day`
            : undefined;
      if (what !== undefined) violations.push({ rule: 'polite', account, at, what });
    }
  }
  return violations;
}
