import { setTimeout as sleep } from 'node:timers/promises';
import { RECHECK_ANNOTATION } from '../../operator/api/names.ts';
import { PROVIDERS } from '../../operator/providers/index.ts';
import type { CloudToken } from '../clouds/kit.ts';
import { annoy, releaseCopies, vacate } from './hostile.ts';
import { type Deed, type Replacement, WATCHED } from './plan.ts';
import {
  accountPath,
  type Book,
  copyName,
  createAccount,
  createBook,
  createToken,
  MERGE,
  patchAccount,
  patchCopy,
  putGood,
  putSecret,
  secretPath,
  type Subject,
  WEAK_SCOPES,
} from './subjects.ts';
import { DENIABLE } from './webhook.ts';
import { disrupt, isDisruption } from './disruptions.ts';
import type { World } from './world.ts';

export interface Actor {
  book: Book;
  /** Makes the accounts, each with a good credential. */
  begin(): Promise<void>;
  /** Resolves with false where there was nothing to do it to. */
  act(deed: Deed): Promise<boolean>;
  /** Ends what was planned to go wrong, and gives every account a good credential. */
  mend(): Promise<void>;
  recheckAll(): Promise<void>;
}

/** Refused by every offline check that there is. */
const MALFORMED = 'not a credential, not even the shape of one';

