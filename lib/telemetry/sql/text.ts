/** A statement's text without the values in it: for statements whose text is made at run time. */

/**
 * Puts `?` in the place of each literal: texts (`'a'`, `E'a\\n'`, `$$a$$`, `U&'a'`), bits and numbers.
 * Comments are left out, as values stand there too. Placeholders (`$1`) and names, quoted ones too, stay.
 *
 * It reads PostgreSQL's lexical rules (with `standard_conforming_strings` on, the default), so that what
 * looks like the end of a literal inside it is none. What is not closed goes up to the text's end.
 * It takes time in proportion to the text's length.
 * @see https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/db/database-spans.md#sanitization-of-dbquerytext
 */
export function withoutLiterals(text: string): string {
  let shown = "";
  for (let at = 0; at < text.length;) {
    const start = at;
    const next = text[at + 1];
    switch (text[at]) {
      case "'":
        at = quoteEnd(text, at, false);
        shown += "?";
        continue;
      case '"':
        at = quoteEnd(text, at, false);
        if (isClosed(text.slice(start, at))) break;
        shown += "?";
        continue;
      case "-":
        if (next !== "-") break;
        at = endAfter(REST_OF_LINE, text, at);
        continue;
      case "/":
        if (next !== "*") break;
        at = commentEnd(text, at);
        // As the manual says: a comment counts as a space.
        shown += " ";
        continue;
      case "$": {
        const tag = matchAt(DOLLAR_TAG, text, at);
        if (tag === "") {
          at = Math.max(at + 1, endAfter(PLACEHOLDER, text, at));
          break;
        }
        const close = text.indexOf(tag, at + tag.length);
        at = close < 0 ? text.length : close + tag.length;
        shown += "?";
        continue;
      }
    }
    if (at > start) {
      shown += text.slice(start, at);
      continue;
    }
    const prefix = matchAt(TEXT_PREFIX, text, at);
    if (prefix !== "") {
      at = quoteEnd(text, at + prefix.length - 1, /^e/i.test(prefix));
      shown += "?";
      continue;
    }
    const number = matchAt(NUMBER, text, at);
    if (number !== "") {
      at += number.length;
      // 1e+5: the sign belongs to the number.
      if (/e$/i.test(number)) at = endAfter(EXPONENT, text, at);
      shown += "?";
      continue;
    }
    at = Math.max(at + 1, endAfter(NAME, text, at));
    shown += text.slice(start, at);
  }
  return shown.trim();
}

const REST_OF_LINE = /[^\r\n]*/y;
const DOLLAR_TAG = /\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/iy;
const PLACEHOLDER = /\$\d+/y;
const TEXT_PREFIX = /(?:[ebxn]|u&)'/iy;
const NAME = /[a-z_\u0080-\uffff][\w$\u0080-\uffff]*/iy;
/** With what follows it directly: in `id = 7f3a-…` that is the rest of a value somebody did not quote. */
const NUMBER = /\.?\d[\w.$\u0080-\uffff]*/y;
const EXPONENT = /[+-]\d[\w.]*/y;
const UNTIL_QUOTE = /[^'\\]*/y;

function quoteEnd(text: string, from: number, hasEscapes: boolean): number {
  const quote = text[from] ?? "";
  let at = from + 1;
  while (at < text.length) {
    if (hasEscapes) {
      at = endAfter(UNTIL_QUOTE, text, at);
      if (text[at] === "\\") {
        at += 2;
        continue;
      }
    } else {
      const close = text.indexOf(quote, at);
      at = close < 0 ? text.length : close;
    }
    // A quote that is doubled stands for one inside.
    if (text[at + 1] !== quote) return Math.min(at + 1, text.length);
    at += 2;
  }
  return text.length;
}

/** A name has a quote at either end, and inside two of them for each one. */
function isClosed(name: string): boolean {
  return name.split('"').length % 2 === 1;
}

/** Comments of this kind nest. */
function commentEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text.startsWith("/*", at)) depth++;
    else if (text.startsWith("*/", at)) depth--;
    else continue;
    at++;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

function endAfter(pattern: RegExp, text: string, at: number): number {
  return at + matchAt(pattern, text, at).length;
}
