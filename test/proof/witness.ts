import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../../operator/api/names.ts';
import { CLOUD_ACCOUNTS, SECRETS, type Secret } from '../../operator/accounts/resources.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import { type KubeObject, keyOf, type Resource } from '../../operator/kube/resource.ts';
import type { WritableStore } from '../../operator/kube/store.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { adminClient } from '../integration/kube/support.ts';

/** One version of an account or of a verified copy. */
export type Version = { at: bigint } & (
  { kind: 'account'; object: CloudAccount; gone?: true } | { kind: 'copy'; object: Secret; gone?: true }
);

/** Sees every version of every account and copy of the whole control plane, past all proxies. */
export interface Witness {
  /** Versions of a namespace in the order in which they became so. */
  versions(namespace: string): Version[];
  /** The account as it is now. */
  account(namespace: string, name: string): CloudAccount | undefined;
  /** A watch that broke may have missed versions. */
  faults: readonly unknown[];
  forget(namespace: string): void;
  close(): Promise<void>;
}

/** Resolves when it watches. */
export async function startWitness(controlPlane: ControlPlane): Promise<Witness> {
  const client = adminClient(controlPlane);
  const stop = new AbortController();
  const seen = new Map<string, Version[]>();
  const accounts = new Map<string, CloudAccount>();
  const faults: unknown[] = [];

  function take(version: Version): void {
    const { namespace = '' } = version.object.metadata;
    const versions = seen.get(namespace) ?? [];
    seen.set(namespace, versions);
    versions.push(version);
    if (version.kind !== 'account') return;
    const key = keyOf(version.object);
    if (version.gone) accounts.delete(key);
    else accounts.set(key, version.object);
  }
  function watch(kind: Version['kind'], resource: Resource, fieldSelector?: string) {
    const store = recordingStore((object, at, gone) =>
      take({ kind, object, at, ...(gone && { gone }) } as Version),
    );
    return createReflector<KubeObject>({
      client,
      resource,
      store,
      fieldSelector,
      onFault: fault => faults.push(fault),
    });
  }
  const reflectors = [
    watch('account', CLOUD_ACCOUNTS),
    watch('copy', SECRETS, `type=${VERIFIED_SECRET_TYPE}`),
  ];
  const running = reflectors.map(reflector => reflector.run(stop.signal));
  await Promise.all(reflectors.map(({ synced }) => synced));
  return {
    versions: namespace =>
      [...(seen.get(namespace) ?? [])].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    account: (namespace, name) => accounts.get(`${namespace}/${name}`),
    faults,
    forget: namespace => void seen.delete(namespace),
    async close() {
      stop.abort();
      await Promise.all(running);
      await client.close();
    },
  };
}

/** Keeps the last version of each object and tells of each, deletions with the revision at which they happened. */
function recordingStore(
  tell: (object: KubeObject, at: bigint, gone?: true) => void,
): WritableStore<KubeObject> {
  const last = new Map<string, KubeObject>();
  function put(object: KubeObject): void {
    if (last.get(keyOf(object))?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    last.set(keyOf(object), object);
    tell(object, BigInt(object.metadata.resourceVersion));
  }
  return {
    get: key => last.get(key),
    keys: () => last.keys(),
    list: () => [...last.values()],
    get size() {
      return last.size;
    },
    byIndex: () => [],
    subscribe: () => () => undefined,
    remember: put,
    put,
    remove(key, resourceVersion) {
      const object = last.get(key);
      last.delete(key);
      if (object !== undefined) tell(object, BigInt(resourceVersion), true);
    },
    beginReplace: () => undefined,
    replace: objects => [...objects.values()].forEach(put),
  };
}
