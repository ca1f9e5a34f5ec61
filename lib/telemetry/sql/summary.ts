/** A statement's summary: what it does to which tables, low in cardinality. */
import { SqlReader, type SqlKind, type SqlSystem } from "./words.ts";

const SUMMARY_CHARS_MAX = 255;
/** So much of a text is read: a statement that brings thousands of rows says what it does before. */
const READ_CHARS_MAX = 10_000;

/** What begins a statement and is its name. `WITH` only leads to one. */
const COMMANDS = words(
  `ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE
   DELETE DESCRIBE DETACH DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT INSERT KILL LISTEN LOAD LOCK
   MERGE MOVE NOTIFY PRAGMA PREPARE REFRESH REINDEX RELEASE REPLACE RESET REVOKE ROLLBACK SAVEPOINT
   SELECT SET SHOW START TABLE TRUNCATE UNLISTEN UNLOCK UPDATE USE VACUUM VALUES XA`,
);
/** Their name is of two words or three: `CREATE TABLE`. */
const TAKES_KIND = words("ALTER CREATE DROP REFRESH REINDEX COMMENT");
const KINDS = words(
  `DATABASE DOMAIN EXTENSION FUNCTION INDEX MATERIALIZED POLICY PROCEDURE ROLE SCHEMA SEQUENCE TABLE
   TRIGGER TYPE USER VIEW`,
);
/** The second word of `XA START`, a transaction over several databases. */
const XA_STEPS = words("START BEGIN END PREPARE COMMIT ROLLBACK RECOVER");
/** The next name is a target. */
const TAKES_TARGET = words(
  `ANALYZE CALL CLUSTER COPY EXECUTE INSERT LISTEN LOCK MERGE NOTIFY REPLACE TABLE TRUNCATE UNLISTEN
   UPDATE VACUUM`,
);
/** Commands inside a statement; SELECT may follow anything, the others these signs and words. */
const INNER = words("SELECT INSERT UPDATE DELETE MERGE REPLACE");
const BEFORE_INNER = words("( ) ; EXPLAIN ANALYZE VERBOSE AS");
const BEFORE_WITH = words("EXPLAIN ANALYZE VERBOSE AS");
/** Their text goes on with words that mean something else: nothing of it is read. */
const OPAQUE = words(`GRANT REVOKE SET SHOW DO DECLARE FETCH MOVE PRAGMA RESET COMMENT KILL LOAD`);
const OPAQUE_KINDS = words("FUNCTION PROCEDURE POLICY ROLE USER TYPE DOMAIN EXTENSION");
/** They may stand before a target. */
const BEFORE_TARGET = words(
  `INTO FROM TABLE ONLY LATERAL IF NOT EXISTS CONCURRENTLY OR IGNORE ABORT FAIL REPLACE ROLLBACK QUICK
   LOW_PRIORITY HIGH_PRIORITY DELAYED FULL FREEZE VERBOSE ANALYZE`,
);
/** After these a comma is followed by no table any more. */
const ENDS_TABLES = words(
  "WHERE GROUP ORDER HAVING LIMIT OFFSET SET RETURNING UNION EXCEPT INTERSECT WINDOW VALUES WHEN TO",
);

interface Word {
  readonly kind: SqlKind;
  readonly text: string;
}

/** One pair of brackets, or what is around all of them. */
interface Frame {
  operation: string;
  /** Whether a name that comes now is a table. */
  expectsTarget: boolean;
  /** Whether a comma is followed by one. */
  inTables: boolean;
  /** Whether it is read from, so that a name with brackets is a function's and no table's. */
  isSource: boolean;
  /** Whether a name that comes now is the name of a common table expression. */
  expectsCte: boolean;
  inCtes: boolean;
}

/**
 * Makes `db.query.summary` from a statement's text: each operation followed by the tables it works
 * on, in the order of the text. `INSERT INTO users …` gives `INSERT users`, `BEGIN` gives `BEGIN`.
 *
 * Names stand as they are written, quotes included; operations in capitals. Values, comments, functions
 * and the names of common table expressions are left out, and so is a SELECT without a table of its own
 * (or a SET) where something else is told. It reads as much as a name needs, and is no parser: what it does not
 * understand it leaves out.
 * @returns at most 255 characters; `SQL` where nothing was understood
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/db/database-spans.md#generating-a-summary-of-the-query
 */
