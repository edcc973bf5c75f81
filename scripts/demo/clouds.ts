import type { ProviderName } from '../../operator/api/names.ts';
import { control } from '../../test/clouds/control.ts';
import type { Fault } from '../../test/clouds/faults.ts';
import type { DemoState } from './folder.ts';

/** Ways in which a provider fails; none of them says anything about a credential. */
export const FAULTS: Record<string, { fault: Fault; about: string }> = {
  reset: { fault: { kind: 'reset' }, about: 'every connection is reset' },
  hang: { fault: { kind: 'hang' }, about: 'connections stay open and silent' },
  error: { fault: { kind: 'status', status: 500 }, about: 'every call is answered with 500' },
  throttle: { fault: { kind: 'throttle', retryAfter: '60' }, about: '429, try again after 60 s' },
  maintenance: { fault: { kind: 'maintenance' }, about: "the provider's maintenance answer" },
  html: { fault: { kind: 'html', status: 502 }, about: "a gateway's HTML page" },
};

export interface Token {
  index: number;
  name: string;
  revoked: boolean;
  expiresAt?: number;
  addresses?: string[];
}

/** Makes a token called like the account, in a cloud account of the same name. Resolves with its index and fields. */
export async function createToken(
  url: string,
  account: string,
  options: { scopes?: string[]; addresses?: string[] } = {},
): Promise<{ index: number; credential: Record<string, string> }> {
  const created = await control(url, 'create-token', { name: account, account, ...options });
  return created as { index: number; credential: Record<string, string> };
}

/** The tokens that were made for an account, oldest first. */
export async function tokensOf(url: string, account: string): Promise<Token[]> {
  return ((await control(url, 'tokens')) as Token[]).filter(token => token.name === account);
}

/** Brings the faults of a cloud in line with `state.faults`. */
export async function applyFaults(state: DemoState, provider: ProviderName): Promise<void> {
  const url = state.clouds[provider];
  if (url === undefined) return;
  await control(url, 'clear-faults');
  for (const { account, kind } of state.faults.filter(fault => fault.provider === provider)) {
    const fault = FAULTS[kind]?.fault;
    const scopes =
      account === undefined ? [{}] : (await tokensOf(url, account)).map(({ index }) => ({ token: index }));
    for (const scope of scopes) await control(url, 'fault', { fault, scope });
  }
}
