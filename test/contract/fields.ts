import type { Outcome } from '../../operator/domain/outcome.ts';
import type { ProviderAnswer, ProviderHttp } from '../../operator/providers/http.ts';
import type { Provider } from '../../operator/providers/provider.ts';

/** One field that a provider module read from an answer, or one thing that it sent. */
export interface Use {
  method: string;
  /** Without the query. */
  path: string;
  /** Of the answer; undefined for what was sent. */
  status?: number;
  /** `body`: dotted, `[]` for the elements of a list. `header` and `query`: the name. */
  where: 'body' | 'header' | 'query';
  name: string;
  /** Whether any answer of the cloud's own had it. */
  present: boolean;
}

/** What was used, gathered over many checks. */
export type Uses = Map<string, Use>;

/**
 * The module with its answers wrapped, so that what it reads is seen and not listed by hand. `isInvented` tells whether
 * the answer to the last call was a fault's: such an answer proves no field.
 */
export function watched(provider: Provider, uses: Uses, isInvented: () => boolean): Provider {
  function note(use: Use): void {
    const key = [use.method, use.path, use.status, use.where, use.name].join(' ');
    uses.set(key, { ...use, present: use.present || uses.get(key)?.present === true });
  }

  function watchedHttp(http: ProviderHttp): ProviderHttp {
    return {
      now: () => http.now(),
      call: async request => {
        const { method } = request;
        const url = new URL(request.path, 'http://provider');
        // As documents write it: which user asks is no field.
        const path = url.pathname.replace(/\/users\/[^/]+/, '/users/{username}');
        const sent = { method, path, present: true };
        for (const name of url.searchParams.keys()) note({ ...sent, where: 'query', name });
        for (const name of Object.keys(request.headers ?? {})) note({ ...sent, where: 'header', name });
        const answer = await http.call(request);
        if (!answer.ok || isInvented()) return answer;
        return watchedAnswer(answer, (where, name, present) =>
          note({ method, path, status: answer.status, where, name, present }),
        );
      },
    };
  }

  return {
    ...provider,
    verify: (credential, request, http): Promise<Outcome> =>
      provider.verify(credential, request, watchedHttp(http)),
  };
}

type OnRead = (where: 'body' | 'header', name: string, present: boolean) => void;

function watchedAnswer(answer: Extract<ProviderAnswer, { ok: true }>, onRead: OnRead): ProviderAnswer {
  const headers = new Proxy(answer.headers, {
    get(target, name) {
      if (typeof name === 'string') onRead('header', name, target[name] !== undefined);
      return Reflect.get(target, name) as unknown;
    },
  });
  return { ...answer, headers, json: watchedJson(answer.json, '', onRead) };
}

function watchedJson(json: unknown, at: string, onRead: OnRead): unknown {
  if (typeof json !== 'object' || json === null) return json;
  return new Proxy(json, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof name !== 'string') return value;
      if (Array.isArray(target)) return /^\d+$/.test(name) ? watchedJson(value, `${at}[]`, onRead) : value;
      const field = at === '' ? name : `${at}.${name}`;
      onRead('body', field, value !== undefined);
      return watchedJson(value, field, onRead);
    },
  });
}
