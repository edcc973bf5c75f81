/**
 * - `KUBE_HTTP`: the API server answered with an error; `status` and mostly `reason` are set.
 * - `KUBE_TIMEOUT`: no complete answer within the call's time limit, or a watch went silent.
 * - `KUBE_CONNECTION`: no connection, or it broke. A write may or may not have happened.
 * - `KUBE_MALFORMED`: the answer is not what the API server sends (cut JSON, HTML of a load balancer).
 * - `KUBE_CREDENTIALS`: the kubeconfig's files or credential plugin gave nothing to connect with.
 * - `KUBE_ABORTED`: the caller's signal, or `close()`.
 */
export type KubeErrorCode =
  'KUBE_HTTP' | 'KUBE_TIMEOUT' | 'KUBE_CONNECTION' | 'KUBE_MALFORMED' | 'KUBE_CREDENTIALS' | 'KUBE_ABORTED';

export interface KubeErrorDetails {
  status?: number | undefined;
  reason?: string | undefined;
  causes?: readonly string[] | undefined;
  retryAfterMs?: number | undefined;
  serverText?: string | undefined;
}

/** Every failure of this library. The message never holds a header, a query string or a body of ours. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly code: KubeErrorCode;
  /** HTTP status, or the `code` of a watch's ERROR event. */
  readonly status: number | undefined;
  /** `reason` of the API server's Status, such as `NotFound`. */
  readonly reason: string | undefined;
  /** `details.causes[].reason` of the Status, such as `NamespaceTerminating`. */
  readonly causes: readonly string[];
  /** How long the API server asks to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /**
   * The API server's own text. It may repeat what was sent, so it may be shown only after it was held against that; it
   * is not enumerable, so that no logger takes it along.
   */
  declare readonly serverText: string | undefined;

  constructor(code: KubeErrorCode, message: string, details: KubeErrorDetails = {}) {
    super(message);
    this.code = code;
    this.status = details.status;
    this.reason = details.reason;
    this.causes = details.causes ?? [];
    this.retryAfterMs = details.retryAfterMs;
    Object.defineProperty(this, 'serverText', { value: details.serverText });
  }
}

export function isKubeError(error: unknown): error is KubeError {
  return error instanceof KubeError;
}

export function isNotFound(error: unknown): boolean {
  return hasStatus(error, 404);
}

/** Somebody else wrote the object since it was read (409, but not `AlreadyExists`). */
export function isConflict(error: unknown): boolean {
  return hasStatus(error, 409) && error.reason !== 'AlreadyExists';
}

export function isAlreadyExists(error: unknown): boolean {
  return hasStatus(error, 409) && error.reason === 'AlreadyExists';
}

/** Missing rights, an exceeded quota and a refusing admission policy all answer 403. */
export function isForbidden(error: unknown): boolean {
  return hasStatus(error, 403);
}

export function isUnauthorized(error: unknown): boolean {
  return hasStatus(error, 401);
}

/** The resourceVersion or continue token is too old: list again. */
export function isExpired(error: unknown): boolean {
  return hasStatus(error, 410);
}

export function isInvalid(error: unknown): boolean {
  return hasStatus(error, 422);
}

export function isTooManyRequests(error: unknown): boolean {
  return hasStatus(error, 429);
}

export function isAborted(error: unknown): boolean {
  return isKubeError(error) && error.code === 'KUBE_ABORTED';
}

export function isNamespaceTerminating(error: unknown): boolean {
  return isKubeError(error) && error.causes.includes('NamespaceTerminating');
}

function hasStatus(error: unknown, status: number): error is KubeError {
  return isKubeError(error) && error.status === status;
}

interface StatusBody {
  kind?: unknown;
  message?: unknown;
  reason?: unknown;
  code?: unknown;
  details?: { retryAfterSeconds?: unknown; causes?: unknown };
}

/** Long validation messages repeat the object; the beginning names the field. */
const MESSAGE_LIMIT = 1024;

/**
 * The error of a `Status` object: the body of an answer, or the object of a watch's ERROR event.
 *
 * `quoteMessage: false` leaves the server's text out: admission may repeat what was sent, and for a Secret that is
 * the credential itself.
 */
export function errorOfStatus(
  what: string,
  status: number,
  body: unknown,
  options: { retryAfterMs?: number | undefined; quoteMessage?: boolean } = {},
): KubeError {
  const parsed = isStatus(body) ? body : {};
  const reason = typeof parsed.reason === 'string' && parsed.reason !== '' ? parsed.reason : undefined;
  const quoted =
    options.quoteMessage !== false && typeof parsed.message === 'string'
      ? `: ${parsed.message.slice(0, MESSAGE_LIMIT)}`
      : '';
  const seconds = parsed.details?.retryAfterSeconds;
  return new KubeError('KUBE_HTTP', `${what}: ${status} ${reason ?? 'without a reason'}${quoted}`, {
    status,
    reason,
    causes: causesOf(parsed.details?.causes),
    serverText: typeof parsed.message === 'string' ? parsed.message.slice(0, MESSAGE_LIMIT) : undefined,
    retryAfterMs:
      options.retryAfterMs ?? (typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined),
  });
}

function isStatus(body: unknown): body is StatusBody {
  return typeof body === 'object' && body !== null && (body as StatusBody).kind === 'Status';
}

function causesOf(causes: unknown): string[] {
  if (!Array.isArray(causes)) return [];
  return causes
    .map((cause: unknown) => (cause as { reason?: unknown } | null)?.reason)
    .filter(reason => typeof reason === 'string');
}

/** `Retry-After` in seconds or as an HTTP date → milliseconds, or undefined when absent or not understood. */
export function parseRetryAfter(value: string | string[] | undefined, nowMs: number): number | undefined {
  const text = Array.isArray(value) ? value[0] : value;
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
