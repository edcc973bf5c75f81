import type { ProviderAnswer, ProviderHttp, ProviderRequest } from './http.ts';

/** For unit tests of provider modules: gives the answers in turn and keeps what was asked. */
export interface ScriptedHttp extends ProviderHttp {
  readonly requests: ProviderRequest[];
}

/** A call beyond the script fails the test by throwing, which no real `ProviderHttp` does. */
export function scriptedHttp(...answers: ProviderAnswer[]): ScriptedHttp {
  const requests: ProviderRequest[] = [];
  return {
    requests,
    call: async request => {
      requests.push(request);
      const answer = answers[requests.length - 1];
      if (answer === undefined)
        throw new Error(`call ${requests.length} is not in the script: ${request.path}`);
      return answer;
    },
    now: () => Date.UTC(2026, 0, 1),
  };
}

/** A complete answer. */
export function answer(status: number, json?: unknown, headers: Record<string, string> = {}): ProviderAnswer {
  return { ok: true, status, headers, json };
}
