import type { CloudAccount } from '../../../operator/api/cloudaccount.generated.ts';
import { type ProviderName, RECHECK_ANNOTATION } from '../../../operator/api/names.ts';
import { inParallel } from '../../bench/parallel.ts';
import type { CloudToken, LogEntry } from '../../clouds/kit.ts';
import { WRITE_VERBS } from '../../control-plane/audit.ts';
import { startRecorder, statusOf } from '../../chaos/recorder.ts';
import { operatorServiceAccount } from '../support/control-plane.ts';
import { createTestbed, type RunningOperator, type Testbed } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { createSimulatedTime, type SimulatedTime } from './simulated-time.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Accounts of one provider, and an operator with production's times whose days take seconds. */
export interface Outage {
  bed: Testbed;
  time: SimulatedTime;
  names: readonly string[];
  tokens: readonly CloudToken[];
  /** Lets time pass; what was written meanwhile is seen when it resolves. */
  pass: SimulatedTime['pass'];
  start(): Promise<RunningOperator>;
  stop(): Promise<void>;
  /** Adds accounts with good credentials; nothing is waited for. */
  add(count: number): Promise<void>;
  /** Asks for a recheck of every account, as people do when something is wrong. */
  recheckAll(value: string): Promise<void>;
  account: (name: string) => CloudAccount;
  accounts: () => CloudAccount[];
  /** How often Connected ceased to be True, by a watch that saw every version. */
  flips(): number;
  /** The provider's log from now on. */
  mark(): () => LogEntry[];
  /** Writes of the operator from now on, by the API server's audit log; without events. */
  markWrites(): () => Promise<number>;
  close(): Promise<void>;
}

/** As in production; the testbed's own are short. */
const TIMES = ['--confirm-after=5m,10m', '--retry-refused-after=1m,10m'];
/** Requests at the same time while accounts are made. */
const WIDTH = 16;
/** A slow machine makes a thousand accounts in a minute. */
const PATIENCE_MS = 180_000;

const { namespace, name } = operatorServiceAccount();
const OPERATOR = `system:serviceaccount:${namespace}:${name}`;

/** Connects accounts, all of them verified when it resolves. */
export async function openOutage(provider: ProviderName, count: number): Promise<Outage> {
  let operator: RunningOperator | undefined;
  const time = createSimulatedTime(settled);
  const bed = await createTestbed({ now: () => time.now() });
  const cloud = bed.cloud(provider);
  const faults: unknown[] = [];
  const recorder = await startRecorder(bed.controlPlane, [bed.namespace], fault => faults.push(fault));
  const names: string[] = [];
  const tokens: CloudToken[] = [];

  /** Nothing is asked, nothing is decided, and nobody waits but for time. */
  async function settled(): Promise<void> {
    if (operator === undefined) return;
    const { queue, records } = operator.controller.context;
    const isBusy = (): boolean =>
      queue.length > 0 ||
      queue.busy > 0 ||
      [...records.values()].some(({ memory }) => memory.checking?.startedAt !== undefined);
    do await new Promise(resolve => setTimeout(resolve, 1));
    while (isBusy());
  }

  const outage: Outage = {
    bed,
    time,
    names,
    tokens,
    async pass(ms, stepMs) {
      await time.pass(ms, stepMs);
      const path = `/apis/strackt.io/v1alpha1/namespaces/${bed.namespace}/cloudaccounts`;
      const { body } = await bed.controlPlane.api<{ items: CloudAccount[] }>('GET', path);
      await eventually(
        () =>
          body.items.filter(({ metadata: { name, resourceVersion } }) => {
            const seen = recorder.account(name)?.metadata.resourceVersion ?? '0';
            return BigInt(seen) < BigInt(resourceVersion);
          }).length,
        behind => behind === 0,
        'the watch shows what is there',
      );
    },
    async start() {
      operator = await bed.start({ args: TIMES, clock: time });
      await settled();
      return operator;
    },
    async stop() {
      await operator?.stop();
      operator = undefined;
    },
    async add(more) {
      const from = names.length;
      const added = Array.from({ length: more }, (_, index) => `account-${from + index}`);
      names.push(...added);
      // Of an account of its own each: that is whose budget at the provider a token uses.
      for (const account of added) tokens.push(cloud.createToken({ account, name: account }));
      await inParallel(added, WIDTH, async account => {
        await bed.putSecret(`${account}-token`, cloud.token(account).credential);
        await bed.putAccount(account, provider);
      });
    },
    async recheckAll(value) {
      const patch = { metadata: { annotations: { [RECHECK_ANNOTATION]: value } } };
      await inParallel(names, WIDTH, account => bed.patchAccount(account, patch));
      await eventually(
        () => outage.accounts().filter(({ status }) => status?.lastHandledRecheck !== value).length,
        left => left === 0,
        `every account handled the recheck ${value}`,
        PATIENCE_MS,
      );
    },
    account(wanted) {
      const found = recorder.account(wanted);
      if (found === undefined) throw new Error(`no account ${wanted}`);
      return found;
    },
    accounts: recorder.present,
    flips() {
      const last = new Map<string, string>();
      let count = 0;
      for (const { object } of recorder.accounts) {
        const status = statusOf(object, 'Connected');
        const before = last.get(object.metadata.name);
        if (before === 'True' && status !== 'True') count += 1;
        last.set(object.metadata.name, status);
      }
      return count;
    },
    mark() {
      const from = cloud.log.length;
      return () => cloud.log.slice(from);
    },
    markWrites() {
      const since = new Date();
      const filter = { user: OPERATOR, namespace: bed.namespace, verbs: WRITE_VERBS, since };
      const resources = ['cloudaccounts/status', 'secrets'];
      return () => bed.controlPlane.countRequests({ ...filter, resources });
    },
    async close() {
      await outage.stop();
      await recorder.close();
      await bed.close();
      if (faults.length > 0) throw new Error(`versions may be missing: ${String(faults[0])}`);
    },
  };

  await outage.add(count);
  await outage.start();
  await connected(outage);
  return outage;
}

/** Lets time pass until all are Connected: where a provider's budget is one for all, they are verified one after the other. */
export async function connected({ time, accounts, names }: Outage): Promise<void> {
  const isConnected = ({ status }: CloudAccount) => status?.health === 'Connected';
  await eventually(
    async () => {
      await time.pass(SECOND);
      return names.length - accounts().filter(isConnected).length;
    },
    left => left === 0,
    'every account is Connected',
    PATIENCE_MS,
  );
}

/** How many checks the provider saw in the busiest span of so long. */
export function busiest(log: readonly LogEntry[], spanMs: number): number {
  const times = log.map(({ time }) => time);
  return times.reduce(
    (most, from) => Math.max(most, times.filter(time => time >= from && time < from + spanMs).length),
    0,
  );
}

/** Calls by the token that they were made with; those that were never made with are left out. */
export function callsByToken(log: readonly LogEntry[]): number[] {
  const counts = new Map<number, number>();
  for (const { token = -1 } of log) counts.set(token, (counts.get(token) ?? 0) + 1);
  return [...counts.values()];
}
