/** A statement's text without the values in it: for statements whose text is made at run time. */
import { SqlReader, type SqlSystem } from "./words.ts";

/**
 * Puts `?` in the place of each literal: texts (`'a'`, `E'a\\n'`, `$$a$$`, `U&'a'`), bits and numbers.
 * Comments are left out, as values stand there too. Placeholders (`$1`) and names, quoted ones too, stay.
 *
 * It reads the lexical rules of the database, so that what looks like the end of a literal inside it is
 * none; PostgreSQL's and MySQL's in their default modes. What is not closed goes up to the text's end.
 * It takes time in proportion to the text's length.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/db/database-spans.md#sanitization-of-dbquerytext
 */
export function withoutLiterals(text: string, system: SqlSystem = "postgresql"): string {
  let shown = "";
  let end = 0;
  for (const reader = new SqlReader(text, system); reader.next(); end = reader.end) {
    const { kind, start } = reader;
    // What stays is taken over as it stands, with the white space before it.
    if (kind === "value") shown += `${text.slice(end, start)}?`;
    // A comment counts as a space; one to the end of its line has that end after it.
    else if (kind !== "comment") shown += text.slice(end, reader.end);
    else shown += text.slice(end, start) + (text[start] === "/" ? " " : "");
  }
  return (shown + text.slice(end)).trim();
}
