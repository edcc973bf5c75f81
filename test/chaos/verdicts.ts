import type { ProviderName } from '../../operator/api/names.ts';
import type { Cloud, LogEntry } from '../clouds/kit.ts';
import type { Verdict } from './history.ts';

/** The calls of each provider's check: the first decides, the others add to it. As the cloud's routes name them. */
export const CALLS: Readonly<Record<ProviderName, readonly string[]>> = {
  Hetzner: ['/v1/locations'],
  DigitalOcean: ['/v2/account', '/v1/oauth/token/info'],
  Vultr: ['/v2/account', '/v2/instances'],
  Linode: ['/v4/profile', '/v4/account', '/v4/profile/grants', '/v4/profile/tokens', '/v4/linode/instances'],
  TransIP: ['/v6/auth', '/v6/api-test'],
  Hostinger: ['/api/vps/v1/data-centers'],
  UpCloud: ['/1.3/account', '/1.3/account/details/:username', '/1.3/permission', '/1.3/account/tokens'],
};

/**
 * What the clouds said of the credentials of accounts. An answer that was cut said nothing: from half of one nothing may be
 * concluded, and what reached nobody is no refusal.
 */
export function verdictsOf(
  clouds: readonly Cloud[],
  accountOf: (credential: string) => string | undefined,
  processOf: (cloud: string, port: number | undefined) => number | undefined,
): Verdict[] {
  return clouds.flatMap(cloud => {
    const refusedCalls = new Map<string, Set<string>>();
    return cloud.log.flatMap((entry): Verdict[] => {
      const { time: at, path, token, port } = entry;
      const says = meaningOf(entry);
      if (token === undefined || says === undefined) return [];
      const credential = cloud.token(token).name;
      const account = accountOf(credential);
      if (account === undefined) return [];
      const process = processOf(cloud.name, port) ?? -1;
      if (says === 'accepted') return [{ at, account, credential, says, process }];
      // A check asks nothing twice, so a call that was refused before begins another one.
      const check = `${process} ${credential}`;
      const before = refusedCalls.get(check) ?? new Set();
      const isRepeat = before.size > 0 && !before.has(path);
      refusedCalls.set(check, isRepeat ? before.add(path) : new Set([path]));
      return [{ at, account, credential, says, process, ...(isRepeat && { isRepeat }) }];
    });
  });
}

/** Of the faults only the one that says so in the provider's own words is a refusal. */
function meaningOf({ status, invented, cut }: LogEntry): Verdict['says'] | undefined {
  if (cut) return undefined;
  if (status < 300) return invented ? undefined : 'accepted';
  return status === 401 || (status === 403 && !invented) ? 'refused' : undefined;
}
