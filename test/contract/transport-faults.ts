import type { Fault } from '../clouds/faults.ts';
import { MAX_BODY_BYTES } from '../../operator/providers/transport.ts';

/** A fault between the operator and a provider, or an answer that is none of the provider's own. */
export interface TransportFault {
  name: string;
  fault: Fault;
  /** The outcome of a check that meets it with its first call. */
  expected: { kind: 'unreachable' | 'throttled' | 'unexpected'; [detail: string]: unknown };
}

/** Faults of which neither a good nor a bad credential learns a verdict. */
export const TRANSPORT_FAULTS: readonly TransportFault[] = [
  { name: 'a reset before the answer', fault: { kind: 'reset' }, expected: unreachable('ConnectionReset') },
  {
    name: 'a reset within the head',
    fault: { kind: 'reset', afterBytes: 20 },
    expected: unreachable('ConnectionReset'),
  },
  {
    name: 'the end of the connection before the answer',
    fault: { kind: 'truncate', afterBytes: 0 },
    expected: unreachable('ConnectionReset'),
  },
  { name: '500', fault: { kind: 'status', status: 500 }, expected: unreachable('Http500') },
  { name: '502', fault: { kind: 'status', status: 502 }, expected: unreachable('Http502') },
  { name: '408', fault: { kind: 'status', status: 408 }, expected: unreachable('Http408') },
  {
    name: '503 with Retry-After',
    fault: { kind: 'status', status: 503, retryAfter: '7' },
    expected: { ...unreachable('Http503'), retryAfterMs: 7000 },
  },
  {
    name: '429 with Retry-After',
    fault: { kind: 'throttle', retryAfter: '7' },
    expected: { kind: 'throttled', retryAfterMs: 7000 },
  },
  {
    name: '429 with nonsense in Retry-After',
    fault: { kind: 'throttle', retryAfter: 'soon' },
    expected: { kind: 'throttled' },
  },
  { name: '429 as HTML', fault: { kind: 'html', status: 429 }, expected: { kind: 'throttled' } },
  { name: 'maintenance', fault: { kind: 'maintenance' }, expected: { kind: 'unreachable' } },
  ...[200, 400, 401, 403, 404].map(status => ({
    name: `HTML with ${status}`,
    fault: { kind: 'html', status } as const,
    expected: unreachable('HtmlAnswer'),
  })),
  { name: 'invalid UTF-8', fault: { kind: 'invalidUtf8' }, expected: unreachable('InvalidEncoding') },
  {
    name: 'too large a body',
    fault: { kind: 'oversized', bytes: MAX_BODY_BYTES },
    expected: unreachable('OversizedBody'),
  },
  {
    name: 'a redirect',
    fault: { kind: 'redirect', location: 'http://127.0.0.1:9/' },
    expected: { kind: 'unexpected', detail: 'redirect (HTTP 302)' },
  },
  {
    name: 'text that is no JSON',
    fault: { kind: 'answer', status: 401, body: 'Unauthorized' },
    expected: unreachable('NotJson'),
  },
  {
    name: 'half a JSON',
    fault: { kind: 'answer', status: 401, body: '{"error":' },
    expected: unreachable('NotJson'),
  },
  { name: '403 without a body', fault: { kind: 'empty', status: 403 }, expected: { kind: 'unexpected' } },
  {
    name: 'an unknown status',
    fault: { kind: 'answer', status: 418, body: '{"hello":"world"}' },
    expected: { kind: 'unexpected' },
  },
];

/** Faults that are over only when the deadline of the check is. */
export const SLOW_FAULTS: readonly TransportFault[] = [
  { name: 'no answer', fault: { kind: 'hang' }, expected: unreachable('DeadlineExceeded') },
  {
    name: 'half an answer',
    fault: { kind: 'hang', afterBytes: 60 },
    expected: unreachable('DeadlineExceeded'),
  },
  { name: 'a slow drip', fault: { kind: 'drip', everyMs: 200 }, expected: unreachable('DeadlineExceeded') },
];

function unreachable(cause: string) {
  return { kind: 'unreachable' as const, cause };
}
