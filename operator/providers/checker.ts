import { createHmac, randomBytes } from 'node:crypto';
import type { ProviderName } from '../api/names.ts';
import { OPERATOR_NAME } from '../api/names.ts';
import type { CheckRequest, Outcome } from '../domain/outcome.ts';
import { createBuckets } from './budget.ts';
import { createProviderHttp } from './http.ts';
import { PROVIDERS } from './index.ts';
import type { Line, NoPlace, Timers } from './line.ts';
import { createLine, SYSTEM_TIMERS } from './line.ts';
import type { BudgetOverride } from './options.ts';
import type { Credential, Provider } from './provider.ts';
import { scrub } from './redact.ts';
import type { Transport, TransportOptions } from './transport.ts';
import { createTransport } from './transport.ts';

export interface CheckerOptions extends Omit<TransportOptions, 'connections'> {
  /** Origins that replace those of a provider (`parseProviderEndpoint`). */
  endpoints?: Partial<Record<ProviderName, string>>;
  /** Replaces rate and burst, never the scope (`parseProviderBudget`). */
  budgets?: Partial<Record<ProviderName, BudgetOverride>>;
  /** Checks of one provider at the same time; default 16: a hanging one holds no more than these. */
  concurrencyPerProvider?: number;
  /** For all calls of one check, from its start; default 15 s. */
  deadlineMs?: number;
  /** Default `cloud-account-operator`; with its version: `cloud-account-operator/1.2.3`. */
  userAgent?: string;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** For budgets. Deadlines of calls always go by the system's. */
  timers?: Timers;
  /** For tests: modules that stand in for those of the registry. */
  providers?: Partial<Record<ProviderName, Provider>>;
}

export interface CheckOptions {
  signal?: AbortSignal;
  /** The check itself begins: budget and a free place were waited for, the deadline starts. Not called without a call. */
  onStart?: () => void;
}

/** What a check found out, or that the provider was not asked to the end for a reason of our own: then nothing is known. */
export type CheckAnswer = Outcome | NoPlace;

export interface Checker {
  /**
   * Queues a check in its provider's own line. Resolves always, with an outcome whose texts may be shown, or with why
   * there is none; never rejects.
   */
  check(
    provider: ProviderName,
    credential: Credential,
    request: CheckRequest,
    options?: CheckOptions,
  ): Promise<CheckAnswer>;
  /** Ends what is under way as aborted. */
  close(): Promise<void>;
}

/** After a 429 that does not say for how long. */
const DEFAULT_BLOCK_MS = 10_000;
/** What a provider module gets to sum up after its deadline; its calls are over by then. */
const GRACE_MS = 250;

