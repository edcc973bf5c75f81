/**
 * Finds parts of credentials in what the operator shows. Shares no code with the operator's own redaction: an encoding
 * that one of the two overlooks shall not be overlooked by both.
 */

/** Bytes that may be shown nowhere. */
export interface Canary {
  /** What a failing test calls it. */
  name: string;
  value: string;
}

/** Where something can come out, and what did. */
export interface Outlet {
  channel: string;
  text: string;
}

export interface Leak {
  channel: string;
  canary: string;
  /** The text around what was found, read and folded as it was found. */
  found: string;
}

export interface Detector {
  find(outlet: Outlet): Leak[];
}

/**
 * Any run of so many letters and digits of a credential is a leak. The longest hint shows four of them, behind a
 * prefix that every token of the provider has.
 */
const RUN = 8;

/** Prefixes and frames that say nothing of a credential. */
const PUBLIC = /do[a-z]_v1_|ucat_|-----[A-Z ]+-----/g;

/**
 * What is neither part of a credential nor rare: ids of objects, times and measured durations, whose digits would meet
 * those of some hexadecimal token by chance. They become a mark that no run can cross.
 */
const INNOCENT = [
  /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi,
  // DigitalOcean's ids of teams and accounts, and the hash of an e-mail address: shorter than a token.
  /\b(team|account):[0-9a-f]{40}\b/gi,
  /\bemail-sha256:[0-9a-f]{16}\b/gi,
  /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g,
  /\b\d+\.\d+\b/g,
] as const;
const MARK = '~';

/**
 * A detector of all these credentials at once. It sees them plain, in hexadecimal and base64 (wherever in a group of
 * three they begin), escaped for URLs, JSON and HTML, in any case, with anything that is no letter or digit put
 * between, and any part of RUN characters. A PEM is seen line by line, since line breaks are no letters either.
 */
export function createDetector(canaries: readonly Canary[]): Detector {
  /** By length of a run: run → whose it is. */
  const owners = new Map<number, Map<string, string>>();
  for (const { name, value } of canaries) {
    for (const { form, run } of formsOf(value)) {
      const known = owners.get(run) ?? new Map<string, string>();
      owners.set(run, known);
      for (let at = 0; at + run <= form.length; at += 1) known.set(form.slice(at, at + run), name);
    }
  }
  return {
    find({ channel, text }) {
      const found = new Map<string, Leak>();
      for (const reading of readingsOf(text)) {
        for (const [run, known] of owners) {
          for (let at = 0; at + run <= reading.length; at += 1) {
            const canary = known.get(reading.slice(at, at + run));
            if (canary === undefined || found.has(canary)) continue;
            found.set(canary, { channel, canary, found: reading.slice(Math.max(0, at - 40), at + 40) });
          }
        }
      }
      return [...found.values()];
    },
  };
}

/** Throws with all that was found, so that a test that calls it fails with the places. */
export function assertNoLeak(detector: Detector, outlets: readonly Outlet[]): void {
  const leaks = outlets.flatMap(outlet => detector.find(outlet));
  if (leaks.length === 0) return;
  const lines = leaks
    .slice(0, 20)
    .map(({ channel, canary, found }) => `  ${channel}: ${canary} in …${found}…`);
  throw new Error(`${leaks.length} parts of credentials were shown:\n${lines.join('\n')}`);
}

function formsOf(value: string): { form: string; run: number }[] {
  const bare = value.replace(PUBLIC, '').trim();
  const bytes = Buffer.from(bare);
  const base64 = [0, 1, 2].map(shift =>
    // What comes before decides the first characters, which are left out.
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : shift + 1),
  );
  // As many characters as an encoding makes of a run; fewer would be found by chance.
  return [
    { form: fold(bare), run: RUN },
    ...base64.map(form => ({ form: fold(form), run: Math.ceil((RUN * 4) / 3) })),
    { form: bytes.toString('hex'), run: 2 * RUN },
  ];
}

function readingsOf(text: string): Set<string> {
  const known = INNOCENT.reduce((left, pattern) => left.replace(pattern, MARK), text);
  // Escaped twice, such as an HTML escape within JSON within a log line.
  const once = new Set([known, ...DECODERS.map(decode => decode(known))]);
  const twice = [...once].flatMap(reading => [reading, ...DECODERS.map(decode => decode(reading))]);
  return new Set([...new Set(twice)].map(fold));
}

const DECODERS: readonly ((text: string) => string)[] = [
  text => text.replace(/%([0-9a-f]{2})/gi, (_match, hex: string) => String.fromCharCode(parseInt(hex, 16))),
  text =>
    text.replace(/\\+(?:u([0-9a-f]{4})|x([0-9a-f]{2})|[nrt])/gi, (_match, long?: string, short?: string) =>
      String.fromCharCode(parseInt(long ?? short ?? '20', 16)),
    ),
  text =>
    text.replace(/&#(?:x([0-9a-f]+)|([0-9]+));?/gi, (_match, hex?: string, decimal?: string) =>
      String.fromCharCode(hex === undefined ? Number(decimal) : parseInt(hex, 16)),
    ),
];

function fold(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9~]/g, '');
}
