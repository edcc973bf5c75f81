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
  /** Copies by name; `absent`: the API server has none of that name. */
  copies: Map<string, CopyReading | 'absent'>;
  /** The version of the account that they were inspected for. */
  inspectedFor?: CloudAccount;
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

/** Names under which the copy may be: as it is recorded, then as it is wanted unless that name is somebody else's. */
function copyNamesOf(account: CloudAccount, place: Place): string[] {
  const recorded = account.status?.verifiedSecretRef?.name;
  const wanted = copyNameOf(account);
  const names = recorded === undefined ? [] : [recorded];
  return recorded === wanted || place.taken ? names : [...names, wanted];
}

/**
 * The next name to read before anything may be concluded about the copy. A cache may be behind, so what is recorded and
 * not in it, or there as another version, is read by name from the API server.
 */
export function unreadCopyName(
  context: Context,
  account: CloudAccount,
  readings: Readings,
): string | undefined {
  const { namespace } = account.metadata;
  return copyNamesOf(account, placeOf(context, account)).find(name => {
    const cached = context.copies.get(formatKey({ namespace, name }));
    const read = readings.copies.get(name);
    // Nothing is recorded, so nothing can be lost; the name was looked up at first sight.
    if (read === undefined) return account.status?.verifiedSecretRef !== undefined || cached !== undefined;
    const version = read === 'absent' ? undefined : read.secret.metadata.resourceVersion;
    return cached?.metadata.resourceVersion !== version;
  });
}

/** Of the copies that were read, the one whose proof may hold; else the first. */
export function readCopyOf(
  context: Context,
  account: CloudAccount,
  { memory: { published } }: AccountRecord,
  readings: Readings,
): CopyReading | undefined {
  const ref = account.status?.verifiedSecretRef;
  const place = placeOf(context, account);
  const found = copyNamesOf(account, place).flatMap(name => {
    const read = readings.copies.get(name);
    if (read === undefined || read === 'absent') return [];
    const isWanted = name === copyNameOf(account);
    // Under the wanted name it may belong to a living other owner; under an old one it must be the recorded object.
    const isUsable = isWanted ? !place.taken : read.secret.metadata.uid === ref?.uid;
    return isUsable ? [read] : [];
  });
  const isPlausible = ({ view: { proof, fingerprint } }: CopyReading): boolean =>
    proof !== undefined && fingerprint !== undefined && (published ?? fingerprint) === fingerprint;
  return found.find(isPlausible) ?? found[0];
}

function copyView(
  context: Context,
  account: CloudAccount,
  record: AccountRecord,
  readings: Readings,
  place: Place,
): CopyView {
  const { status, metadata } = account;
  const { published } = record.memory;
  const ref = status?.verifiedSecretRef;
  const written = readings.copies.get(copyNameOf(account));
  // Written in this turn, and not in status yet; after a rename the recorded one is still there beside it.
  if (written !== undefined && written !== 'absent' && !place.taken && !isRecorded(written.secret, ref)) {
    const isPresent = written.secret.metadata.resourceVersion === place.present?.metadata.resourceVersion;
    if (isPresent && written.view.fingerprint === published) return written.view;
  }
  const recordedAt = ref && context.copies.get(formatKey({ namespace: metadata.namespace, name: ref.name }));
  if (status?.credential !== undefined && recordedAt !== undefined && isRecorded(recordedAt, ref)) {
    const read = ref && readings.copies.get(ref.name);
    const view =
      read !== undefined && read !== 'absent' && isRecorded(read.secret, ref) ? read.view : undefined;
    // As it was written, but by an operator with other fields: nothing that could be checked is in it.
    if (view !== undefined && view.fingerprint === undefined) return view;
    return {
      state: 'recorded',
      ...(published !== undefined && { fingerprint: published }),
      ...(view?.layoutDiffers !== undefined && { layoutDiffers: view.layoutDiffers }),
    };
  }
  if (unreadCopyName(context, account, readings) !== undefined) return { state: 'unread' };
  return readCopyOf(context, account, record, readings)?.view ?? { state: 'absent' };
}
