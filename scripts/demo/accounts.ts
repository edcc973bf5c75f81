import { setTimeout as delay } from 'node:timers/promises';
import type { CloudAccount, Condition } from '../../operator/api/cloudaccount.generated.ts';
import type { ControlPlane } from '../../test/control-plane/control-plane.ts';
import type { Example, Shown } from './examples.ts';

const POLL_MS = 250;
const PROGRESS_MS = 10_000;

export type Accounts = ReadonlyMap<string, CloudAccount>;

export interface Failure {
  name: string;
  meant: string;
  shown: string;
  message: string;
}

/** All accounts of the cluster by name; the demo has one namespace. */
export async function listAccounts(controlPlane: ControlPlane): Promise<Accounts> {
  const path = '/apis/strackt.io/v1alpha1/cloudaccounts';
  const { status, body } = await controlPlane.api<{ items: CloudAccount[] }>('GET', path);
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
  return new Map(body.items.map(account => [account.metadata.name ?? '', account]));
}

/**
 * Waits until all examples show at the same time what they are meant to show, and resolves with those that do not: at
 * the deadline, or as soon as each of them waits for a person (Stalled), so that nothing more would come.
 */
export async function waitForExamples(
  examples: readonly Example[],
  options: {
    list: () => Promise<Accounts>;
    /** Creates the Secret of an example whose account is seen waiting for it. */
    bringSecret: (example: Example) => Promise<void>;
    say: (line: string) => void;
    timeoutMs: number;
  },
): Promise<Failure[]> {
  const start = performance.now();
  const secretMissing = new Set(examples.filter(({ scenario }) => scenario.before).map(({ name }) => name));
  for (let nextProgress = start + PROGRESS_MS; ; await delay(POLL_MS)) {
    const accounts = await options.list();
    const failures: Failure[] = [];
    let settled = true;
    for (const example of examples) {
      const { name, scenario } = example;
      const account = accounts.get(name);
      const wanted = (secretMissing.has(name) && scenario.before) || scenario.shows;
      if (!shows(account, wanted)) {
        failures.push({
          name,
          meant: phrase(wanted),
          shown: phrase(shownBy(account)),
          message: condition(account, 'Ready')?.message ?? '',
        });
        settled &&= condition(account, 'Stalled') !== undefined;
      } else if (secretMissing.delete(name)) {
        await options.bringSecret(example);
        settled = false;
        failures.push({ name, meant: phrase(scenario.shows), shown: phrase(wanted), message: '' });
      }
    }
    if (failures.length === 0 || settled || performance.now() - start > options.timeoutMs) return failures;
    if (performance.now() < nextProgress) continue;
    nextProgress += PROGRESS_MS;
    for (const { name, meant, shown } of failures)
      options.say(`waiting for ${name}: ${meant}; it shows ${shown}`);
  }
}

/** One line about an account: health, Ready with its reason, and what is under way. */
export function describe(account: CloudAccount): string {
  const { status } = account;
  const ready = condition(account, 'Ready');
  const parts = [phrase(shownBy(account)), `Ready ${ready?.status ?? 'Unknown'}`];
  if (status?.confirming !== undefined) parts.push(`refused ${status.confirming.count} of 3 times`);
  if (status?.lastAttempt !== undefined) parts.push(`last attempt ${status.lastAttempt.reason}`);
  if (account.spec.suspend === true) parts.push('suspended');
  return parts.join(', ');
}

/** What the table shows of an account apart from times: when it changes, the table is worth printing again. */
export function inTable(account: CloudAccount): string {
  return [
    account.status?.health,
    condition(account, 'Ready')?.status,
    account.status?.credential?.hint,
  ].join();
}

function shows(account: CloudAccount | undefined, wanted: Shown): boolean {
  const { health, reason } = shownBy(account);
  return health === wanted.health && reason === wanted.reason;
}

function shownBy(account: CloudAccount | undefined): { health: string; reason: string } {
  return {
    health: account?.status?.health ?? 'no status',
    reason: condition(account, 'Ready')?.reason ?? 'no verdict yet',
  };
}

function condition(account: CloudAccount | undefined, type: string): Condition | undefined {
  return account?.status?.conditions?.find(found => found.type === type);
}

function phrase({ health, reason }: { health: string; reason: string }): string {
  return `${health} (${reason})`;
}