export function summarizeQuery(text: string, system: SqlSystem = "postgresql"): string {
  const found = new Summary();
  const reader = new SqlReader(beginningOf(text), system);
  let word: Word | undefined;
  while (!found.isFull && reader.next()) {
    if (reader.kind === "comment") continue;
    const next = { kind: reader.kind, text: reader.text };
    if (word) found.read(word, next);
    word = next;
  }
  if (word) found.read(word, undefined);
  return found.toString();
}

function beginningOf(text: string): string {
  if (text.length <= READ_CHARS_MAX) return text;
  const space = text.lastIndexOf(" ", READ_CHARS_MAX); // a name is not cut in two
  return text.slice(0, space > 0 ? space : READ_CHARS_MAX);
}

class Summary {
  readonly #parts: { operation: string; targets: string[] }[] = [];
  readonly #ctes = new Set<string>();
  #frames: Frame[] = [newFrame()];
  #before = ";";
  #target = "";
  #isOpaque = false;
  #chars = 0;

  get isFull(): boolean {
    return this.#chars > 2 * SUMMARY_CHARS_MAX;
  }

  read(word: Word, next: Word | undefined): void {
    const before = this.#before;
    const upper = this.#upper(word);
    this.#before = upper;
    if (word.kind === "sign") this.#readSign(word.text, before);
    else if (word.kind === "value" || word.kind === "placeholder" || this.#isOpaque)
      this.#frame.expectsTarget = false;
    else if (word.kind === "name") this.#readName(word, next);
    else if (!this.#readCommand(upper, before)) this.#readWord(word, upper, before, next);
  }

  toString(): string {
    const telling = this.#parts.filter(
      ({ operation, targets }) => targets.length > 0 || !/^(SELECT|SET)$/.test(operation),
    );
    const told = telling.length > 0 ? telling : this.#parts;
    const all = told.flatMap(({ operation, targets }) => [operation, ...targets]);
    return joinWithin(SUMMARY_CHARS_MAX, all) || "SQL";
  }

  get #frame(): Frame {
    return this.#frames.at(-1) as Frame;
  }

