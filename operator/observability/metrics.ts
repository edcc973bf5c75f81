import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Aggregated figures only: one series per account would grow with the cluster. */
export interface Metrics {
  /** `cause`: why the provider could not be reached; else empty. */
  checkEnded(provider: string, outcome: string, cause: string, seconds: number): void;
  reconciled(seconds: number, failed: boolean): void;
  watchFault(code: string): void;
  /** Text in the Prometheus exposition format. */
  render(): Promise<string>;
  contentType: string;
}

/** What is counted at the moment of a scrape. */
export interface Census {
  /** Accounts by provider and health. */
  accounts(): Iterable<{ provider: string; health: string; count: number }>;
  queueLength(): number;
  /** What cannot be listed. Namespaces come from a flag, so there are few. */
  unavailable(): Iterable<{ resource: string; namespace: string }>;
  /** With leader election: the name of the lease, and whether this process holds it now. */
  leads?: { lease: string; now(): boolean };
}

/** The operator's metrics; names follow the Prometheus conventions. */
export function createMetrics(census: Census): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const checks = new Histogram({
    name: 'cloudaccount_check_duration_seconds',
    help: 'Time of a credential check with its provider, by outcome, and by cause where it could not be reached.',
    labelNames: ['provider', 'outcome', 'cause'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
    registers,
  });
  const reconciles = new Histogram({
    name: 'cloudaccount_reconcile_duration_seconds',
    help: 'Time of one turn of the controller.',
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10],
    registers,
  });
  const reconcileErrors = new Counter({
    name: 'cloudaccount_reconcile_errors_total',
    help: 'Turns of the controller that ended in an error and are tried again.',
    registers,
  });
  const watchFaults = new Counter({
    name: 'cloudaccount_watch_faults_total',
    help: 'Faults of lists and watches of the API server that were survived.',
    labelNames: ['code'],
    registers,
  });
  new Gauge({
    name: 'cloudaccount_accounts',
    help: 'Accounts by provider and health.',
    labelNames: ['provider', 'health'],
    registers,
    collect() {
      this.reset();
      for (const { provider, health, count } of census.accounts()) this.set({ provider, health }, count);
    },
  });
  new Gauge({
    name: 'cloudaccount_queue_length',
    help: 'Accounts that wait for a worker.',
    registers,
    collect() {
      this.set(census.queueLength());
    },
  });
  new Gauge({
    name: 'cloudaccount_watch_unavailable',
    help: 'Kinds that cannot be listed in a namespace, which stands still until they can: 1 for each.',
    labelNames: ['resource', 'namespace'],
    registers,
    collect() {
      this.reset();
      for (const { resource, namespace } of census.unavailable()) this.set({ resource, namespace }, 1);
    },
  });
  const { leads } = census;
  if (leads !== undefined) {
    new Gauge({
      // As client-go's, so that dashboards and alerts for it work.
      name: 'leader_election_master_status',
      help: 'Whether this process leads: 1 or 0.',
      labelNames: ['name'],
      registers,
      collect() {
        this.set({ name: leads.lease }, leads.now() ? 1 : 0);
      },
    });
  }
  return {
    checkEnded: (provider, outcome, cause, seconds) => checks.observe({ provider, outcome, cause }, seconds),
    reconciled(seconds, failed) {
      reconciles.observe(seconds);
      if (failed) reconcileErrors.inc();
    },
    watchFault: code => watchFaults.inc({ code }),
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