export function createActor(world: World, count: number): Actor {
  const book = createBook(count);
  const { subjects, fresh, lose } = book;
  const { call, recorder } = world;
  /** The namespace that is deleted just now, and made anew when it is gone. */
  let passing: Promise<void> | undefined;

  /** Whoever comes first is who the account belongs to, so another's credential is one only after that. */
  function knowsWhose({ name, uid }: Subject): boolean {
    const account = recorder.account(name);
    return account?.metadata.uid === uid && account?.status?.account !== undefined;
  }

  async function replace(subject: Subject, replacement: Replacement): Promise<boolean> {
    switch (replacement) {
      case 'good':
        await putGood(world, book, subject);
        return true;
      case 'foreign':
        if (!knowsWhose(subject)) return false;
        await putSecret(world, subject, createToken(world, book, subject, 'foreign').credential);
        return true;
      case 'weak':
        if (WEAK_SCOPES[subject.provider] === undefined) return false;
        await putSecret(world, subject, createToken(world, book, subject, 'weak').credential);
        return true;
      case 'revoked': {
        const token = createToken(world, book, subject);
        world.cloud(subject.provider).revoke(token.index);
        await putSecret(world, subject, token.credential, token);
        return true;
      }
      case 'previous': {
        const previous = subject.held.at(-2);
        if (previous === undefined) return false;
        await putSecret(world, subject, previous.credential, previous);
        return true;
      }
      case 'malformed': {
        const fields = Object.keys(subject.held[0]?.credential ?? {});
        const rubbish = Object.fromEntries(fields.map(field => [field, MALFORMED]));
        // Where a provider promises no shape, nothing is refused offline, and the cloud does not know whose this was.
        if (PROVIDERS[subject.provider].checkShape(rubbish) === undefined) return false;
        await putSecret(world, subject, rubbish);
        return true;
      }
    }
  }

  async function act(deed: Deed): Promise<boolean> {
    if (deed.kind === 'recreate namespace') return recreateNamespace();
    if (isDisruption(deed)) return disrupt(world, deed);
    const subject = subjects[deed.account];
    if (subject === undefined) throw new Error(`no account ${deed.account}`);
    if (passing !== undefined && subject.namespace === 'chaos-passing') return false;
    return actOn(subject, deed);
  }

  async function actOn(subject: Subject, deed: Extract<Deed, { account: number }>): Promise<boolean> {
    const { name, provider, held } = subject;
    const cloud = world.cloud(provider);
    const current = held.at(-1);
    switch (deed.kind) {
      case 'replace':
        return replace(subject, deed.with);
      case 'touch Secret': {
        const patch = { metadata: { labels: { touched: fresh() } } };
        return (await call('PATCH', secretPath(subject, `${name}-token`), patch, MERGE)) !== undefined;
      }
      case 'delete Secret':
        return (await call('DELETE', secretPath(subject, `${name}-token`))) !== undefined;
      case 'revoke':
      case 'restore':
        if (current === undefined) return false;
        cloud.change(current.index, { revoked: deed.kind === 'revoke' });
        return true;
      case 'recheck':
        return recheck(subject);
      case 'suspend':
      case 'resume':
        return patchAccount(world, subject, { spec: { suspend: deed.kind === 'suspend' } });
      case 'rename copy':
        return patchAccount(world, subject, {
          spec: { verifiedSecret: { name: `${name}-copy-${fresh()}` } },
        });
      case 'rekey copy': {
        // Which fields there are depends on the provider.
        if (current === undefined) return false;
        const keys = { [fieldOf(current)]: `KEY_${fresh()}` };
        return patchAccount(world, subject, { spec: { verifiedSecret: { keys } } });
      }
      case 'change access': {
        const access = recorder.account(name)?.spec.access === 'ReadOnly' ? 'ReadWrite' : 'ReadOnly';
        return patchAccount(world, subject, { spec: { access } });
      }
      case 'edit copy':
        lose(subject);
        return patchCopy(world, book, subject, { stringData: { [fieldOf(current)]: `tampered ${fresh()}` } });
      case 'delete copy': {
        const copy = copyName(world, subject);
        if (copy === undefined) return false;
        lose(subject);
        return (await call('DELETE', secretPath(subject, copy))) !== undefined;
      }
      case 'recreate account': {
        // A new object knows nothing of the old one's account.
        if (current === undefined) await putGood(world, book, subject);
        const isOver = world.disturb({ accounts: [name] });
        await call('DELETE', accountPath(subject));
        await createAccount(world, book, subject);
        isOver();
        return true;
      }
      default:
        return annoy(world, book, subject, deed);
    }
  }

  async function recheck(subject: Subject): Promise<boolean> {
    const value = fresh();
    const { name, uid } = subject;
    const patch = { metadata: { annotations: { [RECHECK_ANNOTATION]: value } } };
    if (!(await patchAccount(world, subject, patch)) || uid === undefined) return false;
    book.rechecks.set(name, [...(book.rechecks.get(name) ?? []), { at: Date.now(), value, uid }]);
    return true;
  }

  /** The accounts of the namespace go with it, and come again when it is there again; meanwhile everything else goes on. */
  async function recreateNamespace(): Promise<boolean> {
    if (passing !== undefined) return false;
    const inside = subjects.filter(({ namespace }) => namespace === 'chaos-passing');
    const isOver = world.disturb({ accounts: inside.map(({ name }) => name) }, 5_000);
    for (const subject of inside) {
      await releaseCopies(world, book, subject);
      lose(subject);
      delete subject.uid;
      subject.held.push(undefined);
      subject.squatters = [];
    }
    const path = '/api/v1/namespaces/chaos-passing';
    await call('DELETE', path);
    passing = (async () => {
      const patient = { ...world, call: patiently(call) };
      while ((await patient.call('GET', path)) !== undefined) await sleep(100);
      await patient.call('POST', '/api/v1/namespaces', { metadata: { name: 'chaos-passing' } });
      for (const subject of inside) {
        await putGood(patient, book, subject);
        await createAccount(patient, book, subject);
      }
    })().finally(() => {
      isOver();
      passing = undefined;
    });
    // A failure shows in the end, when it is waited for.
    passing.catch(() => undefined);
    return true;
  }

  return {
    book,
    act,
    async begin() {
      for (const subject of subjects) {
        await putGood(world, book, subject);
        await createAccount(world, book, subject);
      }
    },
    async mend() {
      await passing;
      for (const cloud of world.clouds) cloud.clearFaults();
      for (const what of DENIABLE) await act({ kind: 'allow', what });
      for (const [operator, running] of world.operators.all.entries()) {
        await act({ kind: 'thaw operator', operator });
        for (const watched of WATCHED) await act({ kind: 'resume watch', operator, watched });
        world.ways[operator]?.clear();
        running.setClock(0);
        if (!running.isRunning()) await running.start();
      }
      for (const subject of subjects) {
        await releaseCopies(world, book, subject);
        await vacate(world, subject);
        await putGood(world, book, subject);
        if (!(await patchAccount(world, subject, { spec: { suspend: false } })))
          await createAccount(world, book, subject);
      }
    },
    async recheckAll() {
      for (const subject of subjects) await recheck(subject);
    },
  };
}

/** The API server may be restarted meanwhile. */
function patiently(call: World['call']): World['call'] {
  return async <T>(...args: Parameters<World['call']>): Promise<T | undefined> => {
    for (let tries = 1; ; tries++) {
      try {
        return await call<T>(...args);
      } catch (error) {
        if (tries === 100) throw error;
        await sleep(200);
      }
    }
  };
}

function fieldOf(token: CloudToken | undefined): string {
  return Object.keys(token?.credential ?? {}).at(-1) ?? 'token';
}
