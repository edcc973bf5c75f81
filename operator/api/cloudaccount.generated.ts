// Generated from crds/strackt.io_cloudaccounts.yaml by scripts/generate/types.ts. Do not edit.

/**
 * CloudAccount is a connection to an account at a cloud provider. The operator verifies the credential in the
 * Secret that spec names, and only after the provider accepted it publishes a verified copy for consumers. The
 * account is checked again every day, and at once when the Secret changes.
 *
 * To have it checked now, give the annotation strackt.io/recheck-requested any new value.
 */
export interface CloudAccount {
  apiVersion: 'strackt.io/v1alpha1';
  kind: 'CloudAccount';
  metadata: ObjectMeta;
  spec: CloudAccountSpec;
  status?: CloudAccountStatus;
}
/**
 * Metadata as the API server returns it.
 */
export interface ObjectMeta {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: {
    [k: string]: string;
  };
  annotations?: {
    [k: string]: string;
  };
  finalizers?: string[];
}
/**
 * What is wanted. Written by people and tools, never by the operator.
 */
export interface CloudAccountSpec {
  /**
   * The cloud provider. Cannot be changed; make a new CloudAccount for another provider.
   */
  provider: 'Hetzner' | 'DigitalOcean' | 'Vultr' | 'Linode' | 'TransIP' | 'Hostinger' | 'UpCloud';
  /**
   * What a person recognises the account by, such as "Production". One line of at most 128 characters.
   * Where it is absent, metadata.name is shown. Changing it causes no check.
   */
  label?: string;
  credentialsSecretRef: CredentialsSecretRef;
  /**
   * What the account is for. ReadWrite (default): ordering and managing servers; a credential that lacks a
   * right for it is refused, as far as the provider tells. ReadOnly: looking at servers; nothing can be ordered
   * with the account.
   */
  access?: 'ReadWrite' | 'ReadOnly';
  /**
   * Accept only a credential that proves this account, written as in status.account.ids, such as
   * team:5df3e300-1b2c-4d5e-8f90-123456789abc. Without it, the first accepted credential decides, and a
   * credential of another account is refused later on. To move to another account on purpose, set it to the
   * other account's id.
   *
   * Kinds: DigitalOcean team, account; Vultr email-sha256 (the first 16 hex digits of the SHA-256 of the
   * lower-case address); Linode euuid, user; TransIP customer, login; UpCloud account, user. Hetzner and
   * Hostinger do not say which account a credential belongs to, so accountID is not allowed there.
   */
  accountID?: string;
  /**
   * How often the credential is checked again when nothing changes: a duration of hours, minutes and seconds
   * such as 24h (default) or 1h30m, from 1h to 168h. Checks come up to 10 % earlier, so that accounts made
   * together are not checked together.
   */
  recheckInterval?: string;
  /**
   * While true, the provider is not asked: changes of the Secret and requested checks wait. The verified copy
   * stays for consumers, and the condition Connected keeps its last verdict.
   */
  suspend?: boolean;
  verifiedSecret?: VerifiedSecretSpec;
}
/**
 * The Secret with your credential, in the namespace of the account. It is only ever read. A change of the
 * Secret is noticed at once and checked; until the new credential is accepted, the last verified one stays
 * in force.
 *
 * Fields: token for Hetzner, DigitalOcean, Vultr (the API key), Linode and Hostinger; login and privateKey
 * for TransIP; token, or username and password, for UpCloud. White space around a value is ignored.
 */
export interface CredentialsSecretRef {
  /**
   * Name of the Secret. It must differ from the name of the verified copy.
   */
  name: string;
  /**
   * Where the fields of the credential are in the Secret, so that an existing Secret works as it is: field
   * to key, such as {token: DO_TOKEN}. A field that is not listed is read from the key of its own name.
   */
  keys?: {
    /**
     * Key in the Secret's data.
     */
    [k: string]: string;
  };
}
/**
 * The verified copy: a Secret of type strackt.io/verified-credential in the namespace of the account, written
 * only after the provider accepted its bytes, and removed with the account. Consumers use this one, and
 * gate on the condition Connected.
 */
export interface VerifiedSecretSpec {
  /**
   * Name of the verified copy. Default: <metadata.name>-verified. After a change the copy is written under
   * the new name first, and the old one is removed then; no check is needed.
   */
  name?: string;
  /**
   * What the fields of the credential are called in the verified copy: field to key, such as
   * {token: DIGITALOCEAN_ACCESS_TOKEN} for a consumer that loads the Secret as environment variables. A
   * field that is not listed keeps its own name.
   */
  keys?: {
    /**
     * Key in the copy's data.
     */
    [k: string]: string;
  };
}
/**
 * What was found. Written by the operator only.
 */
export interface CloudAccountStatus {
  /**
   * The metadata.generation that this status speaks of; -1 until the operator has seen the account.
   */
  observedGeneration?: number;
  /**
   * The condition Connected in one word for people and dashboards: Connected (True), NeedsAttention (False: a
   * person must act; see the conditions for what to do) or Pending (Unknown: no verdict yet).
   */
  health?: string;
  /**
   * Connected: a verified credential is in force, and the provider accepted it at the last definitive answer.
   * Consumers gate on this one. Ready: everything that spec asks for is in force and fine. Reconciling and
   * Stalled are present only while True: work goes on by itself, or a person must act. CredentialExpiring is
   * present only while True, from 14 days before the credential expires.
   *
   * @maxItems 16
   */
  conditions?: Condition[];
  account?: AccountStatus;
  credential?: CredentialStatus;
  verifiedSecretRef?: VerifiedSecretRef;
  candidate?: CandidateStatus;
  confirming?: ConfirmingStatus;
  refusals?: RefusalsStatus;
  lastAttempt?: LastAttemptStatus;
  /**
   * When the provider last gave a verdict.
   */
  lastCheckTime?: string;
  /**
   * When the provider is asked next by schedule. Kept here, so a restart of the operator causes no check.
   */
  nextCheckTime?: string;
  /**
   * The value of the annotation strackt.io/recheck-requested that was handled last. When the two are equal, the requested check was answered.
   */
  lastHandledRecheck?: string;
  servers?: ServersStatus;
}
/**
 * One aspect of the state of the account.
 */
