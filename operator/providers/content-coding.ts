import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';

import { MAX_BODY_BYTES } from './transport.ts';

const LIMIT = { maxOutputLength: MAX_BODY_BYTES };
const decoders: Record<string, (body: Buffer) => Promise<Buffer>> = {
  identity: async body => body,
  gzip: body => promisify<Buffer, object, Buffer>(gunzip)(body, LIMIT),
  'x-gzip': body => promisify<Buffer, object, Buffer>(gunzip)(body, LIMIT),
  deflate: body => promisify<Buffer, object, Buffer>(isZlib(body) ? inflate : inflateRaw)(body, LIMIT),
  br: body => promisify<Buffer, object, Buffer>(brotliDecompress)(body, LIMIT),
};

/** RFC 9110 says that `deflate` is zlib's format, yet servers send bare deflate data too. */
function isZlib(body: Buffer): boolean {
  return body.length >= 2 && (body.readUInt8(0) & 0x0f) === 8 && body.readUInt16BE(0) % 31 === 0;
}

/** Rejects for cut or damaged data, data that grows beyond the limit, and codings that nobody asked for. */
export async function decompress(body: Buffer, coding = 'identity'): Promise<Buffer> {
  if (body.length === 0) return body;
  const decode = decoders[coding.trim().toLowerCase()];
  if (decode === undefined)
    throw Object.assign(new Error('unknown content coding'), { code: UNKNOWN_CODING });
  return decode(body);
}

const UNKNOWN_CODING = 'CAO_UNKNOWN_CODING';
