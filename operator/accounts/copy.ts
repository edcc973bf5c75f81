import type { CloudAccount, VerifiedSecretRef } from '../api/cloudaccount.generated.ts';
import {
  ACCOUNT_ANNOTATION,
  GROUP,
  KEYS_ANNOTATION,
  MANAGED_BY_LABEL,
  OPERATOR_NAME,
  VELERO_EXCLUDE_LABEL,
  VERIFICATION_ANNOTATION,
  VERIFIED_SECRET_TYPE,
  VERSION,
} from '../api/names.ts';
import { PROOF_SCHEMA } from '../api/proof-schema.generated.ts';
import type { CopyView, Proof } from '../domain/facts.ts';
import type { KubeClient } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isInvalid, isNotFound } from '../kube/errors.ts';
import type { KubeObject, ObjectInput, ObjectKey } from '../kube/resource.ts';
import type { Credential, CredentialField, Provider } from '../providers/provider.ts';
import { conform } from './conform.ts';
import type { Fingerprint } from './fingerprint.ts';
import { LAST_APPLIED_ANNOTATION, SECRETS, type Secret } from './resources.ts';
import { copyNameOf } from './spec.ts';
import { extractCredential } from './source.ts';

/** Whose a Secret of our type is. */
export type Ownership = 'ours' | 'free' | 'taken';

/**
 * `free`: without an owner, or the owner is gone. Its bytes are not trusted, but it may be taken over.
 * @param isLive whether an account of that uid exists in the namespace
 */
export function ownershipOf(
  { metadata }: KubeObject,
  uid: string,
  isLive: (uid: string) => boolean,
): Ownership {
  const owners = metadata.ownerReferences ?? [];
  if (owners.some(owner => owner.uid === uid)) return 'ours';
  const foreign = owners.some(owner => owner.kind !== 'CloudAccount' || isLive(owner.uid));
  return foreign ? 'taken' : 'free';
}

export function isRecorded({ metadata }: KubeObject, ref: VerifiedSecretRef | undefined): boolean {
  return ref !== undefined && metadata.uid === ref.uid && metadata.resourceVersion === ref.resourceVersion;
}

export interface CopyReading {
  view: Extract<CopyView, { state: 'read' }>;
  secret: Secret;
  /** The effective bytes, where they are whole. */
  credential?: Credential;
}

/** What a copy that was read in full holds. */
export function inspectCopy(
  secret: Secret,
  account: CloudAccount,
  provider: Provider,
  fingerprint: Fingerprint,
): CopyReading {
  const { metadata } = secret;
  const ref = { name: metadata.name, uid: metadata.uid, resourceVersion: metadata.resourceVersion };
  const isOurs = metadata.ownerReferences?.some(({ uid }) => uid === account.metadata.uid) ?? false;
  const wasOurs = isOurs || metadata.uid === account.status?.verifiedSecretRef?.uid;
  const annotations = metadata.annotations ?? {};
  const proof = wasOurs ? parseProof(annotations[VERIFICATION_ANNOTATION]) : undefined;
  const found = extractCredential(secret, provider, parseKeys(annotations[KEYS_ANNOTATION]));
  const credential = typeof found === 'string' ? undefined : found;
  const present = Object.keys(secret.data ?? {})
    .sort()
    .join();
  const wanted = credential === undefined ? '' : Object.keys(renamed(credential, account)).sort().join();
  return {
    view: {
      state: 'read',
      ref,
      ...(proof !== undefined && { proof }),
      ...(credential !== undefined && { fingerprint: fingerprint(credential) }),
      layoutDiffers: present !== wanted || !isOurs,
      writtenByUs: isWrittenByUs(metadata.managedFields),
    },
    secret,
    ...(credential !== undefined && { credential }),
  };
}

/** Others can edit the annotation: what status could not hold is no proof. */
function parseProof(text: string | undefined): Proof | undefined {
  const { account, credential } = (parseObject(text) ?? {}) as Record<keyof Proof, unknown>;
  const proof = {
    ...(account !== undefined && { account: conform(PROOF_SCHEMA.account, account) }),
    credential: conform(PROOF_SCHEMA.credential, credential),
  } as { [K in keyof Proof]: Proof[K] | undefined };
  const isWhole = Object.values(proof).every(part => part !== undefined);
  const isVersion = /^\d+$/.test(proof.credential?.source.resourceVersion ?? '');
  return isWhole && isVersion ? (proof as Proof) : undefined;
}

