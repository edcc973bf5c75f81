const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const QUARTER_HOUR_MS = 900_000;

/**
 * How long a provider asks to be left alone, in milliseconds; undefined where it says nothing usable (nothing, a time
 * that is over, or nonsense), so that the caller's own back-off decides.
 *
 * `Retry-After` (seconds or HTTP date, RFC 9110 section 10.2.3) is an order and kept up to a day; a longer one is more
 * likely a fault than a plan. With a 429 the reset headers stand in for it, as hints: some tell when the whole window
 * is over although calls are allowed sooner (Hetzner refills one a second), so no more than a quarter of an hour.
 */
export function retryAfterMs(
  headers: Record<string, string>,
  now: number,
  throttled: boolean,
): number | undefined {
  const asked = fromRetryAfter(headers['retry-after'], now);
  if (asked !== undefined) return Math.min(asked, DAY_MS);
  const reset = throttled ? fromReset(headers, now) : undefined;
  return reset === undefined ? undefined : Math.min(reset, QUARTER_HOUR_MS);
}

function fromRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return positive(Number(value) * SECOND_MS);
  // An HTTP date begins with the name of a day; Date.parse alone takes "-5" and "1a" for dates.
  return /^[A-Z][a-z]+,? /.test(value) ? positive(Date.parse(value) - now) : undefined;
}

/**
 * Unix seconds: `RateLimit-Reset` of Hetzner (hcloud-go hcloud/client_handler_rate_limit.go) and DigitalOcean
 * (digitalocean/openapi shared/headers.yml; seen in the past on a 429), `X-RateLimit-Reset` of Linode (techdocs.akamai.com
 * "Rate limits"), `X-Rate-Limit-Reset` of TransIP (transip-api-php HttpClient.php).
 */
const RESET_HEADERS = ['ratelimit-reset', 'x-ratelimit-reset', 'x-rate-limit-reset'] as const;

function fromReset(headers: Record<string, string>, now: number): number | undefined {
  const value = RESET_HEADERS.map(name => headers[name]).find(text => text !== undefined);
  return value !== undefined && /^\d+$/.test(value) ? positive(Number(value) * SECOND_MS - now) : undefined;
}

function positive(ms: number): number | undefined {
  return ms > 0 ? ms : undefined;
}
