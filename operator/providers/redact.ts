import { isIP } from 'node:net';
import type { AccountIdentity, Outcome } from '../domain/outcome.ts';
import type { Credential, CredentialField } from './provider.ts';

/** Fields whose bytes must never be shown; `username` and `login` are names. */
const SECRET_FIELDS: readonly CredentialField[] = ['token', 'password', 'privateKey'];

/** A provider's text may share no run of so many characters with a secret. */
const TEXT_RUN = 6;
/** Ids and addresses hold random characters of their own: a longer run, so that chance does not drop them. */
const ID_RUN = 12;
const ADDRESS_RUN = 8;
const MAX_LENGTH = 200;
/** RFC 3339, in which status tells times, has four digits for a year. */
const YEAR_10000 = Date.UTC(10_000, 0);
/** Decoding tries many readings of a text, so it is not begun for one that is far too long to be shown. */
const MAX_RAW_LENGTH = 2_000;

/**
 * A provider's text as it may be shown: on one line, without control characters, at most 200 characters. Undefined where
 * it is empty or too long, names an e-mail address, or shares a run of 6 characters with a secret field in any of the
 * usual encodings, in any case, separated or not (a provider echoed the token: cert-manager#5148).
 */
export function safeText(text: string, credential: Credential): string | undefined {
  return safe(text, secretsOf(credential), TEXT_RUN);
}

/** Whether an id that a provider gave holds a part of a secret, so that it may neither be shown nor asked with. */
export function holdsSecret(id: string, credential: Credential): boolean {
  return sharesRun(id, secretsOf(credential), ID_RUN);
}

function safe(text: string, secrets: readonly Secrets[], run: number): string | undefined {
  if (text.length > MAX_RAW_LENGTH) return undefined;
  const line = text.replace(/[\p{C}\p{Z}\s]+/gu, ' ').trim();
  if (line === '' || line.length > MAX_LENGTH || /\S@\S/.test(line)) return undefined;
  return sharesRun(text, secrets, run) ? undefined : line;
}

/**
 * The outcome with every text of the provider's checked by `safeText`; what does not pass is left out, and so is an
 * expiry that no timestamp can tell.
 */
export function scrub(outcome: Outcome, credential: Credential): Outcome {
  const secrets = secretsOf(credential);
  const detail = 'detail' in outcome ? safe(outcome.detail ?? '', secrets, TEXT_RUN) : undefined;
  const shown = detail === undefined ? {} : { detail };
  switch (outcome.kind) {
    case 'accepted': {
      const { account, expiresAt, ...rest } = outcome;
      const known =
        expiresAt === null || (expiresAt !== undefined && expiresAt > 0 && expiresAt < YEAR_10000);
      return { ...rest, ...(known && { expiresAt }), ...scrubAccount(account, secrets) };
    }
    case 'missingPermission': {
      const missing = outcome.missing.filter(name => safe(name, secrets, ID_RUN) !== undefined);
      return { kind: 'missingPermission', missing, ...scrubAccount(outcome.account, secrets), ...shown };
    }
    case 'sourceNotAllowed': {
      const address = outcome.address ?? '';
      const named = isIP(address) !== 0 && !sharesRun(address, secrets, ADDRESS_RUN);
      return { kind: 'sourceNotAllowed', ...(named && { address }), ...shown };
    }
    case 'rejected':
    case 'accountLocked':
      return { kind: outcome.kind, ...shown };
    case 'unexpected':
      return { kind: 'unexpected', detail: detail ?? 'an answer that cannot be shown' };
    // Made of our own words and numbers only.
    case 'malformed':
    case 'throttled':
    case 'unreachable':
      return outcome;
  }
}

