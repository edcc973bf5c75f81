import type { Secret } from '../../operator/accounts/resources.ts';
import { VERIFICATION_ANNOTATION } from '../../operator/api/names.ts';
import { statusOf } from '../chaos/recorder.ts';
import type { Stage } from './stage.ts';

/** Refusals of a credential in force before it is given up, with the times of {@link QUICK}. */
const REFUSALS = 3;
const HEALTH: Readonly<Record<string, string>> = {
  True: 'Connected',
  False: 'NeedsAttention',
  Unknown: 'Pending',
};

/** What must hold of every version of the account and of its copies, whatever was held, hidden or killed. */
export function brokenPromises(stage: Stage): string[] {
  return [
    ...stage.wrong,
    ...unverifiedCopies(stage),
    ...lostCopies(stage),
    ...unfoundedFlips(stage),
    ...contradictions(stage),
    ...lostMarks(stage),
  ];
}

/** A copy holds what the provider accepted, or what the run itself put there. */
function unverifiedCopies(stage: Stage): string[] {
  return copiesOf(stage).flatMap(({ object, gone }) => {
    if (gone || stage.written.has(object.metadata.resourceVersion) || isWorking(stage, object)) return [];
    return [`${object.metadata.name} held bytes that nobody accepted`];
  });
}

/** Once there is a working copy there is always one, until the account goes or the run itself takes it away. */
function lostCopies(stage: Stage): string[] {
  const working = new Map<string, Secret>();
  const goneOwners = new Set<string>();
  return stage.arena.witness.versions(stage.namespace).flatMap(version => {
    if (version.kind === 'account') {
      const { uid, deletionTimestamp } = version.object.metadata;
      if (version.gone === true || deletionTimestamp !== undefined) goneOwners.add(uid);
      return [];
    }
    const { object, gone } = version;
    const { uid, name, resourceVersion } = object.metadata;
    const before = working.get(uid);
    if (!gone && isWorking(stage, object)) {
      working.set(uid, object);
      return [];
    }
    working.delete(uid);
    // It goes with its account, also when another one of that name is there by then.
    const isCollected = before?.metadata.ownerReferences?.some(owner => goneOwners.has(owner.uid)) ?? false;
    if (before === undefined || working.size > 0 || isCollected) return [];
    if (stage.deleted.has(uid) || (!gone && stage.written.has(resourceVersion))) return [];
    // It can only be made anew.
    if (before.immutable) return [];
    return [`${name} was the only working copy and was ${gone ? 'deleted' : 'overwritten'}`];
  });
}

/** Connected ends by three refusals of what is in force, or because the run took the copy away. */
function unfoundedFlips(stage: Stage): string[] {
  let before: { status: string; uid: string } | undefined;
  const isSpoilt = ({ object }: { object: Secret }) =>
    stage.written.has(object.metadata.resourceVersion) && !isWorking(stage, object);
  const isTakenAway = stage.deleted.size > 0 || copiesOf(stage).some(isSpoilt);
  return accountsOf(stage).flatMap(({ object, gone }) => {
    const previous = before;
    const { uid } = object.metadata;
    before = gone ? undefined : { status: statusOf(object, 'Connected'), uid };
    if (gone || previous?.uid !== uid || previous.status !== 'True' || before?.status === 'True') return [];
    const refusals = Math.max(...Object.values(stage.tokens).map(token => stage.answers(token, 401)));
    if (isTakenAway || (before?.status === 'False' && refusals >= REFUSALS)) return [];
    return [`Connected became ${before?.status} after ${refusals} refusals`];
  });
}

/** What no status may ever say. */
function contradictions(stage: Stage): string[] {
  return accountsOf(stage).flatMap(({ object, gone }) => {
    const { status } = object;
    if (gone || status?.conditions === undefined) return [];
    const connected = statusOf(object, 'Connected');
    const has = (type: string) => status.conditions?.some(condition => condition.type === type);
    return [
      ...(has('Reconciling') && has('Stalled') ? ['Reconciling and Stalled at once'] : []),
      ...(status.health === HEALTH[connected] ? [] : [`${status.health} while Connected is ${connected}`]),
      ...(connected === 'True' && status.verifiedSecretRef === undefined
        ? ['Connected without a credential in force']
        : []),
    ];
  });
}

/** Labels, annotations and finalizers that others put on a copy stay for as long as it does. */
function lostMarks(stage: Stage): string[] {
  const last = new Map<string, Secret>();
  return copiesOf(stage).flatMap(({ object, gone }) => {
    const { uid, resourceVersion, name } = object.metadata;
    const before = last.get(uid);
    last.set(uid, object);
    if (gone || before === undefined || stage.written.has(resourceVersion)) return [];
    const now = new Set(marksOf(object));
    const lost = marksOf(before).filter(mark => !now.has(mark));
    return lost.map(mark => `${name} lost ${mark}, which is somebody else's`);
  });
}

function marksOf({ metadata }: Secret): string[] {
  const { labels = {}, annotations = {} } = metadata;
  const { finalizers = [] } = metadata as { finalizers?: string[] };
  return [
    ...Object.entries(labels).map(([key, value]) => `the label ${key}=${value}`),
    ...Object.entries(annotations).map(([key, value]) => `the annotation ${key}=${value}`),
    ...finalizers.map(name => `the finalizer ${name}`),
  ].filter(mark => mark.includes('example.com/'));
}

/** The bytes that somebody may use: all of them accepted, with a proof. */
function isWorking(stage: Stage, { data = {}, metadata }: Secret): boolean {
  const values = Object.values(data).map(value => Buffer.from(value, 'base64').toString());
  return (
    values.length > 0 &&
    metadata.annotations?.[VERIFICATION_ANNOTATION] !== undefined &&
    values.every(value => {
      const token = stage.arena.cloud.find('token', value);
      return token !== undefined && stage.answers(token, 200) > 0;
    })
  );
}

function accountsOf({ arena, namespace }: Stage) {
  return arena.witness.versions(namespace).filter(version => version.kind === 'account');
}

function copiesOf({ arena, namespace }: Stage) {
  return arena.witness.versions(namespace).filter(version => version.kind === 'copy');
}

/** Every version in a few words, for whoever reads of a violation. */
export function historyOf(stage: Stage): string {
  const letterOf = (value: string): string => {
    const text = Buffer.from(value, 'base64').toString();
    const found = Object.entries(stage.tokens).find(([, { credential }]) => credential['token'] === text);
    return found?.[0] ?? 'other bytes';
  };
  const told = stage.arena.witness.versions(stage.namespace).map(({ kind, object, gone, at }) => {
    if (kind === 'account') {
      const { verifiedSecretRef: ref } = object.status ?? {};
      const shown = `Connected ${statusOf(object, 'Connected')}, Ready ${statusOf(object, 'Ready')}`;
      return gone
        ? `${at} account gone`
        : `${at} ${shown}, copy ${ref?.name ?? 'none'}@${ref?.resourceVersion ?? ''}`;
    }
    const holds = Object.values(object.data ?? {}).map(letterOf);
    const by = stage.written.has(object.metadata.resourceVersion) ? ' by the run' : '';
    return `${at} ${object.metadata.name} ${gone ? 'gone' : `holds ${holds.join()}${by}`}`;
  });
  return `history: ${told.join(' → ')}`;
}
