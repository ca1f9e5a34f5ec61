/** What a statement's text is made of, as one database writes it. One pass, linear in its length. */

/** A database, by its `db.system.name`. */
export type SqlSystem = "postgresql" | "mysql" | "mariadb" | "sqlite";

/**
 * What a piece of a statement is. `word`: a keyword or a plain name. `name`: a quoted name. `value`: a
 * literal. `placeholder`: where a value goes, as `$1`. `sign`: one character, such as a bracket.
 */
export type SqlKind = "word" | "name" | "value" | "placeholder" | "sign" | "comment";

/** How one database writes what differs. */
interface Lexis {
  readonly valueQuotes: string;
  readonly nameQuotes: string;
  /** Words that belong to the text in quotes behind them. */
  readonly prefixes: readonly string[];
  /** Whether `\` has a meaning in a text of that prefix. */
  readonly hasEscapes: (prefix: string) => boolean;
  readonly placeholder: RegExp;
  /** A comment up to the end of the line. */
  readonly lineComment: RegExp;
  readonly hasNestedComments?: boolean;
  /** Literals as `$tag$ … $tag$`. */
  readonly hasDollarQuotes?: boolean;
  /** Names as `[…]`. */
  readonly hasBracketedNames?: boolean;
}

/** @see https://www.postgresql.org/docs/current/sql-syntax-lexical.html */
const POSTGRESQL: Lexis = {
  valueQuotes: "'",
  nameQuotes: '"',
  prefixes: ["e", "b", "x", "n", "u&"],
  hasEscapes: (prefix) => prefix === "e",
  placeholder: /\$\d+/y,
  lineComment: /--[^\r\n]*/y,
  hasNestedComments: true,
  hasDollarQuotes: true,
};
/** @see https://dev.mysql.com/doc/refman/9.4/en/string-literals.html */
const MYSQL: Lexis = {
  valueQuotes: `'"`,
  nameQuotes: "`",
  prefixes: ["b", "x", "n"],
  hasEscapes: () => true,
  placeholder: /\?/y,
  // Without white space behind them the dashes are none: 5--1 is 6.
  lineComment: /(?:#|--(?=\s|\p{Cc}|$))[^\n]*/uy,
};
/** @see https://sqlite.org/lang_expr.html */
const SQLITE: Lexis = {
  valueQuotes: "'",
  nameQuotes: '"`',
  prefixes: ["x"],
  hasEscapes: () => false,
  placeholder: /\?\d*|[$:@]\w+/y,
  lineComment: /--[^\n]*/y,
  hasBracketedNames: true,
};
const SYSTEMS: Readonly<Record<SqlSystem, Lexis>> = {
  postgresql: POSTGRESQL,
  mysql: MYSQL,
  mariadb: MYSQL,
  sqlite: SQLITE,
};

const WHITE = /\s*/y;
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
/** With what follows it directly: in `id = 7f3a-…` that is the rest of a value somebody did not quote. */
const NUMBER = /\.?\d[\w.$\u0080-\uffff]*/y;
const EXPONENT = /[+-]\d[\w.]*/y;
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const BRACKETED = /\[[^[\]]*\]/y;

/** Reads a text piece by piece. A literal or a comment that is not closed goes on to the end. */
export class SqlReader {
  readonly #text: string;
  readonly #lexis: Lexis;
  /** What the piece is, where it begins and where it ends. */
  kind: SqlKind = "sign";
  start = 0;
  end = 0;

  constructor(text: string, system: SqlSystem) {
    this.#text = text;
    this.#lexis = SYSTEMS[system];
  }

  /** Goes on to the next piece. @returns false where there is none */
  next(): boolean {
    const text = this.#text;
    this.start = this.end = endOf(WHITE, text, this.end);
    if (this.start >= text.length) return false;
    this.#read(text, this.start, text.charAt(this.start), this.#lexis);
    return true;
  }

  /** The piece as it stands in the text, quotes included. */
  get text(): string {
    return this.#text.slice(this.start, this.end);
  }

  #read(text: string, at: number, first: string, lexis: Lexis): void {
    if (/[A-Za-z_\u0080-\uffff]/.test(first)) return this.#readWord(text, at, lexis);
    if (/[-#/]/.test(first)) return this.#readComment(text, at, lexis);
    if (lexis.valueQuotes.includes(first)) {
      return this.#is("value", quoteEnd(text, at, lexis.hasEscapes("")) ?? text.length);
    }
    if (lexis.nameQuotes.includes(first)) {
      const end = quoteEnd(text, at, false);
      return this.#is(end === undefined ? "value" : "name", end ?? text.length);
    }
    if (/[\d.]/.test(first)) return this.#readNumber(text, at);
    if (/[$?:@]/.test(first)) return this.#readPlaceholder(text, at, lexis);
    const end = first === "[" && lexis.hasBracketedNames ? endOf(BRACKETED, text, at) : at;
    this.#is(end > at ? "name" : "sign", Math.max(end, at + 1));
  }

  /** A comment, or a sign that begins none. */
  #readComment(text: string, at: number, lexis: Lexis): void {
    if (text.startsWith("/*", at)) return this.#is("comment", commentEnd(text, at, lexis));
    const end = endOf(lexis.lineComment, text, at);
    this.#is(end > at ? "comment" : "sign", Math.max(end, at + 1));
  }

  /** A word, or the literal that it belongs to. */
  #readWord(text: string, at: number, { prefixes, hasEscapes }: Lexis): void {
    const end = endOf(WORD, text, at);
    const quoteAt = text.startsWith("&'", end) ? end + 1 : end;
    const prefix = end - at === 1 ? text.slice(at, quoteAt).toLowerCase() : "";
    if (text[quoteAt] !== "'" || !prefixes.includes(prefix)) return this.#is("word", end);
    this.#is("value", quoteEnd(text, quoteAt, hasEscapes(prefix)) ?? text.length);
  }

  #readNumber(text: string, at: number): void {
    const end = endOf(NUMBER, text, at);
    if (end === at) return this.#is("sign", at + 1);
    // 1e+5: the sign belongs to the number.
    this.#is("value", /e/i.test(text.charAt(end - 1)) ? endOf(EXPONENT, text, end) : end);
  }

  #readPlaceholder(text: string, at: number, { placeholder, hasDollarQuotes }: Lexis): void {
    let end = endOf(placeholder, text, at);
    if (end > at) return this.#is("placeholder", end);
    end = hasDollarQuotes ? endOf(DOLLAR_TAG, text, at) : at;
    if (end === at) return this.#is("sign", at + 1);
    const close = text.indexOf(text.slice(at, end), end);
    this.#is("value", close < 0 ? text.length : close + end - at);
  }

  #is(kind: SqlKind, end: number): void {
    this.kind = kind;
    this.end = end;
  }
}

