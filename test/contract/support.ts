import type { ProviderName } from '../../operator/api/names.ts';
import type { CheckAnswer, Checker, CheckerOptions } from '../../operator/providers/checker.ts';
import { createChecker } from '../../operator/providers/checker.ts';
import type { CloudContract } from '../clouds/contract.ts';
import { digitaloceanContract } from '../clouds/digitalocean.contract.ts';
import { hetznerContract } from '../clouds/hetzner.contract.ts';
import { hostingerContract } from '../clouds/hostinger.contract.ts';
import type { Cloud } from '../clouds/kit.ts';
import { linodeContract } from '../clouds/linode.contract.ts';
import { transipContract } from '../clouds/transip.contract.ts';
import { upcloudContract } from '../clouds/upcloud.contract.ts';
import { vultrContract } from '../clouds/vultr.contract.ts';

// The contracts differ in what their accounts and tokens hold; the suite passes those through unseen.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyContract = CloudContract<any, any>;

export const CONTRACTS: readonly (readonly [ProviderName, AnyContract])[] = [
  ['Hetzner', hetznerContract],
  ['DigitalOcean', digitaloceanContract],
  ['Vultr', vultrContract],
  ['Linode', linodeContract],
  ['TransIP', transipContract],
  ['Hostinger', hostingerContract],
  ['UpCloud', upcloudContract],
];

/** A time that stands still, so that expiries can be compared to the millisecond. */
export const NOW = Date.UTC(2030, 5, 1, 12);

export interface Bench {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  cloud: Cloud<any, any>;
  checker: Checker;
  /** A first check for ReadWrite of a token of the cloud. */
  check(token: string | number): Promise<CheckAnswer>;
  /** Another checker, which has heard of no `Retry-After`. */
  renew(): Promise<void>;
  close(): Promise<void>;
}

/** A cloud and a checker that knows no other place; without limits of its own. */
export async function startBench(
  name: ProviderName,
  contract: AnyContract,
  options: CheckerOptions = {},
): Promise<Bench> {
  const cloud = contract.create({ now: () => NOW });
  const origin = await cloud.listen();
  const bench: Bench = {
    cloud,
    checker: start(),
    check: token => {
      const { credential } = cloud.token(token);
      return bench.checker.check(name, credential, { access: 'ReadWrite', depth: 'first' });
    },
    renew: async () => {
      await bench.checker.close();
      bench.checker = start();
    },
    close: async () => {
      await bench.checker.close();
      await cloud.close();
    },
  };
  return bench;

  function start(): Checker {
    return createChecker({
      endpoints: { [name]: origin },
      budgets: { [name]: { ratePerSecond: 1e6, burst: 1e6 } },
      env: {},
      now: () => NOW,
      ...options,
    });
  }
}

/** Whether the outcome would count against the credential. */
export function isRefusal({ kind }: CheckAnswer): boolean {
  return !['accepted', 'throttled', 'unreachable', 'unexpected', 'turnedAway', 'aborted'].includes(kind);
}

/** Whether the provider's word on the credential is known. */
export function isVerdict(answer: CheckAnswer): boolean {
  return answer.kind === 'accepted' || isRefusal(answer);
}
