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
 * Compares identities by the strongest kind that both have; a weaker kind may differ (another member of the same
 * team). `pin` is `spec.accountID`: it must be proven, and it is the way to move to another account.
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
    if (expected === undefined) continue;
    return expected === id ? { kind: 'same' } : { kind: 'different', expected, proven: id };
  }
  return { kind: 'notComparable' };
}

/** `team:5df3e300` → `team`. */
function kindOf(id: string): string {
  return id.slice(0, id.indexOf(':'));
}
