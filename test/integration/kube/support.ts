import { createKubeClient, type KubeClient, type KubeClientOptions } from '../../../operator/kube/client.ts';
import type { KubeError } from '../../../operator/kube/errors.ts';
import { createReflector, type Reflector, type ReflectorOptions } from '../../../operator/kube/reflector.ts';
import { keyOf, type KubeObject, type Resource } from '../../../operator/kube/resource.ts';
import { createStore, type WritableStore } from '../../../operator/kube/store.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { startFaultProxy, type FaultProxy } from '../../fault-proxy/http-proxy.ts';

export const CONFIG_MAPS: Resource = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

/** A client with the administrator's certificate, on another address where one is given. */
export function adminClient(
  controlPlane: ControlPlane,
  server = controlPlane.server,
  options: KubeClientOptions = {},
): KubeClient {
  const { cert, key } = controlPlane.issueCertificate('kube-test', { groups: ['system:masters'] });
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return createKubeClient(
    {
      getCurrentCluster: () => ({ name: 'c', server, caData: base64(controlPlane.ca) }),
      getCurrentUser: () => ({ name: 'u', certData: base64(cert), keyData: base64(key) }),
      applyToHTTPSOptions: () => Promise.resolve(),
    },
    options,
  );
}

/** A client with a bearer token: the only way to say who one is through a proxy that ends TLS. */
export function tokenClient(controlPlane: ControlPlane, server: string, token: string): KubeClient {
  return createKubeClient({
    getCurrentCluster: () => ({ name: 'c', server, caData: Buffer.from(controlPlane.ca).toString('base64') }),
    getCurrentUser: () => ({ name: 'u', token }),
    applyToHTTPSOptions: () => Promise.resolve(),
  });
}

/** A service account that may do everything, and a token of it. */
export async function powerfulToken(controlPlane: ControlPlane, namespace: string): Promise<string> {
  const name = 'kube-test';
  await controlPlane.api('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
  await controlPlane.api('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: `${namespace}-${name}` },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', namespace, name }],
  });
  return controlPlane.serviceAccountToken({ namespace, name });
}

export function faultProxyFor(controlPlane: ControlPlane): Promise<FaultProxy> {
  return startFaultProxy({
    target: controlPlane.server,
    targetCa: controlPlane.ca,
    certificate: controlPlane.issueCertificate('fault-proxy', { hosts: ['127.0.0.1', 'localhost'] }),
  });
}

export interface Watched {
  store: WritableStore<ConfigMap>;
  reflector: Reflector;
  faults: KubeError[];
  /** Stops the reflector; resolves when it has ended. */
  stop(): Promise<void>;
}

/** A reflector of the ConfigMaps of a namespace, as quick as tests want it. */
export function watchConfigMaps(
  client: KubeClient,
  namespace: string,
  options: Partial<ReflectorOptions<ConfigMap>> = {},
): Watched {
  const store = options.store ?? createStore<ConfigMap>();
  const faults: KubeError[] = [];
  const reflector = createReflector<ConfigMap>({
    client,
    resource: CONFIG_MAPS,
    namespace,
    backoff: { baseMs: 20, maxMs: 200 },
    onFault: error => faults.push(error),
    ...options,
    store,
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  return {
    store,
    reflector,
    faults,
    stop: () => {
      stop.abort();
      return running;
    },
  };
}

/** Names with resource versions, sorted: equal texts mean equal content. */
export function contentOf(objects: Iterable<ConfigMap>): string {
  return [...objects]
    .map(object => `${keyOf(object)}@${object.metadata.resourceVersion}`)
    .sort()
    .join('\n');
}

export async function contentOnServer(client: KubeClient, namespace: string): Promise<string> {
  const objects: ConfigMap[] = [];
  for await (const page of client.listPages<ConfigMap>(CONFIG_MAPS, { namespace }))
    objects.push(...page.items);
  return contentOf(objects);
}

/** Waits until the store holds what the API server has. */
export async function untilInSync(watched: Watched, client: KubeClient, namespace: string): Promise<void> {
  await until(async () => contentOf(watched.store.list()) === (await contentOnServer(client, namespace)));
}

/** Gives up by itself: a poll that outlives its test keeps jest from ending. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 50_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`in vain: ${condition.toString()}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

export function configMap(namespace: string, name: string, data: Record<string, string> = {}) {
  return { metadata: { namespace, name }, data };
}
