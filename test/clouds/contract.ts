import type { Cloud, CloudOptions, CloudToken, TokenOptions } from './kit.ts';

/**
 * What the contract suite (`test/contract/`) needs to know of a provider and its cloud; each lives in
 * `<name>.contract.ts`. Outcomes are written as plain data: simulated clouds import nothing from the operator.
 */
export interface CloudContract<Account extends object, Extra extends object> {
  create(options?: CloudOptions): Cloud<Account, Extra>;
  /** A good token with all rights, checked for ReadWrite for the first time. */
  accepted(token: CloudToken<Account, Extra>): object;
  /** Calls that such a check makes. Promised: at most 5, and at most 2 (3 where one call proves nothing), with account and expiry known. */
  calls: { first: number; recheck: number };
  /** The hint that is shown of a token. */
  hint(token: CloudToken<Account, Extra>): string;
  /** Every row of the provider's classification table, and what lies beside it. */
  rows: readonly ContractRow<Account, Extra>[];
  /** Credentials that are refused offline. */
  malformed: readonly MalformedRow[];
}

export interface ContractRow<Account extends object, Extra extends object> {
  name: string;
  /** How the token is made. */
  token?: TokenOptions<Extra>;
  /** What happens to it, its account or the cloud before the check. */
  arrange?(cloud: Cloud<Account, Extra>, token: CloudToken<Account, Extra>): void;
  access?: 'ReadWrite' | 'ReadOnly';
  depth?: 'first' | 'recheck';
  /** Ids proven earlier; only with `recheck`. */
  knownIds?(token: CloudToken<Account, Extra>): string[];
  /** The expiry is known from earlier; only with `recheck`. */
  expiryKnown?: boolean;
  /** The whole outcome. */
  expected: object | ((token: CloudToken<Account, Extra>) => object);
}

export interface MalformedRow {
  name: string;
  /** Made from a good token's credential, so that no valid-shaped one stands in the code. */
  spoil: (credential: Record<string, string>) => Record<string, string>;
  /** Name of the offline check that fails. */
  check: string;
}
