import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../../operator/api/names.ts';
import { CLOUD_ACCOUNTS, SECRETS, type Secret } from '../../operator/accounts/resources.ts';
import { createReflector, type ReflectorOptions } from '../../operator/kube/reflector.ts';
import type { KubeObject } from '../../operator/kube/resource.ts';
import { createStore, type WritableStore } from '../../operator/kube/store.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { adminClient } from '../integration/kube/support.ts';

/** One version of an object as a watch showed it. */
export interface Version<T> {
  /** Milliseconds since the epoch, when it was seen. */
  at: number;
  object: T;
  /** It was deleted; `object` is how it was last. */
  gone?: true;
}

/** Everything that accounts and verified copies of some namespaces ever were, in the order in which it became so. */
export interface Recorder {
  accounts: readonly Version<CloudAccount>[];
  copies: readonly Version<Secret>[];
  /** The accounts that are there now. */
  present: () => CloudAccount[];
  /** Names tell accounts apart, whatever namespace they are in. */
  account: (name: string) => CloudAccount | undefined;
  /** The copies that are there now. */
  presentCopies: () => Secret[];
  close(): Promise<void>;
}

/**
 * Resolves when it sees what is there.
 * @param onFault a watch was interrupted; versions in between may be missing
 */
export async function startRecorder(
  controlPlane: ControlPlane,
  namespaces: readonly string[],
  onFault: (fault: unknown) => void,
): Promise<Recorder> {
  const client = adminClient(controlPlane);
  const stop = new AbortController();
  const accounts = createStore<CloudAccount & KubeObject>();
  const copies = createStore<Secret>();
  const seenAccounts: Version<CloudAccount>[] = [];
  const seenCopies: Version<Secret>[] = [];
  noteDeletions(accounts, seenAccounts);
  noteDeletions(copies, seenCopies);
  const fieldSelector = `type=${VERIFIED_SECRET_TYPE}`;
  const reflectors = namespaces.flatMap(namespace => {
    const common = { client, namespace, onFault };
    return [
      createReflector(recorded({ ...common, resource: CLOUD_ACCOUNTS, store: accounts }, seenAccounts)),
      createReflector(recorded({ ...common, resource: SECRETS, store: copies, fieldSelector }, seenCopies)),
    ];
  });
  const running = reflectors.map(reflector => reflector.run(stop.signal));
  await Promise.all(reflectors.map(({ synced }) => synced));
  return {
    accounts: seenAccounts,
    copies: seenCopies,
    present: () => accounts.list(),
    account: name => accounts.list().find(({ metadata }) => metadata.name === name),
    presentCopies: () => copies.list(),
    async close() {
      stop.abort();
      await Promise.all(running);
      await client.close();
    },
  };
}

function noteDeletions<T extends KubeObject>(store: WritableStore<T>, versions: Version<T>[]): void {
  store.subscribe(({ type, object }) => {
    if (type === 'deleted') versions.push({ at: Date.now(), object, gone: true });
  });
}

/** A reflector shows its transform every object before the store sees it: also a version that is soon overwritten. */
function recorded<T extends KubeObject>(
  options: ReflectorOptions<T> & { store: WritableStore<T> },
  versions: Version<T>[],
): ReflectorOptions<T> {
  const last = new Map<string, string>();
  return {
    ...options,
    transform(object) {
      const metadata: T['metadata'] & { managedFields?: unknown } = { ...object.metadata };
      delete metadata.managedFields;
      const slim = { ...object, metadata };
      const { uid, resourceVersion } = metadata;
      // A list after an interruption shows it again.
      if (last.get(uid) !== resourceVersion) versions.push({ at: Date.now(), object: slim });
      last.set(uid, resourceVersion);
      return slim;
    },
  };
}

/** Status of a condition; `Unknown` where there is none. */
export function statusOf({ status }: CloudAccount, type: string): string {
  return status?.conditions?.find(condition => condition.type === type)?.status ?? 'Unknown';
}
