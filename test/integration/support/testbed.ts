import { KubeConfig } from '@kubernetes/client-node';
import type { AccountsController } from '../../../operator/accounts/controller.ts';
import type { CloudAccount, Condition } from '../../../operator/api/cloudaccount.generated.ts';
import type { ProviderName } from '../../../operator/api/names.ts';
import { parseConfig } from '../../../operator/config.ts';
import type { Log } from '../../../operator/observability/log.ts';
import { runOperator, type RunOptions } from '../../../operator/run.ts';
import { createClouds } from '../../clouds/all.ts';
import type { Cloud } from '../../clouds/kit.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import { assertNoLeak, type Canary, createDetector, type Detector, type Outlet } from '../leaks/detector.ts';
import { canariesIn, canariesOf, objectOutlets, requestOutlets, sessionCanary } from '../leaks/outlets.ts';
import { createNamespace, deleteNamespace, operatorKubeconfig, sharedControlPlane } from './control-plane.ts';
import { eventually } from './wait.ts';

export interface SecretObject {
  metadata: {
    name: string;
    uid: string;
    resourceVersion: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: { uid: string; kind: string; name: string }[];
  };
  type: string;
  /** base64 */
  data?: Record<string, string>;
}

export interface EventObject {
  type: string;
  reason: string;
  note: string;
  regarding: { name: string };
  series?: { count: number };
}

/** An operator in this process, under its own service account and the rights that we ship. */
export interface RunningOperator {
  stop(): Promise<void>;
  /** Lines that it logged, as text. */
  logged: string[];
  controller: AccountsController;
}

