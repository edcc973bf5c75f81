import type { ProviderName } from '../api/names.ts';
import { PROVIDER_NAMES } from '../api/names.ts';
import type { Budget } from './provider.ts';
import { isLoopback } from './transport.ts';

/** `--provider-endpoint NAME=URL`: replaces every origin of a provider. */
export interface ProviderEndpoint {
  provider: ProviderName;
  /** Without a path. */
  origin: string;
}

export type BudgetOverride = Pick<Budget, 'ratePerSecond' | 'burst'>;

/**
 * Reads `NAME=URL`. Throws with a text for the person who typed it. Plain http to another machine would send
 * credentials readable for everybody on the way, so it needs `insecure` (`--insecure-provider-endpoints`).
 */
export function parseProviderEndpoint(text: string, insecure = false): ProviderEndpoint {
  const { provider, value } = split(text, '--provider-endpoint', 'Hetzner=http://127.0.0.1:9001');
  const flag = `--provider-endpoint ${provider}`;
  if (!URL.canParse(value))
    throw new Error(`${flag}: not a URL; an origin such as https://host:port is needed`);
  const url = new URL(value);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new Error(`${flag}: ${url.protocol} is not supported; use https: (or http: on this machine)`);
  }
  if (url.username !== '' || url.password !== '')
    throw new Error(`${flag}: a URL with a user in it is refused`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error(`${flag}: an origin only, without a path: the provider's own paths are used`);
  }
  if (url.protocol === 'http:' && !insecure && !isLoopback(url)) {
    throw new Error(
      `${flag}: plain http to another machine would show credentials to everybody on the way; use https, or --insecure-provider-endpoints for a test set-up`,
    );
  }
  return { provider, origin: url.origin };
}

/** Reads `NAME=RATE/BURST`: calls a second, and calls at once. Throws with a text for the person who typed it. */
export function parseProviderBudget(text: string): { provider: ProviderName; budget: BudgetOverride } {
  const { provider, value } = split(text, '--provider-budget', 'Vultr=20/30');
  const [rate, burst, ...rest] = value.split('/').map(Number);
  if (rate === undefined || burst === undefined || rest.length > 0 || !(rate > 0) || !(burst >= 1)) {
    throw new Error(
      `--provider-budget ${provider}: RATE/BURST is needed, calls a second (above 0) and calls at once (1 or more), such as 20/30`,
    );
  }
  return { provider, budget: { ratePerSecond: rate, burst } };
}

function split(text: string, flag: string, example: string): { provider: ProviderName; value: string } {
  const at = text.indexOf('=');
  if (at < 0) throw new Error(`${flag}: NAME=VALUE is needed, such as ${example}`);
  const name = text.slice(0, at);
  const provider = PROVIDER_NAMES.find(known => known === name);
  if (provider === undefined) {
    throw new Error(`${flag}: unknown provider "${name}"; there are ${PROVIDER_NAMES.join(', ')}`);
  }
  return { provider, value: text.slice(at + 1) };
}
