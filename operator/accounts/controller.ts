import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import { VERIFIED_SECRET_TYPE } from '../api/names.ts';
import { startOffsets } from '../domain/schedule.ts';
import { fromTimestamp } from '../domain/time.ts';
import { whenAborted } from '../kube/backoff.ts';
import { type Reconciled, type ReconcileResult, runController } from '../kube/controller.ts';
import type { KubeError } from '../kube/errors.ts';
import { createReflector, type Reflector } from '../kube/reflector.ts';
import { formatKey, keyOf, type KubeObject, parseKey } from '../kube/resource.ts';
import { createScope, type Scope } from '../kube/scope.ts';
import { createStore } from '../kube/store.ts';
import { createWorkQueue } from '../kube/work-queue.ts';
import { type AccountRecord, type Context, recordOf } from './context.ts';
import { createFingerprint } from './fingerprint.ts';
import { secretNamesOf } from './reading.ts';
import { reconcileAccount } from './reconcile.ts';
import { CLOUD_ACCOUNTS, SECRETS, slimAccount, slimSecret } from './resources.ts';
import { copyNameOf, intervalOf } from './spec.ts';
import { forgetSecret } from './turn.ts';

type Account = CloudAccount & KubeObject;

/** For checks under way at the end: most take a fraction of it, and the next leader waits for it. */
const FINISH_MS = 1_000;

/** What the controller is made of; the rest of its {@link Context} it makes itself. */
export interface AccountsOptions extends Pick<
  Context,
  'client' | 'checker' | 'providers' | 'events' | 'clock' | 'timing' | 'watchSecrets' | 'onCheck' | 'onHealth'
> {
  /** Namespaces to watch; absent: all. */
  namespaces?: readonly string[];
  /** Accounts worked on at the same time. */
  workers: number;
  onError: (error: unknown, key: string) => void;
  onFault: (error: KubeError) => void;
  onReconciled?: (done: Reconciled) => void;
  /** After every list; with what it failed. */
  onList?: (reflector: Reflector, fault: KubeError | undefined) => void;
}

/** What the work must know of the lead that it is done under. */
export interface Lead {
  lost: AbortSignal;
  /** Whether this process leads at this moment. */
  holds: () => boolean;
}

export interface AccountsController {
  /** Fills the stores and keeps them as the API server has them until the signal aborts. Asks no provider, writes nothing. */
  watch(signal: AbortSignal): Promise<void>;
  /**
   * Works on what `watch` brings until the signal aborts; once in the life of a controller. Then no further check
   * begins, and those under way get a second to end and to be written down, so that nobody has to make them again.
   * @param lead with leader election: breaks off everything at once when the lead is lost
   */
  work(signal: AbortSignal, lead?: Lead): Promise<void>;
  /**
   * Every namespace has its first lists, or the API server refused them, and at least one is there. Stays pending when
   * stopped before that.
   */
  synced: Promise<void>;
  /** `synced`, and the workers begin. Stays pending when stopped before that. */
  ready: Promise<void>;
  /** As `synced`, now. */
  hasSynced(): boolean;
  /** Accounts by provider and health, for metrics. */
  census(): Iterable<{ provider: string; health: string; count: number }>;
  /** The watches, for probes and reports. */
  reflectors: readonly Reflector[];
  /** How long the oldest turn that is under way has lasted, in milliseconds; for liveness. */
  oldestTurnMs(): number;
  context: Context;
}

