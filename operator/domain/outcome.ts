import type { Access } from '../api/names.ts';

/** Who a credential belongs to, as far as the provider tells. Never holds an e-mail address. */
export interface AccountIdentity {
  /** `<kind>:<value>`, strongest kind first, only what was proven. Never empty. */
  ids: string[];
  /** What a person recognises (team or company name), where the provider gives one. */
  name?: string;
}

/** What a credential may do, judged against `spec.access`. */
export interface Permissions {
  /** `Unknown` where the provider cannot tell; nothing is guessed. */
  state: 'Sufficient' | 'Missing' | 'Unknown';
  /** The provider's own names of what is missing, sorted. With `Sufficient`: what only some operations need. */
  missing: string[];
}

/** What a credential check found out. The last three are not definitive and never change `Connected`. */
export type Outcome =
  /**
   * Every call that verdict, identity, permissions and expiry need was answered definitively. Where one of them failed
   * (transport, 408, 429, 5xx, HTML), the whole check has that call's outcome: half an answer is none.
   */
  | {
      kind: 'accepted';
      /** Absent where the provider does not tell. */
      account?: AccountIdentity;
      /** Absent where this check did not ask, or the provider cannot tell. */
      permissions?: Permissions;
      /** Milliseconds since the epoch. `null`: known not to expire. Absent: not asked for, or the provider cannot tell. */
      expiresAt?: number | null;
    }
  /** The provider refuses the credential: invalid, revoked or expired. */
  | { kind: 'rejected'; detail?: string }
  /** Accepted, but without a right that `access` needs. */
  | { kind: 'missingPermission'; missing: string[]; account?: AccountIdentity; detail?: string }
  /** The caller's address is not on the provider's allow-list; `address` as the provider names it. */
  | { kind: 'sourceNotAllowed'; address?: string; detail?: string }
  /** Credential accepted; the account is locked, not activated, or its API is switched off. */
  | { kind: 'accountLocked'; detail?: string }
  /** Refused offline, without a call. `check` names the failed check, `message` says what to do. */
  | { kind: 'malformed'; check: string; message: string }
  | { kind: 'throttled'; retryAfterMs?: number }
  /**
   * Transport fault, 5xx, maintenance, HTML, empty or truncated body. `cause` is a short stable code; `host` names the
   * host that failed where it is not the provider's API itself.
   */
  | { kind: 'unreachable'; cause: string; host?: string; retryAfterMs?: number }
  /** A complete answer that no row of the provider's table covers, or a redirect. */
  | { kind: 'unexpected'; detail: string };

export type DefinitiveOutcome = Exclude<Outcome, { kind: 'throttled' | 'unreachable' | 'unexpected' }>;
export type Refusal = Exclude<DefinitiveOutcome, { kind: 'accepted' }>;

/** True when the provider (or the offline check) gave a verdict on the credential. */
export function isDefinitive(outcome: Outcome): outcome is DefinitiveOutcome {
  return outcome.kind !== 'throttled' && outcome.kind !== 'unreachable' && outcome.kind !== 'unexpected';
}

/** What a check was asked to judge a credential for. */
export interface CheckRequest {
  access: Access;
  /**
   * `first`: verdict, identity, permissions and expiry, at most 5 calls. `recheck`: the verdict, permissions where the
   * verdict does not carry them, and what is not known yet of identity and expiry; never more calls than `first`.
   */
  depth: 'first' | 'recheck';
  /** Ids proven earlier for the same bytes; only with `recheck`. */
  knownIds?: string[];
  /** The expiry of the same bytes is known from an earlier check; only with `recheck`. Else it is asked for again. */
  expiryKnown?: boolean;
}
