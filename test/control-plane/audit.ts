import { createReadStream } from 'node:fs';

/** The part of an audit event (audit.k8s.io/v1) that tests look at. */
export interface AuditEvent {
  auditID: string;
  stage: 'ResponseStarted' | 'ResponseComplete' | 'Panic';
  verb: string;
  requestURI: string;
  user: { username: string; groups?: string[] };
  userAgent?: string;
  objectRef?: {
    apiGroup?: string;
    resource?: string;
    subresource?: string;
    namespace?: string;
    name?: string;
  };
  responseStatus?: { code?: number };
  /** When the API server got the request, RFC 3339. */
  requestReceivedTimestamp: string;
  /** When it was answered (for `ResponseComplete`), RFC 3339. */
  stageTimestamp: string;
}

/** What is left out matches everything. */
export interface RequestFilter {
  /** User name: `system:serviceaccount:<namespace>:<name>`, or the common name of a client certificate. */
  user?: string;
  /** Beginning of the User-Agent header. */
  userAgent?: string;
  /** Verbs as the API server names them: get, list, watch, create, update, patch, delete, deletecollection. */
  verbs?: readonly string[];
  /** Plural resource with its subresource: `secrets`, `cloudaccounts/status`. */
  resources?: readonly string[];
  namespace?: string;
  /** Only what the API server received at or after this time, to the millisecond. */
  since?: Date;
}

/** Verbs that change something. */
export const WRITE_VERBS = ['create', 'update', 'patch', 'delete', 'deletecollection'] as const;

/**
 * Requests in an audit log that match a filter, one event a request, in the order of the log. A watch counts from its
 * beginning on, every other request when it is answered.
 */
export async function readAuditLog(path: string, filter: RequestFilter = {}): Promise<AuditEvent[]> {
  const requests = new Map<string, AuditEvent>();
  let rest = ''; // the API server is writing what follows the last line break
  for await (const chunk of createReadStream(path, 'utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as AuditEvent;
      if (matches(event, filter)) requests.set(event.auditID, event);
    }
  }
  return [...requests.values()];
}

function matches(event: AuditEvent, filter: RequestFilter): boolean {
  const { resource = '', subresource, namespace } = event.objectRef ?? {};
  const target = subresource ? `${resource}/${subresource}` : resource;
  return (
    (filter.user === undefined || event.user.username === filter.user) &&
    (filter.userAgent === undefined || (event.userAgent ?? '').startsWith(filter.userAgent)) &&
    (filter.verbs === undefined || filter.verbs.includes(event.verb)) &&
    (filter.resources === undefined || filter.resources.includes(target)) &&
    (filter.namespace === undefined || namespace === filter.namespace) &&
    (filter.since === undefined || Date.parse(event.requestReceivedTimestamp) >= filter.since.getTime())
  );
}
