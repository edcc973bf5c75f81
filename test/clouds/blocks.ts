import type { Fault } from './faults.ts';

/**
 * What stands between a cluster and a provider and answers in JSON, as the caller asked for: nothing of it is the
 * provider's own, however much it looks like it.
 */
export const BLOCKS = {
  /** A filter on the way out of the cluster, in the form that DigitalOcean uses. */
  egress: {
    kind: 'answer',
    status: 403,
    headers: { 'content-type': 'application/json' },
    body: '{"id":"blocked","message":"Blocked by egress policy"}',
  },
  /** The same in the form that Vultr and TransIP use. */
  gateway: {
    kind: 'answer',
    status: 403,
    headers: { 'content-type': 'application/json' },
    body: '{"error":"Blocked by egress policy"}',
  },
  /** Cloudflare: developers.cloudflare.com, "Error pages", answers to clients that accept JSON. */
  cloudflare: {
    kind: 'answer',
    status: 403,
    headers: { 'content-type': 'application/json' },
    body: '{"title":"Error 1010: Access denied","status":403,"error_code":1010,"cloudflare_error":true}',
  },
} as const satisfies Record<string, Fault>;
