import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';
import { type AuditEvent, WRITE_VERBS } from '../control-plane/audit.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { applyManifests } from '../control-plane/manifests.ts';
import { startControlPlane } from '../control-plane/start.ts';
import { operatorKubeconfig, operatorServiceAccount } from '../integration/support/control-plane.ts';
import { type Clouds, startClouds } from './clouds.ts';
import { inParallel } from './parallel.ts';

/** Requests of the bench at the same time while it prepares. */
export const WIDTH = 32;
/** Where the measured accounts live. */
export const NAMESPACE = 'bench';
/** Where accounts live that only show that the operator has come so far. */
export const MARKERS = 'bench-markers';

/** One account of the bench and its Secret. */
export interface Subject {
  name: string;
  provider: ProviderName;
}

/** A control plane of its own, seven clouds, and what the operator needs to reach them. */
export interface World {
  dir: string;
  controlPlane: ControlPlane;
  clouds: Clouds;
  /** Of the operator's service account, with the rights that we ship. */
  kubeconfig: string;
  /** A request as administrator that must succeed. */
  call: <T = unknown>(method: string, path: string, body?: unknown, contentType?: string) => Promise<T>;
  /** What the operator wrote since then, by the audit log; its Lease left out. */
  writes(since: Date): Promise<AuditEvent[]>;
  close(): Promise<void>;
}

const { namespace, name } = operatorServiceAccount();
const OPERATOR = `system:serviceaccount:${namespace}:${name}`;

export async function createWorld(): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-'));
  const controlPlane = await startControlPlane();
  const clouds = await startClouds(dir);
  const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  await applyManifests(controlPlane, [root('crds'), root('deploy/install.yaml')]);

  async function call<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T> {
    const answer = await controlPlane.api<T>(method, path, body, contentType);
    if (answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  for (const name of [NAMESPACE, MARKERS]) {
    await call('POST', '/api/v1/namespaces', { metadata: { name } });
  }
  return {
    dir,
    controlPlane,
    clouds,
    kubeconfig: await operatorKubeconfig(controlPlane),
    call,
    async writes(since) {
      const requests = await controlPlane.requests({ user: OPERATOR, verbs: WRITE_VERBS, since });
      return requests.filter(({ objectRef }) => objectRef?.resource !== 'leases');
    },
    async close() {
      await clouds.stop();
      await controlPlane.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** N accounts, one after the other of each provider. */
export function subjects(count: number): Subject[] {
  return Array.from({ length: count }, (_, i) => {
    const provider = PROVIDER_NAMES[i % PROVIDER_NAMES.length] ?? 'Hetzner';
    return { name: `${provider.toLowerCase()}-${i}`, provider };
  });
}

/** Creates the Secret and then the account of each, as `kubectl apply` would. */
export async function populate(
  world: World,
  all: readonly Subject[],
  credential: (subject: Subject) => Promise<Record<string, string>>,
  namespace = NAMESPACE,
): Promise<CloudAccount[]> {
  const accounts: CloudAccount[] = [];
  await inParallel(all, WIDTH, async ({ name, provider }, i) => {
    await createSecret(world, `${name}-token`, await credential({ name, provider }), namespace);
    accounts[i] = await createAccount(world, { name, provider }, namespace);
  });
  return accounts;
}

export function createSecret(
  { call }: World,
  name: string,
  stringData: Record<string, string>,
  namespace = NAMESPACE,
): Promise<unknown> {
  return call('POST', `/api/v1/namespaces/${namespace}/secrets`, secretOf(name, stringData));
}

/** A Secret as `kubectl apply` sends it: once more, whole, in its annotation. */
export function secretOf(name: string, stringData: Record<string, string>): object {
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'Opaque', stringData };
  return { ...object, metadata: { name, annotations: lastApplied(object) } };
}

export function createAccount(
  { call }: World,
  { name, provider }: Subject,
  namespace = NAMESPACE,
  spec: Partial<CloudAccount['spec']> = {},
): Promise<CloudAccount> {
  const object = {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name },
    spec: { provider, credentialsSecretRef: { name: `${name}-token` }, ...spec },
  };
  return call('POST', accountPath(namespace), {
    ...object,
    metadata: { name, annotations: lastApplied(object) },
  });
}

export function accountPath(namespace: string, name = ''): string {
  return `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts${name && `/${name}`}`;
}

function lastApplied(object: object): Record<string, string> {
  return { 'kubectl.kubernetes.io/last-applied-configuration': `${JSON.stringify(object)}\n` };
}
