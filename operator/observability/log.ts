import { pino } from 'pino';

/** Static messages; facts as fields. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** Fields that never hold anything to show. What is logged is chosen where it is logged; this is a second layer. */
const REDACTED = ['token', 'password', 'privateKey', 'credential', 'authorization', 'data'];

/** JSON lines on standard output. */
export function createLog(level: string): Log {
  const paths = REDACTED.flatMap(name => [name, `*.${name}`, `*.*.${name}`]);
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: paths });
}

/** Errors of ours whose texts were made to be shown. */
const SHOWN = ['KubeError', 'InvariantError', 'ListenError'];

/** What may be said of an error: its text only where that was made to be shown, else its name and code. */
export function errorFacts(error: unknown): object {
  const { name, code, message } = error as { name?: unknown; code?: unknown; message?: unknown };
  return { error: { name, code, ...(SHOWN.includes(String(name)) && { message }) } };
}
