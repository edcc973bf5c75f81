/** Names that are part of the public API: group, kinds, annotations, labels, reasons. Changing one breaks users. */

export const GROUP = 'strackt.io';
export const VERSION = 'v1alpha1';

/** Home of the project. */
export const HOME = 'https://github.com/strackt/cloud-account-operator';

/** Field manager, `managed-by` value, Lease name and event reporter. */
export const OPERATOR_NAME = 'cloud-account-operator';

/** Type of the Secret that holds a verified copy. */
export const VERIFIED_SECRET_TYPE = 'strackt.io/verified-credential';

export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by';
/** Backups leave verified copies out: a restored copy would not be verified. */
export const VELERO_EXCLUDE_LABEL = 'velero.io/exclude-from-backup';

/** Any new value asks for a check now; handled once, echoed in `status.lastHandledRecheck`. */
export const RECHECK_ANNOTATION = 'strackt.io/recheck-requested';
/** On a verified copy: the name of its account. */
export const ACCOUNT_ANNOTATION = 'strackt.io/account';
/** On a verified copy: JSON of `status.account` and `status.credential`, the proof written with the bytes. */
export const VERIFICATION_ANNOTATION = 'strackt.io/verification';
/** On a verified copy whose keys are renamed: JSON of our field → key, as it was written. */
export const KEYS_ANNOTATION = 'strackt.io/keys';

export const PROVIDER_NAMES = [
  'Hetzner',
  'DigitalOcean',
  'Vultr',
  'Linode',
  'TransIP',
  'Hostinger',
  'UpCloud',
] as const;

export type ProviderName = (typeof PROVIDER_NAMES)[number];

/** What an account is meant for: `ReadWrite` orders and manages servers, `ReadOnly` looks at them. */
export type Access = 'ReadWrite' | 'ReadOnly';

export type Health = 'Connected' | 'NeedsAttention' | 'Pending';

/** Reasons of the conditions of a CloudAccount. Stable: consumers match on them. */
export type AccountReason =
  // good
  | 'Verified'
  | 'VerifiedReadOnly'
  | 'ConfirmingRejection'
  // not judged
  | 'Verifying'
  | 'SecretNotFound'
  | 'ProviderUnreachable'
  | 'ProviderThrottled'
  | 'UnexpectedAnswer'
  | 'CheckPostponed'
  // refused
  | 'CredentialRejected'
  | 'MissingPermission'
  | 'SourceAddressNotAllowed'
  | 'AccountLocked'
  | 'SecretInvalid'
  | 'DifferentAccount'
  | 'ReplacementRejected'
  // accepted, but the copy cannot be written
  | 'VerifiedSecretNotWritable'
  | 'VerifiedSecretConflict'
  | 'Suspended'
  // the operator is older than the CRD
  | 'ProviderNotSupported'
  // of the condition CredentialExpiring
  | 'ExpiresSoon';
