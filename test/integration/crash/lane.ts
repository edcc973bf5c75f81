import type { CloudAccount } from '../../../operator/api/cloudaccount.generated.ts';
import { operatorKubeconfig } from '../support/control-plane.ts';
import { conditionOf, createTestbed, shown } from '../support/testbed.ts';
import { eventually } from '../support/wait.ts';
import { faultProxyFor } from '../kube/support.ts';
import { startCloudGate } from './cloud-gate.ts';
import { startOperatorProcess } from './operator-process.ts';
import { PROVIDER, type Scenario, type State, type Subject } from './scenarios.ts';
import { startWitness, type Witness } from './witness.ts';

/** A request of the operator, and on which side of it the process dies. */
export interface CrashPoint {
  /** Such as `PATCH cloudaccounts/<name>/status #2`. */
  step: string;
  /** `before`: it never arrives. `after`: it was answered, and the process never knows. */
  when: 'before' | 'after';
}

/** A namespace with an operator process that lives from one crash to the next. */
export interface Lane {
  /** Tells the story undisturbed; resolves with its requests in order. */
  record(scenario: Scenario): Promise<string[]>;
  /**
   * Tells it to another account, kills the operator at the point, starts it again, and waits for the end. Resolves with
   * false when the story ended without that request: some come only when a check is slow.
   */
  crash(scenario: Scenario, point: CrashPoint): Promise<boolean>;
  /** What went wrong, looked at once more when all stories are over. */
  close(): Promise<string[]>;
}

interface Told {
  subject: Subject;
  scenario: Scenario;
  what: string;
  callsBefore: Record<string, number>;
  crashes: number;
}

/** The check's two calls: what decides, and what tells the rights. */
const VERDICT_CALL = '/v2/account';
const CALLS = [VERDICT_CALL, '/v1/oauth/token/info'];
/** Short times, so that a confirmation takes two seconds. */
const QUICK = ['--confirm-after=1s,2s', '--retry-refused-after=1s,2s', '--log-level=info'];
const PATIENCE_MS = 60_000;
/** An undisturbed story is over when no request came for so long. */
const QUIET_MS = 400;

