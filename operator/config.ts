import { PROVIDER_NAMES, type ProviderName } from './api/names.ts';
import type { Timing } from './domain/schedule.ts';
import { parseDuration } from './domain/time.ts';
import { type LeaseTiming, problemOf } from './kube/lease-election.ts';
import { type BudgetOverride, parseProviderBudget, parseProviderEndpoint } from './providers/options.ts';

/** One flag of the command line; the help and the configuration reference are made of these. */
export interface Flag {
  name: string;
  /** Placeholder of the value in the help; absent for switches. */
  value?: string;
  default: string;
  /** May be given several times. */
  repeated?: true;
  help: string;
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const FLAGS: readonly Flag[] = [
  {
    name: 'kubeconfig',
    value: 'FILE',
    default: '',
    help: 'Kubeconfig to connect with. Empty: $KUBECONFIG, else the service account inside a cluster, else ~/.kube/config.',
  },
  {
    name: 'watch-namespaces',
    value: 'NAMES',
    default: '',
    help: 'Namespaces to watch, separated by commas. Empty: all.',
  },
  {
    name: 'secrets-watch',
    value: 'BOOL',
    default: 'true',
    help: 'Watch Secrets, so that a change is seen at once. false needs no right to list Secrets: they are read by name at each check or request, and while an account is not Ready, as often as the first of --retry-refused-after.',
  },
  {
    name: 'leader-elect',
    default: 'false',
    help: 'Work only while holding the Lease of this installation. Needed with more than one replica.',
  },
  {
    name: 'leader-election-id',
    value: 'NAME',
    default: 'cloud-account-operator',
    help: 'Name of the Lease.',
  },
  {
    name: 'leader-election-namespace',
    value: 'NAME',
    default: '',
    help: "Namespace of the Lease. Empty: the pod's own ($POD_NAMESPACE, its service account), else that of the kubeconfig's context.",
  },
  {
    name: 'leader-election-lease-duration',
    value: 'TIME',
    default: '15s',
    help: 'A leader that renewed nothing for so long is replaced.',
  },
  {
    name: 'leader-election-renew-deadline',
    value: 'TIME',
    default: '10s',
    help: 'A leader that could renew nothing for so long stops and exits.',
  },
  {
    name: 'leader-election-retry-period',
    value: 'TIME',
    default: '2s',
    help: 'Time between two tries to renew or to take the Lease.',
  },
  {
    name: 'metrics-bind-address',
    value: 'ADDRESS',
    default: '0',
    help: 'Where metrics are served (/metrics), such as :8080. 0 serves none.',
  },
  {
    name: 'health-probe-bind-address',
    value: 'ADDRESS',
    default: '0',
    help: 'Where /healthz and /readyz are served, such as :8081. 0 serves none.',
  },
  {
    name: 'concurrency',
    value: 'N',
    // As many as the client has connections for calls (kube/client.ts), else some would never be used.
    default: '32',
    help: 'Accounts worked on at the same time. Checks wait in lines of their own, one per provider.',
  },
  { name: 'log-level', value: 'LEVEL', default: 'info', help: `One of ${LOG_LEVELS.join(', ')}.` },
  {
    name: 'provider-endpoint',
    value: 'NAME=URL',
    default: '',
    repeated: true,
    help: 'Replaces the origin of a provider; paths stay. For simulators and gateways; no custom resource can do this.',
  },
  {
    name: 'insecure-provider-endpoints',
    default: 'false',
    help: 'Allow plain http in --provider-endpoint to other machines. Credentials are readable on the way.',
  },
  {
    name: 'provider-budget',
    value: 'NAME=RATE/BURST',
    default: '',
    repeated: true,
    help: 'Calls a second and calls at once that a provider is asked with.',
  },
  {
    name: 'confirm-after',
    value: 'TIMES',
    default: '5m,10m',
    help: 'When a refusal of a credential in force is asked again, counted from the first; the last one demotes.',
  },
  {
    name: 'retry-refused-after',
    value: 'TIMES',
    default: '1m,10m',
    help: 'When a refused new credential is asked again, counted from the first refusal.',
  },
];

export interface Config {
  kubeconfig?: string;
  namespaces?: readonly string[];
  watchSecrets: boolean;
  /** Absent: this process works alone. */
  leaderElection?: LeaderElection;
  metricsAddress?: BindAddress;
  healthAddress?: BindAddress;
  concurrency: number;
  logLevel: LogLevel;
  endpoints: Partial<Record<ProviderName, string>>;
  budgets: Partial<Record<ProviderName, BudgetOverride>>;
  timing: Timing;
}

/** Which Lease decides who works, and how fast. */
export interface LeaderElection {
  name: string;
  /** Absent: where the process runs. */
  namespace?: string;
  timing: LeaseTiming;
}

/** Where a server listens; no host: all addresses. */
export interface BindAddress {
  host?: string;
  port: number;
}

/** A flag that cannot be used; the message is for the person who typed it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Reads the command line. Throws a `ConfigError` that names the flag and says what it takes. */
export function parseConfig(argv: readonly string[]): Config {
  const values = parseFlags(argv);
  const one = (name: string): string => values.get(name)?.at(-1) ?? '';
  const kubeconfig = one('kubeconfig');
  const namespaces = list(one('watch-namespaces'));
  const metricsAddress = bindAddress('metrics-bind-address', one('metrics-bind-address'));
  const healthAddress = bindAddress('health-probe-bind-address', one('health-probe-bind-address'));
  const insecure = boolean('insecure-provider-endpoints', one('insecure-provider-endpoints'));
  return {
    ...(kubeconfig !== '' && { kubeconfig }),
    ...(namespaces.length > 0 && { namespaces }),
    watchSecrets: boolean('secrets-watch', one('secrets-watch')),
    ...(boolean('leader-elect', one('leader-elect')) && { leaderElection: leaderElection(one) }),
    ...(metricsAddress && { metricsAddress }),
    ...(healthAddress && { healthAddress }),
    concurrency: wholeNumber('concurrency', one('concurrency'), 1, 1_000),
    logLevel: logLevel(one('log-level')),
    endpoints: Object.fromEntries(
      (values.get('provider-endpoint') ?? []).filter(Boolean).map(text => {
        const { provider, origin } = understood(() => parseProviderEndpoint(text, insecure));
        return [provider, origin];
      }),
    ),
    budgets: Object.fromEntries(
      (values.get('provider-budget') ?? []).filter(Boolean).map(text => {
        const { provider, budget } = understood(() => parseProviderBudget(text));
        return [provider, budget];
      }),
    ),
    timing: {
      confirmAfter: times('confirm-after', one('confirm-after')),
      retryRefusedAfter: times('retry-refused-after', one('retry-refused-after')),
    },
  };
}

/** Text of `--help`. */
export function helpText(): string {
  const lines = FLAGS.map(({ name, value, default: standard, help }) => {
    const shown = standard === '' ? '' : ` (default ${standard})`;
    return `  --${name}${value === undefined ? '' : `=${value}`}\n        ${help}${shown}`;
  });
  return `Usage: node operator.mjs [FLAGS]\n\nKeeps CloudAccounts (${PROVIDER_NAMES.join(', ')}) verified and healthy.\n\n${lines.join('\n')}\n`;
}

/** `--name=value`, `--name value`, and `--name` for switches, as Go's flag package takes them. */
function parseFlags(argv: readonly string[]): Map<string, string[]> {
  const values = new Map<string, string[]>(FLAGS.map(flag => [flag.name, [flag.default]]));
  const given = new Set<string>();
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? '';
    const match = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(argument);
    const flag = FLAGS.find(({ name }) => name === match?.[1]);
    if (match === null || flag === undefined) {
      throw new ConfigError(`unknown argument ${argument}; --help lists the flags`);
    }
    let value = match[2];
    if (value === undefined) value = flag.value === undefined ? 'true' : argv[++i];
    if (value === undefined)
      throw new ConfigError(`--${flag.name} needs a value: --${flag.name}=${flag.value}`);
    const before = flag.repeated && given.has(flag.name) ? (values.get(flag.name) ?? []) : [];
    given.add(flag.name);
    values.set(flag.name, [...before, value]);
  }
  return values;
}

