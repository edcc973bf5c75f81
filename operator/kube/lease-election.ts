import { compareResourceVersions, type KubeObject, type ObjectInput } from './resource.ts';

/** In milliseconds. */
export interface LeaseTiming {
  /** After so long without a renewal others may take over; whole seconds. */
  leaseDurationMs: number;
  /** Without a renewal for so long the leader stops by itself; less than the lease, so that it has stopped by then. */
  renewDeadlineMs: number;
  /** Between two tries. */
  retryPeriodMs: number;
}

/** Those of client-go's users (kube-controller-manager, controller-runtime). */
export const DEFAULT_LEASE_TIMING: LeaseTiming = {
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2_000,
};

/** client-go's JitterFactor: a candidate waits up to so many retry periods longer, so that they do not ask in step. */
export const JITTER = 1.2;

/** coordination.k8s.io/v1 LeaseSpec. */
export interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}

export interface Lease extends KubeObject {
  spec?: LeaseSpec;
}

/** A lease to be written: with a `resourceVersion` over exactly that revision, without one anew. */
export type LeaseInput = ObjectInput & { spec: LeaseSpec };

/**
 * What one candidate knows. Every `now` is its own monotonic clock in milliseconds: how old a record is counts from
 * when it was first seen here, so that the clocks of other machines, and the times in the lease, never matter.
 */
export interface Candidacy {
  readonly identity: string;
  readonly key: { namespace: string; name: string };
  readonly timing: LeaseTiming;
  /** The lease as last seen, and when it was first seen so. */
  readonly seen?: { readonly lease: Lease; readonly at: number };
  /** It was deleted. What was seen holds for its time: its leader works on until it finds out. */
  readonly missing: boolean;
  /** When the last write was sent that took or renewed the lease, by a clock that does not stop in sleep. */
  readonly heldSince?: number;
}

/** @param identity unique to this process: two with one identity both lead */
export function createCandidacy(
  identity: string,
  key: Candidacy['key'],
  timing: LeaseTiming = DEFAULT_LEASE_TIMING,
): Candidacy {
  return { identity, key, timing, missing: false };
}

/** What is wrong with these times; undefined: nothing. The rules are client-go's. */
export function problemOf({
  leaseDurationMs,
  renewDeadlineMs,
  retryPeriodMs,
}: LeaseTiming): string | undefined {
  if (leaseDurationMs % 1_000 !== 0) return 'the lease must last whole seconds';
  if (leaseDurationMs <= renewDeadlineMs) return 'the lease must last longer than the renew deadline';
  if (renewDeadlineMs <= retryPeriodMs * JITTER)
    return `the renew deadline must be longer than ${JITTER} retry periods`;
  return retryPeriodMs > 0 ? undefined : 'the retry period must be longer than nothing';
}

/** The answer to a read; undefined: there is no lease. */
export function see(candidacy: Candidacy, lease: Lease | undefined, now: number): Candidacy {
  if (lease === undefined) return { ...candidacy, missing: true };
  const { seen } = candidacy;
  const isSame =
    seen?.lease.metadata.resourceVersion === lease.metadata.resourceVersion &&
    seen.lease.metadata.uid === lease.metadata.uid;
  return { ...candidacy, missing: false, ...(!isSame && { seen: { lease, at: now } }) };
}

/** What a watch brings. Unlike a read it may be older than what was seen already, and says nothing then. */
export function seeChange(candidacy: Candidacy, lease: Lease, now: number): Candidacy {
  const known = candidacy.seen?.lease.metadata.resourceVersion;
  if (known !== undefined && compareResourceVersions(lease.metadata.resourceVersion, known) <= 0)
    return candidacy;
  return see(candidacy, lease, now);
}

/** The answer to a write that was sent at `sentAt`, by the clock of `heldSince`: the lease is held from then on. */
export function granted(candidacy: Candidacy, lease: Lease, sentAt: number, now: number): Candidacy {
  // Counted from before the request: the answer may have been long on its way, and the others count from its arrival.
  return { ...see(candidacy, lease, now), heldSince: sentAt };
}

/** Who holds the lease by what was last seen. */
export function holderOf({ seen }: Candidacy): string | undefined {
  return seen?.lease.spec?.holderIdentity || undefined;
}

/** From when on the lease may be written by this candidate; in the past or -Infinity: now. */
export function freeFrom(candidacy: Candidacy): number {
  const { seen, identity, timing } = candidacy;
  const holder = holderOf(candidacy);
  if (seen === undefined || holder === undefined || holder === identity) return -Infinity;
  // The holder's own word for how long it holds: it may have been started with other values.
  const seconds = seen.lease.spec?.leaseDurationSeconds;
  return seen.at + (seconds === undefined ? timing.leaseDurationMs : seconds * 1_000);
}

/** What is to be written to take the lease, or to keep one of which nobody knows yet; undefined: another one holds it. */
export function acquisition(candidacy: Candidacy, now: number, wallClock: Date): LeaseInput | undefined {
  if (now < freeFrom(candidacy)) return undefined;
  const { seen, missing, identity, key, timing } = candidacy;
  const before = seen?.lease.spec;
  const isRenewal = holderOf(candidacy) === identity;
  const time = microTime(wallClock);
  const spec: LeaseSpec = {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(timing.leaseDurationMs / 1_000),
    acquireTime: (isRenewal ? before?.acquireTime : undefined) ?? time,
    renewTime: time,
    leaseTransitions: (before?.leaseTransitions ?? 0) + (isRenewal || before === undefined ? 0 : 1),
  };
  return { metadata: seen === undefined || missing ? key : seen.lease.metadata, spec };
}

/** What is to be written by the leader; undefined: it leads no more. A lease that was somebody else's meanwhile is lost. */
export function renewal(candidacy: Candidacy, now: number, wallClock: Date): LeaseInput | undefined {
  return now < leadsUntil(candidacy) ? acquisition(candidacy, now, wallClock) : undefined;
}

/** What gives the lease back, so that another one begins at once; undefined when it is not held. */
export function release(candidacy: Candidacy, wallClock: Date): LeaseInput | undefined {
  const { seen, missing, identity } = candidacy;
  if (seen === undefined || missing || holderOf(candidacy) !== identity) return undefined;
  const { acquireTime, leaseTransitions } = seen.lease.spec ?? {};
  return {
    metadata: seen.lease.metadata,
    spec: {
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: microTime(wallClock),
      ...(acquireTime !== undefined && { acquireTime }),
      ...(leaseTransitions !== undefined && { leaseTransitions }),
    },
  };
}

/**
 * Until when this candidate leads; -Infinity: it does not. By then it has stopped, and nobody else begins before the
 * lease itself is over: what lies between is for clocks that run at different speed and for requests on their way.
 */
export function leadsUntil(candidacy: Candidacy): number {
  const { heldSince, timing, identity } = candidacy;
  if (heldSince === undefined || holderOf(candidacy) !== identity) return -Infinity;
  return heldSince + timing.renewDeadlineMs;
}

/** metav1.MicroTime, for people who look at the lease: no decision rests on it. */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
