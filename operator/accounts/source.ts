import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../api/names.ts';
import type { SourceView } from '../domain/facts.ts';
import type { Credential, CredentialField, Provider } from '../providers/provider.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Secret } from './resources.ts';

/** Secrets that are somebody's machinery; letting an account read them would hand them to whoever edits accounts. */
const REFUSED_TYPES: ReadonlyMap<string, string> = new Map([
  [
    VERIFIED_SECRET_TYPE,
    'it is the verified copy of another account. Refer to the Secret that a person writes.',
  ],
  ['kubernetes.io/service-account-token', 'it is a service account token of Kubernetes.'],
  ['bootstrap.kubernetes.io/token', 'it is a bootstrap token of Kubernetes.'],
  ['helm.sh/release.v1', 'it is a release record of Helm.'],
]);

/** An RSA key of 4,096 bits, the longest that is taken, has 3.2 KiB in PEM; servers take headers of 8 to 16 KiB. */
const MAX_FIELD_LENGTH = 16_384;

/** The source as it was read; the bytes never outlive the turn. */
export interface SourceReading {
  view: Exclude<SourceView, { state: 'unread' }>;
  credential?: Credential;
}

/** What the user's Secret holds; undefined: it does not exist. */
export function inspectSource(
  secret: Secret | undefined,
  { spec: { credentialsSecretRef } }: CloudAccount,
  provider: Provider,
  fingerprint: Fingerprint,
): SourceReading {
  if (secret === undefined) return { view: { state: 'missing' } };
  const { uid, resourceVersion } = secret.metadata;
  const revision = { uid, resourceVersion };
  const found =
    REFUSED_TYPES.get(secret.type ?? '') ??
    extractCredential(secret, provider, credentialsSecretRef.keys ?? {});
  if (typeof found === 'string') return { view: { state: 'invalid', revision, message: found } };
  return { view: { state: 'read', revision, fingerprint: fingerprint(found) }, credential: found };
}

/**
 * The effective bytes: fields of the one complete set, surrounding whitespace trimmed (a trailing newline is the most
 * common fault of a pasted token, external-dns#5400).
 * @returns the credential, or what is wrong and what to do
 */
export function extractCredential(
  { data = {} }: Pick<Secret, 'data'>,
  { fieldSets, name }: Provider,
  keys: Readonly<Record<string, string>>,
): Credential | string {
  const keyOf = (field: CredentialField) => keys[field] ?? field;
  const values = new Map<CredentialField, string>();
  for (const field of new Set(fieldSets.flat())) {
    const key = keyOf(field);
    // A key may be called `constructor`.
    const value = decode(Object.hasOwn(data, key) ? data[key] : undefined);
    if (value === undefined)
      return `the key "${key}" does not hold UTF-8 text. Write the value as plain text.`;
    // No header and no key is that long, and all that looks for its parts in a provider's text would take seconds.
    if (value.length > MAX_FIELD_LENGTH)
      return `the key "${key}" holds more than 16 KiB, which is no credential. Write the credential alone.`;
    if (value !== '') values.set(field, value);
  }
  const complete = fieldSets.filter(set => set.every(field => values.has(field)));
  // Renamed keys say which of several sets is meant.
  const meant = complete.filter(set => set.every(field => field in keys));
  const chosen = complete.length === 1 ? complete[0] : meant.length === 1 ? meant[0] : undefined;
  if (chosen !== undefined) return Object.fromEntries(chosen.map(field => [field, values.get(field) ?? '']));
  const sets = fieldSets.map(set => set.map(field => `"${keyOf(field)}"`).join(' and '));
  if (complete.length > 1)
    return `it holds ${sets.join(' as well as ')}. Keep one of them, so that it is clear which is meant.`;
  const missing = fieldSets
    .map(set => set.filter(field => !values.has(field)).map(field => `"${keyOf(field)}"`))
    .sort((a, b) => a.length - b.length)[0];
  return `a ${name} credential needs ${sets.join(', or ')}; ${missing?.join(' and ')} is missing or empty. Add it, or name the keys in spec.credentialsSecretRef.keys.`;
}

/** base64 → trimmed text; '' when absent, undefined when it is not UTF-8. */
function decode(value: string | undefined): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value ?? '', 'base64')).trim();
  } catch {
    return undefined;
  }
}