export async function openLane(program: string, cache: string): Promise<Lane> {
  const bed = await createTestbed();
  const cloud = bed.cloud(PROVIDER);
  const proxy = await faultProxyFor(bed.controlPlane);
  const wrong: string[] = [];
  const told: Told[] = [];
  let trace: Trace | undefined;
  const gate = await startCloudGate(cloud.url, {
    before: call => trace?.before(call, `call ${call.url}`),
    after: call => trace?.after(call),
  });
  const witness = await startWitness(bed, {
    onCopy({ metadata }, values) {
      for (const value of values) {
        const token = cloud.find('token', value);
        if (token === undefined || answers(token.index, 200) === 0)
          wrong.push(`${metadata.name} held a value that was not accepted by then`);
      }
    },
    onConnected({ metadata: { name } }, status) {
      const subject = told.find(story => story.subject.name === name)?.subject;
      if (status === 'False' && (subject === undefined || answers(subject.a.index, 401) < 3))
        wrong.push(`${name} was demoted before three refusals`);
    },
  });
  const args = [
    ...QUICK,
    `--kubeconfig=${await operatorKubeconfig(bed.controlPlane, proxy.url)}`,
    `--watch-namespaces=${bed.namespace}`,
    `--provider-endpoint=${PROVIDER}=${gate.url}`,
  ];
  let operator = startOperatorProcess(program, args, cache);

  /** How often the provider gave that verdict on a credential so far. */
  function answers(token: number, status: number): number {
    return cloud.log.filter(
      entry => entry.token === token && entry.path === VERDICT_CALL && entry.status === status,
    ).length;
  }

  function callsOf({ a, b }: Subject): Record<string, number> {
    const tokens = [a.index, b.index];
    return Object.fromEntries(
      CALLS.map(path => [
        path,
        cloud.log.filter(entry => tokens.includes(entry.token ?? -1) && entry.path === path).length,
      ]),
    );
  }

  async function begin(scenario: Scenario, what: string): Promise<Told> {
    const account = `account-${told.length}`;
    const subject = {
      name: `${bed.namespace}-${String(told.length).padStart(3, '0')}`,
      a: cloud.createToken({ account }),
      b: cloud.createToken({ account }),
    };
    const story: Told = { subject, scenario, what, callsBefore: {}, crashes: 0 };
    told.push(story);
    if (scenario.prepare !== undefined && scenario.start !== undefined) {
      await scenario.prepare(bed, subject);
      await reaches(story, scenario.start);
      // What the preparation caused is over with the event that tells of its end.
      const events = scenario.start.candidate === 'none' ? 1 : 2;
      await eventually(
        () =>
          proxy.count({
            method: 'POST',
            match: ({ body, outcome }) => isEvent(body, subject) && outcome === 201,
          }),
        count => count >= events,
        `${subject.name}: events of the preparation`,
        PATIENCE_MS,
      );
    }
    story.callsBefore = callsOf(subject);
    return story;
  }

  async function reaches({ subject, what }: Told, state: State): Promise<void> {
    const wanted = JSON.stringify(state);
    await eventually(
      () => stateOf(witness, subject),
      found => JSON.stringify(found) === wanted,
      `${what}: ${wanted}`,
      PATIENCE_MS,
    );
  }

  /** A story that ends as it began is over once something was done about it. */
  async function ends(story: Told, { steps }: Trace): Promise<void> {
    await eventually(
      () => steps.length,
      count => count > 0,
      `${story.what}: a first request`,
      PATIENCE_MS,
    );
    await reaches(story, story.scenario.end);
  }

  /** Follows the requests that concern the subject, until told to stop. */
  function follow({ subject }: Told, point?: CrashPoint): Trace & { stop(): void } {
    const followed = createTrace(subject, point, () => operator.kill());
    const rule = proxy.addRule({
      match: ({ isWatch, path, body }) =>
        !isWatch && (path.includes(`/${subject.name}`) || body.includes(`"${subject.name}`)),
      action: {
        kind: 'hook',
        before: request => followed.before(request, `${request.method} ${resourceOf(request.path)}`),
        after: request => followed.after(request),
      },
    });
    trace = followed;
    return {
      ...followed,
      stop() {
        rule.remove();
        trace = undefined;
      },
    };
  }

  return {
    async record(scenario) {
      const story = await begin(scenario, `${scenario.name}, undisturbed`);
      const followed = follow(story);
      await scenario.act(bed, story.subject);
      await ends(story, followed);
      await eventually(
        followed.quietFor,
        ms => ms > QUIET_MS,
        `${story.what}: no more requests`,
        PATIENCE_MS,
      );
      followed.stop();
      return followed.steps;
    },
    async crash(scenario, point) {
      const story = await begin(scenario, `${scenario.name}, killed ${point.when} ${point.step}`);
      const followed = follow(story, point);
      await scenario.act(bed, story.subject);
      const ending = ends(story, followed).then(() => 'ended' as const);
      const first = await Promise.race([followed.struck, ending]);
      if (first === 'ended') {
        // What follows the last status write, such as its event, may be on its way.
        const quiet = eventually(followed.quietFor, ms => ms > QUIET_MS, 'no more requests', PATIENCE_MS);
        if ((await Promise.race([followed.struck, quiet.then(() => first)])) === first) {
          followed.stop();
          return false;
        }
      }
      ending.catch(() => undefined);
      followed.stop();
      story.crashes = 1;
      operator = startOperatorProcess(program, args, cache);
      try {
        await reaches(story, scenario.end);
      } catch (error) {
        throw new Error(`${(error as Error).message}\nthe operator said:\n${operator.said()}`, {
          cause: error,
        });
      }
      return true;
    },
    async close() {
      for (const { subject, scenario, what, callsBefore, crashes } of told) {
        const state = JSON.stringify(stateOf(witness, subject));
        if (state !== JSON.stringify(scenario.end)) wrong.push(`${what}: ended as ${state}`);
        const connected = witness.connected(subject.name).filter(status => status !== 'Unknown');
        if (connected.join() !== scenario.connected.join())
          wrong.push(`${what}: Connected was ${connected.join(', ')}`);
        const allowed = scenario.checks + (scenario.repeats === 'nothing' ? 0 : crashes);
        for (const [path, count] of Object.entries(callsOf(subject))) {
          const made = count - (callsBefore[path] ?? 0);
          if (made > allowed) wrong.push(`${what}: ${made} calls of ${path}, allowed ${allowed}`);
        }
      }
      if (witness.faults.length > 0)
        wrong.push(`the witness may have missed something: ${String(witness.faults[0])}`);
      await operator.kill();
      await witness.close();
      await gate.close();
      await proxy.close();
      await bed.close();
      return wrong;
    },
  };
}

