import type { Answer, Encoding, Framing } from './answer.ts';
import { compress, empty, html, withHeaders } from './answer.ts';

/** How the bytes travel; `length` framing and no encoding unless told otherwise. */
interface Wire {
  framing?: Framing;
  encoding?: Encoding;
}

export type EchoForm = 'plain' | 'base64' | 'url' | 'json' | 'html' | 'separated';

/**
 * What can go wrong. Several may be active: those that change the answer apply in order, the last that says how it
 * is sent wins, latencies add up.
 */
export type Fault =
  | { kind: 'latency'; ms: number }
  /** RST after so many bytes of the answer, head included; 0 (the default) sends none. */
  | ({ kind: 'reset'; afterBytes?: number } & Wire)
  /** FIN after so many bytes of the answer, head included. */
  | ({ kind: 'truncate'; afterBytes: number } & Wire)
  /** The connection stays open and silent after so many bytes (0 by default). */
  | ({ kind: 'hang'; afterBytes?: number } & Wire)
  /** One byte each `everyMs` milliseconds (100 by default). */
  | ({ kind: 'drip'; everyMs?: number } & Wire)
  /** The answer itself is right, only framed or compressed in another way. */
  | ({ kind: 'wire' } & Wire)
  /** The provider's own error body. */
  | { kind: 'status'; status: number; retryAfter?: string }
  /** The provider's 429; `retryAfter` as it goes into the header, seconds or an HTTP date. */
  | { kind: 'throttle'; retryAfter?: string }
  | { kind: 'maintenance' }
  | { kind: 'html'; status: number }
  /** The true answer with its body left out, or any status without one. */
  | { kind: 'empty'; status?: number }
  | { kind: 'invalidUtf8' }
  /** The true answer under another name. */
  | { kind: 'contentType'; value: string }
  | { kind: 'oversized'; bytes: number }
  | { kind: 'redirect'; status?: number; location: string }
  /** A hostile provider: what the caller authenticated with, in error text and headers, or (200) in every string. */
  | { kind: 'echo'; as: EchoForm; status: number }
  /** The true answer with every field of one name under another, as if the provider (or its simulation) had changed. */
  | { kind: 'rename'; from: string; to: string }
  /** Any answer at all. */
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body: string };

/** Which requests a fault hits: all, unless narrowed. With a path, one call of a check fails and the others answer. */
export interface FaultScope {
  /** Name or index of a token. */
  token?: string | number;
  /** Of one call that the cloud knows, without query: as it is sent, or as its route names it (`/v2/things/:id`). */
  path?: string;
  times?: number;
}

/** The parts of a cloud that faults speak through. */
export interface FaultVoice {
  error(status: number, message: string): Answer;
  throttled(): Answer;
  maintenance(): Answer;
}

/** The answer after all faults that change it. `presented` is what the caller authenticated with. */
export function distort(
  answer: Answer,
  faults: readonly Fault[],
  voice: FaultVoice,
  presented: string,
): Answer {
  return faults.reduce((current, fault) => distortOnce(current, fault, voice, presented), answer);
}

function distortOnce(answer: Answer, fault: Fault, voice: FaultVoice, presented: string): Answer {
  switch (fault.kind) {
    case 'status':
      return retryAfter(voice.error(fault.status, 'Simulated failure'), fault.retryAfter);
    case 'throttle':
      return retryAfter(voice.throttled(), fault.retryAfter);
    case 'maintenance':
      return voice.maintenance();
    case 'html':
      return html(fault.status);
    case 'empty':
      return { ...answer, status: fault.status ?? answer.status, body: Buffer.alloc(0) };
    case 'invalidUtf8':
      // 0xff never occurs in UTF-8; inside a string, so that a lenient decoder would still find JSON.
      return {
        ...answer,
        body: Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xff]), Buffer.from('"}')]),
      };
    case 'contentType':
      return withHeaders(answer, { 'content-type': fault.value });
    case 'oversized':
      return { ...answer, body: Buffer.from(JSON.stringify({ x: 'x'.repeat(fault.bytes) })) };
    case 'redirect':
      return empty(fault.status ?? 302, { location: fault.location });
    case 'echo':
      return echo(answer, fault.as, fault.status, voice, presented);
    case 'answer':
      return { status: fault.status, headers: fault.headers ?? {}, body: Buffer.from(fault.body) };
    case 'rename':
      return { ...answer, body: Buffer.from(rename(answer.body.toString(), fault.from, fault.to)) };
    case 'latency':
    case 'reset':
    case 'truncate':
    case 'hang':
    case 'drip':
    case 'wire':
      return answer;
  }
}

function rename(body: string, from: string, to: string): string {
  return body.replaceAll(`${JSON.stringify(from)}:`, `${JSON.stringify(to)}:`);
}

function retryAfter(answer: Answer, value: string | undefined): Answer {
  return value === undefined ? answer : withHeaders(answer, { 'retry-after': value });
}

function echo(answer: Answer, form: EchoForm, status: number, voice: FaultVoice, presented: string): Answer {
  const text = echoed(presented, form);
  const base = status < 300 ? replaceStrings(answer, status, text) : voice.error(status, `You sent ${text}`);
  const headerText = text.replace(/[^\x20-\x7e]/g, '.').slice(0, 2000);
  return withHeaders(base, {
    'x-echo': headerText,
    'x-user': headerText,
    'x-request-id': headerText,
    'www-authenticate': headerText,
    'x-oauth-scopes': headerText,
    'retry-after': headerText,
  });
}

function replaceStrings(answer: Answer, status: number, text: string): Answer {
  const source = answer.body.length === 0 ? '{}' : answer.body.toString();
  const body = JSON.stringify(JSON.parse(source), (_key, value: unknown) =>
    typeof value === 'string' ? text : value,
  );
  return { ...answer, status, body: Buffer.from(body) };
}

function echoed(presented: string, form: EchoForm): string {
  switch (form) {
    case 'plain':
      return presented;
    case 'base64':
      return Buffer.from(presented).toString('base64');
    case 'url':
      return Array.from(Buffer.from(presented), byte => `%${byte.toString(16).padStart(2, '0')}`).join('');
    case 'json':
      return Array.from(presented, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
    case 'html':
      return Array.from(presented, c => `&#${c.charCodeAt(0)};`).join('');
    case 'separated':
      return Array.from(presented).join('-');
  }
}

/** Whether the answer's content is the fault's and no longer the cloud's own. */
export function isInvented(fault: Fault): boolean {
  return !isWire(fault) && !['latency', 'contentType', 'rename'].includes(fault.kind);
}

/** How the answer is to be sent: the last fault that says so, as it is now (it may count by getters). */
export function wireOf(faults: readonly Fault[]): Extract<Fault, Wire> | undefined {
  const found = faults.findLast(fault => isWire(fault)) as Extract<Fault, Wire> | undefined;
  return found && { ...found };
}

/** Whether an answer of so many bytes does not arrive whole. */
export function isCut(wire: Extract<Fault, Wire>, bytes: number): boolean {
  const isBreaking = wire.kind === 'reset' || wire.kind === 'truncate' || wire.kind === 'hang';
  return isBreaking && (wire.afterBytes ?? 0) < bytes;
}

function isWire(fault: Fault): boolean {
  return ['reset', 'truncate', 'hang', 'drip', 'wire'].includes(fault.kind);
}

export function encoded(answer: Answer, encoding: Encoding | undefined): Answer {
  return encoding === undefined ? answer : compress(answer, encoding);
}
