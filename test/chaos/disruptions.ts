import { setTimeout as sleep } from 'node:timers/promises';
import type { Deed } from './plan.ts';
import type { World } from './world.ts';

/** What goes wrong with the world, whatever accounts there are. */
export type Disruption = Exclude<Deed, { account: number } | { kind: 'recreate namespace' }>;

/** Until an operator works again that was started, or took over from one that was killed. */
const TAKEN_OVER_MS = 12_000;
/** Until a call that hung is over. */
const FAULT_AFTERMATH_MS = 20_000;
const AFTERMATH_MS = 5_000;

export function isDisruption(deed: Deed): deed is Disruption {
  return !('account' in deed) && deed.kind !== 'recreate namespace';
}

const lasting = new WeakMap<World, Map<string, () => void>>();

/** Resolves with false where there was nothing to do it to. */
export async function disrupt(world: World, deed: Disruption): Promise<boolean> {
  switch (deed.kind) {
    case 'fault':
      begin(world, deed.provider, world.disturb({ provider: deed.provider }, FAULT_AFTERMATH_MS));
      world.cloud(deed.provider).inject(deed.fault, deed.call === undefined ? {} : { path: deed.call });
      return true;
    case 'mend':
      world.cloud(deed.provider).clearFaults();
      return end(world, deed.provider);
    case 'deny':
      // A copy that cannot be written keeps nobody from answering; a status that cannot be written does.
      if (deed.what === 'status') begin(world, 'status', world.disturb({}, AFTERMATH_MS));
      world.webhook.deny(deed.what, deed.how);
      return true;
    case 'allow':
      world.webhook.allow(deed.what);
      end(world, deed.what);
      return true;
    case 'restart API server': {
      const isOver = world.disturb({}, TAKEN_OVER_MS);
      await world.controlPlane.apiServer.restart(deed.signal);
      isOver();
      return true;
    }
    default:
      return disruptOperator(world, deed);
  }
}

async function disruptOperator(
  world: World,
  deed: Extract<Disruption, { operator: number }>,
): Promise<boolean> {
  const operator = world.operators.all[deed.operator];
  const way = world.ways[deed.operator];
  if (operator === undefined || way === undefined) throw new Error(`no operator ${deed.operator}`);
  switch (deed.kind) {
    case 'kill operator':
    case 'stop operator': {
      const isOver = world.disturb({}, TAKEN_OVER_MS);
      // One that stops itself gives the lease back; how long its last calls take is its own affair.
      await operator.end(deed.kind === 'kill operator' ? 'SIGKILL' : 'SIGTERM');
      await sleep(deed.downMs);
      await operator.start();
      isOver();
      return true;
    }
    case 'freeze operator':
      if (!operator.freeze()) return false;
      begin(world, `freeze ${deed.operator}`, world.disturb({}, TAKEN_OVER_MS));
      return true;
    case 'thaw operator':
      operator.thaw();
      return end(world, `freeze ${deed.operator}`);
    case 'set clock': {
      // A leader whose clock jumps ahead cannot tell that from sleep, and ends.
      world.disturb({}, TAKEN_OVER_MS)();
      operator.setClock(deed.aheadMs);
      return true;
    }
    case 'half-open watch':
      way.holdBack(deed.watched);
      // The request for a recheck comes by the watch of accounts; others must not be needed for the answer.
      begin(
        world,
        `${deed.watched} ${deed.operator}`,
        world.disturb(deed.watched === 'accounts' ? {} : { accounts: [] }, AFTERMATH_MS),
      );
      return true;
    case 'resume watch':
      way.goOn(deed.watched);
      return end(world, `${deed.watched} ${deed.operator}`);
    case 'break connections':
      way.breakConnections(deed.how);
      return true;
    case 'gateway': {
      // A lease that cannot be renewed may be lost, and a list that fails is asked again after a while.
      const isOver = world.disturb(
        deed.on === 'lease' || deed.on === 'list' ? {} : { accounts: [] },
        TAKEN_OVER_MS,
      );
      way.gateway(deed.on, deed.status, deed.times);
      isOver();
      return true;
    }
  }
}

/** What lasts is over when it ends, or when the next of its kind begins. */
function begin(world: World, key: string, isOver: () => void): void {
  end(world, key);
  const open = lasting.get(world) ?? new Map<string, () => void>();
  lasting.set(world, open);
  open.set(key, isOver);
}

function end(world: World, key: string): boolean {
  const open = lasting.get(world)?.get(key);
  open?.();
  lasting.get(world)?.delete(key);
  return open !== undefined;
}
