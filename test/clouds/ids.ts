import { createHash } from 'node:crypto';

export const HEX = '0123456789abcdef';
export const UPPER_ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
export const ALPHANUMERIC = `abcdefghijklmnopqrstuvwxyz${UPPER_ALPHANUMERIC}`;

/** Ids and fake credentials. Equal seeds give equal sequences. */
export interface Ids {
  text(length: number, alphabet: string): string;
  uuid(): string;
  /** A whole number from 0 up to, not including, `limit`. */
  number(limit: number): number;
}

export function createIds(seed: string): Ids {
  let count = 0;
  function bytes(length: number): Buffer {
    const parts: Buffer[] = [];
    for (let have = 0; have < length; have += 64) {
      parts.push(createHash('sha512').update(`${seed}/${count++}`).digest());
    }
    return Buffer.concat(parts).subarray(0, length);
  }
  // The modulo favours some characters slightly: these are fake credentials, not secrets.
  function text(length: number, alphabet: string): string {
    return Array.from(bytes(length), byte => alphabet[byte % alphabet.length]).join('');
  }
  function uuid(): string {
    const hex = text(32, HEX);
    return [
      hex.slice(0, 8),
      hex.slice(8, 12),
      `4${hex.slice(13, 16)}`,
      `a${hex.slice(17, 20)}`,
      hex.slice(20),
    ].join('-');
  }
  return { text, uuid, number: limit => bytes(6).readUIntBE(0, 6) % limit };
}
