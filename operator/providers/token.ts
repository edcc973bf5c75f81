import type { ShapeProblem } from './provider.ts';

/**
 * What no bearer token can hold: RFC 6750 section 2.1 allows visible ASCII only, and anything else cannot be
 * sent in a header. Catches line breaks in the middle, two tokens in one value, and quotes of a word processor.
 */
export function tokenCharactersProblem(check: string, token: string): ShapeProblem | undefined {
  if (/^[\x21-\x7e]+$/.test(token)) return undefined;
  return {
    check,
    message:
      'The token holds a space, a line break or a character that no token has. Copy it again, whole and on one line.',
  };
}

/** `••••1a2b` from the end of a token; dots only where that would be a large part of it. */
export function lastFourHint(token: string): string {
  return token.length < 20 ? '••••' : `••••${token.slice(-4)}`;
}
