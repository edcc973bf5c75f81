import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import type { CopyView, Facts, SourceView } from '../domain/facts.ts';
import { formatKey, type KubeObject } from '../kube/resource.ts';
import type { Provider } from '../providers/provider.ts';
import type { AccountRecord, Context } from './context.ts';
import { type CopyReading, isRecorded, ownershipOf } from './copy.ts';
import { copyNameOf, helpFor, recheckOf, wantedOf } from './spec.ts';
import type { SourceReading } from './source.ts';

/** What was read during one turn; bytes go with it. */
export interface Readings {
  source?: SourceReading;
  copy?: CopyReading;
}

/** The Secret under the name of the copy: whether it is in the way, and what may be overwritten. */
export interface Place {
  taken: boolean;
  present?: KubeObject;
}

/** Looks at the name that the copy shall have. */
export function placeOf(context: Context, account: CloudAccount): Place {
  const { namespace, uid } = account.metadata;
  const key = formatKey({ namespace, name: copyNameOf(account) });
  if (context.sources.get(key) !== undefined) return { taken: true };
  const present = context.copies.get(key);
  if (present === undefined) return { taken: false };
  const isLive = (owner: string) => context.accounts.byIndex('uid', owner).length > 0;
  return { taken: ownershipOf(present, uid, isLive) === 'taken', present };
}

/** Gathers the facts that a decision rests on, from the stores, memory and what was read in this turn. */
export function observe(
  context: Context,
  account: CloudAccount,
  provider: Provider,
  record: AccountRecord,
  readings: Readings,
): Facts {
  const { metadata, status = {} } = account;
  const now = context.clock.now();
  const place = placeOf(context, account);
  if (place.taken) record.memory.conflictSince ??= now;
  else delete record.memory.conflictSince;
  const recheck = recheckOf(account);
  return {
    now,
    uid: metadata.uid,
    generation: metadata.generation,
    wanted: wantedOf(account),
    help: helpFor(account, provider),
    noIdentity: provider.identityKinds.length === 0,
    ...(recheck !== undefined && { recheck }),
    status,
    source: sourceView(context, account, record, readings),
    copy: copyView(context, account, record, readings, place),
    nameTaken: place.taken,
    memory: record.memory,
    timing: context.timing,
  };
}

/** What the source is called and which of its keys are used: another reference is another source. */
export function referenceOf({ spec: { credentialsSecretRef } }: CloudAccount): string {
  return JSON.stringify([credentialsSecretRef.name, credentialsSecretRef.keys ?? {}]);
}

function sourceView(
  { sources }: Context,
  account: CloudAccount,
  record: AccountRecord,
  readings: Readings,
): SourceView {
  if (readings.source !== undefined) return readings.source.view;
  const { namespace } = account.metadata;
  const known = sources.get(formatKey({ namespace, name: account.spec.credentialsSecretRef.name }));
  if (known === undefined) return { state: 'unread' };
  const { uid, resourceVersion } = known.metadata;
  const cached = record.source?.reference === referenceOf(account) ? record.source.view : undefined;
  if (cached !== undefined && cached.state !== 'missing') {
    const { revision } = cached;
    if (revision.uid === uid && revision.resourceVersion === resourceVersion) return cached;
  }
  return { state: 'unread', revision: { uid, resourceVersion } };
}

function copyView(
  { copies }: Context,
  account: CloudAccount,
  record: AccountRecord,
  readings: Readings,
  place: Place,
): CopyView {
  const { status, metadata } = account;
  const { copy } = readings;
  const ref = status?.verifiedSecretRef;
  // Written in this turn, and not in status yet; after a rename the recorded one is still there beside it.
  const isCopyRecorded = copy !== undefined && isRecorded(copy.secret, ref);
  const isPresent = copy?.secret.metadata.resourceVersion === place.present?.metadata.resourceVersion;
  if (copy !== undefined && isPresent && copy.view.fingerprint === record.memory.published && !place.taken) {
    if (!isCopyRecorded) return copy.view;
  }
  const recordedAt = ref && copies.get(formatKey({ namespace: metadata.namespace, name: ref.name }));
  if (status?.credential !== undefined && recordedAt !== undefined && isRecorded(recordedAt, ref)) {
    // As it was written, but by an operator with other fields: nothing that could be checked is in it.
    if (isCopyRecorded && copy.view.fingerprint === undefined) return copy.view;
    const { published } = record.memory;
    const read = isCopyRecorded ? copy.view.layoutDiffers : undefined;
    return {
      state: 'recorded',
      ...(published !== undefined && { fingerprint: published }),
      ...(read !== undefined && { layoutDiffers: read }),
    };
  }
  // Ours, but not as recorded: under the wanted name, or under the recorded one while a rename is under way.
  const found = place.taken
    ? undefined
    : (place.present ?? (recordedAt?.metadata.uid === ref?.uid ? recordedAt : undefined));
  if (found === undefined) return { state: 'absent' };
  return copy?.secret.metadata.resourceVersion === found.metadata.resourceVersion
    ? copy.view
    : { state: 'unread' };
}
