import type { KubeError } from './kube/errors.ts';
import type { Reflector } from './kube/reflector.ts';
import { errorFacts, type Log } from './observability/log.ts';

/** What cannot be listed, and what mends it. */
export interface Unavailable {
  /** Such as `cloudaccounts.strackt.io`. */
  resource: string;
  /** `all` where all are watched. */
  namespace: string;
  /** What is missing, for people. */
  missing: string;
  /** The command that shows or mends it. */
  command?: string;
}

export interface WatchReport {
  /** A list ended. One that was answered 401, 403 or 404 is told at once. */
  onList(reflector: Reflector, fault: KubeError | undefined): void;
  /** Tells all that cannot be listed, whatever it fails with; to be called each minute. */
  remind(): void;
  /** What cannot be listed now. */
  unavailable(): Unavailable[];
}

interface Found {
  reflector: Reflector;
  fault: KubeError;
  /** It is in the log, so its end belongs there too. */
  isTold: boolean;
}

/** @param announce tells people where they look: an event, for one that was answered 401, 403 or 404 */
export function createWatchReport(log: Log, announce: (what: Unavailable) => void): WatchReport {
  /** By resource and namespace: several watches of one kind need the same right. */
  const faults = new Map<string, Found>();

  function warn({ reflector, fault }: Found): Unavailable {
    const what = explain(reflector, fault);
    log.warn({ ...what, ...errorFacts(fault) }, 'not available; nothing is done there, asked again');
    return what;
  }

  return {
    onList(reflector, fault) {
      const key = `${resourceOf(reflector)} ${reflector.namespace ?? ''}`;
      const known = faults.get(key);
      if (fault === undefined) {
        // Another watch of the kind may still be refused.
        if (known?.reflector !== reflector) return;
        faults.delete(key);
        if (known.isTold) log.info(placeOf(reflector), 'available again');
        return;
      }
      const isTold = known?.isTold ?? false;
      if (known !== undefined && known.fault.status === fault.status) return;
      const found = { reflector, fault, isTold: isTold || isAnswer(fault) };
      faults.set(key, found);
      if (isAnswer(fault)) announce(warn(found));
    },
    remind() {
      for (const found of faults.values()) {
        found.isTold = true;
        const what = warn(found);
        if (isAnswer(found.fault)) announce(what);
      }
    },
    unavailable: () => [...faults.values()].map(({ reflector, fault }) => explain(reflector, fault)),
  };
}

/** Somebody has to do something; everything else passes by itself. */
function isAnswer({ status }: KubeError): boolean {
  return status === 401 || status === 403 || status === 404;
}

function resourceOf({ resource: { plural, group } }: Reflector): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function placeOf(reflector: Reflector): { resource: string; namespace: string } {
  return { resource: resourceOf(reflector), namespace: reflector.namespace ?? 'all' };
}

function explain(reflector: Reflector, fault: KubeError): Unavailable {
  const place = placeOf(reflector);
  const { resource } = place;
  const where = reflector.namespace === undefined ? '--all-namespaces' : `--namespace=${reflector.namespace}`;
  const { code, status } = fault;
  if (status === 403 && code === 'KUBE_HTTP') {
    // The API server names who asked: `User "system:serviceaccount:ns:name" cannot list resource …`.
    const [, user] = /User "([^"]+)"/.exec(fault.message) ?? [];
    const as = user === undefined ? '' : ` --as=${user}`;
    return {
      ...place,
      missing: `the right to list and watch ${resource}; after its namespace was deleted, the namespace with its Role`,
      command: `kubectl auth can-i list ${resource} ${where}${as}`,
    };
  }
  if (status === 404 && reflector.resource.group !== '') {
    return {
      ...place,
      missing: `the CustomResourceDefinition ${resource}, or a gateway on the way does not know the API server`,
      command: 'kubectl apply --server-side -f crds/',
    };
  }
  if (status === 401) {
    return { ...place, missing: 'credentials that the API server accepts', command: 'kubectl auth whoami' };
  }
  return { ...place, missing: 'an answer of the API server' };
}