function parseKeys(text: string | undefined): Record<string, string> {
  const entries = Object.entries(parseObject(text) ?? {});
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Annotations may have been edited: anything but a JSON object is none. */
function parseObject(text: string | undefined): object | undefined {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isWrittenByUs(managedFields: unknown[] | undefined): boolean {
  const writers = (managedFields ?? []).filter(
    entry => (entry as { fieldsV1?: Record<string, unknown> }).fieldsV1?.['f:data'] !== undefined,
  );
  return (
    writers.length > 0 && writers.every(entry => (entry as { manager?: string }).manager === OPERATOR_NAME)
  );
}

function renamed(credential: Credential, { spec }: CloudAccount): Record<string, string> {
  const keys = spec.verifiedSecret?.keys ?? {};
  return Object.fromEntries(
    Object.entries(credential).map(([field, value]) => [keys[field] ?? field, value]),
  );
}

/** A copy that is about to be written. */
export type CopyInput = ObjectInput & Pick<Secret, 'type' | 'data'>;

/** The verified copy: bytes and proof in one object, so that one request writes both. */
export function buildCopy(account: CloudAccount, credential: Credential, proof: Proof): CopyInput {
  const { name, namespace, uid } = account.metadata;
  const used = Object.keys(credential) as CredentialField[];
  const keys = Object.entries(account.spec.verifiedSecret?.keys ?? {}).filter(([field]) =>
    used.includes(field as CredentialField),
  );
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: VERIFIED_SECRET_TYPE,
    metadata: {
      name: copyNameOf(account),
      namespace,
      labels: { [MANAGED_BY_LABEL]: OPERATOR_NAME, [VELERO_EXCLUDE_LABEL]: 'true' },
      annotations: {
        [ACCOUNT_ANNOTATION]: name,
        [VERIFICATION_ANNOTATION]: JSON.stringify(proof),
        ...(keys.length > 0 && { [KEYS_ANNOTATION]: JSON.stringify(Object.fromEntries(keys)) }),
      },
      ownerReferences: [
        { apiVersion: `${GROUP}/${VERSION}`, kind: 'CloudAccount', name, uid, controller: true },
      ],
    },
    data: Object.fromEntries(
      Object.entries(renamed(credential, account)).map(([key, value]) => [
        key,
        Buffer.from(value).toString('base64'),
      ]),
    ),
  };
}

/** `changed`: what stands there is not what was seen; decide again. */
export type CopyWrite = { written: Secret } | { changed: true };

/**
 * Writes the copy: create, or PUT over exactly the revision that was seen (an old leader must not put older bytes
 * back; an apply would let a foreign key survive). Labels, annotations and finalizers of others stay, such as a mirror's.
 * @param seen the Secret of that name, where there is one that may be overwritten
 */
export async function writeCopy(
  client: KubeClient,
  copy: CopyInput,
  seen: KubeObject | undefined,
): Promise<CopyWrite> {
  const options = { fieldManager: OPERATOR_NAME };
  let immutable: boolean | undefined;
  try {
    if (seen === undefined) return { written: await client.create<Secret>(SECRETS, copy, options) };
    const present = await client.get<Secret>(SECRETS, keyFor(seen));
    if (present.metadata.resourceVersion !== seen.metadata.resourceVersion) return { changed: true };
    immutable = present.immutable;
    return { written: await client.replace<Secret>(SECRETS, over(present, copy), options) };
  } catch (error) {
    if (isConflict(error) || isAlreadyExists(error) || (seen !== undefined && isNotFound(error)))
      return { changed: true };
    // Somebody made it immutable: it cannot be put right, only made anew.
    if (seen === undefined || immutable !== true || !isInvalid(error)) throw error;
    await removeCopy(client, seen);
    return { written: await client.create<Secret>(SECRETS, copy, options) };
  }
}

/** Deletes exactly the revision that was seen; gone or changed meanwhile is fine, the watch brings it again. */
export async function removeCopy(client: KubeClient, seen: KubeObject): Promise<void> {
  const { uid, resourceVersion } = seen.metadata;
  try {
    await client.delete(SECRETS, keyFor(seen), { preconditions: { uid, resourceVersion } });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}

function keyFor({ metadata: { name, namespace } }: KubeObject): ObjectKey {
  return { name, ...(namespace !== undefined && { namespace }) };
}

function over({ metadata }: Secret, copy: CopyInput): CopyInput {
  const { uid, resourceVersion, labels, annotations, finalizers } = metadata;
  return {
    ...copy,
    metadata: {
      ...copy.metadata,
      uid,
      resourceVersion,
      ...(finalizers !== undefined && { finalizers }),
      labels: { ...labels, ...copy.metadata.labels },
      annotations: { ...foreign(annotations), ...copy.metadata.annotations },
    },
  };
}

function foreign(annotations: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).filter(
      ([key]) => !key.startsWith(`${GROUP}/`) && key !== LAST_APPLIED_ANNOTATION,
    ),
  );
}
