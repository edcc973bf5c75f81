import type { AccountReason } from '../api/names.ts';
import type { Outcome, Refusal } from './outcome.ts';

/** What a message needs to say what to do: stable facts of the account and its provider. */
export interface Help {
  provider: string;
  consoleUrl: string;
  consolePath: string;
  /** Exact permissions to choose for the wanted access, in whole sentences. */
  permissions: string;
  /** Rights that only some operations need, and what needs them. */
  furtherRights?: Readonly<Record<string, string>>;
  access: string;
  secretName: string;
  copyName: string;
}

/**
 * Reasons of refused candidates; the account waits for a person. `MENDABLE` ones are mended at the provider with the
 * same bytes, so they are asked again more often.
 */
export const REFUSED_REASONS: ReadonlySet<string> = new Set<AccountReason>([
  'CredentialRejected',
  'MissingPermission',
  'SourceAddressNotAllowed',
  'AccountLocked',
  'SecretInvalid',
  'DifferentAccount',
]);
export const MENDABLE_REASONS: ReadonlySet<string> = new Set<AccountReason>([
  'SourceAddressNotAllowed',
  'MissingPermission',
  'AccountLocked',
]);

/** Reasons of answers that were not definitive. */
export const ATTEMPT_REASONS: ReadonlySet<string> = new Set<AccountReason>([
  'ProviderUnreachable',
  'ProviderThrottled',
  'UnexpectedAnswer',
]);

/** Reason of a refusal. */
export function refusalReason(refusal: Refusal): AccountReason {
  switch (refusal.kind) {
    case 'rejected':
      return 'CredentialRejected';
    case 'missingPermission':
      return 'MissingPermission';
    case 'sourceNotAllowed':
      return 'SourceAddressNotAllowed';
    case 'accountLocked':
      return 'AccountLocked';
    case 'malformed':
      return 'SecretInvalid';
  }
}

/** Reason of an answer that was not definitive. */
export function attemptReason(outcome: Outcome): AccountReason {
  switch (outcome.kind) {
    case 'throttled':
      return 'ProviderThrottled';
    case 'unexpected':
      return 'UnexpectedAnswer';
    default:
      return 'ProviderUnreachable';
  }
}

/** What happened and what to do, for a refusal. Provider texts in it were scrubbed before. */
export function refusalMessage(refusal: Refusal, help: Help): string {
  const { provider } = help;
  switch (refusal.kind) {
    case 'rejected':
      return sentences(
        `${provider} does not accept the credential in Secret "${help.secretName}": it is invalid, revoked or expired.`,
        `Create a new one at ${consolePage(help)} and put it into the Secret.`,
        help.permissions,
        says(provider, refusal.detail),
      );
    case 'missingPermission':
      return sentences(
        `The credential in Secret "${help.secretName}" is valid but lacks what ${help.access} access needs${
          refusal.missing.length > 0 ? `: ${refusal.missing.join(', ')}` : ''
        }.`,
        `Grant it, or create another credential, at ${consolePage(help)}.`,
        help.permissions,
        says(provider, refusal.detail),
      );
    case 'sourceNotAllowed':
      return sentences(
        `${provider} does not accept the credential in Secret "${help.secretName}" from ${
          refusal.address === undefined ? "the operator's address" : `the address ${refusal.address}`
        }.`,
        `Add the address to the allow-list at ${consolePage(help)}; it is asked again by itself.`,
        says(provider, refusal.address === undefined ? refusal.detail : undefined),
      );
    case 'accountLocked':
      return sentences(
        `${provider} accepts the credential in Secret "${help.secretName}", but the account is locked, not activated or its API is switched off.`,
        `Look into the account at ${help.consoleUrl}; it is asked again by itself.`,
        says(provider, refusal.detail),
      );
    case 'malformed':
      return sentences(
        `Secret "${help.secretName}" holds no usable ${provider} credential (${refusal.check}): ${refusal.message}`,
        `Credentials are made at ${consolePage(help)}.`,
      );
  }
}

