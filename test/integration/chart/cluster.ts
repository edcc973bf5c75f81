import type { CloudAccount } from '../../../operator/api/cloudaccount.generated.ts';
import type { ProviderName } from '../../../operator/api/names.ts';
import { createClouds } from '../../clouds/all.ts';
import type { Cloud } from '../../clouds/kit.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { startControlPlane } from '../../control-plane/start.ts';
import { eventually } from '../support/wait.ts';
import { createHelm, type Helm } from './release.ts';

/** A control plane of this test's own, since CRDs and policies come and go in it, with simulated clouds and Helm. */
export interface Cluster {
  controlPlane: ControlPlane;
  helm: Helm;
  /** Flags that lead the operator to the clouds, and make waiting short: for `extraArgs`. */
  cloudArgs: string[];
  cloud(provider: ProviderName): Cloud;
  /** Calls that all clouds received. */
  calls(): number;
  createNamespace(name: string, labels?: Record<string, string>): Promise<void>;
  /** Creates a Secret with a good credential and an account that names it. */
  connect(namespace: string, name: string, provider: ProviderName): Promise<void>;
  account(namespace: string, name: string): Promise<CloudAccount | undefined>;
  untilConnected(namespace: string, name: string): Promise<CloudAccount>;
  /** Whether an object is there. */
  exists(path: string): Promise<boolean>;
  close(): Promise<void>;
}

export async function startCluster(): Promise<Cluster> {
  const kubernetes = process.env['CAO_KUBERNETES'];
  const controlPlane = await startControlPlane(kubernetes ? { kubernetes } : {});
  const helm = await createHelm(controlPlane);
  const clouds = createClouds({ seed: 'chart' });
  const cloudArgs = ['--confirm-after=1s,2s', '--retry-refused-after=1s,2s'];
  for (const cloud of clouds) cloudArgs.push(`--provider-endpoint=${cloud.name}=${await cloud.listen()}`);

  async function create(path: string, body: unknown): Promise<void> {
    const answer = await controlPlane.api('POST', path, body);
    if (answer.status !== 201) throw new Error(`POST ${path}: ${JSON.stringify(answer.body)}`);
  }

  const accountPath = (namespace: string, name = '') =>
    `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts/${name}`;

  const cluster: Cluster = {
    controlPlane,
    helm,
    cloudArgs,
    cloud(provider) {
      const cloud = clouds.find(({ name }) => name === provider);
      if (cloud === undefined) throw new Error(`no cloud ${provider}`);
      return cloud;
    },
    calls: () => clouds.reduce((sum, cloud) => sum + cloud.calls(), 0),
    createNamespace: (name, labels = {}) => create('/api/v1/namespaces', { metadata: { name, labels } }),
    async connect(namespace, name, provider) {
      const stringData = cluster.cloud(provider).createToken().credential;
      await create(`/api/v1/namespaces/${namespace}/secrets`, {
        metadata: { name: `${name}-token` },
        stringData,
      });
      await create(accountPath(namespace), {
        apiVersion: 'strackt.io/v1alpha1',
        kind: 'CloudAccount',
        metadata: { name },
        spec: { provider, credentialsSecretRef: { name: `${name}-token` } },
      });
    },
    async account(namespace, name) {
      const answer = await controlPlane.api<CloudAccount>('GET', accountPath(namespace, name));
      return answer.status === 200 ? answer.body : undefined;
    },
    async untilConnected(namespace, name) {
      const found = await eventually(
        () => cluster.account(namespace, name),
        account => account?.status?.health === 'Connected',
        `${namespace}/${name} is Connected`,
        60_000,
      );
      if (found === undefined) throw new Error('unreachable');
      return found;
    },
    exists: async path => (await controlPlane.api('GET', path)).status === 200,
    async close() {
      await Promise.all(clouds.map(cloud => cloud.close()));
      await controlPlane.stop();
    },
  };
  return cluster;
}
