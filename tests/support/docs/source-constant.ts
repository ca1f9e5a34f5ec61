/** Constants of the project, read from its sources: most are no exports, and need not become such. */
import { literalOf } from "./quantity.ts";

/** `60_000`, `"10s"`, `16 * 1024 ** 2`, `2 ** 31 - 1`. */
const LITERAL = /^["'(]*\d[\w.]*(?: (?:\*\*?|-) [\w.]+)*/;

/**
 * @param text of a source or a YAML file
 * @param name what stands before `=`, `:`, `??`, `,` and the value; of a bound "NAME.min"
 * @param unit of the value, where the name's end does not say it
 * @returns milliseconds, bytes, or the plain number; the first, where a file has several of a name
 * @throws Error where the text has no such constant
 */
export function constantIn(text: string, name: string, unit = unitOf(name)): number {
  const [constant = "", part] = name.split(".");
  // With a type between: `NAME: Type = 5`.
  const start = `(?<!\\w)${RegExp.escape(constant)}"?\\s*(?::[^=\\n,]+=|[=:,]|\\?\\?)\\s*`;
  const inside = part === undefined ? "" : `\\{[^}]*?\\b${part}:\\s*`;
  for (const { index, 0: before } of text.matchAll(new RegExp(start + inside, "g"))) {
    const [literal = ""] = LITERAL.exec(text.slice(index + before.length)) ?? [];
    const number = literalOf(literal);
    if (!Number.isNaN(number)) return number * (/[a-z]$/i.test(literal) ? 1 : unit);
  }
  throw new Error(`no constant ${name} with a number`);
}

/** The unit stands last in a name: `STOP_TIMEOUT_MS`, `SLOW_SQL_SECONDS`. */
function unitOf(name: string): number {
  return /(?:_S|_SECONDS|Seconds)$/.test(name.split(".")[0] ?? "") ? 1_000 : 1;
}
