import { pause } from './backoff.ts';
import type { KubeClient } from './client.ts';
import type { KubeError } from './errors.ts';
import { isAborted, isAlreadyExists, isConflict, isKubeError, isNotFound } from './errors.ts';
import type { KubeObject, Resource } from './resource.ts';

export interface LeaseOptions {
  client: KubeClient;
  namespace: string;
  name: string;
  /** Unique to this process: two with one identity both lead. */
  identity: string;
  /** After so long without a renewal another may take over; 15 s by default. Whole seconds. */
  leaseDurationMs?: number;
  /** Without a renewal for so long the leader stops by itself, before another may begin; 10 s by default. */
  renewDeadlineMs?: number;
  /** Between two tries; 2 s by default. */
  retryPeriodMs?: number;
  /** Each try that failed, for the log. Another one's holding the lease is none. */
  onFault?: (error: KubeError) => void;
  /** Monotonic, in milliseconds. */
  now?: () => number;
  random?: () => number;
}

export interface Leadership {
  /** Aborts when leadership is lost or the process is told to stop. */
  signal: AbortSignal;
  /**
   * Until when nobody else can have taken over, by the monotonic clock. A process that was frozen runs on before its
   * timers do: what must not happen twice asks right before it acts.
   */
  holdsUntil(): number;
}

/** How it ended: told to stop, with the lease given back; or the lease was lost, and work was stopped. */
export type LeaseOutcome = 'stopped' | 'lost';

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}

interface Lease extends KubeObject {
  spec?: LeaseSpec;
}

const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

/** As client-go's JitterFactor: candidates must not ask in step. */
const JITTER = 1.2;

/**
 * Waits for the lease, then works as the leader. The algorithm is client-go's: how old a foreign record is, is measured
 * from when it was first seen here, so that clocks of different machines never matter.
 *
 * Other than client-go's `ReleaseOnCancel` the lease is renewed while `lead` winds down and given back only after it has
 * ended: no two leaders overlap at a rolling update. What `lead` rejects with is passed on after that.
 */
export async function runAsLeader(
  options: LeaseOptions,
  lead: (leadership: Leadership) => Promise<void>,
  signal: AbortSignal,
): Promise<LeaseOutcome> {
  const { leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2000 } = options;
  const now = options.now ?? (() => performance.now());
  const random = options.random ?? Math.random;
  const record = createLeaseRecord(options, leaseDurationMs, renewDeadlineMs, now);

  while (!(await record.tryToHold(signal))) {
    await pause(retryPeriodMs * (1 + random() * JITTER), signal);
    if (signal.aborted) return 'stopped';
  }

  const lost = new AbortController();
  const finished = new AbortController();
  const renewing = renew();
  try {
    await lead({
      signal: AbortSignal.any([signal, lost.signal]),
      holdsUntil: () => record.heldSince() + leaseDurationMs,
    });
  } finally {
    finished.abort();
    await renewing;
    if (!lost.signal.aborted) await record.release();
  }
  return lost.signal.aborted ? 'lost' : 'stopped';

  async function renew(): Promise<void> {
    // A hanging call must not outlast the deadline, so the deadline has a timer of its own.
    let timer = setTimeout(onDeadline, renewDeadlineMs);
    function onDeadline(): void {
      const remainingMs = record.heldSince() + renewDeadlineMs - now();
      if (remainingMs <= 0) lost.abort();
      else timer = setTimeout(onDeadline, Math.ceil(remainingMs));
    }
    const over = AbortSignal.any([finished.signal, lost.signal]);
    for (;;) {
      await pause(retryPeriodMs, over);
      if (over.aborted) break;
      await record.tryToHold(over);
      if (record.isTakenByAnother()) lost.abort();
    }
    clearTimeout(timer);
  }
}

function createLeaseRecord(
  options: LeaseOptions,
  leaseDurationMs: number,
  renewDeadlineMs: number,
  now: () => number,
) {
  const { client, namespace, name, identity } = options;
  const key = { namespace, name };
  /** The record as last seen, and when that was first seen. */
  let observed: { lease: Lease; at: number } | undefined;
  let heldSince = -Infinity;

  function observe(lease: Lease): void {
    if (observed?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion) {
      observed = { lease, at: now() };
    }
  }

  function holder(): string | undefined {
    return observed?.lease.spec?.holderIdentity || undefined;
  }

  function isFree(): boolean {
    if (observed === undefined || holder() === undefined || holder() === identity) return true;
    // Its own word for how long it holds, in case it was started with other values.
    const seconds = observed.lease.spec?.leaseDurationSeconds;
    const durationMs = seconds === undefined ? leaseDurationMs : seconds * 1000;
    return now() >= observed.at + durationMs;
  }

  async function write(signal: AbortSignal): Promise<void> {
    const call = { signal, timeoutMs: renewDeadlineMs / 2 };
    if (observed === undefined) {
      observe(await client.create<Lease>(LEASES, { metadata: key, spec: nextSpec() }, call));
      return;
    }
    const { metadata } = observed.lease;
    observe(await client.replace<Lease>(LEASES, { metadata, spec: nextSpec() }, call));
  }

  function nextSpec(): LeaseSpec {
    const spec = observed?.lease.spec;
    const time = microTime();
    const isRenewal = holder() === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      acquireTime: (isRenewal ? spec?.acquireTime : undefined) ?? time,
      renewTime: time,
      leaseTransitions: (spec?.leaseTransitions ?? 0) + (isRenewal || spec === undefined ? 0 : 1),
    };
  }

  /** Takes or renews the lease if it is free or ours. */
  async function tryToHold(signal: AbortSignal): Promise<boolean> {
    try {
      // A renewal needs no read: the write says so if somebody else wrote.
      if (holder() !== identity) await read(signal);
      if (!isFree()) return false;
      // From before the request: the answer may be long on its way.
      const askedAt = now();
      await write(signal);
      heldSince = askedAt;
      return true;
    } catch (error) {
      if (isAborted(error)) return false;
      // Somebody else was faster, or deleted it: see what is there now.
      const isOutdated = isConflict(error) || isAlreadyExists(error) || isNotFound(error);
      if (isOutdated) await read(signal).catch(report);
      else report(error);
      return false;
    }
  }

  async function read(signal: AbortSignal): Promise<void> {
    try {
      observe(await client.get<Lease>(LEASES, key, { signal, timeoutMs: renewDeadlineMs / 2 }));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      observed = undefined;
    }
  }

  async function release(): Promise<void> {
    if (observed === undefined || holder() !== identity) return;
    const { metadata, spec } = observed.lease;
    try {
      await client.replace(
        LEASES,
        {
          metadata,
          spec: {
            holderIdentity: '',
            leaseDurationSeconds: 1,
            acquireTime: spec?.acquireTime,
            renewTime: microTime(),
            leaseTransitions: spec?.leaseTransitions,
          },
        },
        { timeoutMs: renewDeadlineMs / 2 },
      );
    } catch (error) {
      // It runs out by itself.
      report(error);
    }
  }

  function report(error: unknown): void {
    if (isKubeError(error) && !isAborted(error)) options.onFault?.(error);
  }

  return {
    tryToHold,
    release,
    heldSince: () => heldSince,
    isTakenByAnother: () => holder() !== undefined && holder() !== identity,
  };
}

/** metav1.MicroTime, for people who look at the lease: no decision rests on it. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
