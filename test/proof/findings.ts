/** What was tried of one kind, and what broke. */
export interface Row {
  suite: 'Sieve' | 'Acto';
  what: string;
  runs: number;
  missed: number;
  violations: number;
}

export interface Finding {
  /** What was done. */
  what: string;
  violations: readonly string[];
  /** The command that does it again. */
  replay: string;
}

export interface Findings {
  count(suite: Row['suite'], what: string, result: { missed?: boolean; violations: readonly string[] }): void;
  report(finding: Finding): void;
  readonly rows: readonly Row[];
  readonly all: readonly Finding[];
}

/** @param say told of each finding as it comes */
export function createFindings(say: (line: string) => void): Findings {
  const rows = new Map<string, Row>();
  const all: Finding[] = [];
  return {
    count(suite, what, { missed = false, violations }) {
      const key = `${suite} ${what}`;
      const row = rows.get(key) ?? { suite, what, runs: 0, missed: 0, violations: 0 };
      rows.set(key, row);
      row.runs += 1;
      if (missed) row.missed += 1;
      if (violations.length > 0) row.violations += 1;
    },
    report(finding) {
      all.push(finding);
      say(`VIOLATION ${finding.what}\n  ${finding.violations.join('\n  ')}\n  again: ${finding.replay}`);
    },
    get rows() {
      return [...rows.values()];
    },
    all,
  };
}

/** The rows as a Markdown table. */
export function tableOf(rows: readonly Row[]): string {
  const head = ['suite', 'what', 'runs', 'point not met', 'runs with a violation'];
  const cells = rows.map(row => [row.suite, row.what, row.runs, row.missed, row.violations].map(String));
  const total = (of: (row: Row) => number) => String(rows.reduce((sum, row) => sum + of(row), 0));
  const sum = ['', 'all', total(row => row.runs), total(row => row.missed), total(row => row.violations)];
  const lines = [head, ...cells, sum];
  const widths = head.map((_, column) => Math.max(...lines.map(line => (line[column] ?? '').length)));
  const text = (line: readonly string[]) =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map(width => '-'.repeat(width)).join(' | ')} |`;
  return [text(head), rule, ...[...cells, sum].map(text)].join('\n');
}
