import type { AccountsController } from '../../operator/accounts/controller.ts';
import type { Clock } from '../../operator/accounts/context.ts';
import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../../operator/api/names.ts';
import { parseConfig } from '../../operator/config.ts';
import type { Log } from '../../operator/observability/log.ts';
import { runOperator } from '../../operator/run.ts';
import type { CloudToken } from '../clouds/kit.ts';
import { type FaultProxy, type ProxiedRequest, startFaultProxy } from '../fault-proxy/http-proxy.ts';
import { startCloudGate } from '../integration/crash/cloud-gate.ts';
import { deleteNamespace, operatorServiceAccount } from '../integration/support/control-plane.ts';
import { eventually } from '../integration/support/wait.ts';
import type { Arena } from './arena.ts';
import { createWatchGate, type WatchGate, WATCHED } from './watch-gate.ts';

/** The account that every run is about, and its Secrets. */
export const ACCOUNT = 'web';
export const SOURCE = 'web-token';
export const COPY = 'web-verified';
const PROVIDER = 'DigitalOcean';
export const VERDICT_CALL = '/v2/account';
const LEASE = 'proof';
const MERGE = 'application/merge-patch+json';

/** A request of the operator, or a call of the provider, on its way. */
export interface Passing {
  label: string;
  when: 'before' | 'after';
}

export interface StageOperator {
  gate: WatchGate;
  proxy: FaultProxy;
  /** Undefined until it works. */
  controller(): AccountsController | undefined;
  /** Told of each request and call; what it waits for, they wait for. */
  onPassing(listener: (passing: Passing) => void | Promise<void>): void;
  /** From this moment on nothing of it reaches anybody, as if the process were killed. */
  crash(): void;
  /** Ends as after SIGTERM. */
  stop(): Promise<void>;
}

/** A namespace, credentials of its own, and the operators that work there. */
export interface Stage {
  arena: Arena;
  namespace: string;
  /**
   * Credentials: `a` and `b` of one account of the provider, `c` of another; `r` of the first, for reading only; `x` of the
   * first, revoked.
   */
  tokens: Readonly<Record<'a' | 'b' | 'c' | 'r' | 'x', CloudToken>>;
  start(options?: StartOptions): Promise<StageOperator>;
  account(): CloudAccount | undefined;
  secrets(): Promise<Secret[]>;
  putAccount(spec?: Partial<CloudAccount['spec']>): Promise<void>;
  patchAccount(patch: unknown): Promise<void>;
  deleteAccount(): Promise<void>;
  putSecret(name: string, values: Record<string, string>, type?: string): Promise<Secret>;
  /** Undefined where it is not there. */
  patchSecret(name: string, patch: unknown): Promise<Secret | undefined>;
  deleteSecret(name: string): Promise<void>;
  /** Versions of copies as the run itself left them, by revision. */
  written: ReadonlySet<string>;
  /** UIDs of copies that the run itself deleted. */
  deleted: ReadonlySet<string>;
  /** Checks that a credential met so far, by the answer's status. */
  answers(token: CloudToken, status: number): number;
  /** Calls of this run by path. */
  calls(): Record<string, number>;
  /** Requests of living operators that were no GET, leases and events excepted. */
  writes(): string[];
  /** What was seen on the way of a request, and must never be. */
  wrong: string[];
  /** Resolves once nothing was under way for so long. */
  quiet(ms?: number): Promise<void>;
  close(): Promise<void>;
}

export interface StartOptions {
  /** Stands by until the Lease is free. */
  elect?: boolean;
  args?: readonly string[];
  clock?: Clock;
  /** Before the first request. */
  prepare?: (gate: WatchGate) => void;
  /** Resolves as soon as it watches; by default when it works. */
  standBy?: boolean;
}

/** Confirmation takes two seconds. */
export const QUICK = ['--confirm-after=1s,2s', '--retry-refused-after=1s,2s'];
const QUIET_MS = 300;
const PATIENCE_MS = 60_000;

