import { VERIFICATION_ANNOTATION } from '../../operator/api/names.ts';
import { bytesIn, type History, type Violation } from './history.ts';

/** How far back it goes. */
const STORY_MS = 20_000;

/** What was seen of an account before a promise was broken, one line each; no bytes of a credential. */
export function storyOf(history: History, { account, at: end }: Violation): string {
  const { accounts, copies, verdicts, losses, credentials, tampered, processes, disturbances } = history;
  const lines: [number, string][] = [
    ...accounts
      .filter(({ object }) => object.metadata.name === account)
      .map(({ at, object: { spec, status }, gone }): [number, string] => {
        const shown = (status?.conditions ?? []).map(
          ({ type, status: is, reason }) => `${type}=${is}(${reason})`,
        );
        const { candidate, confirming, refusals, account: identity, verifiedSecretRef } = status ?? {};
        const { lastHandledRecheck: handled, observedGeneration: generation } = status ?? {};
        const facts = {
          suspend: spec.suspend,
          handled,
          generation,
          candidate,
          confirming,
          refusals,
          identity,
          verifiedSecretRef,
        };
        return [at, `account ${gone ? 'gone' : shown.join(' ')} ${JSON.stringify(facts)}`];
      }),
    ...copies
      .filter(({ object }) => object.metadata.ownerReferences?.some(({ name }) => name === account))
      .map(({ at, object, gone }): [number, string] => {
        const { metadata } = object;
        const held = credentials.get(bytesIn(object))?.credential ?? 'no credential';
        const ours = tampered.has(metadata.resourceVersion) ? 'tampered with, ' : '';
        const { name, resourceVersion, annotations } = metadata;
        return [
          at,
          `copy ${name} ${resourceVersion} ${gone ? 'gone' : `${ours}${held}`} ${annotations?.[VERIFICATION_ANNOTATION]}`,
        ];
      }),
    ...verdicts
      .filter(verdict => verdict.account === account)
      .map(({ at, credential, says }): [number, string] => [at, `provider: ${credential} ${says}`]),
    ...(losses.get(account) ?? []).map((at): [number, string] => [at, 'copy tampered with or deleted']),
    ...processes.map(({ startedAt }): [number, string] => [startedAt, 'operator started']),
    ...disturbances.map(({ from, to, provider, accounts: of }): [number, string] => [
      from,
      `disturbed ${provider ?? of?.join() ?? 'everything'} until ${to === Infinity ? 'now' : new Date(to).toISOString()}`,
    ]),
  ];
  return lines
    .filter(([at]) => at >= end - STORY_MS && at <= end + 1_000)
    .sort(([a], [b]) => a - b)
    .map(([at, line]) => `  ${new Date(at).toISOString().slice(11, 23)} ${line}`)
    .join('\n');
}
