import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { type ProviderName, VERIFIED_SECRET_TYPE } from '../../operator/api/names.ts';
import type { AuditEvent } from '../control-plane/audit.ts';
import { sum } from './clouds.ts';
import { type NodeSettings, startOperator, untilConnected } from './operator.ts';
import { accountPath, NAMESPACE, populate, subjects, type World } from './world.ts';

export interface FirstSight {
  /** From the start of the process to the answer to the last status write; after it all accounts are Ready. */
  readySeconds: number;
  objectWrites: number;
  events: number;
  /** Requests to each provider. */
  calls: Record<ProviderName, number>;
  peakRssMiB: number;
  /** What the operator wrote, for the floor to write again. */
  recorded: Recorded;
}

export interface Recorded {
  accounts: CloudAccount[];
  copies: Copy[];
  event: object;
}

export interface Copy {
  metadata: {
    name: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
    ownerReferences: { name: string; uid: string }[];
  };
  data: Record<string, string>;
}

/** Accounts and Secrets are there; the operator starts and verifies them all. Stops it again. */
export async function measureFirstSight(world: World, count: number, settings: NodeSettings) {
  const all = subjects(count);
  await populate(world, all, ({ provider }) => world.clouds.createToken(provider));
  const timeoutMs = 60_000 + count * 20;

  const since = new Date();
  const operator = startOperator(world, settings);
  await untilConnected(world, operator, NAMESPACE, timeoutMs);
  const writes = await untilEventsAreWritten(world, since, count);
  const peakRssMiB = operator.peakRssMiB();
  await operator.stop();

  const recorded = await record(world);
  const unready = recorded.accounts.filter(account => !isReady(account));
  if (unready.length > 0) throw new Error(`${unready.length} accounts are Connected but not Ready`);
  const statuses = writes.filter(({ objectRef }) => objectRef?.subresource === 'status');
  const lastAt = Math.max(...statuses.map(({ stageTimestamp }) => Date.parse(stageTimestamp)));
  const events = writes.filter(isEvent).length;
  const result: FirstSight = {
    readySeconds: (lastAt - operator.startedAt) / 1_000,
    objectWrites: writes.length - events,
    events,
    calls: await world.clouds.calls(),
    peakRssMiB,
    recorded,
  };
  if (sum(result.calls) < count) throw new Error('fewer provider calls than accounts');
  return result;
}

/** Events may come after what they speak of. One that never comes shows as a figure below one an account. */
async function untilEventsAreWritten(world: World, since: Date, count: number): Promise<AuditEvent[]> {
  for (const deadline = Date.now() + 20_000 + count * 10; ; await sleep(200)) {
    const writes = await world.writes(since);
    if (writes.filter(isEvent).length >= count || Date.now() > deadline) return writes;
  }
}

export function isEvent({ objectRef }: AuditEvent): boolean {
  return objectRef?.resource === 'events';
}

export function isReady({ status }: CloudAccount): boolean {
  return (
    status?.conditions?.some(condition => condition.type === 'Ready' && condition.status === 'True') ?? false
  );
}

async function record({ call }: World): Promise<Recorded> {
  const accounts = await call<{ items: CloudAccount[] }>('GET', accountPath(NAMESPACE));
  const selector = encodeURIComponent(`type=${VERIFIED_SECRET_TYPE}`);
  const copies = await call<{ items: Copy[] }>(
    'GET',
    `/api/v1/namespaces/${NAMESPACE}/secrets?fieldSelector=${selector}`,
  );
  const events = await call<{ items: object[] }>(
    'GET',
    `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events?limit=1`,
  );
  return { accounts: accounts.items, copies: copies.items, event: events.items[0] ?? {} };
}
