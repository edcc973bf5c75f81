import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import { PROVIDER_NAMES, type ProviderName } from '../../operator/api/names.ts';
import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudToken } from '../clouds/kit.ts';
import { bytesOf, type Life, type Owner } from './history.ts';
import type { Namespace, World } from './world.ts';

/** An account of the run, and what it has to do with the cloud. */
export interface Subject {
  name: string;
  namespace: Namespace;
  provider: ProviderName;
  /** Of the object that is there now. */
  uid?: string;
  /** Good credentials that its Secret held, the newest last; `undefined` stands for others. */
  held: (CloudToken | undefined)[];
  /** Secrets of somebody else under a name that its copy had or wants. */
  squatters: string[];
}

/** What the run knows of its own deeds. */
export interface Book {
  subjects: readonly Subject[];
  /** Resource versions of copies as the run left them. */
  tampered: Set<string>;
  /** When a copy was taken away or made worthless, by account. */
  losses: Map<string, number[]>;
  /** By `bytesOf`. */
  credentials: Map<string, Owner>;
  /** By the credential's name. */
  accountOf: Map<string, string>;
  lives: Map<string, Life[]>;
  rechecks: Map<string, { at: number; value: string; uid: string }[]>;
  /** Another text each time. */
  fresh: () => string;
  lose: (subject: Subject) => void;
}

export const MERGE = 'application/merge-patch+json';

/** Every fourth account lives in the namespace that goes now and then. */
export function createBook(count: number): Book {
  const losses = new Map<string, number[]>();
  let made = 0;
  return {
    subjects: Array.from({ length: count }, (_, index): Subject => {
      const provider = PROVIDER_NAMES[index % PROVIDER_NAMES.length] ?? 'Hetzner';
      const namespace = index % 4 === 3 ? 'chaos-passing' : 'chaos';
      return { name: `${provider.toLowerCase()}-${index}`, namespace, provider, held: [], squatters: [] };
    }),
    tampered: new Set(),
    losses,
    credentials: new Map(),
    accountOf: new Map(),
    lives: new Map(),
    rechecks: new Map(),
    fresh: () => String(made++),
    lose: ({ name }) => void losses.set(name, [...(losses.get(name) ?? []), Date.now()]),
  };
}

export function secretPath({ namespace }: Subject, name = ''): string {
  return `/api/v1/namespaces/${namespace}/secrets/${name}`;
}

export function accountPath({ namespace, name }: Subject): string {
  return `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts/${name}`;
}

/** What a token is made for: the account's own, one that may do too little, or one of somebody else's cloud account. */
export type Purpose = 'own' | 'weak' | 'foreign';

/** Scopes that are good for `access: ReadOnly` alone, of providers that tell them. */
export const WEAK_SCOPES: Partial<Record<ProviderName, string[]>> = {
  DigitalOcean: ['account:read', 'droplet:read'],
  Linode: ['account:read_only', 'linodes:read_only'],
};

/** They cannot tell whose a credential is, or tell only its user: another account's is as good as any. */
const WITHOUT_ACCOUNTS = new Set<ProviderName>(['Hetzner', 'Hostinger', 'Vultr']);

export function createToken(
  world: World,
  { credentials, accountOf, fresh }: Book,
  { name, provider }: Subject,
  purpose: Purpose = 'own',
): CloudToken {
  const token = world.cloud(provider).createToken({
    account: purpose === 'foreign' ? `${name} foreign` : name,
    name: `${name}/${fresh()}`,
    ...(purpose === 'weak' && { scopes: WEAK_SCOPES[provider] ?? [] }),
  });
  accountOf.set(token.name, name);
  const mayPublish = purpose !== 'foreign' || WITHOUT_ACCOUNTS.has(provider);
  credentials.set(bytesOf(Object.values(token.credential)), {
    credential: token.name,
    account: mayPublish ? name : undefined,
    ...(purpose === 'weak' && { only: 'ReadOnly' as const }),
  });
  return token;
}

export async function putSecret(
  { call }: World,
  subject: Subject,
  stringData: Record<string, string>,
  token?: CloudToken,
): Promise<void> {
  const name = `${subject.name}-token`;
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'Opaque', stringData };
  subject.held.push(token);
  if ((await call('PUT', secretPath(subject, name), object)) === undefined)
    await call('POST', secretPath(subject), object);
}

export async function putGood(world: World, book: Book, subject: Subject): Promise<void> {
  const token = createToken(world, book, subject);
  await putSecret(world, subject, token.credential, token);
}

export async function createAccount({ call }: World, book: Book, subject: Subject): Promise<void> {
  const { name, provider } = subject;
  const from = Date.now();
  const created = await call<CloudAccount>('POST', accountPath({ ...subject, name: '' }), {
    apiVersion: 'strackt.io/v1alpha1',
    kind: 'CloudAccount',
    metadata: { name },
    spec: { provider, credentialsSecretRef: { name: `${name}-token` } },
  });
  if (created === undefined) return;
  const { uid } = created.metadata;
  subject.uid = uid;
  book.lives.set(name, [...(book.lives.get(name) ?? []), { from, uid }]);
}

export async function patchAccount({ call }: World, subject: Subject, patch: unknown): Promise<boolean> {
  return (await call('PATCH', accountPath(subject), patch, MERGE)) !== undefined;
}

/** What is in force for the account just now, as far as the watch knows. */
export function copyName({ recorder }: World, { name }: Subject): string | undefined {
  return recorder.account(name)?.status?.verifiedSecretRef?.name;
}

/** Changes the copy that is in force; the version that comes of it is the run's own. */
export async function patchCopy(
  world: World,
  { tampered }: Book,
  subject: Subject,
  patch: unknown,
): Promise<boolean> {
  const name = copyName(world, subject);
  if (name === undefined) return false;
  const written = await world.call<Secret>('PATCH', secretPath(subject, name), patch, MERGE);
  if (written !== undefined) tampered.add(written.metadata.resourceVersion);
  return written !== undefined;
}
