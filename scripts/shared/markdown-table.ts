/** Tables for Markdown, aligned as the formatter would have them. */

/** @param head the names of the columns */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  return table(head, rows, () => "left");
}

/** The same, of which the first column is text, and the others are numbers. */
export function figuresTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  return table(head, rows, (column) => (column === 0 ? "left" : "right"));
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  alignmentOf: (column: number) => "left" | "right",
): string {
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll("|", String.raw`\|`)));
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...escaped].map((row) => row[column]?.length ?? 0)),
  );
  const isLeft = (column: number) => alignmentOf(column) === "left";
  const padded = (cell: string, column: number) => {
    const width = widths[column] ?? 0;
    return isLeft(column) ? cell.padEnd(width) : cell.padStart(width);
  };
  const line = (cells: readonly string[]) =>
    `| ${head.map((_, column) => padded(cells[column] ?? "", column)).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    isLeft(column) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(head), `| ${rule.join(" | ")} |`, ...escaped.map(line)].join("\n");
}
