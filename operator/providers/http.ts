import type { Outcome } from '../domain/outcome.ts';

/** One request to a provider. `path` includes the query; no credential ever goes into it. */
export interface ProviderRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Role in `Provider.origins`; default `api`. */
  origin?: string;
  path: string;
  headers?: Record<string, string>;
  /** Sent as it is, with `content-type: application/json`. */
  body?: string;
}

/** An outcome that says nothing about the credential. */
export type NotDefinitive = Extract<Outcome, { kind: 'throttled' | 'unreachable' | 'unexpected' }>;

/**
 * A complete answer with a JSON or an empty body, or why there is none. What is the same for all providers is
 * decided here: 429 is `throttled`; 408, 5xx, HTML or other non-JSON with any status, truncated or oversized
 * bodies, invalid UTF-8 and transport faults are `unreachable`; redirects are `unexpected`.
 */
export type ProviderAnswer =
  | { ok: true; status: number; headers: Record<string, string>; json: unknown }
  | { ok: false; outcome: NotDefinitive };

/** What a provider module gets to make its calls with: budget, deadline and transport are behind it. */
export interface ProviderHttp {
  /** Never rejects. `json` is undefined for an empty body. Header names are lower case. */
  call(request: ProviderRequest): Promise<ProviderAnswer>;
  /** Milliseconds since the epoch. */
  now(): number;
}
