import { describe, expect, test } from '@jest/globals';
import { ConfigError, parseConfig } from './config.ts';

describe('leader election', () => {
  test('is off unless asked for', () => {
    expect(parseConfig([])).not.toHaveProperty('leaderElection');
    expect(parseConfig(['--leader-elect=false', '--leader-election-id=x'])).not.toHaveProperty(
      'leaderElection',
    );
  });

  test('goes by the times of client-go', () => {
    expect(parseConfig(['--leader-elect']).leaderElection).toEqual({
      name: 'cloud-account-operator',
      timing: { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 },
    });
  });

  test('takes another lease and other times', () => {
    const args = ['--leader-elect', '--leader-election-id=mine', '--leader-election-namespace=there'];
    const times = ['lease-duration=1m', 'renew-deadline=40s', 'retry-period=5s'].map(
      time => `--leader-election-${time}`,
    );
    expect(parseConfig([...args, ...times]).leaderElection).toEqual({
      name: 'mine',
      namespace: 'there',
      timing: { leaseDurationMs: 60_000, renewDeadlineMs: 40_000, retryPeriodMs: 5_000 },
    });
  });

  test.each([
    ['--leader-election-renew-deadline=15s', /must last longer than the renew deadline/],
    ['--leader-election-retry-period=9s', /retry periods/],
    ['--leader-election-lease-duration=fast', /"fast" is not a duration/],
    ['--leader-election-id=', /name of a Lease is needed/],
  ])('%s is refused with what is wrong', (flag, message) => {
    const parse = () => parseConfig(['--leader-elect', flag]);
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(message);
  });
});
