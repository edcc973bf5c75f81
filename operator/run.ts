import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AccountsController, createAccountsController, type Lead } from './accounts/controller.ts';
import type { Clock } from './accounts/context.ts';
import { GROUP, OPERATOR_NAME } from './api/names.ts';
import { type Config, ConfigError, type LeaderElection } from './config.ts';
import { whenAborted } from './kube/backoff.ts';
import { createKubeClient } from './kube/client.ts';
import type { KubeConfigSource } from './kube/credentials.ts';
import { createEventRecorder, type Regarding } from './kube/events.ts';
import { runAsLeader } from './kube/lease.ts';
import { createHealth, type Health } from './observability/health.ts';
import { type Endpoint, serve } from './observability/http.ts';
import { errorFacts, type Log } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';
import { createChecker } from './providers/checker.ts';
import { PROVIDERS } from './providers/index.ts';
import { createWatchReport } from './watch-report.ts';

/** What cannot be listed is told again after so long. */
const REMIND_MS = 60_000;
/** How long a call of the API server that hangs may keep the work from ending; it can be repeated later. */
const WORK_GRACE_MS = 2_000;
/** How long the last events and open connections may keep a stop waiting. */
const STOP_GRACE_MS = 5_000;
/** The same for events while another process waits for the lease; they are mostly sent already. */
const HANDOVER_GRACE_MS = 500;
/** After the lead is lost: what may write or call is broken off before that, so this is for the rest. */
const LOST_GRACE_MS = 1_000;

export interface RunOptions {
  config: Config;
  kubeConfig: KubeConfigSource & { namespace?: string | undefined };
  log: Log;
  version: string;
  clock?: Clock;
  /** The first lists are there and the workers begin. */
  onReady?: (controller: AccountsController) => void;
}

/** Another process may lead by now. Nothing in this one can be trusted to be still true, so it should end at once. */
export class LeadershipLostError extends Error {
  override readonly name = 'LeadershipLostError';
}

/**
 * Runs the operator until the signal aborts. Rejects when it cannot begin (a port in use), and with a
 * {@link LeadershipLostError}.
 */
export async function runOperator(options: RunOptions, signal: AbortSignal): Promise<void> {
  const { config, log, version } = options;
  const userAgent = `${OPERATOR_NAME}/${version}`;
  let mayWrite = (): boolean => config.leaderElection === undefined;
  const client = createKubeClient(options.kubeConfig, {
    userAgent,
    mayWrite: () => mayWrite(),
    onCall: isAnswered => health.called(isAnswered),
    onFault: error => log.warn(errorFacts(error), 'Kubernetes credentials could not be read again'),
  });
  const events = createEventRecorder({
    client,
    reportingController: `${GROUP}/${OPERATOR_NAME}`,
    reportingInstance: hostname(),
    onDropped: why => log.debug(typeof why === 'string' ? { why } : errorFacts(why), 'event was not written'),
  });
  const own = ownObject(options);
  const report = createWatchReport(log, ({ resource, namespace, missing, command }) => {
    if (own === undefined || !mayWrite()) return;
    const what = `${resource} of ${namespace === 'all' ? 'all namespaces' : `namespace ${namespace}`}`;
    const note = `Cannot list ${what}. Missing: ${missing}.${command === undefined ? '' : ` ${command}`}`;
    events.record(own, { type: 'Warning', reason: 'NotAvailable', action: 'Watch', note });
  });
  const clock = options.clock ?? { now: Date.now, random: Math.random };
  const checker = createChecker({
    endpoints: config.endpoints,
    budgets: config.budgets,
    userAgent,
    now: () => clock.now(),
    ...(clock.timers && { timers: clock.timers }),
  });
  const controller = createAccountsController({
    client,
    checker,
    providers: PROVIDERS,
    events,
    clock,
    timing: config.timing,
    watchSecrets: config.watchSecrets,
    ...(config.namespaces && { namespaces: config.namespaces }),
    workers: config.concurrency,
    onError: (error, account) =>
      log.warn({ account, ...errorFacts(error) }, 'account could not be reconciled; tried again'),
    onList: (reflector, fault) => report.onList(reflector, fault),
    onFault: error => {
      metrics.watchFault(error.code);
      log.debug(errorFacts(error), 'watch was interrupted; resumed');
    },
    onHealth({ metadata: { namespace, name }, spec, status = {} }, before) {
      const { reason } = status.conditions?.find(({ type }) => type === 'Connected') ?? {};
      const facts = { account: `${namespace}/${name}`, provider: spec.provider, before, reason };
      log.info({ ...facts, health: status.health }, 'health of an account changed');
    },
    onCheck({ provider, outcome, cause, host, durationMs }) {
      metrics.checkEnded(provider, outcome, cause ?? '', durationMs / 1_000);
      log.debug({ provider, outcome, cause, host, durationMs }, 'credential checked');
    },
    onReconciled: ({ durationMs, error }) => metrics.reconciled(durationMs / 1_000, error !== undefined),
  });
  const metrics = createMetrics({
    accounts: () => controller.census(),
    queueLength: () => controller.context.queue.length,
    unavailable: () => report.unavailable(),
    ...(config.leaderElection && { leads: { lease: config.leaderElection.name, now: () => mayWrite() } }),
  });
  const health = createHealth({
    now: () => performance.now(),
    lastActivities: () => controller.reflectors.map(reflector => reflector.lastActivity()),
    oldestTurnMs: () => controller.oldestTurnMs(),
    hasSynced: () => controller.hasSynced(),
  });
  void controller.ready.then(() => {
    if (signal.aborted) return;
    log.info({ accounts: controller.context.accounts.size }, 'accounts listed; working');
    options.onReady?.(controller);
  });

  async function work(until: AbortSignal, lead?: Lead): Promise<void> {
    const working = controller.work(until, lead);
    await whenAborted(until);
    // A call that hangs is broken off.
    const grace = setTimeout(() => void client.close(), WORK_GRACE_MS);
    await working;
    clearTimeout(grace);
    // They are writes too: the last ones go out before another leader begins.
    if (!lead?.lost.aborted) await within(lead ? HANDOVER_GRACE_MS : STOP_GRACE_MS, events.flush());
    events.stop();
  }

  const stopWatching = new AbortController();
  const endpoints: Endpoint[] = [];
  let watching = Promise.resolve();
  let reminding: NodeJS.Timeout | undefined;
  let isLost = false;
  try {
    await serveAll(config, endpoints, health, metrics);
    log.info({ version, namespaces: config.namespaces ?? 'all' }, 'operator started');
    watching = controller.watch(stopWatching.signal);
    reminding = setInterval(() => report.remind(), REMIND_MS);
    if (config.leaderElection === undefined) await work(signal);
    else {
      // A process that has seen nothing yet must not take the lease from under one that is ready.
      await Promise.race([controller.synced, whenAborted(signal)]);
      isLost = await elect(options, config.leaderElection, userAgent, health, signal, async lead => {
        mayWrite = lead.holds;
        // Whatever is on its way to the API server is broken off.
        void whenAborted(lead.lost).then(() => client.close());
        await Promise.race([
          work(lead.signal, lead),
          whenAborted(lead.lost).then(() => sleep(LOST_GRACE_MS)),
        ]);
        mayWrite = () => false;
      });
    }
  } finally {
    stopWatching.abort();
    clearInterval(reminding);
    events.stop();
    const closing = [
      checker.close(),
      client.close(),
      watching,
      ...endpoints.map(endpoint => endpoint.close()),
    ];
    await within(isLost ? LOST_GRACE_MS : STOP_GRACE_MS, Promise.all(closing));
    log.info({}, 'operator stopped');
  }
  if (isLost) throw new LeadershipLostError('the lease was lost');
}

