import type { Secret } from '../../operator/accounts/resources.ts';
import type { CloudAccount } from '../../operator/api/cloudaccount.generated.ts';
import {
  PROVIDER_NAMES,
  type ProviderName,
  RECHECK_ANNOTATION,
  VERIFICATION_ANNOTATION,
} from '../../operator/api/names.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import type { CloudToken } from '../clouds/kit.ts';
import { bytesOf, type Owner } from './invariants.ts';
import type { Deed, Replacement } from './plan.ts';
import { NAMESPACE, type World } from './world.ts';

/** An account of the run, and what it has to do with the cloud. */
export interface Subject {
  name: string;
  provider: ProviderName;
  /** Of the object that is there now. */
  uid?: string;
  /** Good credentials that its Secret held, the newest last; `undefined` stands for others. */
  held: (CloudToken | undefined)[];
}

export interface Actor {
  subjects: readonly Subject[];
  /** Resource versions of copies as the run left them. */
  tampered: Set<string>;
  /** When a copy was taken away or made worthless, by account. */
  losses: Map<string, number[]>;
  /** By `bytesOf`. */
  credentials: Map<string, Owner>;
  /** By the credential's name. */
  accountOf: Map<string, string>;
  /** Makes the accounts, each with a good credential. */
  begin(): Promise<void>;
  /** Resolves with false where there was nothing to do it to. */
  act(deed: Deed): Promise<boolean>;
  /** Ends what was planned to go wrong, and gives every account a good credential. */
  mend(): Promise<void>;
  recheckAll(value: string): Promise<void>;
}

const MERGE = 'application/merge-patch+json';
/** Refused by every offline check that there is. */
const MALFORMED = 'not a credential, not even the shape of one';

const secretPath = (name = ''): string => `/api/v1/namespaces/${NAMESPACE}/secrets/${name}`;
const accountPath = (name = ''): string =>
  `/apis/strackt.io/v1alpha1/namespaces/${NAMESPACE}/cloudaccounts/${name}`;

