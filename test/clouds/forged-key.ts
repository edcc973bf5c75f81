import { randomBytes } from 'node:crypto';

/** A key of random numbers: version, modulus, exponents, primes and what follows from them, as RFC 8017 A.1.2 wants them. */
export function forgedKey(bits: number, exponent: Buffer = Buffer.from([1, 0, 1])): Buffer {
  const random = (of: number): Buffer => {
    const bytes = randomBytes(of / 8);
    bytes[0] = (bytes[0] ?? 0) | 0x80;
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1;
    return integer(bytes);
  };
  const parts = [
    random(bits),
    integer(exponent),
    random(bits),
    ...Array.from({ length: 5 }, () => random(bits / 2)),
  ];
  return tlv(0x30, Buffer.concat([integer(Buffer.from([0])), ...parts]));
}

function integer(bytes: Buffer): Buffer {
  return tlv(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** DER, X.690 8.1. */
function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

/** As PKCS#1 in PEM. */
export function pemOf(der: Buffer): string {
  return `-----BEGIN RSA PRIVATE KEY-----\n${der.toString('base64')}\n-----END RSA PRIVATE KEY-----`;
}