/** A namespace with clouds of its own and an operator that watches it. */
export interface Testbed {
  controlPlane: ControlPlane;
  namespace: string;
  cloud(provider: ProviderName): Cloud;
  start(options?: StartOptions): Promise<RunningOperator>;
  /** Creates or changes a Secret; values as they are written, not base64. */
  putSecret(name: string, values: Record<string, string>, type?: string): Promise<SecretObject>;
  secret(name: string): Promise<SecretObject | undefined>;
  deleteSecret(name: string): Promise<void>;
  patchSecret(name: string, patch: unknown): Promise<SecretObject>;
  /** Creates an account whose Secret is `<name>-token`, unless the spec says otherwise. */
  putAccount(
    name: string,
    provider: ProviderName,
    spec?: Partial<CloudAccount['spec']>,
    annotations?: Record<string, string>,
  ): Promise<CloudAccount>;
  account(name: string): Promise<CloudAccount | undefined>;
  patchAccount(name: string, patch: unknown): Promise<CloudAccount>;
  deleteAccount(name: string, propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'): Promise<void>;
  /** The account as soon as it is as told. */
  until(
    name: string,
    accept: (account: CloudAccount) => boolean,
    what?: string,
    timeoutMs?: number,
  ): Promise<CloudAccount>;
  /** The value of a key of the verified copy, in plain text; undefined when there is none. */
  published(copyName: string, key?: string): Promise<string | undefined>;
  events(name: string): Promise<EventObject[]>;
  /** Knows every credential that there has been so far. */
  detector(): Detector;
  /**
   * Stops everything and removes the namespace. Rejects when a part of a credential is in what the operators logged or
   * wrote: every test is a test for leaks as well.
   */
  close(): Promise<void>;
}

export interface StartOptions {
  args?: string[];
  clock?: RunOptions['clock'];
  /** Another address of the API server, for instance a fault proxy's. */
  server?: string;
}

/** Short confirmation times; everything else as in production: a test that waits for a second try asks for one. */
const QUICK = ['--confirm-after=1s,2s', '--log-level=trace'];

/** @param now the clock of the clouds; default: the system's */
export async function createTestbed({ now }: { now?: () => number } = {}): Promise<Testbed> {
  const controlPlane = sharedControlPlane();
  const namespace = await createNamespace(controlPlane, 'accounts');
  const clouds = createClouds({ seed: namespace, ...(now && { now }) });
  const endpoints: string[] = [];
  for (const cloud of clouds) endpoints.push(`--provider-endpoint=${cloud.name}=${await cloud.listen()}`);
  const running = new Set<RunningOperator>();
  const logs: string[][] = [];
  /** What tests wrote themselves, beside the credentials of the clouds. */
  const written: Canary[] = [];
  const secretPath = (name = '') => `/api/v1/namespaces/${namespace}/secrets/${name}`;
  const accountPath = (name = '') =>
    `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts/${name}`;

  async function call<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T> {
    const answer = await controlPlane.api<T>(method, path, body, contentType);
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
  async function find<T>(path: string): Promise<T | undefined> {
    const answer = await controlPlane.api<T>('GET', path);
    return answer.status === 200 ? answer.body : undefined;
  }
  const merge = 'application/merge-patch+json';

  const bed: Testbed = {
    controlPlane,
    namespace,
    cloud(provider) {
      const cloud = clouds.find(({ name }) => name === provider);
      if (cloud === undefined) throw new Error(`no cloud ${provider}`);
      return cloud;
    },
    async start({ args = [], clock, server } = {}) {
      const kubeConfig = new KubeConfig();
      kubeConfig.loadFromFile(await operatorKubeconfig(controlPlane, server));
      const config = parseConfig([...QUICK, ...endpoints, `--watch-namespaces=${namespace}`, ...args]);
      const stop = new AbortController();
      const logged: string[] = [];
      logs.push(logged);
      written.push(sessionCanary('service account token', kubeConfig.getCurrentUser()?.token ?? ''));
      const write = (facts: object, message: string) =>
        void logged.push(`${message} ${JSON.stringify(facts)}`);
      const log: Log = { debug: write, info: write, warn: write, error: write };
      const ready = Promise.withResolvers<AccountsController>();
      const ended = runOperator(
        { config, kubeConfig, log, version: 'test', ...(clock && { clock }), onReady: ready.resolve },
        stop.signal,
      );
      const controller = await Promise.race([ready.promise, ended]);
      if (controller === undefined) throw new Error('the operator ended before it was ready');
      const operator: RunningOperator = {
        logged,
        controller,
        async stop() {
          running.delete(operator);
          stop.abort();
          await ended;
        },
      };
      running.add(operator);
      return operator;
    },
    async putSecret(name, values, type = 'Opaque') {
      const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type, stringData: values };
      written.push(...canariesIn(`Secret ${name}`, values));
      const present = await find<SecretObject>(secretPath(name));
      if (present === undefined) return call('POST', secretPath(), object);
      return call('PUT', secretPath(name), object);
    },
    secret: name => find(secretPath(name)),
    deleteSecret: name => call('DELETE', secretPath(name)),
    patchSecret: (name, patch) => call('PATCH', secretPath(name), patch, merge),
    putAccount: (name, provider, spec = {}, annotations = {}) =>
      call('POST', accountPath(), {
        apiVersion: 'strackt.io/v1alpha1',
        kind: 'CloudAccount',
        metadata: { name, annotations },
        spec: { provider, credentialsSecretRef: { name: `${name}-token` }, ...spec },
      }),
    account: name => find(accountPath(name)),
    patchAccount: (name, patch) => call('PATCH', accountPath(name), patch, merge),
    deleteAccount: (name, propagationPolicy = 'Background') =>
      call('DELETE', `${accountPath(name)}?propagationPolicy=${propagationPolicy}`),
    async until(name, accept, what = 'the awaited state', timeoutMs = 20_000) {
      const found = await eventually(
        () => find<CloudAccount>(accountPath(name)),
        account => account !== undefined && accept(account),
        `${name}: ${what}`,
        timeoutMs,
      );
      if (found === undefined) throw new Error('unreachable');
      return found;
    },
    async published(copyName, key = 'token') {
      const value = (await find<SecretObject>(secretPath(copyName)))?.data?.[key];
      return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
    },
    async events(name) {
      const list = await call<{ items: EventObject[] }>(
        'GET',
        `/apis/events.k8s.io/v1/namespaces/${namespace}/events`,
      );
      return list.items.filter(({ regarding }) => regarding.name === name);
    },
    detector: () => createDetector([...canariesOf(clouds), ...written]),
    async close() {
      await Promise.all([...running].map(operator => operator.stop()));
      const outlets: Outlet[] = [
        ...logs.map((lines, index) => ({ channel: `log of operator ${index}`, text: lines.join('\n') })),
        ...(await objectOutlets(controlPlane, namespace)),
        ...requestOutlets(clouds),
      ];
      const detector = bed.detector();
      await Promise.all(clouds.map(cloud => cloud.close()));
      await deleteNamespace(controlPlane, namespace);
      assertNoLeak(detector, outlets);
    },
  };
  return bed;
}

export function conditionOf(account: CloudAccount, type: string): Condition | undefined {
  return account.status?.conditions?.find(condition => condition.type === type);
}

/** `True Verified`, or `absent`. */
export function shown(account: CloudAccount, type: string): string {
  const condition = conditionOf(account, type);
  return condition === undefined ? 'absent' : `${condition.status} ${condition.reason}`;
}
