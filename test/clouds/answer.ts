import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

/** What a simulated cloud answers. Header names in any case; `content-length` is added when it is sent. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

export type Framing = 'length' | 'chunked' | 'close';
export type Encoding = 'gzip' | 'deflate' | 'br';

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: Buffer.from(JSON.stringify(body)),
  };
}

/** An answer without a body, such as 204. */
export function empty(status: number, headers: Record<string, string> = {}): Answer {
  return { status, headers, body: Buffer.alloc(0) };
}

/** What a CDN or gateway in front of an API says: it knows nothing of the API's error format. */
export function html(
  status: number,
  title = 'Attention required',
  headers: Record<string, string> = {},
): Answer {
  return {
    status,
    headers: { 'content-type': 'text/html; charset=utf-8', ...headers },
    body: Buffer.from(
      `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>\n`,
    ),
  };
}

export function withHeaders(answer: Answer, headers: Record<string, string>): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

export function compress(answer: Answer, encoding: Encoding): Answer {
  const encode = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }[encoding];
  return withHeaders({ ...answer, body: encode(answer.body) }, { 'content-encoding': encoding });
}

/** The bytes of the answer as they go over the wire, for faults that need to cut between two of them. */
export function serialize(answer: Answer, framing: Framing): Buffer {
  const bodiless = answer.status === 204 || answer.status === 304;
  const framingHeader = {
    length: `content-length: ${answer.body.length}\r\n`,
    chunked: 'transfer-encoding: chunked\r\n',
    close: 'connection: close\r\n',
  }[framing];
  const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${answer.status} Simulated\r\n${lines.join('')}${bodiless ? '' : framingHeader}\r\n`;
  if (bodiless) return Buffer.from(head, 'latin1');
  return Buffer.concat([
    Buffer.from(head, 'latin1'),
    framing === 'chunked' ? chunks(answer.body) : answer.body,
  ]);
}

/** Two chunks, so that a cut can fall between them. */
function chunks(body: Buffer): Buffer {
  const middle = Math.ceil(body.length / 2);
  const parts = [body.subarray(0, middle), body.subarray(middle)].filter(part => part.length > 0);
  const framed = parts.flatMap(part => [
    Buffer.from(`${part.length.toString(16)}\r\n`),
    part,
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...framed, Buffer.from('0\r\n\r\n')]);
}
