import { VERIFIED_SECRET_TYPE } from '../../../operator/api/names.ts';
import type { Cloud } from '../../clouds/kit.ts';
import type { ControlPlane } from '../../control-plane/control-plane.ts';
import type { Canary, Outlet } from './detector.ts';

/** Fields of a credential that are names and may be shown, whatever key of a Secret they are under. */
const NAMES = /login$|user(name)?$/i;

/** Every credential that the clouds gave out, sessions included. */
export function canariesOf(clouds: readonly Cloud[]): Canary[] {
  return clouds.flatMap(cloud => [
    ...cloud.tokens.flatMap(({ name, credential }) => canariesIn(`${cloud.name} ${name}`, credential)),
    ...sessionsOf(cloud).map((jwt, index) => sessionCanary(`${cloud.name} session ${index}`, jwt)),
  ]);
}

/** The fields of a credential, or of a Secret that a test made, which must not be shown. */
export function canariesIn(name: string, values: Readonly<Record<string, string>>): Canary[] {
  return Object.entries(values)
    .filter(([field]) => !NAMES.test(field))
    .map(([field, value]) => ({ name: `${name} ${field}`, value }));
}

/** A JSON Web Token by its signature: the parts before it begin alike in all of them. */
export function sessionCanary(name: string, jwt: string): Canary {
  return { name, value: jwt.split('.')[2] ?? '' };
}

function sessionsOf(cloud: Cloud): string[] {
  return 'sessions' in cloud ? (cloud.sessions as { jwt: string }[]).map(({ jwt }) => jwt) : [];
}

/** Addresses that the clouds were called at, which land in the logs of whatever stands between. */
export function requestOutlets(clouds: readonly Cloud[]): Outlet[] {
  return clouds.map(({ name, log }) => ({
    channel: `addresses asked of ${name}`,
    text: log.map(({ method, path, query }) => `${method} ${path}?${query}`).join('\n'),
  }));
}

interface List {
  items?: { metadata: { name: string }; type?: string; data?: unknown }[];
}

/**
 * What the API server holds of the operator's in a namespace: accounts whole (status, conditions, annotations,
 * managedFields), events whole, and of each verified copy all but its data.
 */
export async function objectOutlets(controlPlane: ControlPlane, namespace: string): Promise<Outlet[]> {
  const list = async (prefix: string, plural: string) =>
    (await controlPlane.api<List>('GET', `${prefix}/namespaces/${namespace}/${plural}`)).body.items ?? [];
  const [accounts, events, secrets] = await Promise.all([
    list('/apis/strackt.io/v1alpha1', 'cloudaccounts'),
    list('/apis/events.k8s.io/v1', 'events'),
    list('/api/v1', 'secrets'),
  ]);
  const copies = secrets
    .filter(({ type }) => type === VERIFIED_SECRET_TYPE)
    .map(copy => ({ ...copy, data: undefined }));
  return Object.entries({ account: accounts, event: events, copy: copies }).flatMap(([kind, objects]) =>
    objects.map(object => ({ channel: `${kind} ${object.metadata.name}`, text: JSON.stringify(object) })),
  );
}
