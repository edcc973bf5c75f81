/**
 * - `KUBE_HTTP`: the API server answered with an error: a `Status` of its own; `status` and mostly `reason` are set.
 * - `KUBE_FOREIGN`: an HTTP error without such a `Status`: of a gateway on the way, or of the API server's outermost layer
 *   ("404 page not found"). `status` is told and nothing is concluded from it. A write may or may not have happened.
 * - `KUBE_TIMEOUT`: no complete answer within the call's time limit, or a watch went silent.
 * - `KUBE_CONNECTION`: no connection, or it broke. A write may or may not have happened.
 * - `KUBE_MALFORMED`: the answer is not what the API server sends (cut JSON, HTML of a load balancer).
 * - `KUBE_CREDENTIALS`: the kubeconfig's files or credential plugin gave nothing to connect with.
 * - `KUBE_ABORTED`: the caller's signal, or `close()`.
 */
export type KubeErrorCode =
  | 'KUBE_HTTP'
  | 'KUBE_FOREIGN'
  | 'KUBE_TIMEOUT'
  | 'KUBE_CONNECTION'
  | 'KUBE_MALFORMED'
  | 'KUBE_CREDENTIALS'
  | 'KUBE_ABORTED';

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

/*
 * What follows is concluded from only where the API server itself said it, in a `Status` with the reason that belongs
 * to the number (k8s.io/apimachinery/pkg/api/errors). An HTML 404 of a gateway says nothing about an object.
 */

export function isNotFound(error: unknown): boolean {
  return says(error, 404, 'NotFound');
}

/** Somebody else wrote the object since it was read. */
export function isConflict(error: unknown): boolean {
  return says(error, 409, 'Conflict');
}

export function isAlreadyExists(error: unknown): boolean {
  return says(error, 409, 'AlreadyExists');
}

/**
 * Missing rights, an exceeded quota and a refusing admission policy all answer 403. Any reason counts: a webhook's denial
 * has one of its own, or none.
 */
export function isForbidden(error: unknown): boolean {
  return isKubeError(error) && error.code === 'KUBE_HTTP' && error.status === 403;
}

/** To a list: these objects are not for us, until somebody changes that. A 401 may be over with the next token. */
export function isRefusal(error: unknown): boolean {
  return isForbidden(error) || isNotFound(error);
}

/** The resourceVersion or continue token is too old: list again. */
export function isExpired(error: unknown): boolean {
  return says(error, 410, 'Expired', 'Gone');
}

export function isInvalid(error: unknown): boolean {
  return says(error, 422, 'Invalid');
}

export function isAborted(error: unknown): boolean {
  return isKubeError(error) && error.code === 'KUBE_ABORTED';
}

export function isNamespaceTerminating(error: unknown): boolean {
  return isKubeError(error) && error.causes.includes('NamespaceTerminating');
}

function says(error: unknown, status: number, ...reasons: string[]): boolean {
  if (!isKubeError(error) || error.code !== 'KUBE_HTTP' || error.status !== status) return false;
  return reasons.includes(error.reason ?? '');
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
 * The error of an HTTP answer or of a watch's ERROR event: the API server's where `body` is a `Status` with that number,
 * else somebody else's on the way.
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
  const { retryAfterMs } = options;
  if (!isStatus(body, status)) {
    const message = `${what}: ${status} that is not the API server's own`;
    return new KubeError('KUBE_FOREIGN', message, { status, retryAfterMs });
  }
  const reason = typeof body.reason === 'string' && body.reason !== '' ? body.reason : undefined;
  const quoted =
    options.quoteMessage !== false && typeof body.message === 'string'
      ? `: ${body.message.slice(0, MESSAGE_LIMIT)}`
      : '';
  const seconds = body.details?.retryAfterSeconds;
  return new KubeError('KUBE_HTTP', `${what}: ${status} ${reason ?? 'without a reason'}${quoted}`, {
    status,
    reason,
    causes: causesOf(body.details?.causes),
    serverText: typeof body.message === 'string' ? body.message.slice(0, MESSAGE_LIMIT) : undefined,
    retryAfterMs: retryAfterMs ?? (typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined),
  });
}

function isStatus(body: unknown, status: number): body is StatusBody {
  const { kind, code } = (body ?? {}) as StatusBody;
  return kind === 'Status' && code === status;
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
