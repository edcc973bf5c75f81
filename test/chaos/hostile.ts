import type { Secret } from '../../operator/accounts/resources.ts';
import { GROUP, VERIFICATION_ANNOTATION, VERIFIED_SECRET_TYPE, VERSION } from '../../operator/api/names.ts';
import type { Hostility, ProofEdit } from './plan.ts';
import {
  type Book,
  copyName,
  createToken,
  MERGE,
  patchAccount,
  patchCopy,
  secretPath,
  type Subject,
} from './subjects.ts';
import type { World } from './world.ts';

const HOLD = 'chaos.example/hold';
/** Labels and finalizers change nothing of what a copy is worth, so they may cost nobody a connection. */
export async function annoy(world: World, book: Book, subject: Subject, deed: Hostility): Promise<boolean> {
  const { call } = world;
  const { name } = subject;
  const value = book.fresh();
  switch (deed.kind) {
    case 'label copy':
      return patchCopy(world, book, subject, { metadata: { labels: { 'chaos.example/label': value } } });
    case 'hold copy':
      return patchCopy(world, book, subject, { metadata: { finalizers: [HOLD] } }).catch((error: unknown) => {
        // What is about to go takes no more of them.
        if (String(error).includes('being deleted')) return false;
        throw error;
      });
    case 'release copy':
      return releaseCopies(world, book, subject);
    case 'edit proof': {
      const proof = editedProof(world, subject, deed.how);
      if (proof === undefined) return false;
      book.lose(subject);
      return patchCopy(world, book, subject, {
        metadata: { annotations: { [VERIFICATION_ANNOTATION]: proof } },
      });
    }
    case 'disown copy': {
      const other = book.subjects.find(
        ({ namespace, uid, name: otherName }) =>
          namespace === subject.namespace && uid !== undefined && otherName !== name,
      );
      if (deed.for === 'another account' && other?.uid === undefined) return false;
      book.lose(subject);
      const owner = ownerReference(other?.name ?? '', other?.uid ?? '');
      const ownerReferences = deed.for === 'nobody' ? null : [owner];
      return patchCopy(world, book, subject, { metadata: { ownerReferences } });
    }
    case 'forge copy': {
      if (subject.uid === undefined) return false;
      const token = createToken(world, book, subject);
      world.cloud(subject.provider).revoke(token.index);
      const forged = await call<Secret>('POST', secretPath(subject), {
        metadata: {
          name: `${name}-forged-${value}`,
          ownerReferences: [ownerReference(name, subject.uid)],
          annotations: { [VERIFICATION_ANNOTATION]: proofOf(world, subject) ?? '{}' },
        },
        type: VERIFIED_SECRET_TYPE,
        stringData: token.credential,
      });
      if (forged !== undefined) book.tampered.add(forged.metadata.resourceVersion);
      return forged !== undefined;
    }
    case 'rename to taken': {
      const taken = `${name}-taken-${value}`;
      await call('POST', secretPath(subject), {
        metadata: { name: taken },
        stringData: { ours: 'not yours' },
      });
      subject.squatters.push(taken);
      return patchAccount(world, subject, { spec: { verifiedSecret: { name: taken } } });
    }
    case 'vacate name':
      return vacate(world, subject);
  }
}

/** Takes away what stands under the name that a copy shall have. */
export async function vacate({ call }: World, subject: Subject): Promise<boolean> {
  const names = subject.squatters.splice(0);
  for (const name of names) {
    const path = secretPath(subject, name);
    // The operator may have taken the name meanwhile, after somebody else deleted it.
    const present = await call<Secret>('GET', path);
    if (present !== undefined && present.type !== VERIFIED_SECRET_TYPE) await call('DELETE', path);
  }
  return names.length > 0;
}

/** Takes away what keeps copies of an account from going. */
export async function releaseCopies({ call }: World, { tampered }: Book, subject: Subject): Promise<boolean> {
  const list = await call<{ items: Secret[] }>('GET', secretPath(subject).replace(/\/$/, ''));
  const held = (list?.items ?? []).filter(
    ({ metadata }) =>
      metadata.finalizers?.includes(HOLD) &&
      metadata.ownerReferences?.some(({ name: owner }) => owner === subject.name) !== false,
  );
  for (const { metadata } of held) {
    const patch = { metadata: { finalizers: null } };
    const released = await call<Secret>('PATCH', secretPath(subject, metadata.name), patch, MERGE);
    if (released !== undefined) tampered.add(released.metadata.resourceVersion);
  }
  return held.length > 0;
}

function ownerReference(name: string, uid: string): object {
  return { apiVersion: `${GROUP}/${VERSION}`, kind: 'CloudAccount', name, uid, controller: true };
}

function proofOf(world: World, subject: Subject): string | undefined {
  const name = copyName(world, subject);
  const copy = world.recorder.presentCopies().find(({ metadata }) => metadata.name === name);
  return copy?.metadata.annotations?.[VERIFICATION_ANNOTATION];
}

function editedProof(world: World, subject: Subject, how: ProofEdit): string | undefined {
  const text = proofOf(world, subject);
  if (text === undefined) return undefined;
  if (how === 'empty') return '{}';
  if (how === 'no JSON') return `${text.slice(0, -1)},`;
  let proof: { credential?: Record<string, unknown> };
  try {
    proof = JSON.parse(text) as typeof proof;
  } catch {
    return undefined;
  }
  const changes = {
    'without permissions': { permissions: {} },
    'to come': { verifiedAt: new Date(Date.now() + 2 * 3_600_000).toISOString() },
    'with more rights': { access: 'Everything', expiresAt: 'never' },
  }[how];
  return JSON.stringify({ ...proof, credential: { ...proof.credential, ...changes } });
}
