import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';

/**
 * X.509 certificates for a control plane, from node:crypto alone. Node reads certificates but does not write them;
 * the few structures of RFC 5280 that are needed here are shorter than a dependency for them.
 */

/** A certificate and its key, both PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface CertificateAuthority extends KeyPair {
  /** Subject common name, which is the issuer name of what it signs. */
  name: string;
}

export interface CertificateRequest {
  /** Common name: the user name, for a client certificate. */
  name: string;
  /** Organisations: the groups, for a client certificate. */
  groups?: readonly string[];
  /** DNS names and IP addresses that a server certificate is valid for. */
  hosts?: readonly string[];
  /** Default: a year. */
  validForMs?: number;
}

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;

const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

// Tags of ITU-T X.690; RFC 5280 says where each is used.
const SEQUENCE = 0x30;
const SET = 0x31;

/** Makes a self-signed certificate authority, valid for a year. */
export function createAuthority(name: string): CertificateAuthority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const cert = signedCertificate({
    subject: { name },
    issuer: { name },
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    extensions: [
      extension(OID.basicConstraints, tlv(SEQUENCE, tlv(0x01, Buffer.from([0xff]))), true),
      // keyCertSign and cRLSign
      extension(OID.keyUsage, tlv(0x03, Buffer.from([1, 0b0000_0110])), true),
    ],
  });
  return { name, cert, key: keyPem(keys.privateKey) };
}

/** Issues a certificate for a server (`hosts`), for a client (`name` and `groups`), or for both. */
export function issueCertificate(authority: CertificateAuthority, request: CertificateRequest): KeyPair {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const extensions = [
    extension(OID.keyUsage, tlv(0x03, Buffer.from([7, 0b1000_0000])), true), // digitalSignature
    extension(OID.extendedKeyUsage, tlv(SEQUENCE, oid(OID.serverAuth), oid(OID.clientAuth))),
  ];
  const hosts = request.hosts ?? [];
  if (hosts.length > 0) extensions.push(extension(OID.subjectAltName, tlv(SEQUENCE, ...hosts.map(altName))));
  const cert = signedCertificate({
    subject: request,
    issuer: authority,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    validForMs: request.validForMs ?? YEAR_MS,
    extensions,
  });
  return { cert, key: keyPem(keys.privateKey) };
}

interface Unsigned {
  subject: { name: string; groups?: readonly string[] };
  issuer: { name: string };
  publicKey: KeyObject;
  signingKey: KeyObject | string;
  validForMs?: number;
  extensions: Buffer[];
}

function signedCertificate(unsigned: Unsigned): string {
  const now = Date.now();
  const algorithm = tlv(SEQUENCE, oid(OID.ecdsaWithSha256));
  const body = tlv(
    SEQUENCE,
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, serialNumber()),
    algorithm,
    distinguishedName(unsigned.issuer),
    // A day of slack: a certificate must not be "not yet valid" for a machine whose clock is a little behind.
    tlv(SEQUENCE, time(now - DAY_MS), time(now + (unsigned.validForMs ?? YEAR_MS))),
    distinguishedName(unsigned.subject),
    unsigned.publicKey.export({ format: 'der', type: 'spki' }),
    tlv(0xa3, tlv(SEQUENCE, ...unsigned.extensions)),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, unsigned.signingKey)]);
  return pem('CERTIFICATE', tlv(SEQUENCE, body, algorithm, tlv(0x03, signature)));
}

function distinguishedName({ name, groups = [] }: { name: string; groups?: readonly string[] }): Buffer {
  const attribute = (type: string, value: string) =>
    tlv(SET, tlv(SEQUENCE, oid(type), tlv(0x0c, Buffer.from(value))));
  return tlv(
    SEQUENCE,
    ...groups.map(group => attribute(OID.organization, group)),
    attribute(OID.commonName, name),
  );
}

function altName(host: string): Buffer {
  if (isIP(host) === 4) return tlv(0x87, Buffer.from(host.split('.').map(Number)));
  if (host === '::1') return tlv(0x87, Buffer.from([...Array<number>(15).fill(0), 1]));
  if (isIP(host) === 6) throw new Error(`IPv6 address ${host}: only ::1 is supported in certificates`);
  return tlv(0x82, Buffer.from(host));
}

function extension(type: string, value: Buffer, critical = false): Buffer {
  const flag = critical ? [tlv(0x01, Buffer.from([0xff]))] : [];
  return tlv(SEQUENCE, oid(type), ...flag, tlv(0x04, value));
}

/** RFC 5280 4.1.2.2: positive; the first byte of 1..127 keeps the integer positive and without a leading zero. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes;
}

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). */
function time(ms: number): Buffer {
  const digits = new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  return digits < '2050' ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return tlv(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = value >>> 7; left > 0; left >>>= 7) bytes.unshift((left & 0x7f) | 0x80);
  return bytes;
}

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const hex = content.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}

function keyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
