import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import type { ProviderName } from '../../operator/api/names.ts';
import { bundle } from '../../scripts/build.ts';
import { createToken } from '../../scripts/demo/clouds.ts';
import { filledSecret } from '../../scripts/demo/examples.ts';
import { control } from '../clouds/control.ts';
import type { LogEntry } from '../clouds/kit.ts';
import { CLOUD_PORTS } from './cloud-ports.ts';
import { type Cluster, connectCluster } from './cluster.ts';
import { ACCOUNTS, CLOUDS, clouds, MANY, namespaces, SYSTEM } from './manifests.ts';

export const ROOT = join(import.meta.dirname, '../..');
export const CHART = join(ROOT, 'charts/cloud-account-operator');
export const RELEASE = 'cao';
export const FULL_NAME = `${RELEASE}-cloud-account-operator`;

export interface Pod {
  metadata: { name: string; uid: string; deletionTimestamp?: string };
  status: {
    conditions?: { type: string; status: string }[];
    containerStatuses?: { restartCount: number }[];
  };
}

export interface NewAccount {
  name: string;
  provider: ProviderName;
  secret: string;
  /** What the token may do; default: everything. */
  token?: { scopes?: string[]; addresses?: string[] };
}

/** The cluster with the simulated clouds in it. */
export interface World extends Cluster {
  /** URL of a cloud's control API. */
  cloud(provider: ProviderName): string;
  /** Values of the chart: the image under test, and the clouds in place of the providers. */
  values: Record<string, unknown>;
  accounts(): Promise<ReadonlyMap<string, CloudAccount>>;
  /** Makes a token in the cloud and puts it into the account's Secret. Resolves with the token's index. */
  bringSecret(account: NewAccount): Promise<number>;
  /** Calls that clouds received with each account's token, by the account's name, oldest first. */
  calls(): Promise<ReadonlyMap<string, LogEntry[]>>;
  /** Those of the operator that are not on their way out. */
  pods(): Promise<Pod[]>;
  /** Name of the pod that holds the Lease. */
  leader(): Promise<string | undefined>;
  /** What there is to see after a failure. */
  diagnosis(): Promise<string>;
  /** Removes all that the tests made. */
  remove(): Promise<void>;
}

/** Connects to the cluster and brings the simulated clouds up in it. */
export async function createWorld(): Promise<World> {
  const cluster = await connectCluster();
  const { kubectl, image } = cluster;
  const indexes = new Map<string, { provider: ProviderName; index: number }>();
  const cloud = (provider: ProviderName) =>
    cluster.serviceUrl(CLOUDS, 'clouds', CLOUD_PORTS.get(provider) ?? 0);

  const folder = mkdtempSync(join(tmpdir(), 'clouds-'));
  const program = join(folder, 'clouds.mjs');
  await bundle({ entry: 'test/e2e/clouds-pod.ts', outfile: program });
  await kubectl(['apply', '--server-side', '--filename=-'], namespaces());
  await kubectl(
    ['apply', '--server-side', '--filename=-'],
    clouds(`${image.repository}:${image.tag}`, program),
  );
  rmSync(folder, { recursive: true });
  await kubectl(['rollout', 'status', 'deployment/clouds', `--namespace=${CLOUDS}`, '--timeout=120s']);

  return {
    ...cluster,
    cloud,
    values: {
      image: { ...image, pullPolicy: 'IfNotPresent' },
      extraArgs: [
        '--insecure-provider-endpoints',
        ...[...CLOUD_PORTS].map(
          ([name, port]) => `--provider-endpoint=${name}=http://clouds.${CLOUDS}.svc:${port}`,
        ),
      ],
    },
    async accounts() {
      const path = `/apis/strackt.io/v1alpha1/namespaces/${ACCOUNTS}/cloudaccounts`;
      const found = await cluster.get<{ items: CloudAccount[] }>(path);
      return new Map(found?.items.map(account => [account.metadata.name ?? '', account]));
    },
    async bringSecret({ name, provider, secret, token }) {
      const { index, credential } = await createToken(cloud(provider), name, token);
      indexes.set(name, { provider, index });
      await kubectl(
        ['apply', '--server-side', '--filename=-', `--namespace=${ACCOUNTS}`],
        filledSecret(secret, credential),
      );
      return index;
    },
    async calls() {
      const logs = new Map<ProviderName, LogEntry[]>();
      for (const provider of new Set(Array.from(indexes.values(), value => value.provider))) {
        logs.set(provider, (await control(cloud(provider), 'log')) as LogEntry[]);
      }
      return new Map(
        Array.from(indexes, ([name, { provider, index }]) => [
          name,
          (logs.get(provider) ?? []).filter(entry => entry.token === index),
        ]),
      );
    },
    async pods() {
      const selector = `app.kubernetes.io/name=cloud-account-operator,app.kubernetes.io/instance=${RELEASE}`;
      const found = await cluster.get<{ items: Pod[] }>(
        `/api/v1/namespaces/${SYSTEM}/pods?labelSelector=${encodeURIComponent(selector)}`,
      );
      return (found?.items ?? []).filter(pod => pod.metadata.deletionTimestamp === undefined);
    },
    async leader() {
      const lease = await cluster.get<{ spec: { holderIdentity?: string } }>(
        `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/${FULL_NAME}`,
      );
      // The identity is the host's name, which is the pod's, and something that no other process has.
      return /^(.+?)(?:_.*)?$/.exec(lease?.spec.holderIdentity ?? '')?.[1];
    },
    async diagnosis() {
      const texts: string[] = [];
      for (const args of [
        ['get', 'pods', '--all-namespaces', '--output=wide'],
        ['get', 'cloudaccounts', '--all-namespaces', '--output=wide'],
        ['get', 'leases', `--namespace=${SYSTEM}`, '--output=yaml'],
        ['get', 'events', `--namespace=${SYSTEM}`, '--sort-by=.lastTimestamp'],
        ['logs', `--namespace=${SYSTEM}`, `--selector=app.kubernetes.io/instance=${RELEASE}`, '--tail=40'],
      ]) {
        const text = await kubectl(args).catch((error: unknown) => (error as Error).message);
        texts.push(`$ kubectl ${args.join(' ')}\n${text}`);
      }
      return texts.join('\n');
    },
    async remove() {
      const namesAll = [ACCOUNTS, MANY, SYSTEM, CLOUDS];
      await cluster.helm(['uninstall', RELEASE, `--namespace=${SYSTEM}`, '--ignore-not-found', '--wait']);
      await kubectl(['delete', 'namespace', ...namesAll, '--ignore-not-found', '--timeout=120s']);
      await kubectl(['delete', 'crd', 'cloudaccounts.strackt.io', '--ignore-not-found', '--timeout=60s']);
      await cluster.close();
    },
  };
}
