import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { ShapeProblem } from './provider.ts';

/** A private key that can sign, or why it cannot: as an offline check of the credential. */
export type KeyReading = { key: KeyObject } | { problem: ShapeProblem };

const MAKE_A_PAIR =
  'Create a key pair in the TransIP control panel and copy the private key whole, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----.';

/** No base64 holds a dash, and without one in it the search for the end never begins anew. */
const PEM = /-----BEGIN([A-Z]*)PRIVATEKEY-----([^-]*)-----END\1PRIVATEKEY-----/;

/**
 * The control panel makes the keys, and nobody uses longer ones. One signature with 16,384 bits takes more than a second.
 * An exponent of more than 32 bits serves no purpose, and makes a signature several times as expensive (FIPS 186-5 asks
 * for 65,537 or more; every tool makes 65,537).
 */
const MAX_BITS = 4_096;
const MAX_EXPONENT = 2n ** 32n;
const signAside = promisify(sign);

/**
 * Reads an RSA private key in PEM. Line breaks and spaces that were lost, added or escaped (`\n`) on the way from the
 * control panel are repaired, as the official library does (transip/transip-api-php AuthRepository.php). PKCS#8 is
 * what the control panel gives; PKCS#1 is what other tools make of it, sometimes under the other's label.
 */
export function readKey(pem: string): KeyReading {
  const text = pem.replace(/\\[nr]|\s/g, '');
  // The headers of a PKCS#1 key with a passphrase (RFC 1421).
  if (/-----BEGIN(?:ENCRYPTEDPRIVATEKEY-----|[A-Z]*PRIVATEKEY-----Proc-Type)/.test(text)) {
    return problem(
      'encrypted',
      'The private key is protected by a passphrase, which cannot be asked for. Store it without one.',
    );
  }
  const match = PEM.exec(text);
  if (match === null) return { problem: withoutPem(pem, text) };
  const [, label = '', body = ''] = match;
  const key = parse(body);
  if (key === undefined) {
    // EC keys have a label and an encoding of their own.
    if (label === 'EC' || label === 'DSA' || label === 'OPENSSH') return notRsa();
    return problem('unreadable', `The private key is incomplete or damaged. ${MAKE_A_PAIR}`);
  }
  if (key.asymmetricKeyType !== 'rsa') return notRsa();
  // Such a key has no room for a signature over SHA-512, and nobody gives one out any more.
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < 1024) {
    return problem('too-short', `The private key is shorter than 1024 bits. ${MAKE_A_PAIR}`);
  }
  if ((key.asymmetricKeyDetails?.modulusLength ?? Infinity) > MAX_BITS) {
    return problem('too-long', `The private key is longer than ${MAX_BITS} bits. ${MAKE_A_PAIR}`);
  }
  if (!fits(key)) return problem('unreadable', `The private key is incomplete or damaged. ${MAKE_A_PAIR}`);
  return { key };
}

/**
 * Whether the numbers belong together (RFC 8017 section 3.2): one that was made up costs many times the work of a key, and
 * signs nothing. A few multiplications; whether the primes are prime is not asked.
 */
function fits(key: KeyObject): boolean {
  const jwk = key.export({ format: 'jwk' });
  const [n, e, d, p, q, dp, dq, qi] = (['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const).map(part =>
    BigInt(`0x0${Buffer.from(jwk[part] ?? '', 'base64url').toString('hex')}`),
  ) as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
  if (p < 3n || q < 3n || e < 3n || e > MAX_EXPONENT) return false;
  return (
    p * q === n &&
    (d * e) % (p - 1n) === 1n &&
    (d * e) % (q - 1n) === 1n &&
    dp === d % (p - 1n) &&
    dq === d % (q - 1n) &&
    (q * qi) % p === 1n
  );
}

function withoutPem(pem: string, text: string): ShapeProblem {
  if (text.includes('PUBLICKEY-----')) {
    return shape('public', `This is the public key. The private key is needed. ${MAKE_A_PAIR}`);
  }
  // A JSON object in base64url, as every JSON Web Token starts.
  if (pem.startsWith('eyJ')) {
    return shape(
      'access-token',
      `This is an access token, which expires and cannot be renewed. ${MAKE_A_PAIR}`,
    );
  }
  return shape('no-pem', `This is no private key in PEM form. ${MAKE_A_PAIR}`);
}

function parse(base64: string): KeyObject | undefined {
  if (!/^[A-Za-z0-9+/]+=*$/.test(base64)) return undefined;
  const der = Buffer.from(base64, 'base64');
  for (const type of ['pkcs8', 'pkcs1'] as const) {
    try {
      return createPrivateKey({ key: der, format: 'der', type });
    } catch {
      // The other encoding, or none.
    }
  }
  return undefined;
}

function notRsa(): KeyReading {
  return problem(
    'not-rsa',
    `TransIP signs with RSA keys only, and this is a key of another kind. ${MAKE_A_PAIR}`,
  );
}

function problem(check: string, message: string): KeyReading {
  return { problem: shape(check, message) };
}

function shape(check: string, message: string): ShapeProblem {
  return { check: `transip-key-${check}`, message };
}

/**
 * Value of the header `Signature`: base64 of RSA-PKCS1-v1_5 over SHA-512 of the bytes of the body. Made in one of the four
 * threads that Node.js has for such work, so that nothing else waits for it.
 */
export async function signature(key: KeyObject, body: string): Promise<string> {
  return (await signAside('RSA-SHA512', Buffer.from(body, 'utf8'), key)).toString('base64');
}

/** First 8 hex digits of the SHA-256 of the public half (SPKI, DER). Says nothing of the private one. */
export function fingerprint(key: KeyObject): string {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 8);
}
