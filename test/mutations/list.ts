/** A mend taken out again, and what must go red. */
export type Mutation = {
  /** `patches/<name>.patch`, as `git diff` writes it. */
  name: string;
  /** What no longer holds with it. */
  promise: string;
} & (TestCase | Replay);

export interface TestCase {
  /** The file of the test, and what its name holds. */
  file: string;
  test: string;
}

/** A run of chaos or of the proof that found it. */
export interface Replay {
  program: 'test/chaos/main.ts' | 'test/proof/main.ts';
  args: readonly string[];
}

const DENIED = 'operator/domain/denied-writes.test.ts';
const ABSENCE = 'test/integration/accounts/absence.test.ts';
const BETWEEN_STEPS = 'test/integration/accounts/between-steps.test.ts';
const DIGITALOCEAN = 'operator/providers/digitalocean.test.ts';

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'verdict-forbidden-proves-a-token',
    promise: 'a 403 proves a token only together with a definitive good answer',
    file: DIGITALOCEAN,
    test: 'a 403 on the account proves nothing where listing',
  },
  {
    name: 'verdict-missing-information-is-unknown',
    promise: 'what a provider can tell and did not tell now is no "Unknown": the check has no verdict',
    file: DIGITALOCEAN,
    test: 'leaves the check without a verdict, and names the host',
  },
  {
    name: 'verdict-another-user-is-another-account',
    promise: 'two users may belong to one account, so they are no reason to refuse',
    file: 'operator/domain/identity.test.ts',
    test: 'compareAccounts',
  },
  {
    name: 'identity-a-stronger-one-is-not-learnt',
    promise: 'a stronger identity that a later check proves is added',
    file: 'operator/domain/decide.test.ts',
    test: 'a stronger identity that a later check',
  },
  {
    name: 'denied-write-prolongs-the-wait-for-a-secret',
    promise: 'a denied write does not lengthen the time for which a missing Secret is waited for',
    file: DENIED,
    test: 'does not lengthen the time for which a missing Secret',
  },
  {
    name: 'absence-edited-copy-is-lost',
    promise: 'a copy that somebody edited while the provider is down is put right from the source',
    file: 'operator/domain/timelines.test.ts',
    test: 'that was edited while the provider is down is put right',
  },
  {
    name: 'denied-move-comes-before-all-else',
    promise: 'while the copy cannot be moved, checks and demotions go on',
    file: DENIED,
    test: 'keeps no revoked credential Connected',
  },
  {
    name: 'denied-rekey-is-forgotten',
    promise: 'a write that was denied is tried again until it is done',
    file: DENIED,
    test: 'is tried again until it is done',
  },
  {
    name: 'denied-verdict-in-hand-is-lost',
    promise: 'an acceptance that could not be published survives other results, and is not asked for again',
    file: DENIED,
    test: 'is not asked about again by a requested check',
  },
  {
    name: 'denied-verdict-in-hand-never-grows-old',
    promise: 'an acceptance that could not be published for an interval is asked for again',
    file: DENIED,
    test: 'is asked about again once its acceptance is older than an interval',
  },
  {
    name: 'clock-times-to-come-are-trusted',
    promise: 'no time that is read from an object is trusted beyond now',
    file: 'operator/domain/clock.test.ts',
    test: 'a wall clock that ran an hour ahead and was set right',
  },
  {
    name: 'verdict-half-an-answer-of-upcloud',
    promise: 'half an answer of UpCloud is no acceptance',
    file: 'operator/providers/upcloud.test.ts',
    test: 'half an answer is none',
  },
  {
    name: 'verdict-half-an-answer-of-linode',
    promise: 'half an answer of Linode is no acceptance',
    file: 'operator/providers/linode.test.ts',
    test: 'half an answer is none',
  },
  {
    name: 'gateway-any-404-is-an-absence',
    promise:
      'from an HTTP error only what the API server said in a Status of the matching reason is concluded',
    file: 'operator/kube/errors.test.ts',
    test: 'only Kubernetes speaks for Kubernetes',
  },
  {
    name: 'gateway-a-page-is-a-status',
    promise: 'JSON of a gateway is no Status of the API server',
    file: 'operator/kube/errors.test.ts',
    test: 'not by a gateway that answers in JSON',
  },
  {
    name: 'line-own-wait-is-forgotten',
    promise: 'whom our own line turned away waits for it, and is no attempt',
    file: 'operator/domain/turned-away.test.ts',
    test: 'a check that our own line turns away',
  },
  {
    name: 'clock-a-lead-lasts-through-sleep',
    promise: 'a leader whose machine slept knows that its lead may be over',
    file: 'operator/kube/lease.test.ts',
    test: 'a leader whose machine slept knows it',
  },
  {
    name: 'clock-a-late-write-is-sent',
    promise: 'what waited while the lead was lost is not written any more',
    file: 'operator/kube/client.test.ts',
    test: 'is not sent once it may not be any more',
  },
  {
    name: 'absence-a-copy-is-judged-by-an-older-spec',
    promise: 'a copy is judged by the account as it is now, whatever it was when the copy was read',
    program: 'test/proof/main.ts',
    args: ['sieve', '--only', 're-key the copy: restart in the past: accounts #1 (MODIFIED web)'],
  },
  {
    name: 'verdict-counts-twice-without-an-answer',
    promise: 'a verdict counts once, though the write that says so got no answer',
    file: BETWEEN_STEPS,
    test: 'whose write got no answer',
  },
  {
    name: 'verdict-counts-twice-beside-a-restored-status',
    promise: 'a verdict counts once, though what others wrote into status takes a second write',
    file: BETWEEN_STEPS,
    test: 'a refusal counts once where a second write',
  },
  {
    name: 'absence-finalizers-of-others-go',
    promise: 'finalizers of others on a copy survive a replacement',
    file: ABSENCE,
    test: 'finalizers of others on a copy survive',
  },
  {
    name: 'absence-a-proof-needs-no-schema',
    promise: 'what an annotation says is held against the schema of status before it is believed',
    file: ABSENCE,
    test: 'keeps no status from being written',
  },
  {
    name: 'absence-a-copy-is-not-read-by-name',
    promise: 'what a cache does not hold is read by name before anything is concluded',
    program: 'test/proof/main.ts',
    args: [
      'sieve',
      '--only',
      'rename the copy to a taken name: unobserved: copies #1 (MODIFIED web-verified)',
    ],
  },
];
