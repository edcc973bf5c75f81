import { createHmac, randomBytes } from 'node:crypto';
import type { Credential } from '../providers/provider.ts';

/** Turns credentials into values that can be compared and kept in memory, but not turned back or stored. */
export type Fingerprint = (credential: Credential) => string;

/** HMAC under a random key that lives as long as the process. */
export function createFingerprint(): Fingerprint {
  const key = randomBytes(32);
  return credential => {
    const fields = Object.entries(credential).sort(([a], [b]) => (a < b ? -1 : 1));
    return createHmac('sha256', key).update(JSON.stringify(fields)).digest('base64');
  };
}