export async function openStage(arena: Arena): Promise<Stage> {
  const { controlPlane, cloud, witness } = arena;
  const number = arena.next();
  const namespace = `proof-${process.pid}-${number}`;
  const [mine, theirs] = [`mine ${number}`, `theirs ${number}`];
  const tokens = {
    a: cloud.createToken({ account: mine }),
    b: cloud.createToken({ account: mine }),
    c: cloud.createToken({ account: theirs }),
    r: cloud.createToken({ account: mine, scopes: ['account:read', 'droplet:read'] }),
    x: cloud.createToken({ account: mine }),
  };
  cloud.revoke(tokens.x.index);
  const indexes = new Set(Object.values(tokens).map(({ index }) => index));
  const firstCall = cloud.log.length;
  const written = new Set<string>();
  const deleted = new Set<string>();
  const wrong: string[] = [];
  const operators: { crash: () => void; ended: Promise<unknown>; close: () => Promise<unknown> }[] = [];
  /** What is under way at a dead process never ends. */
  const ways: { proxy: FaultProxy; calls: () => number; isDead: () => boolean }[] = [];
  let lastActivity = performance.now();

  const secretPath = (name = '') => `/api/v1/namespaces/${namespace}/secrets/${name}`;
  const accountPath = (name = '') =>
    `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts/${name}`;
  async function call<T>(
    method: string,
    path: string,
    body?: unknown,
    type?: string,
  ): Promise<T | undefined> {
    const answer = await controlPlane.api<T>(method, path, body, type);
    // What it sets off comes after it.
    if (method !== 'GET') lastActivity = performance.now();
    if (answer.status === 404) return undefined;
    if (answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  await call('POST', '/api/v1/namespaces', { metadata: { name: namespace } });

  function ownCalls() {
    return cloud.log.slice(firstCall).filter(({ token }) => indexes.has(token ?? -1));
  }
  function answers({ index }: CloudToken, status: number): number {
    return ownCalls().filter(
      entry => entry.token === index && entry.path === VERDICT_CALL && entry.status === status,
    ).length;
  }

  /** Promise 1 on the way: what is about to be stored in a copy was accepted before. */
  function inspect({ method, path, body }: ProxiedRequest): void {
    if ((method !== 'POST' && method !== 'PUT') || !/\/secrets(\/|\?|$)/.test(path)) return;
    const { type, data = {} } = JSON.parse(body) as Secret;
    if (type !== VERIFIED_SECRET_TYPE) wrong.push(`${method} of a Secret of type ${type}`);
    for (const value of Object.values(data)) {
      const token = cloud.find('token', Buffer.from(value, 'base64').toString());
      if (token === undefined || answers(token, 200) === 0)
        wrong.push(`${method} ${path} stores what nobody accepted`);
    }
  }

  async function allowLeases(): Promise<void> {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await call('POST', `${rbac}/roles`, {
      metadata: { name: LEASE },
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['*'] }],
    });
    await call('POST', `${rbac}/rolebindings`, {
      metadata: { name: LEASE },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: LEASE },
      subjects: [{ kind: 'ServiceAccount', ...operatorServiceAccount() }],
    });
  }
  let leases: Promise<void> | undefined;

  async function start(options: StartOptions = {}): Promise<StageOperator> {
    if (options.elect) await (leases ??= allowLeases());
    const proxy = await startFaultProxy({
      target: controlPlane.server,
      targetCa: controlPlane.ca,
      certificate: arena.certificate,
    });
    let listener: (passing: Passing) => void | Promise<void> = () => undefined;
    let isDead = false;
    let underWay = 0;
    ways.push({ proxy, calls: () => underWay, isDead: () => isDead });
    async function pass(label: string, when: Passing['when']): Promise<void> {
      lastActivity = performance.now();
      if (!isDead) await listener({ label, when });
      if (isDead) throw new Error('the caller is gone');
    }
    const gateOfCloud = await startCloudGate(cloud.url, {
      before: async ({ url }) => {
        underWay++;
        await pass(`call ${url}`, 'before').finally(() => underWay--);
        underWay++;
      },
      after: async ({ url }) => {
        underWay--;
        await pass(`call ${url}`, 'after');
      },
    });
    const gate = createWatchGate(proxy);
    options.prepare?.(gate);
    proxy.addRule({
      match: ({ path, isWatch }) => !isWatch && isOfInterest(path),
      action: {
        kind: 'hook',
        before: async request => {
          inspect(request);
          await pass(labelOf(request), 'before');
        },
        after: request => pass(labelOf(request), 'after'),
      },
    });
    const stop = new AbortController();
    const ready = Promise.withResolvers<void>();
    let controller: AccountsController | undefined;
    const config = parseConfig([
      ...QUICK,
      `--watch-namespaces=${namespace}`,
      `--provider-endpoint=${PROVIDER}=${gateOfCloud.url}`,
      ...(options.elect
        ? ['--leader-elect', `--leader-election-id=${LEASE}`, `--leader-election-namespace=${namespace}`]
        : []),
      ...(options.args ?? []),
    ]);
    const silent = () => undefined;
    const log: Log = {
      debug: silent,
      info: silent,
      warn: silent,
      error: (facts, message) => void wrong.push(`${message} ${JSON.stringify(facts)}`),
    };
    const ended = runOperator(
      {
        config,
        kubeConfig: {
          getCurrentCluster: () => ({
            name: 'c',
            server: proxy.url,
            caData: Buffer.from(controlPlane.ca).toString('base64'),
          }),
          getCurrentUser: () => ({ name: 'u', token: arena.token }),
          applyToHTTPSOptions: () => Promise.resolve(),
        },
        log,
        version: 'proof',
        ...(options.clock && { clock: options.clock }),
        onReady(made) {
          controller = made;
          ready.resolve();
        },
      },
      stop.signal,
    ).catch((error: unknown) => {
      if (!isDead) wrong.push(`the operator ended: ${String(error)}`);
    });
    function crash(): void {
      if (isDead) return;
      isDead = true;
      proxy.clearRules();
      proxy.addRule({ action: { kind: 'reset', when: 'before' } });
      proxy.breakConnections('reset');
      gate.release();
      stop.abort();
    }
    operators.push({
      crash,
      ended,
      close: () => Promise.all([proxy.close(), gateOfCloud.close()]),
    });
    if (options.standBy)
      await eventually(
        () => gate.open().length,
        count => count === WATCHED.length,
        'an operator that watches',
        PATIENCE_MS,
      );
    else await ready.promise;
    return {
      gate,
      proxy,
      controller: () => controller,
      onPassing: next => void (listener = next),
      crash,
      async stop() {
        stop.abort();
        await ended;
      },
    };
  }

  function requestsOf({ proxy }: { proxy: FaultProxy }): ProxiedRequest[] {
    return proxy.requests.filter(({ isWatch, path }) => !isWatch && isOfInterest(path));
  }

  return {
    arena,
    namespace,
    tokens,
    start,
    account: () => witness.account(namespace, ACCOUNT),
    secrets: async () => (await call<{ items: Secret[] }>('GET', secretPath()))?.items ?? [],
    async putAccount(spec = {}) {
      await call('POST', accountPath(), {
        apiVersion: 'strackt.io/v1alpha1',
        kind: 'CloudAccount',
        metadata: { name: ACCOUNT },
        spec: { provider: PROVIDER, credentialsSecretRef: { name: SOURCE }, ...spec },
      });
    },
    async patchAccount(patch) {
      await call('PATCH', accountPath(ACCOUNT), patch, MERGE);
    },
    async deleteAccount() {
      await call('DELETE', `${accountPath(ACCOUNT)}?propagationPolicy=Background`);
    },
    async putSecret(name, values, type = 'Opaque') {
      const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type, stringData: values };
      const put =
        (await call<Secret>('PUT', secretPath(name), object)) ??
        (await call<Secret>('POST', secretPath(), object));
      if (put === undefined) throw new Error(`Secret ${name} could not be written`);
      return put;
    },
    async patchSecret(name, patch) {
      const patched = await call<Secret>('PATCH', secretPath(name), patch, MERGE);
      if (patched !== undefined) written.add(patched.metadata.resourceVersion);
      return patched;
    },
    async deleteSecret(name) {
      const present = await call<Secret>('GET', secretPath(name));
      if (present !== undefined) deleted.add(present.metadata.uid);
      await call('DELETE', secretPath(name));
    },
    written,
    deleted,
    answers,
    calls() {
      const counts: Record<string, number> = {};
      for (const { path } of ownCalls()) counts[path] = (counts[path] ?? 0) + 1;
      return counts;
    },
    writes: () =>
      ways
        // What a dead process still tries reaches nobody.
        .filter(way => !way.isDead())
        .flatMap(requestsOf)
        .filter(({ method }) => method !== 'GET')
        .map(labelOf),
    wrong,
    async quiet(ms = QUIET_MS) {
      const isBusy = () =>
        ways.some(
          way =>
            !way.isDead() &&
            (way.calls() > 0 || requestsOf(way).some(({ outcome }) => outcome === undefined)),
        );
      await eventually(
        () => (isBusy() ? 0 : performance.now() - lastActivity),
        idle => idle > ms,
        `${namespace}: quiet`,
        PATIENCE_MS,
      );
    },
    async close() {
      for (const { crash } of operators) crash();
      await Promise.all(operators.map(({ ended }) => ended));
      await Promise.all(operators.map(({ close }) => close()));
      await deleteNamespace(controlPlane, namespace);
      witness.forget(namespace);
    },
  };
}

/** Something is still to come within seconds: a verdict, its confirmation, or another try of what was refused. */
export function isOnTheWay(stage: Stage): boolean {
  const account = stage.account();
  if (account === undefined) return false;
  const { status } = account;
  const isAskedAgain =
    status?.candidate?.nextAttemptTime !== undefined && status.candidate.reason !== 'SecretNotFound';
  return status?.conditions === undefined || status.confirming !== undefined || isAskedAgain;
}

/** The Lease goes its own way, and events are told as they can. */
function isOfInterest(path: string): boolean {
  return !path.includes('/leases') && !/\/events(\?|\/|$)/.test(path);
}

/** `PATCH cloudaccounts/web/status`. */
function labelOf({ method, path }: ProxiedRequest): string {
  return `${method} ${path.replace(/\?.*/, '').replace(/^.*\/namespaces\/[^/]+\//, '')}`;
}
