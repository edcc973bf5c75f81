import { createCredentialSource, type KubeConfigSource } from './credentials.ts';
import { KubeError, errorOfStatus, isAborted, parseRetryAfter } from './errors.ts';
import { describe, type HttpRequest, type HttpResponse } from './exchange.ts';
import { createLineSplitter } from './lines.ts';
import {
  apiVersionOf,
  collectionPath,
  objectPath,
  type KubeObject,
  type ObjectInput,
  type ObjectKey,
  type ObjectMeta,
  type Resource,
} from './resource.ts';
import { type Call, createTransport } from './transport.ts';

export interface KubeClientOptions {
  /**
   * Connections for calls, 32 by default: measured against an API server on the same two cores, 16 gave 4,000 reads
   * a second, 32 gave 6,000, and 64 no more. Watches do not count.
   */
  connections?: number;
  /** Time limit of a call when it brings none, waiting and retries included; 30 s by default. */
  timeoutMs?: number;
  /**
   * Age at which token, certificate and CA files are read again; a minute by default, as in client-go: a kubelet
   * renews a service account token at 80 % of its life. After a 401 or a failed connection they are read at once.
   */
  rereadMs?: number;
  /** Shown in the API server's audit log. */
  userAgent?: string;
  /**
   * Asked right before the first byte of each request that is no GET, repeated ones and those that waited in line for a
   * connection included; `false` makes it fail as `KUBE_ABORTED`, unsent. For a leader that was frozen and goes on with
   * what it was about to write.
   */
  mayWrite?: () => boolean;
  /** After each call, watches excepted: whether anybody answered it. For a liveness probe. */
  onCall?: (isAnswered: boolean) => void;
  /** Faults while files or plugins of the kubeconfig are read again; calls go on with what there was. */
  onFault?: (error: KubeError) => void;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface PartialObjectMetadata {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

export interface ListOptions extends CallOptions {
  namespace?: string | undefined;
  fieldSelector?: string | undefined;
  labelSelector?: string | undefined;
  /** Objects a page, 500 by default; 0 asks for all at once. */
  limit?: number | undefined;
  /** Items carry `metadata` alone: the bodies (of Secrets, say) are never sent. */
  metadataOnly?: boolean | undefined;
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}

export interface ListPage<T> {
  items: T[];
  /** Of the whole list; the same on every page. */
  resourceVersion: string;
}

export interface WatchOptions {
  resourceVersion: string;
  signal: AbortSignal;
  namespace?: string | undefined;
  fieldSelector?: string | undefined;
  labelSelector?: string | undefined;
  metadataOnly?: boolean | undefined;
  /** After that the API server ends the watch itself. */
  timeoutSeconds: number;
  /** Silence that counts as a half-open connection, in milliseconds. */
  idleTimeoutMs: number;
  /** The API server has accepted the watch. */
  onStart?: (() => void) | undefined;
  /** Bytes arrived. */
  onActivity?: (() => void) | undefined;
}

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; object: { metadata: { resourceVersion: string } } };

export interface DeleteOptions extends CallOptions {
  preconditions?: { uid?: string; resourceVersion?: string };
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
}

export interface ApplyOptions extends CallOptions {
  fieldManager: string;
  /** Takes fields over from other managers; without it a difference with one of them is a conflict (409). */
  force?: boolean;
  subresource?: 'status' | 'scale';
}

export interface WriteOptions extends CallOptions {
  fieldManager?: string | undefined;
  subresource?: 'status' | 'scale' | undefined;
}

export interface RequestOptions extends CallOptions {
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  contentType?: string;
  accept?: string;
}

/** Calls of the API server. Every failure is a `KubeError`. Objects come as they were sent: no classes, no dates. */
export interface KubeClient {
  get<T = KubeObject>(resource: Resource, key: ObjectKey, options?: CallOptions): Promise<T>;
  getMetadata(resource: Resource, key: ObjectKey, options?: CallOptions): Promise<PartialObjectMetadata>;
  /** Pages of one consistent list. A page token that ran out rejects with `isExpired`. */
  listPages<T = KubeObject>(
    resource: Resource,
    options?: ListOptions,
  ): AsyncGenerator<ListPage<T>, void, undefined>;
  create<T = KubeObject>(resource: Resource, object: ObjectInput, options?: WriteOptions): Promise<T>;
  /** PUT of the whole object; its `metadata.resourceVersion` must be the one that was read (else 409). */
  replace<T = KubeObject>(resource: Resource, object: ObjectInput, options?: WriteOptions): Promise<T>;
  delete(resource: Resource, key: ObjectKey, options?: DeleteOptions): Promise<void>;
  /**
   * Server-side apply: fields of this manager that are left out are removed. `metadata.resourceVersion` in the object
   * guards against a concurrent write (409); a uid does not, on a subresource.
   */
  apply<T = KubeObject>(resource: Resource, object: ObjectInput, options: ApplyOptions): Promise<T>;
  /** JSON merge patch. */
  patch<T = KubeObject>(
    resource: Resource,
    key: ObjectKey,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<T>;
  /** Resolves when the API server ends the watch; rejects on a fault and on an ERROR event. Never retries. */
  watch<T = KubeObject>(
    resource: Resource,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
  ): Promise<void>;
  /** Any other request; `path` begins at the API server's root. Resolves with the parsed answer. */
  request<T>(method: HttpRequest['method'], path: string, options?: RequestOptions): Promise<T>;
  /** Breaks off everything under way. */
  close(): Promise<void>;
}

/**
 * JSON that is YAML as well, which is how an apply is read: YAML takes no control characters as they are (the API server
 * answers 400), and would fold the line breaks of Unicode into spaces.
 */
function encodeBody(body: unknown): string {
  return JSON.stringify(body).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const JSON_TYPE = 'application/json';
const METADATA_TYPE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
const METADATA_LIST_TYPE = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const APPLY_TYPE = 'application/apply-patch+yaml';
const MERGE_TYPE = 'application/merge-patch+json';
const DEFAULT_PAGE_SIZE = 500;

export function createKubeClient(kubeConfig: KubeConfigSource, options: KubeClientOptions = {}): KubeClient {
  const defaultTimeoutMs = options.timeoutMs ?? 30_000;
  const userAgent = options.userAgent ?? 'kube';
  const transport = createTransport({
    credentials: createCredentialSource(kubeConfig),
    connections: options.connections ?? 32,
    rereadMs: options.rereadMs ?? 60_000,
    onFault: options.onFault,
  });

  async function send<T>(
    method: HttpRequest['method'],
    path: string,
    call: CallOptions | undefined,
    accept: string,
    body?: unknown,
    contentType?: string,
  ): Promise<T> {
    const headers = ['accept', accept, 'user-agent', userAgent];
    if (body !== undefined) headers.push('content-type', contentType ?? JSON_TYPE);
    const response = await answerTo({
      method,
      path,
      headers,
      body: body === undefined ? undefined : encodeBody(body),
      timeoutMs: call?.timeoutMs ?? defaultTimeoutMs,
      signal: call?.signal,
      maySend: method === 'GET' ? undefined : options.mayWrite,
    });
    if (response.status < 200 || response.status > 299) throw errorOfResponse(method, path, response);
    return parseJson(response.body, method, path) as T;
  }

  async function answerTo(call: Call): Promise<HttpResponse> {
    try {
      const response = await transport.call(call);
      options.onCall?.(true);
      return response;
    } catch (error) {
      if (!isAborted(error)) options.onCall?.(false);
      throw error;
    }
  }

  /** As `send`, for one object: an answer that is not this object is somebody else's, such as a captive portal's. */
  async function sendForObject<T>(
    method: HttpRequest['method'],
    path: string,
    name: string,
    ...rest: [CallOptions | undefined, accept: string, body?: unknown, contentType?: string]
  ): Promise<T> {
    const object = await send<T>(method, path, ...rest);
    if (!isObjectNamed(object, name)) {
      throw new KubeError(
        'KUBE_MALFORMED',
        `${describe({ method, path })}: not the object that was asked for`,
      );
    }
    return object;
  }

  async function* listPages<T>(
    resource: Resource,
    list: ListOptions = {},
  ): AsyncGenerator<ListPage<T>, void, undefined> {
    const path = collectionPath(resource, list.namespace);
    const accept = list.metadataOnly === true ? METADATA_LIST_TYPE : JSON_TYPE;
    let token: string | undefined;
    do {
      const query = queryOf({
        fieldSelector: list.fieldSelector,
        labelSelector: list.labelSelector,
        limit: list.limit ?? DEFAULT_PAGE_SIZE,
        continue: token,
        // A page token carries them, and the API server refuses both together.
        resourceVersion: token === undefined ? list.resourceVersion : undefined,
        resourceVersionMatch: token === undefined ? list.resourceVersionMatch : undefined,
      });
      const page = await send<RawList<T>>('GET', path + query, list, accept);
      const resourceVersion = page?.metadata?.resourceVersion;
      if (typeof resourceVersion !== 'string' || (page.items !== null && !Array.isArray(page.items))) {
        throw new KubeError('KUBE_MALFORMED', `GET ${path}: not a list`);
      }
      token = page.metadata?.continue || undefined;
      yield { items: page.items ?? [], resourceVersion };
    } while (token !== undefined);
  }

  async function watch<T>(
    resource: Resource,
    watched: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
  ): Promise<void> {
    const collection = collectionPath(resource, watched.namespace);
    const path =
      collection +
      queryOf({
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: watched.resourceVersion,
        timeoutSeconds: watched.timeoutSeconds,
        fieldSelector: watched.fieldSelector,
        labelSelector: watched.labelSelector,
      });
    const what = `watch of ${collection}`;
    const lines = createLineSplitter(line => onEvent(parseWatchEvent<T>(line, what)));
    const response = await transport.stream(
      {
        method: 'GET',
        path,
        headers: [
          'accept',
          watched.metadataOnly === true ? METADATA_TYPE : JSON_TYPE,
          'user-agent',
          userAgent,
        ],
        timeoutMs: defaultTimeoutMs,
        signal: watched.signal,
      },
      {
        idleTimeoutMs: watched.idleTimeoutMs,
        onStart: watched.onStart,
        onData: chunk => {
          watched.onActivity?.();
          lines.push(chunk);
        },
      },
    );
    if (response.status < 200 || response.status > 299) throw errorOfResponse('GET', path, response);
    if (lines.unfinished()) throw new KubeError('KUBE_CONNECTION', `${what}: ended within an event`);
  }

  return {
    listPages,
    watch,
    close: () => transport.close(),
    get: (resource, key, call) => sendForObject('GET', objectPath(resource, key), key.name, call, JSON_TYPE),
    getMetadata: (resource, key, call) =>
      sendForObject('GET', objectPath(resource, key), key.name, call, METADATA_TYPE),
    create: (resource, object, call) => {
      const { namespace, name } = object.metadata;
      const path = collectionPath(resource, namespace) + queryOf({ fieldManager: call?.fieldManager });
      return sendForObject('POST', path, name, call, JSON_TYPE, typed(resource, object));
    },
    replace: (resource, object, call) => {
      const { metadata } = object;
      const query = queryOf({ fieldManager: call?.fieldManager });
      const path = objectPath(resource, metadata, call?.subresource) + query;
      return sendForObject('PUT', path, metadata.name, call, JSON_TYPE, typed(resource, object));
    },
    delete: async (resource, key, call) => {
      const path = objectPath(resource, key);
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: call?.preconditions,
        propagationPolicy: call?.propagationPolicy,
      };
      // Asked for as metadata: the answer to the deletion of a Secret is the Secret.
      const answer = await send('DELETE', path, call, `${METADATA_TYPE},${JSON_TYPE}`, body);
      const isDone = (answer as { kind?: unknown } | null)?.kind === 'Status';
      if (!isDone && !isObjectNamed(answer, key.name)) {
        throw new KubeError('KUBE_MALFORMED', `DELETE ${path}: neither a Status nor the object`);
      }
    },
    apply: (resource, object, call) => {
      const { metadata } = object;
      const force = call.force === true ? true : undefined;
      const query = queryOf({ fieldManager: call.fieldManager, force });
      const path = objectPath(resource, metadata, call.subresource) + query;
      return sendForObject(
        'PATCH',
        path,
        metadata.name,
        call,
        JSON_TYPE,
        typed(resource, object),
        APPLY_TYPE,
      );
    },
    patch: (resource, key, patch, call) => {
      const query = queryOf({ fieldManager: call?.fieldManager });
      const path = objectPath(resource, key, call?.subresource) + query;
      return sendForObject('PATCH', path, key.name, call, JSON_TYPE, patch, MERGE_TYPE);
    },
    request: (method, path, call) =>
      send(
        method,
        path + queryOf(call?.query ?? {}),
        call,
        call?.accept ?? JSON_TYPE,
        call?.body,
        call?.contentType,
      ),
  };
}

interface RawList<T> {
  metadata?: { resourceVersion?: string; continue?: string };
  items: T[] | null;
}

function isObjectNamed(answer: unknown, name: string): boolean {
  const metadata = (answer as { metadata?: Partial<ObjectMeta> } | null)?.metadata;
  return metadata?.name === name && typeof metadata.resourceVersion === 'string';
}

/** The API server wants both named in every body. */
function typed(resource: Resource, object: ObjectInput): ObjectInput {
  if (object.apiVersion !== undefined && object.kind !== undefined) return object;
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function queryOf(parameters: Record<string, string | number | boolean | undefined>): string {
  let query = '';
  for (const name in parameters) {
    const value = parameters[name];
    if (value === undefined) continue;
    query += `${query === '' ? '?' : '&'}${name}=${encodeURIComponent(value)}`;
  }
  return query;
}

function errorOfResponse(method: string, path: string, response: HttpResponse): KubeError {
  let body: unknown;
  try {
    body = JSON.parse(response.body);
  } catch {
    // A proxy's or load balancer's page: the status alone is told.
  }
  return errorOfStatus(describe({ method, path }), response.status, body, {
    retryAfterMs: parseRetryAfter(response.retryAfter, Date.now()),
    quoteMessage: !(method !== 'GET' && SECRETS_PATH.test(path)),
  });
}

const SECRETS_PATH = /^\/api\/v1\/namespaces\/[^/]+\/secrets(?:[/?]|$)/;

function parseJson(text: string, method: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes what it read.
    throw new KubeError('KUBE_MALFORMED', `${describe({ method, path })}: the answer is not JSON`);
  }
}

function parseWatchEvent<T>(line: string, what: string): WatchEvent<T> {
  const event = parseEventLine(line, what);
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      if (typeof (event.object as KubeObject | undefined)?.metadata?.resourceVersion !== 'string') break;
      return event as WatchEvent<T>;
    case 'ERROR': {
      const code = (event.object as { code?: unknown } | undefined)?.code;
      throw errorOfStatus(what, typeof code === 'number' ? code : 500, event.object);
    }
    default:
  }
  throw new KubeError('KUBE_MALFORMED', `${what}: not a watch event`);
}

function parseEventLine(line: string, what: string): { type?: unknown; object?: unknown } {
  try {
    return (JSON.parse(line) as { type?: unknown; object?: unknown } | null) ?? {};
  } catch {
    throw new KubeError('KUBE_MALFORMED', `${what}: a line is not JSON`);
  }
}