function leaderElection(one: (flag: string) => string): LeaderElection {
  const name = one('leader-election-id');
  const namespace = one('leader-election-namespace');
  if (name === '') throw new ConfigError('--leader-election-id: the name of a Lease is needed');
  const timing: LeaseTiming = {
    leaseDurationMs: duration('leader-election-lease-duration', one),
    renewDeadlineMs: duration('leader-election-renew-deadline', one),
    retryPeriodMs: duration('leader-election-retry-period', one),
  };
  const problem = problemOf(timing);
  if (problem !== undefined) throw new ConfigError(`--leader-election-…: ${problem}`);
  return { name, timing, ...(namespace !== '' && { namespace }) };
}

function list(text: string): string[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '');
}

function boolean(flag: string, text: string): boolean {
  if (text === 'true') return true;
  if (text === 'false') return false;
  throw new ConfigError(`--${flag}: true or false is needed, not "${text}"`);
}

function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new ConfigError(`--${flag}: a whole number from ${min} to ${max} is needed, not "${text}"`);
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find(known => known === text);
  if (level === undefined)
    throw new ConfigError(`--log-level: one of ${LOG_LEVELS.join(', ')} is needed, not "${text}"`);
  return level;
}

function duration(flag: string, one: (flag: string) => string): number {
  const text = one(flag);
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0)
    throw new ConfigError(`--${flag}: "${text}" is not a duration such as 90s or 5m`);
  return ms;
}

function times(flag: string, text: string): number[] {
  const offsets = list(text).map(part => {
    const ms = parseDuration(part);
    if (ms === undefined || ms === 0)
      throw new ConfigError(`--${flag}: "${part}" is not a duration such as 90s or 5m`);
    return ms;
  });
  if (offsets.length === 0 || offsets.some((ms, i) => i > 0 && ms <= (offsets[i - 1] ?? 0))) {
    throw new ConfigError(
      `--${flag}: one or more durations are needed, each longer than the one before, such as 5m,10m`,
    );
  }
  return offsets;
}

function bindAddress(flag: string, text: string): BindAddress | undefined {
  if (text === '0' || text === '') return undefined;
  const match = /^(?:\[?([^\]]*?)\]?)?:(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new ConfigError(`--${flag}: HOST:PORT or :PORT is needed (0 for none), not "${text}"`);
  }
  return { port, ...(match[1] && { host: match[1] }) };
}

function understood<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
}