/** @returns undefined for a quote that is not closed */
function quoteEnd(text: string, quoteAt: number, hasEscapes: boolean): number | undefined {
  const quote = text[quoteAt];
  const edge = /["'`\\]/g;
  edge.lastIndex = quoteAt + 1;
  let match: RegExpExecArray | null;
  while ((match = edge.exec(text))) {
    const isEscape = match[0] === "\\" && hasEscapes;
    const isDoubled = match[0] === quote && text[match.index + 1] === quote;
    if (isEscape || isDoubled) edge.lastIndex = match.index + 2;
    else if (match[0] === quote) return match.index + 1;
  }
  return undefined;
}

/** PostgreSQL's comments hold others. */
function commentEnd(text: string, at: number, { hasNestedComments }: Lexis): number {
  const edge = hasNestedComments ? /\/\*|\*\//g : /\*\//g;
  edge.lastIndex = at + 2;
  for (let depth = 1; depth > 0;) {
    const match = edge.exec(text);
    if (!match) return text.length;
    depth += match[0] === "/*" ? 1 : -1;
  }
  return edge.lastIndex;
}

/** @param sticky matches at that place only. @returns the same place where it does not match */
function endOf(sticky: RegExp, text: string, at: number): number {
  sticky.lastIndex = at;
  return sticky.test(text) ? sticky.lastIndex : at;
}
