/** The table at the end of a run. */
import type { Check } from "./check.ts";

const BREACHES_SHOWN_MAX = 5;

/** @returns lines: check, count and verdict of each; below a red one, its first breaches */
export function renderTable(checks: readonly Check[]): string {
  const rows = checks.map(({ name, count, breaches }) => ({
    cells: [name, count, breaches.length === 0 ? "ok" : `RED (${breaches.length})`],
    breaches,
  }));
  const widths = [0, 1].map((column) =>
    Math.max(...rows.map(({ cells }) => cells[column]?.length ?? 0)),
  );
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const lines = [lineOf(["check", "count", "verdict"])];
  for (const { cells, breaches } of rows) {
    lines.push(lineOf(cells));
    for (const breach of breaches.slice(0, BREACHES_SHOWN_MAX)) lines.push(`    ${breach}`);
    const more = breaches.length - BREACHES_SHOWN_MAX;
    if (more > 0) lines.push(`    and ${more} more`);
  }
  return lines.join("\n");
}
