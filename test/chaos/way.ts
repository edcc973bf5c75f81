import type { ControlPlane } from '../control-plane/control-plane.ts';
import { type RequestFilter, startFaultProxy } from '../fault-proxy/http-proxy.ts';
import { type Answered, type Watched, WATCHED } from './plan.ts';

/** An operator's way to the API server, and what may stand in it. */
export interface Way {
  url: string;
  /** A gateway gives the next answers of a kind, as HTML. */
  gateway(on: Answered, status: number, times: number): void;
  /** From now on a watch is open and shows nothing, until it is told to go on: then it shows what it held back. */
  holdBack(watched: Watched): void;
  goOn(watched: Watched): void;
  breakConnections(how: 'reset' | 'fin'): void;
  /** Ends all of it. */
  clear(): void;
  /** What was written since the last time, but for events and the lease. */
  takeWrites(): string[];
  close(): Promise<void>;
}

const ACCOUNTS = /\/cloudaccounts(\?|$)/;
const WATCHES: Readonly<Record<Watched, RegExp>> = {
  accounts: ACCOUNTS,
  sources: /\/secrets\?.*type(!|%21)(=|%3D)/i,
  copies: /\/secrets\?.*type(=|%3D)/i,
};
const REQUESTS: Readonly<Record<Answered, RequestFilter>> = {
  'read Secret': { method: 'GET', path: /\/secrets\/[^/?]+(\?|$)/ },
  'write copy': { path: /\/secrets(\/[^/?]+)?(\?|$)/, match: ({ method }) => /POST|PUT/.test(method) },
  'write status': { path: /\/status(\?|$)/ },
  'read account': { method: 'GET', path: /\/cloudaccounts\/[^/?]+(\?|$)/ },
  list: { method: 'GET', path: /\/(cloudaccounts|secrets)(\?|$)/, isWatch: false },
  lease: { path: /\/leases\// },
};
const HTML = '<html><body><h1>The page that you asked for is not here</h1></body></html>';

/** @param onDelete told of each Secret that is about to be deleted, before the API server is */
export async function startWay(
  controlPlane: ControlPlane,
  onDelete: (copy: { name: string; uid: string }) => Promise<void>,
): Promise<Way> {
  const proxy = await startFaultProxy({
    target: controlPlane.server,
    targetCa: controlPlane.ca,
    certificate: controlPlane.issueCertificate('way', { hosts: ['127.0.0.1'] }),
  });
  const held = new Map<Watched, PromiseWithResolvers<void>>();
  proxy.addRule({
    method: 'DELETE',
    path: /\/secrets\//,
    action: {
      kind: 'hook',
      async before({ path, body }) {
        const { preconditions } = JSON.parse(body || '{}') as { preconditions?: { uid?: string } };
        const name = path.replace(/\?.*/, '').split('/').at(-1) ?? '';
        await onDelete({ name, uid: preconditions?.uid ?? '' });
      },
    },
  });
  for (const watched of WATCHED) {
    proxy.addRule({
      isWatch: true,
      path: WATCHES[watched],
      action: { kind: 'valve', passes: () => held.get(watched)?.promise },
    });
  }
  const struck = new Set<{ remove: () => void }>();

  function goOn(watched: Watched): void {
    held.get(watched)?.resolve();
    held.delete(watched);
  }

  return {
    url: proxy.url,
    gateway(on, status, times) {
      const headers = { 'content-type': 'text/html' };
      struck.add(
        proxy.addRule({ ...REQUESTS[on], times, action: { kind: 'answer', status, headers, body: HTML } }),
      );
    },
    holdBack: watched => void (held.has(watched) || held.set(watched, Promise.withResolvers())),
    goOn,
    breakConnections: how => proxy.breakConnections(how),
    clear() {
      for (const watched of WATCHED) goOn(watched);
      for (const rule of struck) rule.remove();
      struck.clear();
    },
    takeWrites: () =>
      proxy.requests
        .splice(0)
        .filter(({ method, path }) => method !== 'GET' && !/\/(leases|events)(\/|\?|$)/.test(path))
        .map(({ method, path }) => `${method} ${path}`),
    close: () => proxy.close(),
  };
}
