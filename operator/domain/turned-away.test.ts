import { describe, expect, test } from '@jest/globals';
import { decide } from './decide.ts';
import { type Facts, type Memory, questionOf, type Wanted } from './facts.ts';
import { remember, waitInLine } from './fold.ts';
import { DEFAULT_TIMING } from './schedule.ts';
import { DAY, MINUTE, toTimestamp } from './time.ts';

const NOW = Date.UTC(2026, 0, 1);
const REVISION = { uid: 's', resourceVersion: '1' };
const WANTED: Wanted = { access: 'ReadWrite', intervalMs: DAY, suspend: false, copyName: 'copy' };
const NEW = questionOf('new bytes', WANTED);
const RESTED: Memory = { refusals: [], retries: {} };

function facts(more: Partial<Facts> = {}): Facts {
  return {
    now: NOW,
    uid: 'uid',
    generation: 1,
    wanted: WANTED,
    help: {
      provider: 'Vultr',
      consoleUrl: 'https://my.vultr.com',
      consolePath: '',
      permissions: '',
      access: 'ReadWrite',
      secretName: 'source',
      copyName: 'copy',
    },
    noIdentity: true,
    status: {},
    source: { state: 'read', revision: REVISION, fingerprint: 'new bytes' },
    copy: { state: 'absent' },
    nameTaken: false,
    memory: RESTED,
    timing: DEFAULT_TIMING,
    ...more,
  };
}

/** A connected account whose daily check is due. */
function due(memory: Memory, more: Partial<Facts> = {}): Facts {
  return facts({
    status: {
      observedGeneration: 1,
      health: 'Connected',
      credential: {
        hint: '••••',
        verifiedAt: toTimestamp(NOW - DAY),
        access: 'ReadWrite',
        permissions: { state: 'Unknown', missing: [] },
        source: REVISION,
      },
      verifiedSecretRef: { name: 'copy', uid: 'c', resourceVersion: '2' },
      lastCheckTime: toTimestamp(NOW - DAY),
      nextCheckTime: toTimestamp(NOW),
    },
    source: { state: 'unread', revision: REVISION },
    copy: { state: 'recorded', fingerprint: 'bytes' },
    memory: { ...memory, published: 'bytes' },
    ...more,
  });
}

function turnedAway(which: 'candidate' | 'inForce', question: string): Memory {
  const checking = { which, question };
  return waitInLine({ ...RESTED, checking }, checking, NOW, MINUTE);
}

describe('a check that our own line turns away', () => {
  test('is no attempt: no result, no retry counted, and none under way', () => {
    const memory = turnedAway('candidate', NEW);
    expect([memory.result, memory.retries, memory.checking]).toEqual([undefined, {}, undefined]);
  });

  test('of an account that nobody was asked about yet writes nothing, and is made when its time has come', () => {
    const memory = turnedAway('candidate', NEW);
    expect(decide(facts({ memory }))).toEqual({ do: 'done', wakeAt: NOW + MINUTE });
    expect(decide(facts({ memory, now: NOW + MINUTE }))).toMatchObject({ do: 'check', question: NEW });
  });

  test('of other bytes than these holds them up no further', () => {
    const memory = turnedAway('candidate', 'other bytes ReadWrite ');
    expect(decide(facts({ memory }))).toMatchObject({ do: 'check', question: NEW });
  });

  test('when it is the daily one, leaves no trace in status', () => {
    const step = decide(due(turnedAway('inForce', 'bytes')));
    expect(step).toMatchObject({ do: 'done', wakeAt: NOW + MINUTE });
    expect(step).not.toHaveProperty('status.lastAttempt');
    expect(decide(due(turnedAway('inForce', 'bytes'), { now: NOW + MINUTE }))).toMatchObject({
      do: 'check',
      which: 'inForce',
    });
  });

  test('when it was requested, stays requested and does not come back at once', () => {
    const step = decide(due(turnedAway('inForce', 'bytes'), { recheck: 'now' }));
    expect(step).toMatchObject({ do: 'done', wakeAt: NOW + MINUTE });
    expect(step).not.toHaveProperty('status.lastHandledRecheck');
    const later = due(turnedAway('inForce', 'bytes'), { recheck: 'now', now: NOW + MINUTE });
    expect(decide(later)).toMatchObject({ do: 'check', round: 'requested now' });
  });

  test('hides nothing of the first that is really made and not answered', () => {
    const memory = turnedAway('inForce', 'bytes');
    const outcome = { kind: 'unreachable', cause: 'DnsFailure' } as const;
    const later = { which: 'inForce', question: 'bytes', outcome, at: NOW + MINUTE } as const;
    const step = decide(due(remember(memory, later, 0), { now: NOW + MINUTE }));
    expect(step).toMatchObject({
      status: { lastAttempt: { reason: 'ProviderUnreachable', cause: 'DnsFailure' } },
    });
  });

  test('under a clock that was set back since, asks the line again', () => {
    const memory = turnedAway('candidate', NEW);
    expect(decide(facts({ memory, now: NOW - DAY }))).toMatchObject({ do: 'check' });
  });
});
