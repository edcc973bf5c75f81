import type { Access, ProviderName } from '../api/names.ts';
import type { CheckRequest, Outcome } from '../domain/outcome.ts';
import type { ProviderHttp } from './http.ts';

/** A field of a credential, as it is named in a source Secret (`spec.credentialsSecretRef.keys` renames it). */
export type CredentialField = 'token' | 'username' | 'password' | 'login' | 'privateKey';

/** The effective bytes of a credential: known fields, surrounding whitespace trimmed, no empty values. */
export type Credential = Partial<Record<CredentialField, string>>;

/** A failed offline check: no call was made. Never contains a part of the credential. */
export interface ShapeProblem {
  /** Name of the check, such as `hetzner-token-identifier`; the only thing said of the shape of the bytes. */
  check: string;
  /** One or two sentences: what is wrong and what to do. */
  message: string;
}

/** How a user makes a credential: the same text feeds condition messages, the CLI and the docs. */
export interface Guide {
  /** The provider's console page where credentials are made. */
  consoleUrl: string;
  /** How to get there, such as `project → Security → API tokens → Generate API token`. */
  consolePath: string;
  /** The exact permissions to choose, in words a person can follow. */
  permissions: Record<Access, string>;
  /** Rights that only some operations need, by the provider's names, and which: `Sufficient` may miss these. */
  furtherRights?: Readonly<Record<string, string>>;
  /** What to keep in mind (expiry, allow-lists, what the provider cannot tell), one sentence each. */
  notes: string[];
}

/** Request budget of a provider: buckets start full. Source: the provider's own limit, or 5/s with bursts of 50. */
export interface Budget {
  /**
   * `credential`: one bucket per credential. `egress`: one for all accounts of the provider, because it counts by the
   * address that we call from. `unknown`: one for all, but a 429 holds up its own credential only, until another
   * credential meets one as well.
   */
  scope: 'credential' | 'egress' | 'unknown';
  ratePerSecond: number;
  burst: number;
}

/** One cloud provider. Adding one: a file here, one in `test/clouds/`, a line in `index.ts`, the CRD enum. */
export interface Provider {
  name: ProviderName;
  /** Alternatives, each a complete set of fields; a Secret must match exactly one. */
  fieldSets: readonly (readonly CredentialField[])[];
  /** Kinds of identity the provider can prove, strongest first; empty where there is none. */
  identityKinds: readonly string[];
  guide: Guide;
  budget: Budget;
  /** Default origins by role; `api` is always there. Paths stay when `--provider-endpoint` replaces them. */
  origins: Readonly<{ api: string } & Record<string, string>>;
  /**
   * Checks the shape offline. Only what the provider promises is refused. `credential` has exactly the fields of
   * one of `fieldSets`. Returns undefined when nothing speaks against the bytes.
   */
  checkShape(credential: Credential): ShapeProblem | undefined;
  /** Masked hint of an accepted credential, such as `dop_v1_••••1a2b`; under 20 characters dots only. */
  hint(credential: Credential): string;
  /** Asks the provider. Never throws for anything the network or the provider does. */
  verify(credential: Credential, request: CheckRequest, http: ProviderHttp): Promise<Outcome>;
}