/** Waits for the lease, then works. Returns whether it was lost. */
async function elect(
  options: RunOptions,
  election: LeaderElection,
  userAgent: string,
  health: Health,
  signal: AbortSignal,
  work: Parameters<typeof runAsLeader>[1],
): Promise<boolean> {
  const { kubeConfig, log } = options;
  const { name, timing } = election;
  const namespace = leaseNamespaceOf(options, election);
  if (namespace === undefined) {
    throw new ConfigError('--leader-elect: outside a cluster --leader-election-namespace is needed');
  }
  const identity = `${hostname()}_${randomUUID()}`;
  const lease = { lease: `${namespace}/${name}`, identity };
  // Connections of its own: a renewal must not wait behind a thousand accounts.
  const client = createKubeClient(kubeConfig, {
    userAgent: `${userAgent} leader-election`,
    connections: 2,
    onCall: isAnswered => health.called(isAnswered),
  });
  const candidacy = {
    ...timing,
    client,
    namespace,
    name,
    identity,
    onFault: (error: unknown) =>
      log.warn({ ...lease, ...errorFacts(error) }, 'lease could not be read or written'),
  };
  log.info(lease, 'waiting for the lease');
  try {
    const outcome = await runAsLeader(
      candidacy,
      lead => {
        log.info(lease, 'leading');
        return work(lead);
      },
      signal,
    );
    return outcome === 'lost';
  } finally {
    await client.close();
  }
}

/** Waits for what ends, at most for a time. */
async function within(ms: number, ending: Promise<unknown>): Promise<void> {
  await Promise.race([ending, sleep(ms, undefined, { ref: false })]);
}

function leaseNamespaceOf({ kubeConfig }: RunOptions, { namespace }: LeaderElection): string | undefined {
  return namespace ?? (process.env['POD_NAMESPACE'] || kubeConfig.namespace);
}

/** What people look at to learn how the operator is: its Lease, else its pod; undefined outside a cluster. */
function ownObject(options: RunOptions): Regarding | undefined {
  const { leaderElection } = options.config;
  if (leaderElection !== undefined) {
    const namespace = leaseNamespaceOf(options, leaderElection);
    return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name: leaderElection.name };
  }
  const namespace = process.env['POD_NAMESPACE'];
  return namespace ? { apiVersion: 'v1', kind: 'Pod', namespace, name: hostname() } : undefined;
}

/** Opens what is asked for, into `endpoints`: what is open already is to be closed when another one fails. */
async function serveAll(
  { metricsAddress, healthAddress }: Config,
  endpoints: Endpoint[],
  health: Health,
  metrics: ReturnType<typeof createMetrics>,
): Promise<void> {
  if (metricsAddress !== undefined) {
    const page = async () => ({
      status: 200,
      body: await metrics.render(),
      contentType: metrics.contentType,
    });
    endpoints.push(await serve('metrics', metricsAddress, { '/metrics': page }));
  }
  if (healthAddress === undefined) return;
  const page = (problem: string | undefined) => ({
    status: problem === undefined ? 200 : 503,
    body: `${problem ?? 'ok'}\n`,
  });
  endpoints.push(
    await serve('health probes', healthAddress, {
      '/healthz': () => page(health.stuck()),
      '/readyz': () => page(health.notReady()),
    }),
  );
}
