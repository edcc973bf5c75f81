import type { Outcome } from '../domain/outcome.ts';

/** What a provider's error body says, read from the provider's own shape; empty where the body has another shape. */
export interface ProviderError {
  /** Machine-readable code, where the provider has one. */
  code?: string;
  /** The provider's text. */
  text?: string;
}

/** One row of a provider's classification table. Every condition that it names must hold. */
export interface ClassificationRow {
  status?: number;
  code?: string;
  /** With `sourceNotAllowed`, the group `address` is the caller's address as the provider names it. */
  text?: RegExp;
  means: Exclude<Outcome['kind'], 'accepted' | 'malformed'>;
  /** With `unreachable`: short stable code for `cause`. */
  cause?: string;
  /** Where the provider, its SDK or an incident says so. */
  source: string;
}

/**
 * The outcome of the first row that covers an answer, else `unexpected`. `missing` are the provider's names of the
 * rights that a `missingPermission` row speaks of.
 */
export function classify(
  table: readonly ClassificationRow[],
  status: number,
  error: ProviderError,
  missing: string[],
): Outcome {
  const row = table.find(
    ({ status: rowStatus, code, text }) =>
      (rowStatus === undefined || rowStatus === status) &&
      (code === undefined || code === error.code) &&
      (text === undefined || (error.text !== undefined && text.test(error.text))),
  );
  const detail = error.text === undefined ? {} : { detail: error.text };
  switch (row?.means) {
    case 'rejected':
    case 'accountLocked':
      return { kind: row.means, ...detail };
    case 'missingPermission':
      return { kind: 'missingPermission', missing, ...detail };
    case 'sourceNotAllowed': {
      const address = row.text?.exec(error.text ?? '')?.groups?.['address'];
      return { kind: 'sourceNotAllowed', ...(address !== undefined && { address }), ...detail };
    }
    case 'throttled':
      return { kind: 'throttled' };
    case 'unreachable':
      return { kind: 'unreachable', cause: row.cause ?? 'Unavailable' };
    case 'unexpected':
    case undefined:
      return { kind: 'unexpected', detail: describe(status, error) };
  }
}

/** Which answer was not understood, in terms that stay the same from one check to the next. */
function describe(status: number, { code, text }: ProviderError): string {
  const said = [code, text].filter(part => part !== undefined).join(': ');
  return said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`;
}

/** A 200 on a verdict call without what the provider promises in it: a gateway's or a cut answer, no acceptance. */
export function withoutPromised(json: unknown, promised: string): Outcome {
  if (json === undefined) return { kind: 'unreachable', cause: 'EmptyBody' };
  return { kind: 'unexpected', detail: `HTTP 200 without ${promised}` };
}