function scrubAccount(
  account: AccountIdentity | undefined,
  secrets: readonly Secrets[],
): { account?: AccountIdentity } {
  if (account === undefined) return {};
  const ids = account.ids.filter(id => safe(id, secrets, ID_RUN) === id);
  // The contract says: never empty.
  if (ids.length === 0) return {};
  const name = account.name === undefined ? undefined : safe(account.name, secrets, ID_RUN);
  return { account: name === undefined ? { ids } : { ids, name } };
}

/** The secrets of one credential in all their forms, each folded in one of two ways. */
interface Secrets {
  fold: (text: string) => string;
  forms: string[];
}

// Letters and digits alone see through separators; everything but space finds passwords of punctuation.
function secretsOf(credential: Credential): Secrets[] {
  const forms = SECRET_FIELDS.flatMap(name => secretForms(credential[name] ?? ''));
  return [lettersAndDigits, withoutSpace].map(fold => ({
    fold,
    forms: forms.map(fold).filter(form => form !== ''),
  }));
}

function sharesRun(text: string, secrets: readonly Secrets[], run: number): boolean {
  const readings = readingsOf(text);
  return secrets.some(({ fold, forms }) =>
    readings.some(reading => sharesRunWith(fold(reading), forms, run)),
  );
}

function sharesRunWith(text: string, forms: readonly string[], run: number): boolean {
  return forms.some(form => {
    // A secret that is shorter than a run is looked for whole.
    if (form.length <= run) return text.includes(form);
    for (let at = 0; at + run <= text.length; at += 1) {
      if (form.includes(text.slice(at, at + run))) return true;
    }
    return false;
  });
}

/** The secret, and how it reads in base64 (which depends on where in a group of three it begins) and hexadecimal. */
function secretForms(secret: string): string[] {
  // The frame of a PEM is no secret, and "private key" is a usual word in error texts.
  const bare = secret.replace(/-----[A-Z ]+-----/g, '').trim();
  if (bare === '') return [];
  const bytes = Buffer.from(bare);
  const base64 = [0, 1, 2].map(shift => {
    const shifted = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The first characters hold bits of what stands before.
    return shift === 0 ? shifted : shifted.slice(shift + 1);
  });
  return [bare, ...base64, bytes.toString('hex')];
}

function lettersAndDigits(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');
}

function withoutSpace(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s\p{C}\p{Z}]/gu, '');
}

/** The text and everything that up to three decodings, one upon the other, make of it. */
function readingsOf(text: string): string[] {
  let newest = [text];
  const all = new Set(newest);
  for (let depth = 0; depth < 3; depth += 1) {
    newest = newest
      .flatMap(reading => DECODERS.map(decode => decode(reading)))
      .filter(reading => !all.has(reading));
    for (const reading of newest) all.add(reading);
  }
  return [...all];
}

const DECODERS: readonly ((text: string) => string)[] = [
  // URL
  text =>
    text.replace(/(%[0-9a-f]{2})+/gi, bytes => Buffer.from(bytes.replaceAll('%', ''), 'hex').toString()),
  // JSON and most programming languages
  text =>
    text
      .replace(/\\u\{?([0-9a-f]{1,6})\}?|\\x([0-9a-f]{2})/gi, (match, long?: string, short?: string) =>
        character(parseInt(long ?? short ?? '', 16), match),
      )
      .replace(/\\([^ux])/g, '$1'),
  // HTML
  text =>
    text
      .replace(/&#x([0-9a-f]{1,6});?/gi, (match, hex: string) => character(parseInt(hex, 16), match))
      .replace(/&#([0-9]{1,7});?/g, (match, decimal: string) => character(Number(decimal), match))
      .replace(/&(amp|lt|gt|quot|apos);/gi, (_match, name: string) => ENTITIES[name.toLowerCase()] ?? ''),
  // base64 of something that is encoded in yet another way; of the secret itself `secretForms` knows
  text => text.replace(/[A-Za-z0-9+/_-]{8,}={0,2}/g, run => Buffer.from(run, 'base64').toString('latin1')),
];

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function character(code: number, otherwise: string): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : otherwise;
}
