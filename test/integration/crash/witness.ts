import type { CloudAccount } from '../../../operator/api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../../../operator/api/names.ts';
import { createReflector, type ReflectorOptions } from '../../../operator/kube/reflector.ts';
import { formatKey, type KubeObject, type Resource } from '../../../operator/kube/resource.ts';
import { createStore, type Store } from '../../../operator/kube/store.ts';
import { adminClient } from '../kube/support.ts';
import { conditionOf, type SecretObject, type Testbed } from '../support/testbed.ts';

type Account = CloudAccount & KubeObject;
type Copy = SecretObject & KubeObject;

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
const CLOUD_ACCOUNTS: Resource = {
  group: 'strackt.io',
  version: 'v1alpha1',
  plural: 'cloudaccounts',
  kind: 'CloudAccount',
  namespaced: true,
};

/** Sees every version of every account and of every copy in a namespace. */
export interface Witness {
  accounts: Store<Account>;
  account(name: string): Account | undefined;
  copies: Store<Copy>;
  /** Each status that Connected had, in order, by the account's name. */
  connected(name: string): string[];
  /** A watch that broke may have missed versions. */
  faults: unknown[];
  close(): Promise<void>;
}

export interface Witnessing {
  /** A copy holds these values now. */
  onCopy: (copy: Copy, values: readonly string[]) => void;
  /** Connected has another status than before. */
  onConnected: (account: Account, status: string) => void;
}

/** Resolves when it sees what is there. */
export async function startWitness(bed: Testbed, { onCopy, onConnected }: Witnessing): Promise<Witness> {
  const client = adminClient(bed.controlPlane);
  const stop = new AbortController();
  const accounts = createStore<Account>();
  const copies = createStore<Copy>({
    owner: ({ metadata }) => (metadata.ownerReferences ?? []).map(({ uid }) => uid),
  });
  const history = new Map<string, string[]>();
  const faults: unknown[] = [];
  const common = { client, namespace: bed.namespace, onFault: (fault: unknown) => void faults.push(fault) };

  // A reflector shows its transform every object before the store sees it: also a version that is soon overwritten.
  function seeAccount(account: Account): Account {
    const status = conditionOf(account, 'Connected')?.status ?? 'Unknown';
    const seen = history.get(account.metadata.name) ?? [];
    if (seen.at(-1) !== status) {
      history.set(account.metadata.name, [...seen, status]);
      onConnected(account, status);
    }
    return account;
  }
  function seeCopy(copy: Copy): Copy {
    onCopy(
      copy,
      Object.values(copy.data ?? {}).map(value => Buffer.from(value, 'base64').toString()),
    );
    return copy;
  }
  const reflectors = [
    createReflector<Account>({ ...common, resource: CLOUD_ACCOUNTS, store: accounts, transform: seeAccount }),
    createReflector<Copy>({
      ...common,
      resource: SECRETS,
      store: copies,
      fieldSelector: `type=${VERIFIED_SECRET_TYPE}`,
      transform: seeCopy,
    } satisfies ReflectorOptions<Copy>),
  ];
  const running = reflectors.map(reflector => reflector.run(stop.signal));
  await Promise.all(reflectors.map(({ synced }) => synced));
  return {
    accounts,
    account: name => accounts.get(formatKey({ namespace: bed.namespace, name })),
    copies,
    connected: name => history.get(name) ?? [],
    faults,
    async close() {
      stop.abort();
      await Promise.all(running);
      await client.close();
    },
  };
}
