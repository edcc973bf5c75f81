import type { CloudAccount } from '../api/cloudaccount.generated.ts';
import type { Result, Step } from '../domain/facts.ts';
import { judge, remember, waitInLine } from '../domain/fold.ts';
import type { CheckRequest } from '../domain/outcome.ts';
import { keyOf } from '../kube/resource.ts';
import type { CheckAnswer } from '../providers/checker.ts';
import type { Credential } from '../providers/provider.ts';
import type { AccountRecord, Context } from './context.ts';
import { recheckOf, wantedOf } from './spec.ts';

/** How long a first check may run before it shows in status; the domain decides, this only wakes it. */
const SHOW_AFTER_MS = 1_000;

/** Begins a check. No worker waits for it: when it ends, its result is put into memory and the account comes again. */
export function beginCheck(
  context: Context,
  account: CloudAccount,
  record: AccountRecord,
  { which, question, depth, round }: Extract<Step, { do: 'check' }>,
  credential: Credential,
): void {
  const { checker, clock, queue } = context;
  const key = keyOf(account);
  const { provider, accountID } = account.spec;
  const recheck = recheckOf(account);
  const { access } = wantedOf(account);
  const knownIds = account.status?.account?.ids;
  const request: CheckRequest = {
    access:
      which === 'candidate' ? access : ((account.status?.credential?.access ?? access) as typeof access),
    depth,
    ...(depth === 'recheck' && knownIds !== undefined && { knownIds }),
    ...(depth === 'recheck' && { expiryKnown: account.status?.credential?.expiresAt !== undefined }),
  };
  const checking: NonNullable<AccountRecord['memory']['checking']> = { which, question };
  record.memory.checking = checking;
  const abort = new AbortController();
  record.abort = abort;
  let startedAt = clock.now();
  const onStart = (): void => {
    // It may have waited in line for long.
    if (!context.mayCheck()) return abort.abort();
    startedAt = clock.now();
    checking.startedAt = startedAt;
    if (which === 'candidate') queue.addAfter(key, SHOW_AFTER_MS);
  };
  const onEnd = (outcome: CheckAnswer): void => {
    delete record.abort;
    // Broken off by us: it says nothing about the provider.
    if (abort.signal.aborted || outcome.kind === 'aborted') {
      delete record.memory.checking;
      return;
    }
    const at = clock.now();
    // By our own line: the provider was not asked, so this is no attempt.
    if (outcome.kind === 'turnedAway') {
      record.memory = waitInLine(record.memory, { which, question }, at, outcome.retryAfterMs);
      return queue.add(key);
    }
    const { cause, host } = outcome.kind === 'unreachable' ? outcome : {};
    context.onCheck?.({
      provider,
      outcome: outcome.kind,
      ...(cause !== undefined && { cause }),
      ...(host !== undefined && { host }),
      durationMs: at - startedAt,
    });
    const status = context.accounts.get(key)?.status;
    const verdict = which === 'candidate' ? judge(outcome, status?.account?.ids ?? [], accountID) : outcome;
    const hint = verdict.kind === 'accepted' ? context.providers[provider].hint(credential) : undefined;
    const result: Result = {
      which,
      question,
      outcome: verdict,
      at,
      ...(hint !== undefined && { hint }),
      ...(round !== undefined && { round }),
      ...(recheck !== undefined && { recheck }),
    };
    record.memory = remember(record.memory, result, clock.random());
    if (which === 'candidate' && verdict.kind === 'accepted') record.accepted = { question, credential };
    queue.add(key);
  };
  void checker.check(provider, credential, request, { signal: abort.signal, onStart }).then(onEnd);
}