/** What happened and what to do where the source Secret itself cannot be used. */
export function invalidSecretMessage(problem: string, help: Help): string {
  return sentences(
    `Secret "${help.secretName}" cannot be used as the source of a ${help.provider} credential: ${problem}`,
    `Credentials are made at ${consolePage(help)}.`,
    help.permissions,
  );
}

/** Another account than the one connected (or pinned) was proven. */
export function differentAccountMessage(expected: string, proven: string | undefined, help: Help): string {
  return sentences(
    proven === undefined
      ? `The credential in Secret "${help.secretName}" does not prove that it belongs to the account ${expected}.`
      : `The credential in Secret "${help.secretName}" belongs to the account ${proven}, not to ${expected}.`,
    `Use a credential of ${expected}${proven === undefined ? '' : `, or set spec.accountID to "${proven}" to move to that account`}.`,
  );
}

const REPLACEMENT_REFUSED = 'The replacement was refused; the verified credential stays in use. ';

/** Ready and Stalled while a refused replacement leaves the connection as it was. */
export function replacementMessage(cause: string): string {
  return `${REPLACEMENT_REFUSED}${cause}`;
}

/** The cause that a message of a refused candidate tells. */
export function causeIn(message: string): string {
  return message.startsWith(REPLACEMENT_REFUSED) ? message.slice(REPLACEMENT_REFUSED.length) : message;
}

/** Static message of a reason that needs no facts of a verdict. */
export function staticMessage(reason: AccountReason, help: Help): string {
  const { provider } = help;
  switch (reason) {
    case 'Verified':
      return `${provider} accepted the credential.`;
    case 'VerifiedReadOnly':
      return `${provider} accepted the credential; it is used for reading only.`;
    case 'ConfirmingRejection':
      return `${provider} refused the credential in use; it is asked again before anything is concluded.`;
    case 'Verifying':
      return `The credential in Secret "${help.secretName}" is being checked with ${provider}.`;
    case 'SecretNotFound':
      return `Secret "${help.secretName}" does not exist in this namespace. Create it; it is picked up by itself.`;
    case 'ProviderUnreachable':
      return `${provider} could not be reached or did not answer properly. Nothing is concluded from that; it is asked again by itself.`;
    case 'ProviderThrottled':
      return `${provider} asks for fewer requests. Nothing is concluded from that; it is asked again by itself.`;
    case 'UnexpectedAnswer':
      return `${provider} gave an answer that says nothing about the credential. Nothing is concluded from that; it is asked again by itself.`;
    case 'VerifiedSecretNotWritable':
      return `${provider} accepted the credential, but the verified copy "${help.copyName}" cannot be written (quota, rights, an admission webhook, or annotations that leave no room). Writing is tried again by itself.`;
    case 'VerifiedSecretConflict':
      return `The name "${help.copyName}" of the verified copy is taken by another Secret. Remove that Secret, or choose another spec.verifiedSecret.name.`;
    case 'Suspended':
      return 'Checks are suspended by spec.suspend.';
    case 'ProviderNotSupported':
      return `This version of the operator does not support the provider ${provider}, so nothing is checked; a verified copy stays in use. Install a version of the operator that does.`;
    case 'CheckPostponed':
      return `Too many checks of this account were refused by ${provider}; further checks wait.`;
    // The facts of these are in the verdict; without it, what is left to say is where to look.
    case 'CredentialRejected':
    case 'MissingPermission':
    case 'SourceAddressNotAllowed':
    case 'AccountLocked':
    case 'SecretInvalid':
    case 'DifferentAccount':
    case 'ReplacementRejected':
    case 'ExpiresSoon':
      return `The credential in Secret "${help.secretName}" needs attention; look into it at ${consolePage(help)}.`;
  }
}

