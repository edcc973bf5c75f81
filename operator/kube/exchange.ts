import type { Dispatcher } from 'undici';
import { KubeError } from './errors.ts';

export interface HttpRequest {
  origin: string;
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  headers: string[];
  body?: string | undefined;
}

export interface HttpResponse {
  status: number;
  retryAfter: string | string[] | undefined;
  /** Empty for a response that was streamed. */
  body: string;
}

export interface ExchangeLimits {
  /** Time from the call to the end of the answer; for a stream, to its response headers. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Asked when the first byte is about to be sent, which may be long after the call: it waits in line for a connection. */
  maySend?: (() => boolean) | undefined;
}

/** Takes the body of a 2xx answer as it arrives. */
export interface Sink {
  /** Silence after which the connection counts as half-open, in milliseconds. */
  idleTimeoutMs: number;
  onStart?: (() => void) | undefined;
  /** Throwing ends the exchange with that error. */
  onData(chunk: Buffer): void;
}

/**
 * One request and its answer on an undici dispatcher. The handler interface is used directly: `request()` costs a
 * readable stream, an AbortSignal and two more promises a call.
 *
 * undici's own header and body timeouts are switched off by the pools: they have a resolution of half a second and
 * do not count the time spent waiting for a connection.
 */
export function exchange(
  dispatcher: Dispatcher,
  request: HttpRequest,
  limits: ExchangeLimits,
  sink?: Sink,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = limits;
    let controller: Dispatcher.DispatchController | undefined;
    let settled = false;
    let streaming = false;
    let status = 0;
    let retryAfter: string | string[] | undefined;
    const chunks: Buffer[] = [];
    let lastByteAt = 0;
    let timer: NodeJS.Timeout = setTimeout(() => {
      fail(new KubeError('KUBE_TIMEOUT', `${describe(request)}: no answer within ${limits.timeoutMs} ms`));
    }, limits.timeoutMs);

    function settle(): boolean {
      if (settled) return false;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      return true;
    }

    function fail(error: KubeError): void {
      if (!settle()) return;
      reject(error);
      controller?.abort(error);
    }

    function onAbort(): void {
      fail(new KubeError('KUBE_ABORTED', `${describe(request)}: aborted`));
    }

    /** One timer for the whole stream, set again only when it fires: a busy watch must not pay per chunk. */
    function watchSilence(idleTimeoutMs: number): void {
      const remaining = lastByteAt + idleTimeoutMs - performance.now();
      if (remaining <= 0) {
        fail(new KubeError('KUBE_TIMEOUT', `${describe(request)}: no bytes for ${idleTimeoutMs} ms`));
        return;
      }
      timer = setTimeout(() => watchSilence(idleTimeoutMs), remaining);
    }

    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort);

    dispatcher.dispatch(
      { ...request, body: request.body ?? null },
      {
        onRequestStart(started) {
          controller = started;
          // It waited in undici's queue until after the caller had given up.
          if (settled) started.abort(new KubeError('KUBE_ABORTED', 'given up before it was sent'));
          else if (limits.maySend?.() === false)
            fail(new KubeError('KUBE_ABORTED', `${describe(request)}: this process may not write now`));
        },
        onResponseStart(_controller, statusCode, headers) {
          if (settled || statusCode < 200) return;
          status = statusCode;
          retryAfter = headers['retry-after'];
          if (sink === undefined || status > 299) return;
          streaming = true;
          lastByteAt = performance.now();
          clearTimeout(timer);
          watchSilence(sink.idleTimeoutMs);
          sink.onStart?.();
        },
        onResponseData(_controller, chunk) {
          if (settled) return;
          if (!streaming) {
            chunks.push(chunk);
            return;
          }
          lastByteAt = performance.now();
          try {
            sink?.onData(chunk);
          } catch (error) {
            fail(error as KubeError);
          }
        },
        onResponseEnd() {
          if (!settle()) return;
          const [first = Buffer.alloc(0)] = chunks;
          const body = chunks.length < 2 ? first : Buffer.concat(chunks);
          resolve({ status, retryAfter, body: body.toString('utf8') });
        },
        onResponseError(_controller, error) {
          if (!settle()) return;
          reject(new KubeError('KUBE_CONNECTION', `${describe(request)}: ${connectionCode(error)}`));
        },
      },
    );
  });
}

/** Without the query: a continue token or a selector is noise in a message. */
export function describe(request: { method: string; path: string }): string {
  const query = request.path.indexOf('?');
  return `${request.method} ${query === -1 ? request.path : request.path.slice(0, query)}`;
}

/** The code alone: messages of socket errors carry addresses and ephemeral ports, so no two are equal. */
function connectionCode(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  if (typeof cause?.code === 'string') return cause.code;
  return typeof code === 'string' ? code : 'connection failed';
}