/** The CloudAccount controller: watches accounts, their sources and their copies. */
export function createAccountsController(options: AccountsOptions): AccountsController {
  const { namespaces, workers, onError, onFault, onReconciled, onList: tell, ...given } = options;
  const ready = Promise.withResolvers<void>();
  const context: Context = {
    ...given,
    queue: createWorkQueue(given.clock.timers && { clock: given.clock.timers }),
    fingerprint: createFingerprint(),
    accounts: createStore<Account>({
      uid: ({ metadata }) => [metadata.uid],
      source: ({ metadata: { namespace }, spec }) => [
        formatKey({ namespace, name: spec.credentialsSecretRef.name }),
      ],
      copy: account => [formatKey({ namespace: account.metadata.namespace, name: copyNameOf(account) })],
    }),
    sources: createStore(),
    copies: createStore({ owner: ({ metadata }) => (metadata.ownerReferences ?? []).map(({ uid }) => uid) }),
    records: new Map(),
    mayCheck: () => mayCheck(),
  };
  let mayCheck = (): boolean => false;
  const { client, accounts, sources, copies } = context;

  /** Only Secrets that an account speaks of are kept: 8 GB of cached Secrets were another operator's undoing (cert-manager#4722). */
  const isReferredTo = (secret: KubeObject): boolean => accountsOf(context, keyOf(secret)).length > 0;
  const scopes = (namespaces ?? [undefined]).map(namespace => {
    const common = { client, namespace, onFault, onList };
    const accountReflector = createReflector<Account>({
      ...common,
      resource: CLOUD_ACCOUNTS,
      store: accounts,
      transform: account => slimAccount(account),
    });
    if (!context.watchSecrets) return createScope(accountReflector, []);
    // Which Secrets are kept depends on the accounts, so their list comes first.
    return createScope(accountReflector, [
      createReflector<KubeObject>({
        ...common,
        resource: SECRETS,
        store: sources,
        metadataOnly: true,
        fieldSelector: `type!=${VERIFIED_SECRET_TYPE}`,
        transform: secret => (isReferredTo(secret) ? slimSecret(secret) : undefined),
      }),
      createReflector<KubeObject>({
        ...common,
        resource: SECRETS,
        store: copies,
        metadataOnly: true,
        fieldSelector: `type=${VERIFIED_SECRET_TYPE}`,
        transform: slimSecret,
      }),
    ]);
  });
  const reflectors = scopes.flatMap(scope => scope.reflectors);
  const synced = Promise.withResolvers<void>();
  const usable = new Set<Scope>();
  const turns = new Map<string, number>();
  let isWorking = false;

  function onList(reflector: Reflector, fault: KubeError | undefined): void {
    tell?.(reflector, fault);
    if (hasSynced()) synced.resolve();
    for (const scope of scopes) {
      const isNew = scope.isUsable() && !usable.has(scope);
      if (!scope.isUsable()) usable.delete(scope);
      if (!isNew) continue;
      usable.add(scope);
      if (isWorking) begin(scope);
    }
  }

  function hasSynced(): boolean {
    return (
      scopes.every(scope => scope.isUsable() || scope.isRefused()) && scopes.some(scope => scope.isUsable())
    );
  }

  function inScope(account: { metadata: { namespace?: string } }, { namespace }: Scope): boolean {
    return namespace === undefined || account.metadata.namespace === namespace;
  }

  /** From here on, not from the start of the process: what a follower saw may be long past. */
  function begin(scope: Scope): void {
    const found = accounts.list().filter(account => inScope(account, scope));
    spreadOverdue(context, found);
    for (const account of found) context.queue.add(keyOf(account));
  }

  async function watch(signal: AbortSignal): Promise<void> {
    await Promise.all(scopes.map(scope => scope.run(signal)));
  }

  async function reconcile(key: string): Promise<ReconcileResult | void> {
    const { namespace } = parseKey(key);
    const scope = scopes.find(({ namespace: watched }) => watched === undefined || watched === namespace);
    // Its objects are not known as they are now. All its accounts come again once they are.
    if (scope === undefined || !scope.isUsable()) return;
    turns.set(key, performance.now());
    try {
      return await reconcileAccount(context, key);
    } finally {
      turns.delete(key);
    }
  }

  async function work(signal: AbortSignal, lead?: Lead): Promise<void> {
    await Promise.race([synced.promise, whenAborted(signal)]);
    // Another process led until a moment ago, and its last writes may still be on their way to our watches, or never
    // come: what is decided without them would be asked of the provider once more, or taken for lost.
    if (lead !== undefined) {
      await Promise.race([Promise.all(scopes.map(scope => scope.catchUp())), whenAborted(signal)]);
    }
    if (signal.aborted) return;
    mayCheck = () => !signal.aborted && (lead?.holds() ?? true);
    isWorking = true;
    subscribe(context);
    for (const scope of scopes) if (scope.isUsable()) begin(scope);
    ready.resolve();
    const over = new AbortController();
    const working = runController(
      {
        name: 'cloudaccount',
        queue: context.queue,
        workers,
        reconcile,
        onError,
        ...(onReconciled && { onReconciled }),
      },
      over.signal,
    );
    await whenAborted(signal);
    await finishChecks(context, lead?.lost);
    over.abort();
    for (const { abort } of context.records.values()) abort?.abort();
    await working;
  }

  return {
    watch,
    work,
    context,
    reflectors,
    synced: synced.promise,
    ready: ready.promise,
    hasSynced,
    oldestTurnMs: () => performance.now() - Math.min(performance.now(), ...turns.values()),
    census: () => countAccounts(accounts.list()),
  };
}