/** What an accepted credential cannot do, in a sentence each; '' where it may do all. */
export function limitsMessage(missing: readonly string[], { furtherRights = {} }: Help): string {
  return missing
    .filter(right => Object.hasOwn(furtherRights, right))
    .map(right => ` It lacks ${right}, which ${furtherRights[right]} needs.`)
    .join('');
}

/** The copy cannot be written. @param detail the API server's words, where they may be shown */
export function notWritableMessage(detail: string | undefined, help: Help): string {
  const message = staticMessage('VerifiedSecretNotWritable', help);
  return detail === undefined ? message : `${message} The API server says: ${detail}`;
}

/**
 * Why a provider could not be reached, in words; by the causes of `providers/causes.ts` and of the providers' tables. One
 * that is not here is told by its name.
 */
const CAUSES: Readonly<Record<string, string>> = {
  DnsFailure: 'its name could not be looked up',
  ConnectionRefused: 'the connection was refused',
  NetworkUnreachable: 'there is no way to its network',
  ConnectTimeout: 'no connection came about in time',
  ConnectionReset: 'the connection was broken off',
  AnswerTimeout: 'it did not answer in time',
  DeadlineExceeded: 'it did not answer in time',
  CertificateNotTrusted: 'its certificate is not from an authority that the operator trusts',
  CertificateExpired: 'its certificate has expired',
  CertificateNotYetValid: 'its certificate is not valid yet (see the clocks)',
  CertificateWrongName: 'its certificate is for another name',
  TlsFailure: 'no TLS connection came about',
  ProxyRefused: 'the proxy refused to connect',
  ProxyAuthenticationRequired: 'the proxy asks for authentication',
  ProxyFailure: 'the proxy could not be used',
  HtmlAnswer: 'a web page came instead of an answer of the API',
  NotJson: 'what came is no answer of the API',
  CloudflareBlock: 'Cloudflare answered in its place',
  EmptyBody: 'the answer was empty',
  TruncatedBody: 'the answer was cut off',
  OversizedBody: 'the answer was too long',
  InvalidEncoding: 'the answer was damaged',
  UnknownContentCoding: 'the answer was damaged',
  MalformedAnswer: 'the answer was damaged',
  Maintenance: 'it is under maintenance',
};

/** The provider could not be reached, and why. `host`: the one that failed, where it is not the API's own. */
export function unreachableMessage(cause: string, host: string | undefined, help: Help): string {
  const status = /^Http(\d{3})$/.exec(cause)?.[1];
  const why = status === undefined ? (CAUSES[cause] ?? cause) : `it answered with HTTP ${status}`;
  const who = host === undefined ? help.provider : `${host}, which is asked for ${help.provider},`;
  return `${who} could not be reached or did not answer properly: ${why}. Nothing is concluded from that; it is asked again by itself.`;
}

/** The check of new bytes waits for a cap on refusals. */
export function postponedMessage(until: string, help: Help): string {
  return `Too many checks of this account were refused by ${help.provider}. The credential in Secret "${help.secretName}" is checked at ${until}.`;
}

/** A requested check is answered without one. */
export function postponedRecheckNote(provider: string): string {
  return `Too many checks of this account were refused by ${provider}; the requested check was not made.`;
}

/** The stored credential expires soon. */
export function expiringMessage(expiresAt: string, help: Help): string {
  return sentences(
    `The credential expires at ${expiresAt}.`,
    `Create a new one at ${consolePage(help)} and put it into Secret "${help.secretName}".`,
    help.permissions,
  );
}

function consolePage({ consoleUrl, consolePath }: Help): string {
  return consolePath === '' ? consoleUrl : `${consoleUrl} (${consolePath})`;
}

function says(provider: string, detail: string | undefined): string {
  return detail === undefined ? '' : `${provider} says: ${detail}`;
}

function sentences(...parts: string[]): string {
  return parts.filter(part => part !== '').join(' ');
}
