import { createHash } from 'node:crypto';

/** Value of an identity: as it is, but for an e-mail address, which people use as a user name, its hash. */
export function idValue(value: string): string {
  return value.includes('@') ? emailHash(value) : value;
}

/** `email-sha256:` and the first 16 hex digits of the SHA-256 of the address in lower case. */
export function emailHash(address: string): string {
  return `email-sha256:${createHash('sha256').update(address.toLowerCase()).digest('hex').slice(0, 16)}`;
}

/** A name that people gave an account; undefined where they put an e-mail address there. */
export function nameWithoutEmail(name: string | undefined): string | undefined {
  return name === undefined || name.includes('@') ? undefined : name;
}

/** A user name as a hint shows it: dots for an e-mail address, which is shown nowhere, and for what is no usual name. */
export function shownUser(name: string): string {
  return /^[\x21-\x3f\x41-\x7e]{1,64}$/.test(name) ? name : '••••';
}
