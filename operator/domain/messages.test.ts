import { describe, expect, test } from '@jest/globals';
import type { AccountReason } from '../api/names.ts';
import {
  causeIn,
  differentAccountMessage,
  expiringMessage,
  type Help,
  invalidSecretMessage,
  limitsMessage,
  notWritableMessage,
  postponedMessage,
  postponedRecheckNote,
  refusalMessage,
  refusalReason,
  replacementMessage,
  staticMessage,
} from './messages.ts';
import type { Refusal } from './outcome.ts';

const HELP: Help = {
  provider: 'Linode',
  consoleUrl: 'https://cloud.linode.com/profile/tokens',
  consolePath: '',
  permissions: 'Linodes: Read/Write.',
  access: 'ReadWrite',
  secretName: 'token',
  copyName: 'copy',
};

/** Every reason; the compiler sees that none is missing. */
const REASONS: Record<AccountReason, true> = {
  Verified: true,
  VerifiedReadOnly: true,
  ConfirmingRejection: true,
  Verifying: true,
  SecretNotFound: true,
  ProviderUnreachable: true,
  ProviderThrottled: true,
  UnexpectedAnswer: true,
  CheckPostponed: true,
  CredentialRejected: true,
  MissingPermission: true,
  SourceAddressNotAllowed: true,
  AccountLocked: true,
  SecretInvalid: true,
  DifferentAccount: true,
  ReplacementRejected: true,
  VerifiedSecretNotWritable: true,
  VerifiedSecretConflict: true,
  Suspended: true,
  ProviderNotSupported: true,
  ExpiresSoon: true,
};

test.each(Object.keys(REASONS) as AccountReason[])(
  '%s has a text of one line that does not change',
  reason => {
    const message = staticMessage(reason, HELP);
    expect(message).toMatch(/^[A-Z"].*\.$/);
    expect(message).not.toMatch(/\n|undefined/);
    expect(staticMessage(reason, HELP)).toBe(message);
  },
);

const REFUSALS: readonly [Refusal, AccountReason, readonly string[]][] = [
  [
    { kind: 'rejected', detail: 'Invalid Token' },
    'CredentialRejected',
    ['"token"', 'Linode says: Invalid Token'],
  ],
  [
    { kind: 'missingPermission', missing: ['linodes:read_write'] },
    'MissingPermission',
    ['linodes:read_write'],
  ],
  [{ kind: 'missingPermission', missing: [] }, 'MissingPermission', ['lacks what ReadWrite access needs.']],
  [{ kind: 'sourceNotAllowed', address: '192.0.2.1' }, 'SourceAddressNotAllowed', ['192.0.2.1']],
  [
    { kind: 'sourceNotAllowed', detail: 'IP not on the list' },
    'SourceAddressNotAllowed',
    ["the operator's address", 'IP not on the list'],
  ],
  [{ kind: 'accountLocked' }, 'AccountLocked', ['locked', HELP.consoleUrl]],
  [
    { kind: 'malformed', check: 'length', message: 'Use 64 characters.' },
    'SecretInvalid',
    ['(length)', '64'],
  ],
];

test.each(REFUSALS)('%j says what happened and what to do', (refusal, reason, parts) => {
  expect(refusalReason(refusal)).toBe(reason);
  const message = refusalMessage(refusal, HELP);
  for (const part of parts) expect(message).toContain(part);
  expect(message).toContain(HELP.consoleUrl);
  expect(message).not.toContain('undefined');
});

describe('messages', () => {
  test('name the path within the console where there is one', () => {
    const help = { ...HELP, consolePath: 'API > Tokens' };
    expect(invalidSecretMessage('it is empty.', help)).toContain(`${HELP.consoleUrl} (API > Tokens)`);
  });

  test('of another account say how to move there, or that nothing was proven', () => {
    const moved = differentAccountMessage('euuid:a', 'euuid:b', HELP);
    expect(moved).toContain('set spec.accountID to "euuid:b"');
    expect(differentAccountMessage('euuid:a', undefined, HELP)).toContain('does not prove');
  });

  test('of a refused replacement hold the cause and give it back', () => {
    expect(causeIn(replacementMessage('It is revoked.'))).toBe('It is revoked.');
    expect(causeIn('It is revoked.')).toBe('It is revoked.');
  });

  test('of what is postponed or expires name the time', () => {
    expect(postponedMessage('2026-01-02T00:00:00Z', HELP)).toContain('2026-01-02T00:00:00Z');
    expect(expiringMessage('2026-01-02T00:00:00Z', HELP)).toContain('2026-01-02T00:00:00Z');
    expect(postponedRecheckNote('Linode')).toContain('Linode');
  });
});

test('a copy that cannot be written is told in the words of the API server, where they may be shown', () => {
  const plain = notWritableMessage(undefined, HELP);
  expect(plain).toBe(staticMessage('VerifiedSecretNotWritable', HELP));
  expect(notWritableMessage('exceeded quota: full', HELP)).toBe(
    `${plain} The API server says: exceeded quota: full`,
  );
});

test('a right that only some operations need is named with what needs it, and nothing else is', () => {
  const help = { ...HELP, furtherRights: { 'droplet:admin': 'rebuilding a server' } };
  expect(limitsMessage(['droplet:admin', 'constructor'], help)).toBe(
    ' It lacks droplet:admin, which rebuilding a server needs.',
  );
  expect(limitsMessage(['droplet:admin'], HELP)).toBe('');
});