  #upper({ kind, text }: Word): string {
    // A name that is followed by a dot is no keyword, whatever it is called.
    return kind === "word" ? text.toUpperCase() : kind === "sign" ? text : "";
  }

  #readSign(sign: string, before: string): void {
    const frame = this.#frame;
    if (sign === ";" && this.#frames.length === 1) {
      if (!this.#isOpaque || !OPAQUE_KINDS.has(lastWord(this.#frame.operation))) {
        this.#frames = [newFrame()];
        this.#isOpaque = false;
      }
    } else if (sign === "(") {
      const isList = frame.expectsTarget && before !== "ANALYZE" && before !== "VACUUM";
      const { operation, isSource } = frame;
      const inner = { operation, isSource, expectsTarget: true, inTables: true };
      this.#frames.push(isList ? { ...newFrame(), ...inner } : newFrame());
    } else if (sign === ")") {
      if (this.#frames.length > 1) this.#frames.pop();
      if (!["VACUUM", "ANALYZE"].includes(this.#frame.operation)) this.#frame.expectsTarget = false;
    } else if (sign === ",") {
      frame.expectsTarget = frame.inTables;
      frame.expectsCte = frame.inCtes;
    } else if (sign !== ".") {
      frame.expectsTarget = false;
    }
  }

  /** @returns whether the word is a command, or belongs to one's name */
  #readCommand(upper: string, before: string): boolean {
    const frame = this.#frame;
    const isFirst = frame.operation === "" && (before === ";" || before === "(");
    // Elsewhere WITH means something else: WITH ORDINALITY, WITH TIME ZONE, WITH (FORCE).
    const leads = BEFORE_WITH.has(before) || (before === ")" && frame.operation === "INSERT");
    if (upper === "WITH" && (isFirst || leads)) {
      frame.expectsCte = frame.inCtes = true;
      return true;
    }
    const isInner = INNER.has(upper) && (upper === "SELECT" || BEFORE_INNER.has(before));
    if (!isInner && !(isFirst && this.#frames.length === 1 && COMMANDS.has(upper))) {
      return this.#readKind(upper, before);
    }
    if (upper === "REPLACE" && (before === "(" || before === ")")) return false; // the function
    this.#add({ operation: upper });
    Object.assign(frame, {
      ...newFrame(),
      operation: upper,
      expectsTarget: TAKES_TARGET.has(upper),
    });
    frame.inTables = frame.expectsTarget && upper !== "INSERT" && upper !== "MERGE";
    this.#isOpaque = OPAQUE.has(upper);
    return true;
  }

  /** The second word of `CREATE TABLE` or `XA START`, with what may stand between: `OR REPLACE`, `UNIQUE`. */
  #readKind(upper: string, before: string): boolean {
    const frame = this.#frame;
    const part = this.#parts.at(-1);
    if (!part || part.operation !== frame.operation || part.targets.length > 0) return false;
    const isTransaction = upper === "TRANSACTION" && ["START", "PREPARE"].includes(before);
    const [first = ""] = frame.operation.split(" ", 1);
    const isKind = TAKES_KIND.has(first) && !frame.expectsTarget && KINDS.has(upper);
    const isXaStep = before === "XA" && XA_STEPS.has(upper);
    if (!isKind && !isTransaction && !isXaStep) return false;
    part.operation = frame.operation = `${frame.operation} ${upper}`;
    this.#chars += upper.length + 1;
    frame.expectsTarget = isKind && upper !== "MATERIALIZED";
    frame.inTables = frame.expectsTarget && first === "DROP";
    return true;
  }

  #readWord(word: Word, upper: string, before: string, next: Word | undefined): void {
    const frame = this.#frame;
    if (frame.expectsCte && upper !== "RECURSIVE") return this.#readName(word, next);
    if (before === ".") return this.#readName(word, next);
    if (upper === "JOIN" || (upper === "FROM" && before !== "DISTINCT")) {
      // In brackets of a function, as in `extract(year FROM …)`, there is no operation.
      const isSource = frame.operation !== "" && frame.operation !== "COPY";
      frame.expectsTarget = frame.inTables = frame.isSource = isSource;
    } else if (
      upper === "INTO" ||
      (upper === "USING" && /^(MERGE|DELETE)$/.test(frame.operation))
    ) {
      frame.expectsTarget = frame.operation !== "";
    } else if (upper === "ON" && /^CREATE (INDEX|TRIGGER)|^DROP TRIGGER/.test(frame.operation)) {
      frame.expectsTarget = true;
    } else if (ENDS_TABLES.has(upper)) {
      frame.expectsTarget = frame.inTables = false;
    } else if (frame.expectsTarget && !BEFORE_TARGET.has(upper)) {
      this.#readName(word, next);
    }
  }

  /** One part of a name that may have several; the whole of it is a target where one is expected. */
  #readName({ text }: Word, next: Word | undefined): void {
    const frame = this.#frame;
    if (frame.expectsCte) {
      this.#ctes.add(text.toLowerCase());
      frame.expectsCte = false;
      return;
    }
    if (!frame.expectsTarget) return;
    this.#target += text;
    if (next?.text === "." && next.kind === "sign") {
      this.#target += ".";
      return;
    }
    const target = this.#target;
    this.#target = "";
    frame.expectsTarget = false;
    const isFunction = frame.isSource && next?.text === "(";
    if (!isFunction && !this.#ctes.has(target.toLowerCase())) this.#add({ target });
    if (OPAQUE_KINDS.has(lastWord(frame.operation))) this.#isOpaque = true;
  }

  #add({ operation, target }: { operation?: string; target?: string }): void {
    if (operation !== undefined) this.#parts.push({ operation, targets: [] });
    if (target !== undefined) this.#parts.at(-1)?.targets.push(target);
    this.#chars += (operation ?? target ?? "").length + 1;
  }
}

function newFrame(): Frame {
  return {
    operation: "",
    expectsTarget: false,
    inTables: false,
    isSource: false,
    expectsCte: false,
    inCtes: false,
  };
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/));
}

function lastWord(text: string): string {
  return text.slice(text.lastIndexOf(" ") + 1);
}

/** Joins words, and leaves out those at the end that would make it too long; cuts none in two. */
function joinWithin(charsMax: number, all: string[]): string {
  let joined = "";
  for (const word of all) {
    const longer = joined === "" ? word : `${joined} ${word}`;
    if (longer.length > charsMax) break;
    joined = longer;
  }
  return joined;
}