/** Gives checks under way a moment to end and to be written down. Those that wait in line have asked nobody yet. */
async function finishChecks({ records }: Context, lost: AbortSignal | undefined): Promise<void> {
  for (const { abort, memory } of records.values()) {
    if (memory.checking?.startedAt === undefined) abort?.abort();
  }
  const isUnderWay = ({ abort, memory, publishRetry }: AccountRecord): boolean =>
    abort !== undefined || ((memory.result ?? memory.inHand) !== undefined && publishRetry === undefined);
  const deadline = performance.now() + FINISH_MS;
  while (performance.now() < deadline && !lost?.aborted && [...records.values()].some(isUnderWay)) {
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

/** Every change finds its accounts by one index lookup. */
function subscribe(context: Context): void {
  const { accounts, sources, copies, queue, records } = context;
  const addAll = (found: readonly Account[]): void => found.forEach(account => queue.add(keyOf(account)));
  accounts.subscribe(({ type, key, object, previous }) => {
    const gone =
      type === 'deleted' ? object : previous?.metadata.uid !== object.metadata.uid ? previous : undefined;
    if (gone !== undefined) {
      records.get(gone.metadata.uid)?.abort?.abort();
      records.delete(gone.metadata.uid);
      // A name or a copy that it held may be free now.
      const copyKey = formatKey({ namespace: gone.metadata.namespace, name: copyNameOf(gone) });
      addAll(accounts.byIndex('copy', copyKey));
      if (!context.watchSecrets) forgetSecretsOf(context, gone);
    }
    queue.add(key);
  });
  sources.subscribe(({ key }) => addAll(accountsOf(context, key)));
  copies.subscribe(({ key, object }) => {
    // A source that is itself a copy is refused; one that stops being there is noticed too.
    addAll(accountsOf(context, key));
    for (const { uid } of object.metadata.ownerReferences ?? []) addAll(accounts.byIndex('uid', uid));
  });
}

/** The accounts that speak of a Secret, as their source or by the name of their copy. */
function accountsOf({ accounts }: Context, key: string): Account[] {
  return [...accounts.byIndex('source', key), ...accounts.byIndex('copy', key)];
}

/** Without a watch nothing else takes the Secrets of a removed account out of the stores. */
function forgetSecretsOf(context: Context, account: Account): void {
  for (const name of secretNamesOf(account)) {
    const key = formatKey({ namespace: account.metadata.namespace, name });
    if (accountsOf(context, key).length === 0) forgetSecret(context, key);
  }
}

/** Checks that became overdue while nothing ran are spread, so that a start is no herd. */
function spreadOverdue(context: Context, accounts: readonly Account[]): void {
  const { clock } = context;
  const scheduled = accounts.flatMap(account => {
    const nextCheckAt = fromTimestamp(account.status?.nextCheckTime);
    if (nextCheckAt === undefined) return [];
    const { provider } = account.spec;
    return [{ uid: account.metadata.uid, provider, intervalMs: intervalOf(account), nextCheckAt }];
  });
  for (const [uid, at] of startOffsets(scheduled, clock.now()))
    recordOf(context, uid).memory.startOffset = at;
}

function countAccounts(accounts: readonly Account[]) {
  const counts = new Map<string, { provider: string; health: string; count: number }>();
  for (const { spec, status } of accounts) {
    const health = status?.health ?? 'Pending';
    const key = `${spec.provider} ${health}`;
    const entry = counts.get(key) ?? { provider: spec.provider, health, count: 0 };
    counts.set(key, { ...entry, count: entry.count + 1 });
  }
  return counts.values();
}
