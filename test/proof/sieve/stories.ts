import type { Secret } from '../../../operator/accounts/resources.ts';
import { RECHECK_ANNOTATION } from '../../../operator/api/names.ts';
import { statusOf } from '../../chaos/recorder.ts';
import { COPY, SOURCE, type Stage, type StageOperator } from '../stage.ts';

/** What happens to an account, from a state at rest to the next. */
export interface Story {
  name: string;
  /** What was before; it comes to rest before `act`. */
  prepare?: readonly Deed[];
  act: Deed;
  /** The act has had its effect. */
  isOver: (stage: Stage) => boolean;
  /** Two operators; the first is told to stop within `act`. */
  handsOver?: true;
}

type Deed = (stage: Stage, leader: StageOperator) => Promise<unknown>;

const value = (stage: Stage, letter: 'a' | 'b' | 'c' | 'r') => stage.tokens[letter].credential;

const shown =
  (type: string, status: string, reason?: string) =>
  (stage: Stage): boolean =>
    stage
      .account()
      ?.status?.conditions?.some(
        condition =>
          condition.type === type &&
          condition.status === status &&
          (reason === undefined || condition.reason === reason),
      ) ?? false;

/** Ready, and about the spec as it is now. */
const isReady = (stage: Stage): boolean => {
  const account = stage.account();
  return (
    account !== undefined &&
    statusOf(account, 'Ready') === 'True' &&
    account.status?.observedGeneration === account.metadata.generation
  );
};

/** The copy that was written last, of those that are there. */
function copyOf({ arena, namespace }: Stage): Secret | undefined {
  const present = new Map<string, Secret>();
  for (const { kind, object, gone } of arena.witness.versions(namespace)) {
    if (kind !== 'copy') continue;
    present.delete(object.metadata.name);
    if (!gone) present.set(object.metadata.name, object);
  }
  return [...present.values()].at(-1);
}

/** What is in force is the credential of that letter. */
const holds = (letter: 'a' | 'b') => (stage: Stage) =>
  isReady(stage) &&
  copyOf(stage)?.metadata.resourceVersion === stage.account()?.status?.verifiedSecretRef?.resourceVersion &&
  stage.answers(stage.tokens[letter], 200) > 0;

async function connect(stage: Stage): Promise<void> {
  await stage.putSecret(SOURCE, value(stage, 'a'));
  await stage.putAccount();
}

async function refuse(stage: Stage): Promise<void> {
  stage.arena.cloud.revoke(stage.tokens.b.index);
  await stage.putSecret(SOURCE, value(stage, 'b'));
}

async function demote(stage: Stage): Promise<void> {
  stage.arena.cloud.revoke(stage.tokens.a.index);
  await recheck('demote')(stage);
}

const recheck = (name: string) => (stage: Stage) =>
  stage.patchAccount({ metadata: { annotations: { [RECHECK_ANNOTATION]: name } } });
const replace = (stage: Stage) => stage.putSecret(SOURCE, value(stage, 'b'));
const copyAs = (verifiedSecret: object) => (stage: Stage) => stage.patchAccount({ spec: { verifiedSecret } });

/** Asked again before the daily check no more. */
const isRefused = (stage: Stage): boolean =>
  stage.account()?.status?.candidate?.reason === 'CredentialRejected' &&
  stage.account()?.status?.candidate?.nextAttemptTime === undefined;

export const STORIES: readonly Story[] = [
  { name: 'create', act: connect, isOver: isReady },
  {
    name: 'create, the Secret last',
    act: async stage => {
      await stage.putAccount();
      await stage.putSecret(SOURCE, value(stage, 'a'));
    },
    isOver: isReady,
  },
  { name: 'replace', prepare: [connect], act: replace, isOver: holds('b') },
  { name: 'refuse', prepare: [connect], act: refuse, isOver: isRefused },
  {
    name: 'put the good bytes back',
    prepare: [connect, refuse],
    act: stage => stage.putSecret(SOURCE, value(stage, 'a')),
    isOver: isReady,
  },
  {
    name: 'rename the copy',
    prepare: [connect],
    act: copyAs({ name: 'moved' }),
    isOver: stage => isReady(stage) && stage.account()?.status?.verifiedSecretRef?.name === 'moved',
  },
  {
    name: 'rename the copy to a taken name',
    prepare: [connect, stage => stage.putSecret('moved', { any: 'thing' })],
    act: async stage => {
      await copyAs({ name: 'moved' })(stage);
      await stage.patchSecret(COPY, { metadata: { labels: { 'example.com/seen': 'yes' } } });
    },
    isOver: shown('Ready', 'False', 'VerifiedSecretConflict'),
  },
  {
    name: 're-key the copy',
    prepare: [connect],
    act: copyAs({ keys: { token: 'DIGITALOCEAN_ACCESS_TOKEN' } }),
    isOver: isReady,
  },
  {
    name: 'rename and replace at once',
    prepare: [connect],
    act: async stage => {
      await replace(stage);
      await copyAs({ name: 'moved' })(stage);
    },
    isOver: stage => holds('b')(stage) && stage.account()?.status?.verifiedSecretRef?.name === 'moved',
  },
  {
    name: 'demote',
    prepare: [connect],
    act: demote,
    isOver: shown('Connected', 'False'),
  },
  {
    name: 'recover',
    prepare: [connect, demote],
    act: async stage => {
      stage.arena.cloud.change(stage.tokens.a.index, { revoked: false });
      await recheck('recover')(stage);
    },
    isOver: isReady,
  },
  {
    name: 'another source',
    prepare: [connect, stage => stage.putSecret('other', value(stage, 'b'))],
    act: stage => stage.patchAccount({ spec: { credentialsSecretRef: { name: 'other' } } }),
    isOver: holds('b'),
  },
  {
    name: 'delete',
    prepare: [connect],
    act: stage => stage.deleteAccount(),
    // The garbage collector takes the copy.
    isOver: stage => stage.account() === undefined && copyOf(stage) === undefined,
  },
  {
    name: 'delete and make anew',
    prepare: [connect],
    act: async stage => {
      const uid = stage.account()?.metadata.uid;
      await stage.deleteAccount();
      await stage.putAccount();
      return uid;
    },
    isOver: isReady,
  },
  {
    name: 'lose the source',
    prepare: [connect],
    act: stage => stage.deleteSecret(SOURCE),
    isOver: shown('Ready', 'False', 'SecretNotFound'),
  },
  {
    name: 'mark the copy',
    prepare: [connect],
    act: stage =>
      stage.patchSecret(COPY, {
        metadata: { labels: { 'example.com/a': 'b' }, annotations: { 'example.com/c': 'd' } },
      }),
    isOver: isReady,
  },
  {
    name: 'edit the copy',
    prepare: [connect],
    act: stage => stage.patchSecret(COPY, { data: { token: Buffer.from('edited').toString('base64') } }),
    isOver: isReady,
  },
  {
    name: 'delete the copy',
    prepare: [connect],
    act: stage => stage.deleteSecret(COPY),
    isOver: isReady,
  },
  {
    name: 'hand over while a replacement is judged',
    prepare: [connect],
    act: async (stage, leader) => {
      await replace(stage);
      await leader.stop();
    },
    isOver: holds('b'),
    handsOver: true,
  },
];
