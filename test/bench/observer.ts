import { KubeConfig } from '@kubernetes/client-node';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { CLOUD_ACCOUNTS } from '../../operator/accounts/resources.ts';
import { createKubeClient } from '../../operator/kube/client.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import type { KubeObject } from '../../operator/kube/resource.ts';
import { createStore } from '../../operator/kube/store.ts';
import { NAMESPACE, type World } from './world.ts';

/** Accounts as a watch shows them, which is how people and GitOps tools learn of a change. */
export interface Observer {
  accounts(): CloudAccount[];
  /**
   * Waits until `accept` holds of all these accounts. Resolves with the time (`performance.now()`) at which the last
   * of them was seen so.
   */
  until(
    names: readonly string[],
    accept: (account: CloudAccount) => boolean,
    timeoutMs?: number,
  ): Promise<number>;
  close(): Promise<void>;
}

export async function createObserver({ controlPlane }: World): Promise<Observer> {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(controlPlane.kubeconfig);
  const client = createKubeClient(kubeConfig);
  const store = createStore<CloudAccount & KubeObject>();
  const reflector = createReflector({ client, resource: CLOUD_ACCOUNTS, store, namespace: NAMESPACE });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  await reflector.synced;

  async function until(
    names: readonly string[],
    accept: (account: CloudAccount) => boolean,
    timeoutMs = 60_000,
  ): Promise<number> {
    const open = new Set(names);
    for (const account of store.list()) if (accept(account)) open.delete(account.metadata.name);
    if (open.size === 0) return performance.now();
    const seen = Promise.withResolvers<number>();
    const unsubscribe = store.subscribe(({ object }) => {
      const { name } = object.metadata;
      if (open.has(name) && accept(object)) open.delete(name);
      if (open.size === 0) seen.resolve(performance.now());
    });
    const timer = setTimeout(() => {
      const [name] = open;
      const shown = store.list().find(({ metadata }) => metadata.name === name);
      seen.reject(new Error(`not seen of ${open.size} accounts; ${name}: ${JSON.stringify(shown)}`));
    }, timeoutMs);
    try {
      return await seen.promise;
    } finally {
      clearTimeout(timer);
      unsubscribe();
    }
  }

  return {
    accounts: () => store.list(),
    until,
    async close() {
      stop.abort();
      await running;
      await client.close();
    },
  };
}
