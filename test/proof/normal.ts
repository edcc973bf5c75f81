import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount, CloudAccountStatus } from '../../operator/api/cloudaccount.generated.ts';
import {
  GROUP,
  KEYS_ANNOTATION,
  VERIFICATION_ANNOTATION,
  VERIFIED_SECRET_TYPE,
} from '../../operator/api/names.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import type { Stage } from './stage.ts';

/** A state in words that are the same in every run: no UIDs, times, revisions, nor bytes of a credential. */
export type Normal = Record<string, unknown>;

/** How the objects of a run are now. */
export async function stateOf(stage: Stage): Promise<Normal> {
  const secrets = await stage.secrets();
  const account = stage.account();
  const state = {
    account: account === undefined ? 'absent' : normalStatus(account, secrets),
    secrets: Object.fromEntries(
      secrets
        // Somebody's finalizer keeps it; the operator is done with it.
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
        .map(secret => [secret.metadata.name, normalSecret(secret, account)]),
    ),
  };
  return JSON.parse(renamed(JSON.stringify(state), stage)) as Normal;
}

/** What differs, a line each. */
export function differences(expected: unknown, found: unknown, path = ''): string[] {
  if (JSON.stringify(expected) === JSON.stringify(found)) return [];
  if (!isRecord(expected) || !isRecord(found))
    return [`${path}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`];
  const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
  return keys.flatMap(key => differences(expected[key], found[key], path === '' ? key : `${path}.${key}`));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function normalStatus({ metadata, spec, status = {} }: CloudAccount, secrets: readonly Secret[]) {
  const source = secrets.find(({ metadata: { name } }) => name === spec.credentialsSecretRef.name);
  const copy = secrets.find(({ metadata: { name } }) => name === status.verifiedSecretRef?.name);
  const generation = (value: number | undefined) => (value === metadata.generation ? 'current' : 'past');
  const revision = (value: { uid: string; resourceVersion: string } | undefined, of = source) =>
    value === undefined
      ? 'none'
      : value.uid === of?.metadata.uid && value.resourceVersion === of.metadata.resourceVersion
        ? 'current'
        : 'past';
  const { credential, candidate } = status;
  return {
    observedGeneration: generation(status.observedGeneration),
    health: status.health,
    conditions: conditionsOf(status, generation),
    account: status.account,
    credential: credential && {
      hint: credential.hint,
      expires: credential.expiresAt !== undefined,
      access: credential.access,
      permissions: credential.permissions,
      source: revision(credential.source),
    },
    copy: status.verifiedSecretRef && {
      name: status.verifiedSecretRef.name,
      revision: revision(status.verifiedSecretRef, copy),
    },
    candidate: candidate && {
      reason: candidate.reason,
      observedGeneration: generation(candidate.observedGeneration),
      source: revision(candidate.source),
      asked: candidate.nextAttemptTime === undefined ? 'daily' : 'again',
    },
    confirming: status.confirming?.count,
    lastAttempt: status.lastAttempt?.reason,
    isScheduled: status.nextCheckTime !== undefined,
    lastHandledRecheck: status.lastHandledRecheck,
    servers: status.servers,
  };
}

function conditionsOf(status: CloudAccountStatus, generation: (value: number | undefined) => string) {
  const entries = (status.conditions ?? []).map(
    ({ type, status: is, reason, message, observedGeneration }) => {
      // A taken name calls for a person only after half a minute.
      const isWaiting = reason === 'VerifiedSecretConflict' && (type === 'Reconciling' || type === 'Stalled');
      const text = `${is} ${reason}, of ${generation(observedGeneration)} generation: ${message}`;
      return [
        isWaiting ? 'Reconciling or Stalled' : type,
        text.replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g, '<time>'),
      ];
    },
  );
  return Object.fromEntries(entries.sort(([a = ''], [b = '']) => (a < b ? -1 : 1))) as Record<string, string>;
}

function normalSecret({ metadata, type, data = {} }: Secret, account: CloudAccount | undefined) {
  const values = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
  if (type !== VERIFIED_SECRET_TYPE) return { type, values };
  const { labels = {}, annotations = {}, ownerReferences = [] } = metadata;
  const ours = Object.fromEntries(
    Object.entries(annotations)
      .filter(([key]) => key.startsWith(`${GROUP}/`))
      .map(([key, value]) => [key, key === VERIFICATION_ANNOTATION ? proofIn(value) : value]),
  );
  return {
    type,
    values,
    labels: Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith('example.com/'))),
    annotations: ours,
    keys: annotations[KEYS_ANNOTATION],
    owned: ownerReferences.some(
      ({ uid, controller }) => controller === true && uid === account?.metadata.uid,
    ),
  };
}

/** The proof without its times and revisions. */
function proofIn(text: string): unknown {
  try {
    const { account, credential } = JSON.parse(text) as {
      account?: unknown;
      credential: { hint: string; access: string; permissions: unknown };
    };
    const { hint, access, permissions } = credential;
    return { account, hint, access, permissions };
  } catch {
    return text;
  }
}

/** Credentials, hints and identities by the names of the run. */
function renamed(text: string, { tokens, namespace }: Stage): string {
  let result = text.replaceAll(namespace, '<namespace>');
  for (const [letter, { credential, account, extra }] of Object.entries(tokens)) {
    const owner = letter === 'c' ? 'theirs' : 'mine';
    const { team, uuid } = account as { uuid: string; team?: { uuid: string; name: string } };
    const names: [string | undefined, string][] = [
      [credential['token'], `<${letter}>`],
      [PROVIDERS.DigitalOcean.hint(credential), `<hint of ${letter}>`],
      [uuid, `<${owner}>`],
      [team?.uuid, `<team of ${owner}>`],
      [team?.name, `<name of ${owner}>`],
      [String((extra as { ownerId?: number }).ownerId), `<owner of ${letter}>`],
    ];
    for (const [value, name] of names) if (value !== undefined) result = result.replaceAll(value, name);
  }
  return result;
}
