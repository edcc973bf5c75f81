/**
 * Makes a table of kubectl fit into `width` columns: two spaces between columns instead of three, then without columns
 * that say the same in every row, from the left.
 */
export function fit(table: string, width: number): string {
  let columns = split(table);
  while (widthOf(columns) > width) {
    const same = columns.findIndex(
      ([, first, ...others]) => others.length > 0 && others.every(cell => cell === first),
    );
    if (same === -1) break;
    columns = columns.filter((_, i) => i !== same);
  }
  const rows = columns[0]?.map((_, row) => columns.map(cells => pad(cells[row] ?? '', longest(cells)))) ?? [];
  return rows.map(cells => cells.join('  ').trimEnd()).join('\n');
}

/** The cells of each column, its name first. */
function split(table: string): string[][] {
  const lines = table
    .trimEnd()
    .split('\n')
    .map(line => Array.from(line));
  const header = (lines[0] ?? []).join('');
  // A name may hold a space ("LAST CHECKED"); at least two stand between columns.
  const starts = Array.from(header.matchAll(/(?:^|\s{2})(?=\S)/g), match => match.index + match[0].length);
  return starts.map((start, i) =>
    lines.map(line =>
      line
        .slice(start, starts[i + 1] ?? line.length)
        .join('')
        .trim(),
    ),
  );
}

function widthOf(columns: readonly string[][]): number {
  return columns.reduce((sum, cells) => sum + longest(cells), 2 * (columns.length - 1));
}

function longest(cells: readonly string[]): number {
  return Math.max(...cells.map(cell => Array.from(cell).length));
}

function pad(cell: string, width: number): string {
  return cell + ' '.repeat(width - Array.from(cell).length);
}
