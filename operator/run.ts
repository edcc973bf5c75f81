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
import { createEventRecorder } from './kube/events.ts';
import { runAsLeader } from './kube/lease.ts';
import { type Endpoint, serve } from './observability/http.ts';
import { errorFacts, type Log } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';
import { createChecker } from './providers/checker.ts';
import { PROVIDERS } from './providers/index.ts';

/** A watch that heard nothing for so long is dead: bookmarks come about each minute, and watches end by themselves. */
const WATCH_DEAD_AFTER_MS = 15 * 60_000;
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
    onFault: error => log.warn(errorFacts(error), 'Kubernetes credentials could not be read again'),
  });
  const events = createEventRecorder({
    client,
    reportingController: `${GROUP}/${OPERATOR_NAME}`,
    reportingInstance: hostname(),
    onDropped: why => log.debug(typeof why === 'string' ? { why } : errorFacts(why), 'event was not written'),
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
    ...(config.leaderElection && { leads: { lease: config.leaderElection.name, now: () => mayWrite() } }),
  });
  const endpoints = await serveAll(config, controller, metrics);

  log.info({ version, namespaces: config.namespaces ?? 'all' }, 'operator started');
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
  const watching = controller.watch(stopWatching.signal);
  let isLost = false;
  try {
    if (config.leaderElection === undefined) await work(signal);
    else {
      // A process that has seen nothing yet must not take the lease from under one that is ready.
      await Promise.race([controller.synced, whenAborted(signal)]);
      isLost = await elect(options, config.leaderElection, userAgent, signal, async lead => {
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
  { kubeConfig, log }: RunOptions,
  { name, namespace: asked, timing }: LeaderElection,
  userAgent: string,
  signal: AbortSignal,
  work: Parameters<typeof runAsLeader>[1],
): Promise<boolean> {
  const namespace = asked ?? (process.env['POD_NAMESPACE'] || kubeConfig.namespace);
  if (namespace === undefined) {
    throw new ConfigError('--leader-elect: outside a cluster --leader-election-namespace is needed');
  }
  const identity = `${hostname()}_${randomUUID()}`;
  const lease = { lease: `${namespace}/${name}`, identity };
  // Connections of its own: a renewal must not wait behind a thousand accounts.
  const client = createKubeClient(kubeConfig, { userAgent: `${userAgent} leader-election`, connections: 2 });
  const options = {
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
      options,
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

async function serveAll(
  { metricsAddress, healthAddress }: Config,
  controller: AccountsController,
  metrics: ReturnType<typeof createMetrics>,
): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = [];
  if (metricsAddress !== undefined) {
    const page = async () => ({
      status: 200,
      body: await metrics.render(),
      contentType: metrics.contentType,
    });
    endpoints.push(await serve(metricsAddress, { '/metrics': page }));
  }
  if (healthAddress !== undefined) {
    // Never depends on an account or a provider: an outage there must not restart the operator.
    const isAlive = () =>
      !controller.hasSynced() ||
      controller.reflectors.every(
        reflector => performance.now() - reflector.lastActivity() < WATCH_DEAD_AFTER_MS,
      );
    endpoints.push(
      await serve(healthAddress, {
        '/healthz': () =>
          isAlive() ? { status: 200, body: 'ok\n' } : { status: 503, body: 'a watch is dead\n' },
        '/readyz': () =>
          controller.hasSynced()
            ? { status: 200, body: 'ok\n' }
            : { status: 503, body: 'waiting for the first lists\n' },
      }),
    );
  }
  return endpoints;
}