export interface Condition {
  /**
   * Connected, Ready, Reconciling, Stalled or CredentialExpiring.
   */
  type: string;
  /**
   * True, False or Unknown.
   */
  status: 'True' | 'False' | 'Unknown';
  /**
   * The metadata.generation that the condition was decided for.
   */
  observedGeneration?: number;
  /**
   * When the status of the condition last changed.
   */
  lastTransitionTime: string;
  /**
   * Why, in one stable word for programs.
   */
  reason: string;
  /**
   * Why, for people - what happened and what to do. May be empty.
   */
  message: string;
}
/**
 * The account at the provider that the credential in force belongs to. Absent where the provider does not say
 * (Hetzner, Hostinger). Never holds an e-mail address.
 */
export interface AccountStatus {
  /**
   * The strongest identity that was proven, <kind>:<value>, such as team:5df3e300-….
   */
  id: string;
  /**
   * All identities that were proven, strongest first. Each can be used as spec.accountID.
   *
   * @maxItems 16
   *
   * Items: An identity, <kind>:<value>.
   */
  ids: string[];
  /**
   * What a person recognises, such as the name of the team, where the provider gives one.
   */
  name?: string;
}
/**
 * The credential in force, the one in the verified copy. Never holds the credential itself.
 */
export interface CredentialStatus {
  /**
   * Masked form to recognise the credential by, such as dop_v1_••••1a2b.
   */
  hint: string;
  /**
   * When the provider last accepted it.
   */
  verifiedAt: string;
  /**
   * When it expires. Absent where it does not expire or the provider does not say. From 14 days before, the
   * condition CredentialExpiring asks for a new one.
   */
  expiresAt?: string;
  /**
   * The access (ReadWrite, ReadOnly) that it was judged for.
   */
  access: string;
  permissions: PermissionsStatus;
  source: SecretRevision;
}
/**
 * What the provider says of its rights, compared with access.
 */
export interface PermissionsStatus {
  /**
   * Sufficient, Missing, or Unknown where the provider does not tell before something is ordered.
   */
  state: string;
  /**
   * The rights that are missing, in the provider's own names, sorted.
   *
   * @maxItems 64
   *
   * Items: A right, in the provider's own name.
   */
  missing: string[];
}
/**
 * The revision of your Secret that the bytes came from.
 */
export interface SecretRevision {
  /**
   * metadata.uid of the Secret.
   */
  uid: string;
  /**
   * metadata.resourceVersion of the Secret.
   */
  resourceVersion: string;
}
/**
 * The verified copy as the operator last wrote it.
 */
export interface VerifiedSecretRef {
  /**
   * Name of the Secret, in the namespace of the account.
   */
  name: string;
  /**
   * metadata.uid of the Secret.
   */
  uid: string;
  /**
   * metadata.resourceVersion of the Secret.
   */
  resourceVersion: string;
}
/**
 * What is asked for and not in force: a changed Secret, another access or accountID. Present only while the
 * two differ. The credential in force, if there is one, stays in use.
 */
export interface CandidateStatus {
  source?: SecretRevision;
  /**
   * The metadata.generation that it was judged for.
   */
  observedGeneration: number;
  /**
   * Why it is not in force, such as CredentialRejected.
   */
  reason: string;
  /**
   * How many checks ended in a refusal.
   */
  attempts: number;
  /**
   * When it is tried again by itself. A refused one is tried after 1 and 10 minutes, then with the daily check.
   */
  nextAttemptTime?: string;
}
/**
 * Present only while the provider refuses the credential in force and this is being confirmed: three refusals
 * at 0, 5 and 10 minutes turn Connected to False.
 */
export interface ConfirmingStatus {
  /**
   * Reason of the latest refusal.
   */
  reason: string;
  /**
   * Refusals so far.
   */
  count: number;
  /**
   * Time of the first one. A streak older than 24 hours is void.
   */
  since: string;
}
/**
 * Checks that ended in a refusal, in a window of 24 hours; absent when the window is over. At most 24 are made
 * in it, whatever asks for them, so that a failing credential never hammers the provider.
 */
export interface RefusalsStatus {
  /**
   * When the window began.
   */
  since: string;
  /**
   * Checks in the window.
   */
  count: number;
}
/**
 * The last check that brought no verdict (network, outage, rate limit). Gone with the next verdict. It never
 * changes Connected, and is tried again by itself.
 */
export interface LastAttemptStatus {
  /**
   * When it was made.
   */
  time: string;
  /**
   * ProviderUnreachable, ProviderThrottled or UnexpectedAnswer.
   */
  reason: string;
  /**
   * With ProviderUnreachable, why: DnsFailure, ConnectionRefused, CertificateExpired, Http503, HtmlAnswer and others. The one that the outage began with.
   */
  cause?: string;
  /**
   * The host that could not be reached, where it is not that of the provider's API itself.
   */
  host?: string;
}
/**
 * The servers ordered with the account. They stay at the provider when the account is removed.
 */
export interface ServersStatus {
  /**
   * How many there are.
   */
  count: number;
  /**
   * Their names, sorted; the first 20.
   *
   * @maxItems 20
   *
   * Items: Name of a CloudServer in the namespace of the account.
   */
  names: string[];
}
