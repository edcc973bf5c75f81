import type { AccountIdentity } from './outcome.ts';

/** How the account that a credential proved relates to the one it must be. */
export type Comparison =
  | { kind: 'same' }
  /** Nothing was known before: learnt now. */
  | { kind: 'learnt' }
  /** No common kind of identity: accepted, and said so. */
  | { kind: 'notComparable' }
  | { kind: 'different'; expected: string; proven?: string };

/**
 * Kinds that name an account, strongest first; then those that name the user who made the credential. Two users may
 * belong to one account, so different users say nothing.
 */
const ACCOUNT_KINDS = ['team', 'account', 'euuid', 'customer'];
const USER_KINDS = ['email-sha256', 'user', 'login'];
const STRENGTH = [...ACCOUNT_KINDS, ...USER_KINDS];

/**
 * Compares identities by the strongest kind of account that both have; a weaker kind may differ (another member of the
 * same team). `pin` is `spec.accountID`: it must be proven, and it is the way to move to another account.
 */
export function compareAccounts(
  known: readonly string[],
  proven: AccountIdentity | undefined,
  pin: string | undefined,
): Comparison {
  const ids = proven?.ids ?? [];
  if (pin !== undefined) {
    if (ids.includes(pin)) return { kind: 'same' };
    const sameKind = ids.find(id => kindOf(id) === kindOf(pin));
    return { kind: 'different', expected: pin, ...(sameKind !== undefined && { proven: sameKind }) };
  }
  if (known.length === 0) return { kind: 'learnt' };
  for (const id of ids) {
    const expected = known.find(other => kindOf(other) === kindOf(id));
    if (expected === id) return { kind: 'same' };
    if (expected !== undefined && ACCOUNT_KINDS.includes(kindOf(id)))
      return { kind: 'different', expected, proven: id };
  }
  return { kind: 'notComparable' };
}

/**
 * What was known of the account of a credential with what another check of the same bytes proved: a stronger id that
 * was learnt later is added, and none is lost.
 */
export function mergeAccounts(known: AccountIdentity | undefined, proven: AccountIdentity): AccountIdentity {
  const kinds = new Set(proven.ids.map(kindOf));
  const kept = (known?.ids ?? []).filter(id => !kinds.has(kindOf(id)));
  const ids = [...proven.ids, ...kept].sort((a, b) => strengthOf(a) - strengthOf(b));
  const name = proven.name ?? known?.name;
  return { ids, ...(name !== undefined && { name }) };
}

/** Lower is stronger; a kind of a newer operator is the weakest. */
function strengthOf(id: string): number {
  const at = STRENGTH.indexOf(kindOf(id));
  return at < 0 ? STRENGTH.length : at;
}

/** `team:5df3e300` → `team`. */
function kindOf(id: string): string {
  return id.slice(0, id.indexOf(':'));
}
