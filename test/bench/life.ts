import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES, type ProviderName, RECHECK_ANNOTATION } from '../../operator/api/names.ts';
import type { Fault } from '../clouds/faults.ts';
import { sum } from './clouds.ts';
import { isReady } from './first-sight.ts';
import type { Observer } from './observer.ts';
import { startOperator, untilCaughtUp, untilIdle } from './operator.ts';
import { inParallel, median } from './parallel.ts';
import {
  accountPath,
  createAccount,
  createSecret,
  MARKERS,
  NAMESPACE,
  secretOf,
  WIDTH,
  type World,
} from './world.ts';

/** What happens to accounts once they are Ready. Each function starts where the one before it ended. */

/** Long enough for a quiet system: nothing is under way any more. */
const QUIET_MS = 300;
const MERGE = 'application/merge-patch+json';

export interface Reactions {
  /** From the request that creates the account to Ready=True, as a watch shows it. */
  newAccountMs: number;
  /** From the request that changes the Secret to the status that says so. */
  secretChangeMs: number;
  /** … to Ready=True with the new bytes. */
  secretInForceMs: number;
}

/** New accounts of a provider that one call verifies, and then a new token for each: medians. */
export async function measureReactions(
  world: World,
  observer: Observer,
  samples: number,
): Promise<Reactions> {
  const created: number[] = [];
  const noticed: number[] = [];
  const inForce: number[] = [];
  for (let i = 0; i < samples; i++) {
    const name = `new-${i}`;
    await createSecret(world, `${name}-token`, await world.clouds.createToken('Hetzner'));
    await sleep(QUIET_MS);
    const createdAt = performance.now();
    await createAccount(world, { name, provider: 'Hetzner' });
    created.push((await observer.until([name], isReady)) - createdAt);

    const token = await world.clouds.createToken('Hetzner');
    await sleep(QUIET_MS);
    const { resourceVersion } = account(observer, name).metadata;
    const source = account(observer, name).status?.credential?.source.resourceVersion;
    const changedAt = performance.now();
    const path = `/api/v1/namespaces/${NAMESPACE}/secrets/${name}-token`;
    await world.call('PUT', path, secretOf(`${name}-token`, token));
    const isNoticed = ({ metadata }: CloudAccount) => metadata.resourceVersion !== resourceVersion;
    noticed.push((await observer.until([name], isNoticed)) - changedAt);
    const isInForce = (shown: CloudAccount) =>
      isReady(shown) && shown.status?.credential?.source.resourceVersion !== source;
    inForce.push((await observer.until([name], isInForce)) - changedAt);
  }
  return {
    newAccountMs: median(created),
    secretChangeMs: median(noticed),
    secretInForceMs: median(inForce),
  };
}

export interface Restart {
  calls: number;
  writes: number;
  /** Of the new process. */
  peakRssMiB: number;
}

/** Starts the operator with everything verified and nothing due. Stops it again. */
export async function measureRestart(world: World): Promise<Restart> {
  const before = sum(await world.clouds.calls());
  const since = new Date();
  const operator = startOperator(world);
  await untilCaughtUp(world);
  await untilIdle(operator.pid);
  const writes = await world.writes(since);
  const calls = sum(await world.clouds.calls()) - before;
  const peakRssMiB = operator.peakRssMiB();
  await operator.stop();
  return {
    calls,
    writes: writes.filter(({ objectRef }) => objectRef?.namespace !== MARKERS).length,
    peakRssMiB,
  };
}

/** A different fault for each provider; none of them says anything about a credential. */
const OUTAGE: Record<ProviderName, Fault> = {
  Hetzner: { kind: 'reset' },
  DigitalOcean: { kind: 'status', status: 500 },
  Vultr: { kind: 'html', status: 200 },
  Linode: { kind: 'html', status: 502 },
  TransIP: { kind: 'maintenance' },
  Hostinger: { kind: 'throttle', retryAfter: '30' },
  UpCloud: { kind: 'truncate', afterBytes: 40 },
};

export interface Outage {
  statusWrites: number;
  calls: number;
  /** Accounts whose Connected changed, even for a moment. */
  flips: number;
}