export function createActor(world: World, count: number): Actor {
  const { call, recorder } = world;
  const tampered = new Set<string>();
  const losses = new Map<string, number[]>();
  const credentials = new Map<string, Owner>();
  const accountOf = new Map<string, string>();
  const subjects = Array.from({ length: count }, (_, index): Subject => {
    const provider = PROVIDER_NAMES[index % PROVIDER_NAMES.length] ?? 'Hetzner';
    return { name: `${provider.toLowerCase()}-${index}`, provider, held: [] };
  });
  let made = 0;

  /** @param foreign of a cloud account that the subject has nothing to do with */
  function createToken({ name, provider }: Subject, foreign = false): CloudToken {
    const account = foreign ? `${name} foreign` : name;
    const token = world.cloud(provider).createToken({ account, name: `${name}/${made++}` });
    accountOf.set(token.name, name);
    // Where a provider cannot tell whose a credential is, another account's is as good as any.
    const mayPublish = !foreign || provider === 'Hetzner' || provider === 'Hostinger';
    credentials.set(bytesOf(Object.values(token.credential)), {
      credential: token.name,
      account: mayPublish ? name : undefined,
    });
    return token;
  }

  async function putSecret(subject: Subject, stringData: Record<string, string>, token?: CloudToken) {
    const name = `${subject.name}-token`;
    const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'Opaque', stringData };
    subject.held.push(token);
    if ((await call('PUT', secretPath(name), object)) === undefined) await call('POST', secretPath(), object);
  }

  async function putGood(subject: Subject): Promise<void> {
    const token = createToken(subject);
    await putSecret(subject, token.credential, token);
  }

  /** Whoever comes first is who the account belongs to, so another's credential is one only after that. */
  function knowsWhose({ name, uid }: Subject): boolean {
    const account = recorder.account(name);
    return account?.metadata.uid === uid && account?.status?.account !== undefined;
  }

  async function replace(subject: Subject, replacement: Replacement): Promise<boolean> {
    switch (replacement) {
      case 'good':
        await putGood(subject);
        return true;
      case 'foreign':
        if (!knowsWhose(subject)) return false;
        await putSecret(subject, createToken(subject, true).credential);
        return true;
      case 'revoked': {
        const token = createToken(subject);
        world.cloud(subject.provider).revoke(token.index);
        await putSecret(subject, token.credential, token);
        return true;
      }
      case 'previous': {
        const previous = subject.held.at(-2);
        if (previous === undefined) return false;
        await putSecret(subject, previous.credential, previous);
        return true;
      }
      case 'malformed': {
        const fields = Object.keys(subject.held[0]?.credential ?? {});
        const rubbish = Object.fromEntries(fields.map(field => [field, MALFORMED]));
        // Where a provider promises no shape, nothing is refused offline, and the cloud does not know whose this was.
        if (PROVIDERS[subject.provider].checkShape(rubbish) === undefined) return false;
        await putSecret(subject, rubbish);
        return true;
      }
    }
  }

  async function patchAccount({ name }: Subject, patch: unknown): Promise<boolean> {
    return (await call('PATCH', accountPath(name), patch, MERGE)) !== undefined;
  }

  /** What is in force for the account just now, as far as the watch knows. */
  function copyName({ name }: Subject): string | undefined {
    return recorder.account(name)?.status?.verifiedSecretRef?.name;
  }

  function lose({ name }: Subject): void {
    losses.set(name, [...(losses.get(name) ?? []), Date.now()]);
  }

  async function patchCopy(subject: Subject, patch: unknown): Promise<boolean> {
    const name = copyName(subject);
    if (name === undefined) return false;
    lose(subject);
    const written = await call<Secret>('PATCH', secretPath(name), patch, MERGE);
    if (written !== undefined) tampered.add(written.metadata.resourceVersion);
    return written !== undefined;
  }

  async function act(deed: Deed): Promise<boolean> {
    switch (deed.kind) {
      case 'fault':
        world.cloud(deed.provider).inject(deed.fault);
        return true;
      case 'mend':
        world.cloud(deed.provider).clearFaults();
        return true;
      case 'kill operator':
        await world.operator.kill();
        await new Promise(resolve => setTimeout(resolve, deed.downMs));
        world.operator.start();
        return true;
      case 'restart API server':
        await world.controlPlane.apiServer.restart(deed.signal);
        return true;
      default: {
        const subject = subjects[deed.account];
        if (subject === undefined) throw new Error(`no account ${deed.account}`);
        return actOn(subject, deed);
      }
    }
  }

  async function actOn(subject: Subject, deed: Extract<Deed, { account: number }>): Promise<boolean> {
    const { name, provider, held } = subject;
    const cloud = world.cloud(provider);
    const current = held.at(-1);
    const value = String(made++);
    switch (deed.kind) {
      case 'replace':
        return replace(subject, deed.with);
      case 'touch Secret':
        return (
          (await call(
            'PATCH',
            secretPath(`${name}-token`),
            { metadata: { labels: { touched: value } } },
            MERGE,
          )) !== undefined
        );
      case 'delete Secret':
        return (await call('DELETE', secretPath(`${name}-token`))) !== undefined;
      case 'revoke':
      case 'restore':
        if (current === undefined) return false;
        cloud.change(current.index, { revoked: deed.kind === 'revoke' });
        return true;
      case 'recheck':
        return patchAccount(subject, { metadata: { annotations: { [RECHECK_ANNOTATION]: value } } });
      case 'suspend':
      case 'resume':
        return patchAccount(subject, { spec: { suspend: deed.kind === 'suspend' } });
      case 'rename copy':
        return patchAccount(subject, { spec: { verifiedSecret: { name: `${name}-copy-${value}` } } });
      case 'edit copy':
        return patchCopy(subject, { stringData: { [fieldOf(current)]: `tampered ${value}` } });
      case 'edit proof':
        return patchCopy(subject, { metadata: { annotations: { [VERIFICATION_ANNOTATION]: '{}' } } });
      case 'delete copy': {
        const copy = copyName(subject);
        if (copy === undefined) return false;
        lose(subject);
        return (await call('DELETE', secretPath(copy))) !== undefined;
      }
      case 'recreate account':
        // A new object knows nothing of the old one's account.
        if (current === undefined) await putGood(subject);
        await call('DELETE', accountPath(name));
        await createAccount(subject);
        return true;
    }
  }

  async function createAccount(subject: Subject): Promise<void> {
    const { name, provider } = subject;
    const created = await call<CloudAccount>('POST', accountPath(), {
      apiVersion: 'strackt.io/v1alpha1',
      kind: 'CloudAccount',
      metadata: { name },
      spec: { provider, credentialsSecretRef: { name: `${name}-token` } },
    });
    if (created !== undefined) subject.uid = created.metadata.uid;
  }

  return {
    subjects,
    tampered,
    losses,
    credentials,
    accountOf,
    act,
    async begin() {
      for (const subject of subjects) {
        await putGood(subject);
        await createAccount(subject);
      }
    },
    async mend() {
      for (const cloud of world.clouds) cloud.clearFaults();
      for (const subject of subjects) {
        await putGood(subject);
        if (!(await patchAccount(subject, { spec: { suspend: false } }))) await createAccount(subject);
      }
    },
    async recheckAll(value) {
      const patch = { metadata: { annotations: { [RECHECK_ANNOTATION]: value } } };
      for (const subject of subjects) await patchAccount(subject, patch);
    },
  };
}

function fieldOf(token: CloudToken | undefined): string {
  return Object.keys(token?.credential ?? {}).at(-1) ?? 'token';
}
