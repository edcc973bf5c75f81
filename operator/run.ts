import { hostname } from 'node:os';
import { type AccountsController, createAccountsController } from './accounts/controller.ts';
import type { Clock } from './accounts/context.ts';
import { GROUP, OPERATOR_NAME } from './api/names.ts';
import type { Config } from './config.ts';
import { createKubeClient } from './kube/client.ts';
import type { KubeConfigSource } from './kube/credentials.ts';
import { createEventRecorder } from './kube/events.ts';
import { type Endpoint, serve } from './observability/http.ts';
import { errorFacts, type Log } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';
import { createChecker } from './providers/checker.ts';
import { PROVIDERS } from './providers/index.ts';

/** A watch that heard nothing for so long is dead: bookmarks come about each minute, and watches end by themselves. */
const WATCH_DEAD_AFTER_MS = 15 * 60_000;
/** How long a stop may take before what is under way is given up. */
const STOP_GRACE_MS = 5_000;

export interface RunOptions {
  config: Config;
  kubeConfig: KubeConfigSource;
  log: Log;
  version: string;
  clock?: Clock;
  /** The first lists are there and the workers begin. */
  onReady?: (controller: AccountsController) => void;
}

/** Runs the operator until the signal aborts. Rejects when it cannot begin (a port in use). */
export async function runOperator(options: RunOptions, signal: AbortSignal): Promise<void> {
  const { config, log, version } = options;
  const userAgent = `${OPERATOR_NAME}/${version}`;
  const client = createKubeClient(options.kubeConfig, {
    userAgent,
    onFault: error => log.warn(errorFacts(error), 'Kubernetes credentials could not be read again'),
  });
  const events = createEventRecorder({
    client,
    reportingController: `${GROUP}/${OPERATOR_NAME}`,
    reportingInstance: hostname(),
  });
  const checker = createChecker({ endpoints: config.endpoints, budgets: config.budgets, userAgent });
  const controller = createAccountsController({
    client,
    checker,
    providers: PROVIDERS,
    events,
    clock: options.clock ?? { now: Date.now, random: Math.random },
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
    onCheck({ provider, outcome, durationMs }) {
      metrics.checkEnded(provider, outcome, durationMs / 1_000);
      log.debug({ provider, outcome, durationMs }, 'credential checked');
    },
    onReconciled: ({ durationMs, error }) => metrics.reconciled(durationMs / 1_000, error !== undefined),
  });
  const metrics = createMetrics({
    accounts: () => controller.census(),
    queueLength: () => controller.context.queue.length,
  });
  const endpoints = await serveAll(config, controller, metrics);

  log.info({ version, namespaces: config.namespaces ?? 'all' }, 'operator started');
  void controller.ready.then(() => {
    if (signal.aborted) return;
    log.info({ accounts: controller.context.accounts.size }, 'accounts listed; working');
    options.onReady?.(controller);
  });
  try {
    await controller.run(signal);
  } finally {
    await Promise.race([events.flush(), new Promise(resolve => setTimeout(resolve, STOP_GRACE_MS).unref())]);
    events.stop();
    await checker.close();
    await client.close();
    await Promise.all(endpoints.map(endpoint => endpoint.close()));
    log.info({}, 'operator stopped');
  }
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
        ({ lastActivity }) => performance.now() - lastActivity() < WATCH_DEAD_AFTER_MS,
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
