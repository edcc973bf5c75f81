import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import type { History, Violation } from './history.ts';
import type { Version } from './recorder.ts';

/** From a request to its echo in status, when nothing keeps the operator from it; a busy machine included. */
export const RECHECK_MS = 15_000;
const STORM_MS = 10_000;
/** What the run does to one account in that time makes a tenth of it. */
const STORM_WRITES = 100;

/** A requested recheck is answered soon, whatever write is denied: a webhook's whim must not hide a revoked token. */
export function unansweredRechecks(history: History, until: number): Violation[] {
  const versions = Map.groupBy(history.accounts, ({ object }) => object.metadata.name);
  return [...history.rechecks].flatMap(([account, asked]) => {
    const seen = versions.get(account) ?? [];
    return asked.flatMap(({ at, uid }) => {
      const due = at + RECHECK_MS;
      const last = seen.findLast(version => version.at <= due);
      if (due > until || last === undefined || last.gone || last.object.metadata.uid !== uid) return [];
      const isSuspended = seen.some(
        version => version.at <= due && (next(seen, version)?.at ?? Infinity) >= at && isAsleep(version),
      );
      if (isSuspended || isDisturbed(history, last.object, at, due)) return [];
      const answered = last.object.status?.lastHandledRecheck;
      if (asked.some(other => other.at >= at && other.at <= due && other.value === answered)) return [];
      const what = `a recheck asked for at ${new Date(at).toISOString()} was not answered`;
      return [{ rule: 'a recheck is answered', account, at: due, what }];
    });
  });
}

function next(
  seen: readonly Version<CloudAccount>[],
  version: Version<CloudAccount>,
): Version<CloudAccount> | undefined {
  return seen[seen.indexOf(version) + 1];
}

function isAsleep({ object }: Version<CloudAccount>): boolean {
  return object.spec.suspend === true;
}

function isDisturbed(
  { disturbances, gaps }: History,
  { spec, metadata }: CloudAccount,
  from: number,
  to: number,
): boolean {
  const concerns = disturbances.some(
    span =>
      span.from <= to &&
      span.to >= from &&
      (span.provider === undefined || span.provider === spec.provider) &&
      (span.accounts === undefined || span.accounts.includes(metadata.name)),
  );
  return concerns || gaps.some(gap => gap >= from && gap <= to);
}

/** No loop writes on and on: a clock that is wrong, an edit that is put right again and again. */
export function writeStorms({ accounts, copies }: History): Violation[] {
  const of = (kind: string, versions: readonly Version<CloudAccount | Secret>[]): Violation[] =>
    [...Map.groupBy(versions, ({ object }) => object.metadata.name)].flatMap(([name, seen]) => {
      const start = seen.find(({ at }, index) => {
        const last = seen[index + STORM_WRITES];
        return last !== undefined && last.at < at + STORM_MS;
      });
      if (start === undefined) return [];
      const what = `${kind} ${name} was written over ${STORM_WRITES} times in ${STORM_MS / 1_000} s`;
      return [{ rule: 'no write storm', account: name, at: start.at, what }];
    });
  return [...of('account', accounts), ...of('copy', copies)];
}

/** What others wait for before a Secret goes is theirs to take away. */
export function lostFinalizers({ copies, tampered }: History, until: number): Violation[] {
  const last = new Map<string, readonly string[]>();
  return copies.flatMap(({ at, object, gone }) => {
    const { uid, name, resourceVersion, ownerReferences } = object.metadata;
    const before = last.get(uid) ?? [];
    const now = (object.metadata as { finalizers?: string[] }).finalizers ?? [];
    last.set(uid, now);
    if (gone || at > until || tampered.has(resourceVersion) || before.every(held => now.includes(held)))
      return [];
    const what = `${name} lost the finalizer of somebody else`;
    return [{ rule: 'finalizers of others stay', account: ownerReferences?.[0]?.name ?? '', at, what }];
  });
}
