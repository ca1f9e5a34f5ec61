/** A statement's summary: what it does to which tables, low in cardinality. */
import { withoutLiterals } from "./text.ts";

const SUMMARY_CHARS_MAX = 255;

/**
 * Makes `db.query.summary` from a statement's text: each operation followed by the tables it works
 * on, in the order of the text. `INSERT INTO orders.orders …` gives `INSERT orders.orders`,
 * `BEGIN` gives `BEGIN`.
 *
 * It reads the statements of this project (schema-qualified, unquoted names), not all of SQL.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/db/database-spans.md#generating-a-summary-of-the-query
 */
export function summarizeQuery(text: string): string {
  const parts: string[] = [];
  for (const [, operation, table] of withoutNoise(text).matchAll(OPERATION_OR_TABLE)) {
    // A name without a schema is the statement's own (a CTE, a function) and says nothing.
    if (operation) parts.push(operation.toUpperCase());
    else if (table?.includes(".")) parts.push(table);
  }
  // A SELECT without a table of its own reads from another part of the statement.
  const telling = parts.filter(
    (part, index) => part !== "SELECT" || parts[index + 1]?.includes("."),
  );
  return joinWithin(SUMMARY_CHARS_MAX, telling.length > 0 ? telling : parts) || "SQL";
}

/** Joins words, and leaves out those at the end that would make it too long; cuts none in two. */
function joinWithin(charsMax: number, words: string[]): string {
  let joined = "";
  for (const word of words) {
    const longer = joined === "" ? word : `${joined} ${word}`;
    if (longer.length > charsMax) break;
    joined = longer;
  }
  return joined;
}

const OPERATION_OR_TABLE =
  /\b(SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK)\b|(?<=\b(?:FROM|INTO|JOIN|USING|UPDATE) )([a-z_][\w.]*)/gi;

/** Without literals and comments, and without the words that only look like an operation. */
function withoutNoise(text: string): string {
  return (
    withoutLiterals(text)
      // One space each, so that what looks behind looks a bounded way.
      .replace(/\s+/g, " ")
      .replace(/\bFOR (NO KEY )?UPDATE\b|\bDO UPDATE\b/gi, "")
  );
}