export function createChecker(options: CheckerOptions = {}): Checker {
  const { concurrencyPerProvider = 16, deadlineMs = 15_000, providers = PROVIDERS } = options;
  const { timers = SYSTEM_TIMERS } = options;
  const lanes = new Map<ProviderName, Lane>();
  const active = new Set<AbortController>();
  // Credentials are told apart without their bytes being kept.
  const hmacKey = randomBytes(32);
  let closed = false;

  function laneOf(provider: Provider): Lane {
    const known = lanes.get(provider.name);
    if (known !== undefined) return known;
    const budget = { ...provider.budget, ...options.budgets?.[provider.name] };
    const lane = {
      line: createLine({
        concurrency: concurrencyPerProvider,
        scope: budget.scope,
        buckets: createBuckets({ ...budget, elapsed: () => timers.now() }),
        timers,
      }),
      transport: createTransport({ ...options, connections: concurrencyPerProvider }),
    };
    lanes.set(provider.name, lane);
    return lane;
  }

  async function check(
    name: ProviderName,
    credential: Credential,
    request: CheckRequest,
    { signal, onStart }: CheckOptions = {},
  ): Promise<CheckAnswer> {
    const provider = providers[name];
    if (provider === undefined) return { kind: 'unexpected', detail: `no provider ${name}` };
    try {
      const problem = provider.checkShape(credential);
      if (problem !== undefined) return { kind: 'malformed', check: problem.check, message: problem.message };
    } catch {
      return failure();
    }
    const aborted = new AbortController();
    const abort = (): void => aborted.abort();
    signal?.addEventListener('abort', abort, { once: true });
    if (closed || signal?.aborted === true) abort();
    active.add(aborted);
    const { line, transport } = laneOf(provider);
    const key = keyOf(provider, credential);
    const place = await line.enter(key, aborted.signal);
    try {
      if (place.kind !== 'granted') return place;
      onStart?.();
      const context: RunContext = { transport, aborted: aborted.signal, onCall: place.count, onThrottled };
      const outcome = await run(provider, credential, request, context);
      // Whatever a module made of calls that we broke off.
      if (aborted.signal.aborted) return { kind: 'aborted' };
      return scrub(outcome, credential);
    } catch {
      return failure();
    } finally {
      if (place.kind === 'granted') place.leave();
      active.delete(aborted);
      signal?.removeEventListener('abort', abort);
    }

    function onThrottled(wait: number | undefined): void {
      line.block(key, wait ?? DEFAULT_BLOCK_MS);
    }
  }

  function keyOf(provider: Provider, credential: Credential): string {
    const fields = Object.entries(credential).sort(([one], [other]) => (one < other ? -1 : 1));
    return createHmac('sha256', hmacKey)
      .update(JSON.stringify([provider.name, fields]))
      .digest('base64');
  }

  async function run(
    provider: Provider,
    credential: Credential,
    request: CheckRequest,
    { transport, aborted, onCall, onThrottled }: RunContext,
  ): Promise<Outcome> {
    const stop = new AbortController();
    const overdue = Promise.withResolvers<Outcome>();
    const timers = [
      setTimeout(() => stop.abort('DeadlineExceeded'), deadlineMs),
      setTimeout(() => overdue.resolve(unreachable('DeadlineExceeded')), deadlineMs + GRACE_MS),
    ];
    function abort(): void {
      stop.abort('Aborted');
      overdue.resolve(unreachable('Aborted'));
    }
    aborted.addEventListener('abort', abort, { once: true });
    if (aborted.aborted) abort();
    const http = createProviderHttp({
      origins: originsOf(provider, options.endpoints?.[provider.name]),
      transport,
      userAgent: options.userAgent ?? OPERATOR_NAME,
      signal: stop.signal,
      now: options.now ?? Date.now,
      onCall,
      onThrottled,
    });
    try {
      return await Promise.race([provider.verify(credential, request, http), overdue.promise]);
    } finally {
      timers.forEach(clearTimeout);
      // Nothing of a check outlives it: the place that is given back has its connection with it.
      stop.abort('Over');
      aborted.removeEventListener('abort', abort);
    }
  }

  return {
    check,
    close: async () => {
      closed = true;
      for (const controller of active) controller.abort();
      for (const { line } of lanes.values()) line.close();
      await Promise.all(Array.from(lanes.values(), ({ transport }) => transport.close()));
    },
  };
}

/** What providers do not share, so that none can wait for another, even behind one origin (a gateway, a simulation). */
interface Lane {
  line: Line;
  transport: Transport;
}

interface RunContext {
  transport: Transport;
  aborted: AbortSignal;
  onCall: () => void;
  onThrottled: (waitMs: number | undefined) => void;
}

function unreachable(cause: string): Outcome {
  return { kind: 'unreachable', cause };
}

/** A bug of ours. Its text may hold anything, so none of it is shown. */
function failure(): Outcome {
  return { kind: 'unexpected', detail: 'the check failed inside the operator' };
}

function originsOf(provider: Provider, endpoint: string | undefined): Readonly<Record<string, string>> {
  if (endpoint === undefined) return provider.origins;
  return Object.fromEntries(Object.keys(provider.origins).map(role => [role, endpoint]));
}
