import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';
import { control } from '../clouds/control.ts';
import type { Fault } from '../clouds/faults.ts';
import { startChild } from './children.ts';

/** What a provider takes to answer a call. */
export const LATENCY_MS = 20;

/** The simulated clouds, all in one process of their own. */
export interface Clouds {
  origins: Readonly<Record<ProviderName, string>>;
  /** A token that can do everything, of a cloud account of its own. Resolves with the fields of its Secret. */
  createToken(provider: ProviderName): Promise<Record<string, string>>;
  /** Requests so far, by provider. */
  calls(): Promise<Record<ProviderName, number>>;
  inject(provider: ProviderName, fault: Fault): Promise<void>;
  /** Takes all faults away; answers come after `LATENCY_MS` as before. */
  clearFaults(): Promise<void>;
  stop(): Promise<void>;
}

export async function startClouds(dir: string): Promise<Clouds> {
  const portFile = join(dir, 'clouds.json');
  const program = fileURLToPath(new URL('../clouds/main.ts', import.meta.url));
  const args = [program, '--port-file', portFile, '--latency', String(LATENCY_MS)];
  const child = startChild(args, join(dir, 'clouds.log'));
  for (const deadline = Date.now() + 30_000; !existsSync(portFile); await sleep(20)) {
    if (Date.now() > deadline) throw new Error(`the clouds do not start: ${child.output()}`);
  }
  const origins = JSON.parse(readFileSync(portFile, 'utf8')) as Record<ProviderName, string>;
  let made = 0;
  return {
    origins,
    async createToken(provider) {
      const name = `bench-${made++}`;
      const args = { name, account: name };
      const token = (await control(origins[provider], 'create-token', args)) as {
        credential: Record<string, string>;
      };
      return token.credential;
    },
    async calls() {
      const logs = PROVIDER_NAMES.map(async provider => {
        const log = (await control(origins[provider], 'log')) as unknown[];
        return [provider, log.length] as const;
      });
      return Object.fromEntries(await Promise.all(logs)) as Record<ProviderName, number>;
    },
    async inject(provider, fault) {
      await control(origins[provider], 'fault', { fault });
    },
    async clearFaults() {
      for (const provider of PROVIDER_NAMES) {
        await control(origins[provider], 'clear-faults');
        await control(origins[provider], 'fault', { fault: { kind: 'latency', ms: LATENCY_MS } });
      }
    },
    stop: () => child.stop(),
  };
}

export function sum(calls: Record<ProviderName, number>): number {
  return Object.values(calls).reduce((total, count) => total + count, 0);
}