interface Trace {
  /** Labels so far, in order. */
  steps: string[];
  /** The point was reached and the process is gone. */
  struck: Promise<'struck'>;
  /** Milliseconds since the last request came or was answered. */
  quietFor: () => number;
  before: (request: object, label: string) => Promise<void>;
  after: (request: object) => Promise<void>;
}

function createTrace({ name }: Subject, point: CrashPoint | undefined, kill: () => Promise<void>): Trace {
  const steps: string[] = [];
  const labels = new Map<object, string>();
  const struck = Promise.withResolvers<'struck'>();
  let last = performance.now();
  async function strike(step: string | undefined, when: CrashPoint['when']): Promise<boolean> {
    last = performance.now();
    if (step === undefined || step !== point?.step || when !== point.when) return false;
    await kill();
    struck.resolve('struck');
    return true;
  }
  return {
    steps,
    struck: struck.promise,
    quietFor: () => performance.now() - last,
    async before(request, text) {
      const label = text.replaceAll(name, '<name>');
      const step = `${label} #${steps.filter(other => other.startsWith(`${label} #`)).length + 1}`;
      steps.push(step);
      labels.set(request, step);
      if (await strike(step, 'before')) throw new Error('the caller is gone');
    },
    after: async request => void (await strike(labels.get(request), 'after')),
  };
}

/** `/api/v1/namespaces/x/secrets/y?z` → `secrets/y`. */
function resourceOf(path: string): string {
  return path.replace(/\?.*/, '').replace(/^.*\/namespaces\/[^/]+\//, '');
}

function isEvent(body: string, { name }: Subject): boolean {
  return body.includes('"kind":"Event"') && body.includes(`"${name}"`);
}

function stateOf(witness: Witness, { name, a, b }: Subject): State | undefined {
  const account = witness.account(name);
  if (account === undefined) return undefined;
  const { status, metadata } = account;
  const held = witness.copies
    .byIndex('owner', metadata.uid)
    .map(copy => [
      copy.metadata.name.replace(name, '<name>'),
      Object.fromEntries(Object.entries(copy.data ?? {}).map(([key, value]) => [key, letterOf(value, a, b)])),
    ]);
  return {
    Connected: shown(account, 'Connected'),
    Ready: shown(account, 'Ready'),
    Reconciling: shown(account, 'Reconciling'),
    Stalled: shown(account, 'Stalled'),
    copies: Object.fromEntries(held) as State['copies'],
    candidate: candidateOf(account),
    confirming: status?.confirming?.count ?? 0,
    lastHandledRecheck: status?.lastHandledRecheck ?? '',
    overdue: Date.parse(status?.nextCheckTime ?? '') <= Date.now(),
    observed:
      status?.observedGeneration === metadata.generation &&
      conditionOf(account, 'Connected')?.observedGeneration === metadata.generation,
  };
}

function candidateOf({ status }: CloudAccount): string {
  if (status?.candidate === undefined) return 'none';
  const { reason, nextAttemptTime } = status.candidate;
  return `${reason}, asked ${nextAttemptTime === undefined ? 'daily' : 'again'}`;
}

function letterOf(value: string, a: Subject['a'], b: Subject['b']): string {
  const text = Buffer.from(value, 'base64').toString();
  return text === a.credential['token'] ? 'a' : text === b.credential['token'] ? 'b' : 'other';
}
