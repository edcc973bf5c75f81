import type { CloudToken } from '../../clouds/kit.ts';
import type { Testbed } from '../support/testbed.ts';

/** All stories are told with DigitalOcean: a check of it is two calls, and it tells whose a credential is. */
export const PROVIDER = 'DigitalOcean';

/** One account of a story, with credentials of one account at the provider. */
export interface Subject {
  name: string;
  a: CloudToken;
  b: CloudToken;
}

/** Where an account stands, in words that are the same for each subject of a story. */
export interface State {
  Connected: string;
  Ready: string;
  Reconciling: string;
  Stalled: string;
  /** Name of the copy → its keys → which credential; the account's name is written `<name>`. */
  copies: Record<string, Record<string, string>>;
  /** Reason of what is asked for and not in force, and whether it is asked again before the daily check. */
  candidate: string;
  /** Refusals of what is in force that wait to be confirmed. */
  confirming: number;
  lastHandledRecheck: string;
  /** The scheduled check is over its time. */
  overdue: boolean;
  /** Status speaks of the latest spec. */
  observed: boolean;
}

export interface Scenario {
  name: string;
  /** What happens before the story begins; the account gets into `start`. Nothing for a new account. */
  prepare?: Deed;
  start?: State;
  /** What sets it off. */
  act: Deed;
  end: State;
  /** Each status of Connected in order, from the first that is not Unknown. */
  connected: readonly string[];
  /** Checks that an undisturbed run makes. A crash may cost one more. */
  checks: number;
  /** Nothing is asked, so a crash repeats no check. */
  repeats?: 'nothing';
}

type Deed = (bed: Testbed, subject: Subject) => Promise<unknown>;

const COPY = '<name>-verified';

const GOOD: State = {
  Connected: 'True Verified',
  Ready: 'True Verified',
  Reconciling: 'absent',
  Stalled: 'absent',
  copies: { [COPY]: { token: 'a' } },
  candidate: 'none',
  confirming: 0,
  lastHandledRecheck: '',
  overdue: false,
  observed: true,
};

/** A replacement was refused three times: what is in force stays as it is. */
const REFUSED: State = {
  ...GOOD,
  Ready: 'False ReplacementRejected',
  Stalled: 'True ReplacementRejected',
  candidate: 'CredentialRejected, asked daily',
};

async function connect(bed: Testbed, { name, a }: Subject): Promise<void> {
  await bed.putSecret(`${name}-token`, a.credential);
  await bed.putAccount(name, PROVIDER);
}

function replace(bed: Testbed, { name, b }: Subject): Promise<unknown> {
  return bed.putSecret(`${name}-token`, b.credential);
}

function refuse(bed: Testbed, subject: Subject): Promise<unknown> {
  bed.cloud(PROVIDER).revoke(subject.b.index);
  return replace(bed, subject);
}

function request(bed: Testbed, { name }: Subject): Promise<unknown> {
  return bed.patchAccount(name, { metadata: { annotations: { 'strackt.io/recheck-requested': 'now' } } });
}

function rename(bed: Testbed, { name }: Subject): Promise<unknown> {
  return bed.patchAccount(name, { spec: { verifiedSecret: { name: `${name}-moved` } } });
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'a first verification', act: connect, end: GOOD, connected: ['True'], checks: 1 },
  {
    name: 'a replacement that is accepted',
    prepare: connect,
    start: GOOD,
    act: replace,
    end: { ...GOOD, copies: { [COPY]: { token: 'b' } } },
    connected: ['True'],
    checks: 1,
  },
  {
    name: 'a replacement that is refused, and asked again',
    prepare: connect,
    start: GOOD,
    act: refuse,
    end: REFUSED,
    connected: ['True'],
    checks: 3,
  },
  {
    name: 'a demotion, confirmed twice',
    prepare: connect,
    start: GOOD,
    act: (bed, subject) => {
      bed.cloud(PROVIDER).revoke(subject.a.index);
      return request(bed, subject);
    },
    end: {
      ...GOOD,
      Connected: 'False CredentialRejected',
      Ready: 'False CredentialRejected',
      Stalled: 'True CredentialRejected',
      lastHandledRecheck: 'now',
    },
    connected: ['True', 'False'],
    checks: 3,
  },
  {
    name: 'a requested recheck',
    prepare: connect,
    start: GOOD,
    act: request,
    end: { ...GOOD, lastHandledRecheck: 'now' },
    connected: ['True'],
    checks: 1,
  },
  {
    name: 'a scheduled recheck',
    prepare: connect,
    start: GOOD,
    act: makeDue,
    end: GOOD,
    connected: ['True'],
    checks: 1,
  },
  {
    name: 'a copy that gets another name',
    prepare: connect,
    start: GOOD,
    act: rename,
    end: { ...GOOD, copies: { '<name>-moved': { token: 'a' } } },
    connected: ['True'],
    checks: 0,
    repeats: 'nothing',
  },
  {
    name: 'a copy that gets other keys',
    prepare: connect,
    start: GOOD,
    act: (bed, { name }) =>
      bed.patchAccount(name, { spec: { verifiedSecret: { keys: { token: 'DIGITALOCEAN_ACCESS_TOKEN' } } } }),
    end: { ...GOOD, copies: { [COPY]: { DIGITALOCEAN_ACCESS_TOKEN: 'a' } } },
    connected: ['True'],
    checks: 0,
    repeats: 'nothing',
  },
  {
    name: 'a copy that gets another name while a replacement is refused',
    async prepare(bed, subject) {
      await connect(bed, subject);
      await bed.until(subject.name, ({ status }) => status?.health === 'Connected');
      await refuse(bed, subject);
    },
    start: REFUSED,
    act: rename,
    end: { ...REFUSED, copies: { '<name>-moved': { token: 'a' } } },
    connected: ['True'],
    // Whether another generation asks something else of the refused bytes, only the process that was killed knew.
    checks: 0,
  },
];

/** As if the interval were over: the shortest that may be asked for is an hour. */
async function makeDue({ controlPlane, namespace }: Testbed, { name }: Subject): Promise<void> {
  const nextCheckTime = `${new Date(Date.now() - 1_000).toISOString().slice(0, 19)}Z`;
  const answer = await controlPlane.api(
    'PATCH',
    `/apis/strackt.io/v1alpha1/namespaces/${namespace}/cloudaccounts/${name}/status`,
    { status: { nextCheckTime } },
    'application/merge-patch+json',
  );
  if (answer.status !== 200) throw new Error(`status of ${name}: ${JSON.stringify(answer.body)}`);
}