/** All providers fail while every account is to be rechecked. */
export async function measureOutage(world: World, observer: Observer, seconds: number): Promise<Outage> {
  const before = connectedSince(observer.accounts());
  const callsBefore = sum(await world.clouds.calls());
  for (const provider of PROVIDER_NAMES) await world.clouds.inject(provider, OUTAGE[provider]);
  const since = new Date();
  await requestRechecks(world, observer, 'outage');
  await sleep(Math.max(0, since.getTime() + seconds * 1_000 - Date.now()));
  const writes = await world.writes(since);
  const calls = sum(await world.clouds.calls()) - callsBefore;
  await world.clouds.clearFaults();
  const after = connectedSince(observer.accounts());
  return {
    statusWrites: writes.filter(({ objectRef }) => objectRef?.subresource === 'status').length,
    calls,
    flips: [...before].filter(([name, time]) => after.get(name) !== time).length,
  };
}

/** When Connected became what it is, by account; a flip there and back shows as well. */
function connectedSince(accounts: readonly CloudAccount[]): Map<string, string> {
  return new Map(
    accounts.map(({ metadata, status }) => {
      const connected = status?.conditions?.find(({ type }) => type === 'Connected');
      return [metadata.name, `${connected?.status} ${connected?.lastTransitionTime}`];
    }),
  );
}

export interface Hang {
  hanging: ProviderName;
  /** Rechecks a minute of the accounts of the six other providers, all asked for at the same time: medians. */
  without: number;
  with: number;
}

/** One provider accepts connections and never answers. */
export async function measureHang(world: World, observer: Observer, samples: number): Promise<Hang> {
  const hanging = 'DigitalOcean';
  const all = observer.accounts();
  const others = all.filter(({ spec }) => spec.provider !== hanging).map(({ metadata }) => metadata.name);
  let round = 0;
  async function recheckAll(names: readonly string[]): Promise<number> {
    const token = `round ${round++}`;
    const startedAt = performance.now();
    await requestRechecks(world, observer, token);
    const isChecked = ({ status }: CloudAccount): boolean =>
      status?.lastHandledRecheck === token && status.lastAttempt === undefined;
    const endedAt = await observer.until(names, isChecked, 60_000 + all.length * 60);
    return Math.round((others.length * 60_000) / (endedAt - startedAt));
  }
  async function rounds(): Promise<number> {
    const rates: number[] = [];
    for (let i = 0; i < samples; i++) rates.push(await recheckAll(others));
    return median(rates);
  }
  // What was still to be tried again is mended first.
  await recheckAll(all.map(({ metadata }) => metadata.name));
  const without = await rounds();
  await world.clouds.inject(hanging, { kind: 'hang' });
  const withHang = await rounds();
  await world.clouds.clearFaults();
  return { hanging, without, with: withHang };
}

async function requestRechecks({ call }: World, observer: Observer, token: string): Promise<void> {
  const patch = { metadata: { annotations: { [RECHECK_ANNOTATION]: token } } };
  await inParallel(observer.accounts(), WIDTH, ({ metadata }) =>
    call('PATCH', accountPath(NAMESPACE, metadata.name), patch, MERGE),
  );
}

/**
 * Peak memory that Secrets of others cost, in bytes each: those that come while the operator runs, and those that are
 * there when it starts; the higher of the two.
 * @param withoutMiB peak of a start without them
 */
export async function measureForeignSecrets(
  world: World,
  count: number,
  withoutMiB: number,
): Promise<number> {
  const operator = startOperator(world);
  await untilCaughtUp(world);
  const names = Array.from({ length: count }, (_, i) => `foreign-${i}`);
  const namespace = 'bench-foreign';
  await world.call('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
  // A kilobyte, which is what a certificate with its key takes.
  await inParallel(names, WIDTH, name => createSecret(world, name, { value: 'x'.repeat(1_024) }, namespace));
  await untilIdle(operator.pid);
  const runningMiB = operator.peakRssMiB();
  await operator.stop();
  const restarted = await measureRestart(world);
  const moreMiB = Math.max(runningMiB, restarted.peakRssMiB) - withoutMiB;
  return Math.max(0, (moreMiB * 2 ** 20) / count);
}

function account(observer: Observer, name: string): CloudAccount {
  const found = observer.accounts().find(({ metadata }) => metadata.name === name);
  if (found === undefined) throw new Error(`no account ${name}`);
  return found;
}
