import { pause } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { createSleeplessClock } from './clock.ts';
import { type KubeError, isAborted, isAlreadyExists, isConflict, isKubeError, isNotFound } from './errors.ts';
import {
  acquisition,
  type Candidacy,
  createCandidacy,
  DEFAULT_LEASE_TIMING,
  freeFrom,
  granted,
  JITTER,
  leadsUntil,
  type Lease,
  type LeaseInput,
  type LeaseTiming,
  release,
  renewal,
  see,
  seeChange,
} from './lease-election.ts';
import { createReflector } from './reflector.ts';
import type { Resource } from './resource.ts';
import { createStore } from './store.ts';

export interface LeaseOptions extends Partial<LeaseTiming> {
  /** Best one of its own: a renewal must not wait behind the work's calls. */
  client: KubeClient;
  namespace: string;
  name: string;
  /** Unique to this process: two with one identity both lead. */
  identity: string;
  /**
   * Watch the lease while another one holds it, so that one given back is taken at once and not at the next try. Needs
   * the rights `list` and `watch`; where they are missing the tries go on without. On by default.
   */
  watch?: boolean;
  /** Each try that failed, for the log. Another one's holding the lease is none. */
  onFault?: (error: KubeError) => void;
  /** Monotonic, in milliseconds: how long another one's lease was seen. */
  now?: () => number;
  /** Wall clock, in milliseconds: with `now` it tells how long the own lead has lasted ({@link createSleeplessClock}). */
  wall?: () => number;
  random?: () => number;
}

export interface Leadership {
  /** Aborts when the process is told to stop, and when the lead is lost. */
  signal: AbortSignal;
  /** Aborts when the lead is lost: another one may begin soon, so everything under way is to be broken off. */
  lost: AbortSignal;
  /**
   * Whether this process leads at this moment. One that was frozen runs on before its timers do: what must not happen
   * twice asks right before it acts. `false` also aborts `lost`.
   */
  holds: () => boolean;
}

/** How it ended: told to stop, with the lease given back; or the lease was lost, and work was stopped. */
export type LeaseOutcome = 'stopped' | 'lost';

const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

/**
 * Waits for the lease, then works as the leader. The algorithm is client-go's (`lease-election.ts`).
 *
 * Other than client-go's `ReleaseOnCancel` the lease is renewed while `lead` winds down and given back only after it has
 * ended: no two leaders overlap at a rolling update. What `lead` rejects with is passed on after that. After `lost` the
 * process should end: what it knows is from another time.
 */
export async function runAsLeader(
  options: LeaseOptions,
  lead: (leadership: Leadership) => Promise<void>,
  signal: AbortSignal,
): Promise<LeaseOutcome> {
  const now = options.now ?? (() => performance.now());
  // For the own lead alone: a wall clock that is stepped forward must not shorten the time of somebody else.
  const leadNow = createSleeplessClock(now, options.wall);
  const candidate = createCandidate(options, now, leadNow);
  const isHeld = await acquire(options, candidate, now, signal);
  if (signal.aborted && isHeld) await candidate.giveBack();
  if (signal.aborted) return 'stopped';

  const lost = new AbortController();
  const finished = new AbortController();
  const renewing = renew();
  try {
    await lead({ signal: AbortSignal.any([signal, lost.signal]), lost: lost.signal, holds });
  } finally {
    finished.abort();
    // A renewal under way comes to its end first: after the release it would take the lease again.
    await renewing;
    if (!lost.signal.aborted) await candidate.giveBack();
  }
  return lost.signal.aborted ? 'lost' : 'stopped';

  function holds(): boolean {
    if (!lost.signal.aborted && !candidate.leads()) {
      lost.abort();
      candidate.abandon();
    }
    return !lost.signal.aborted;
  }

  async function renew(): Promise<void> {
    // A hanging call must not outlast the deadline, so the deadline has a timer of its own.
    let timer: NodeJS.Timeout | undefined;
    function watchDeadline(): void {
      if (holds()) timer = setTimeout(watchDeadline, Math.ceil(candidate.leadsUntil() - leadNow()));
    }
    watchDeadline();
    const over = AbortSignal.any([finished.signal, lost.signal]);
    for (;;) {
      await pause(candidate.timing.retryPeriodMs, over);
      if (over.aborted) break;
      await candidate.tryToRenew();
      holds();
    }
    clearTimeout(timer);
  }
}

