/** Numbers and names that pages state, held against what the code has. */
import { literalOf, quantityOf } from "./quantity.ts";

/** What a page says, and what of it is to be true. */
export interface Statement {
  /** On the page with its blanks and line ends as one blank each; a group is a figure. */
  readonly says: RegExp;
  /** What each group has to be, in the order of the groups: a number as {@link quantityOf} reads it, or a text. */
  readonly is: readonly (number | string)[];
}

/** @returns a page's text as {@link Statement.says} sees it: tables and wrapped lines are one line */
export function flatten(text: string): string {
  return text.replaceAll(/-{3,}/g, "-").replaceAll(/\s+/g, " ");
}

/** @returns what the page says and what is not so, or is said no more */
export function wrongStatements(page: string, statements: readonly Statement[]): string[] {
  const text = flatten(page);
  return statements.flatMap(({ says, is }) => {
    const all = [...text.matchAll(new RegExp(says, "g"))];
    if (all.length === 0) return [`says no more: ${says.source}`];
    return all.flatMap((found) => {
      const wrong = is.filter((expected, index) => !isSaid(found[index + 1] ?? "", expected));
      return wrong.length === 0 && found.length === is.length + 1
        ? []
        : [`"${found[0]}", and it is ${is.join(", ")}`];
    });
  });
}

function isSaid(written: string, expected: number | string): boolean {
  if (typeof expected === "string") return written === expected;
  const said = [quantityOf(written), literalOf(written)].find((number) => !Number.isNaN(number));
  return said !== undefined && Math.abs(said - expected) <= Math.abs(expected) * 1e-9;
}

/**
 * @returns the page with one figure of one statement changed, for each figure: none of them may pass
 */
export function* falsified(
  page: string,
  { says }: Statement,
): Generator<{ readonly figure: string; readonly page: string }> {
  const text = flatten(page);
  const found = new RegExp(says, "d").exec(text);
  for (const range of (found?.indices ?? []).slice(1)) {
    if (!range) continue;
    const [start, end] = range;
    const figure = text.slice(start, end);
    const other = /\d/.test(figure)
      ? figure.replace(/\d/, (digit) => String((Number(digit) % 9) + 1))
      : figure === "three"
        ? "seven"
        : "three";
    yield { figure, page: text.slice(0, start) + other + text.slice(end) };
  }
}
