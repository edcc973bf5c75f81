import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';
import { control } from '../clouds/control.ts';
import type { Fault } from '../clouds/faults.ts';
import { createAuthority, issueCertificate } from '../control-plane/certificates.ts';
import { startChild } from './children.ts';

/** What a provider takes to answer a call. */
export const LATENCY_MS = 20;

/** Where a simulated cloud answers: the provider's API over TLS, as real ones do, and how it is controlled. */
export interface Origins {
  https: string;
  http: string;
}

/** The simulated clouds, all in one process of their own. */
export interface Clouds {
  /** What the operator is told to call. */
  origins: Readonly<Record<ProviderName, string>>;
  /** File of the authority that their certificates are of. */
  caFile: string;
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
  const portFile = join(dir, 'ports.json');
  const caFile = join(dir, 'clouds-ca.crt');
  const authority = createAuthority('clouds-ca');
  const { cert, key } = issueCertificate(authority, { name: 'clouds', hosts: ['127.0.0.1'] });
  writeFileSync(caFile, authority.cert);
  writeFileSync(join(dir, 'cloud.crt'), cert);
  writeFileSync(join(dir, 'cloud.key'), key, { mode: 0o600 });
  const program = fileURLToPath(new URL('clouds-program.ts', import.meta.url));
  const child = startChild([program, dir], join(dir, 'clouds.log'));
  for (const deadline = Date.now() + 30_000; !existsSync(portFile); await sleep(20)) {
    if (Date.now() > deadline) throw new Error(`the clouds do not start: ${child.output()}`);
  }
  const ports = JSON.parse(readFileSync(portFile, 'utf8')) as Record<ProviderName, Origins>;
  const origins = Object.fromEntries(
    PROVIDER_NAMES.map(provider => [provider, ports[provider].https]),
  ) as Record<ProviderName, string>;
  let made = 0;
  return {
    origins,
    caFile,
    async createToken(provider) {
      const name = `bench-${made++}`;
      const args = { name, account: name };
      const token = (await control(ports[provider].http, 'create-token', args)) as {
        credential: Record<string, string>;
      };
      return token.credential;
    },
    async calls() {
      const logs = PROVIDER_NAMES.map(async provider => {
        const log = (await control(ports[provider].http, 'log')) as unknown[];
        return [provider, log.length] as const;
      });
      return Object.fromEntries(await Promise.all(logs)) as Record<ProviderName, number>;
    },
    async inject(provider, fault) {
      await control(ports[provider].http, 'fault', { fault });
    },
    async clearFaults() {
      for (const provider of PROVIDER_NAMES) {
        await control(ports[provider].http, 'clear-faults');
        await control(ports[provider].http, 'fault', { fault: { kind: 'latency', ms: LATENCY_MS } });
      }
    },
    stop: () => child.stop(),
  };
}

export function sum(calls: Record<ProviderName, number>): number {
  return Object.values(calls).reduce((total, count) => total + count, 0);
}