/** Resolves once the lease is held (true) or the signal has aborted, which may come while it is being taken (both). */
async function acquire(
  options: LeaseOptions,
  candidate: Candidate,
  now: () => number,
  signal: AbortSignal,
): Promise<boolean> {
  const { client, namespace, name } = options;
  const random = options.random ?? Math.random;
  const over = new AbortController();
  /** Ends the present or the next pause. */
  let wake = (): void => undefined;
  let isWoken = false;
  function look(): void {
    isWoken = true;
    wake();
  }
  function stop(): void {
    over.abort();
    look();
  }
  signal.addEventListener('abort', stop);

  const store = createStore<Lease>();
  store.subscribe(({ type, object }) => {
    if (type === 'deleted' || candidate.notice(object)) look();
  });
  const fieldSelector = `metadata.name=${name}`;
  // Faults are told by the tries; those of this watch only make it slower.
  const reflector = createReflector<Lease>({ client, resource: LEASES, store, namespace, fieldSelector });
  if (options.watch !== false) void reflector.run(over.signal);

  let isHeld = false;
  while (!signal.aborted) {
    isWoken = false;
    isHeld = await candidate.tryToAcquire(signal);
    if (isHeld) break;
    const retryMs = candidate.timing.retryPeriodMs * (1 + random() * JITTER);
    // A lease that runs out is taken then, not at the try after that.
    const freeInMs = candidate.freeFrom() - now();
    await nap(freeInMs > 0 ? Math.min(retryMs, freeInMs) : retryMs);
  }
  signal.removeEventListener('abort', stop);
  over.abort();
  return isHeld;

  function nap(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, Math.ceil(ms));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (isWoken) wake();
    });
  }
}

interface Candidate {
  timing: LeaseTiming;
  /** One try; never rejects. False also when nobody knows whether it was taken: the next try finds out. */
  tryToAcquire(signal: AbortSignal): Promise<boolean>;
  /** One try; never rejects. Whether it did any good is told by `leads`. */
  tryToRenew(): Promise<void>;
  /** Takes in what a watch brought; tells whether the lease is free. */
  notice(lease: Lease): boolean;
  freeFrom(): number;
  leads(): boolean;
  leadsUntil(): number;
  giveBack(): Promise<void>;
  /** Breaks off what is under way. */
  abandon(): void;
}

/** The candidacy with the calls that it needs. */
function createCandidate(options: LeaseOptions, now: () => number, leadNow: () => number): Candidate {
  const { client, namespace, name, identity, onFault } = options;
  const timing: LeaseTiming = {
    leaseDurationMs: options.leaseDurationMs ?? DEFAULT_LEASE_TIMING.leaseDurationMs,
    renewDeadlineMs: options.renewDeadlineMs ?? DEFAULT_LEASE_TIMING.renewDeadlineMs,
    retryPeriodMs: options.retryPeriodMs ?? DEFAULT_LEASE_TIMING.retryPeriodMs,
  };
  const key = { namespace, name };
  const abandoned = new AbortController();
  // Two tries at least before the deadline, as in kube-controller-manager.
  const call = { timeoutMs: timing.renewDeadlineMs / 2, signal: abandoned.signal };
  let candidacy: Candidacy = createCandidacy(identity, key, timing);

  async function read(options = call): Promise<void> {
    try {
      candidacy = see(candidacy, await client.get<Lease>(LEASES, key, options), now());
    } catch (error) {
      if (!isNotFound(error)) throw error;
      candidacy = see(candidacy, undefined, now());
    }
  }

  /** Writes what `next` gives; when the lease is not as it was seen, reads it and asks `next` once more. */
  async function write(
    next: (candidacy: Candidacy) => LeaseInput | undefined,
  ): Promise<{ lease: Lease; sentAt: number } | undefined> {
    for (let isFirst = true; ; isFirst = false) {
      const sentAt = leadNow();
      const input = next(candidacy);
      if (input === undefined) return undefined;
      try {
        const isThere = input.metadata.resourceVersion !== undefined;
        const lease = isThere
          ? await client.replace<Lease>(LEASES, input, call)
          : await client.create<Lease>(LEASES, input, call);
        return { lease, sentAt };
      } catch (error) {
        // An own write whose answer was lost, or somebody else was faster.
        const isOutdated = isConflict(error) || isAlreadyExists(error) || isNotFound(error);
        if (!isOutdated || !isFirst) throw error;
        await read();
      }
    }
  }

  async function hold(next: (candidacy: Candidacy) => LeaseInput | undefined): Promise<void> {
    const written = await write(next);
    if (written !== undefined) candidacy = granted(candidacy, written.lease, written.sentAt, now());
  }

  async function tryToAcquire(signal: AbortSignal): Promise<boolean> {
    try {
      await read({ ...call, signal });
      await hold(others => acquisition(others, now(), new Date()));
    } catch (error) {
      report(error);
    }
    return leads();
  }

  async function tryToRenew(): Promise<void> {
    try {
      // Without a read: the write says so if somebody else wrote.
      await hold(held => renewal(held, leadNow(), new Date()));
    } catch (error) {
      report(error);
    }
  }

  async function giveBack(): Promise<void> {
    try {
      await write(held => release(held, new Date()));
    } catch (error) {
      // It runs out by itself.
      report(error);
    }
  }

  function leads(): boolean {
    return leadNow() < leadsUntil(candidacy);
  }

  function report(error: unknown): void {
    if (isKubeError(error) && !isAborted(error)) onFault?.(error);
  }

  return {
    timing,
    tryToAcquire,
    tryToRenew,
    giveBack,
    abandon: () => abandoned.abort(),
    notice(lease) {
      candidacy = seeChange(candidacy, lease, now());
      return now() >= freeFrom(candidacy);
    },
    freeFrom: () => freeFrom(candidacy),
    leads,
    leadsUntil: () => leadsUntil(candidacy),
  };
}
