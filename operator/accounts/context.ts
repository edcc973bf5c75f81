import type { CloudAccount, CloudAccountStatus } from '../api/cloudaccount.generated.ts';
import type { ProviderName } from '../api/names.ts';
import type { Memory } from '../domain/facts.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { Timing } from '../domain/schedule.ts';
import type { KubeClient } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { WritableStore } from '../kube/store.ts';
import type { QueueClock, WorkQueue } from '../kube/work-queue.ts';
import type { Checker } from '../providers/checker.ts';
import type { Credential, Provider } from '../providers/provider.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { SourceReading } from './source.ts';

/** Wall clock in milliseconds since the epoch, and random numbers in [0, 1). */
export interface Clock {
  now(): number;
  random(): number;
  /**
   * What the queue and the waits for a provider's budget go by; default: the system's. Time limits of connections are
   * never among it, so that days can be simulated against real servers.
   */
  timers?: QueueClock;
}

/** A status, what it was written over, and the verdicts that stand in it. */
export interface StatusWrite {
  before: CloudAccountStatus;
  status: CloudAccountStatus;
  settled: readonly ('result' | 'inHand')[];
}

/** What the process remembers of one account, by its UID. */
export interface AccountRecord {
  memory: Memory;
  /** The source as last read, without its bytes: saves reading it again while nothing changed. */
  source?: { reference: string; view: SourceReading['view'] };
  /** Bytes of an accepted candidate until they are published. */
  accepted?: { question: string; credential: Credential };
  /** The name of the copy was looked up, so that a foreign Secret of that name is known. */
  lookedUp?: string;
  /** When writing the copy is tried again, and how often it failed; planned at `since`. */
  publishRetry?: { attempts: number; notBefore: number; since: number };
  /** Writes of status that got no answer: one of them may stand there. */
  unanswered: StatusWrite[];
  /** Ends the check that is under way. */
  abort?: AbortController;
}

/** Everything that the controller's parts share. */
export interface Context {
  client: KubeClient;
  checker: Checker;
  providers: Readonly<Record<ProviderName, Provider>>;
  events: EventRecorder;
  queue: WorkQueue;
  clock: Clock;
  timing: Timing;
  fingerprint: Fingerprint;
  accounts: WritableStore<CloudAccount & KubeObject>;
  /** Whether Secrets are watched; if not, they are read by name at each turn of an account. */
  watchSecrets: boolean;
  /** The users' Secrets that accounts refer to, and foreign ones with the name of a copy. */
  sources: WritableStore<KubeObject>;
  /** Secrets of our type. */
  copies: WritableStore<KubeObject>;
  records: Map<string, AccountRecord>;
  /** Whether a check may begin now: not once the work ends, nor when another process leads by now. */
  mayCheck: () => boolean;
  /** The health of an account changed; for the log. */
  onHealth?: (account: CloudAccount, before: string | undefined) => void;
  /** A check ended; for metrics and the log. */
  onCheck?: (check: {
    provider: ProviderName;
    outcome: Outcome['kind'];
    cause?: string;
    host?: string;
    durationMs: number;
  }) => void;
}

/** The record of an account, made at first sight. */
export function recordOf({ records }: Context, uid: string): AccountRecord {
  const found = records.get(uid);
  if (found !== undefined) return found;
  const record: AccountRecord = { memory: { refusals: [], retries: {} }, unanswered: [] };
  records.set(uid, record);
  return record;
}
