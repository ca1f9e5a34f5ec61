/** A page's sections by their anchors, and its tables by row and column. */
import GithubSlugger from "github-slugger";

/** @returns the text below a heading, with that of the headings below it; the whole page for "" */
export function sectionOf(page: string, anchor: string): string | undefined {
  if (anchor === "") return page;
  const slugger = new GithubSlugger();
  const lines = page.split("\n");
  let isCode = false;
  let start: { readonly line: number; readonly level: number } | undefined;
  for (const [index, line] of lines.entries()) {
    if (line.startsWith("```")) isCode = !isCode;
    const [, marks = "", title = ""] = (!isCode && /^(#+) (.*)$/.exec(line)) || [];
    if (!marks) continue;
    if (start && marks.length <= start.level) return lines.slice(start.line, index).join("\n");
    // Each heading is asked for, since the slugger numbers those of one name.
    const slug = slugger.slug(title.replaceAll("`", ""));
    if (!start && slug === anchor) start = { line: index + 1, level: marks.length };
  }
  return start && lines.slice(start.line).join("\n");
}

/** A table, by the first cell of a row and the head of a column. */
export class Table {
  readonly #head: readonly string[];
  readonly rows: readonly (readonly string[])[];

  /**
   * @param section with the table
   * @param which of its tables, 0 is the first
   */
  constructor(section: string, which = 0) {
    const tables = section.match(/(?:^ *\|.*\n?)+/gm) ?? [];
    const [head, , ...rows] = (tables[which] ?? "").trim().split("\n").map(cellsOf);
    if (!head) throw new Error(`there is no table ${which}`);
    this.#head = head;
    this.rows = rows;
  }

  /** @throws Error where the table has no such cell */
  cell(row: string, column: string): string {
    const index = this.#head.indexOf(column);
    const text = this.rows.find(([first]) => first === row)?.[index];
    if (index < 0 || text === undefined) throw new Error(`no cell ${row}, ${column}`);
    return text;
  }

  /** @returns the first number of a cell */
  number(row: string, column: string): number {
    const [written = ""] = /\d[\d,.]*/.exec(this.cell(row, column)) ?? [];
    return Number(written.replaceAll(",", ""));
  }
}

function cellsOf(line: string): string[] {
  return line
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
