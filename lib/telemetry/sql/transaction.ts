/**
 * A transaction of Bun's, seen from outside: Bun sends BEGIN and COMMIT itself, between the call, the
 * callback and the answer. So whatever it does about connections, errors and results it still does.
 */
import { context } from "@opentelemetry/api";
import { callerLocation } from "../optional.ts";
import { runStatement, startStatement, type RunningStatement } from "./statement.ts";
import type { Statements } from "./statements.ts";

/** What Bun sends at its edges; two statements in a row stand in one text. */
export interface TransactionTexts {
  readonly begin: string;
  readonly commit: string;
  readonly rollback: string;
}

/** What a transaction and its savepoints have in common. */
export interface TransactionState {
  /** How many savepoints it has had: Bun numbers them. */
  savepoints: number;
  /** Whether `close()` has rolled it back, so that nothing more is sent at its end. */
  isClosed: boolean;
  /** What `close()` sends. */
  readonly rollback: string;
  /** Bun refuses savepoints in a distributed one, and sends none. */
  readonly isDistributed: boolean;
}

/**
 * The texts of `begin`, by `db.system.name`.
 * @param given its first argument: the options, or the work where there are none
 * @returns undefined for options that Bun refuses
 */
export function transactionTexts(system: unknown, given: unknown): TransactionTexts | undefined {
  const options = typeof given === "function" ? "" : given;
  if (typeof options !== "string" || !/^[A-Za-z ,]*$/.test(options)) return undefined;
  const begin = system === "mysql" || system === "mariadb" ? "START TRANSACTION" : "BEGIN";
  return {
    begin: options ? `${begin} ${options}` : begin,
    commit: "COMMIT",
    rollback: "ROLLBACK",
  };
}

/**
 * The texts of `beginDistributed`, its name left out: Bun writes it as a literal.
 * @returns undefined for what Bun refuses
 */
export function distributedTexts(system: unknown, name: unknown): TransactionTexts | undefined {
  if (!takesDistributed(system, name)) return undefined;
  return system === "postgresql"
    ? { begin: "BEGIN", commit: "PREPARE TRANSACTION ?", rollback: "ROLLBACK" }
    : {
        begin: "XA START ?",
        commit: "XA END ?; XA PREPARE ?",
        rollback: "XA END ?; XA ROLLBACK ?",
      };
}

/** The text that ends a prepared one. @returns undefined for what Bun refuses */
export function finishText(
  system: unknown,
  name: unknown,
  word: "COMMIT" | "ROLLBACK",
): string | undefined {
  if (!takesDistributed(system, name)) return undefined;
  return system === "postgresql" ? `${word} PREPARED ?` : `XA ${word} ?`;
}

/** SQLite has none, and a name stands in quotes. */
function takesDistributed(system: unknown, name: unknown): boolean {
  return system !== "sqlite" && typeof name === "string" && !name.includes("'");
}

/** The texts of the next savepoint, named as Bun names it. @returns undefined where Bun refuses it */
export function savepointTexts(
  state: TransactionState,
  label: unknown,
): TransactionTexts | undefined {
  if (state.isDistributed) return undefined;
  const suffix = label ? `_${String(label).replace(/[^a-zA-Z0-9_]/g, "_")}` : "";
  const name = `s${state.savepoints++}${suffix}`;
  return {
    begin: `SAVEPOINT ${name}`,
    commit: `RELEASE SAVEPOINT ${name}`,
    rollback: `ROLLBACK TO SAVEPOINT ${name}`,
  };
}

/**
 * Runs a transaction or a savepoint with a span for each of its edges.
 * @param begin Bun's own function, which is given the work
 * @param work the caller's
 * @returns what Bun's function returns. @throws what it throws, as it came
 */
export async function traceTransaction<Connection, T>(
  statements: Statements,
  texts: TransactionTexts,
  state: TransactionState,
  begin: (work: (connection: Connection) => Promise<T>) => Promise<T>,
  work: (connection: Connection) => T | Promise<T>,
): Promise<T> {
  const location = callerLocation();
  const around = context.active();
  const start = (text: string) => startStatement(statements.ofText(text), location, around);
  const first = start(texts.begin);
  let last: RunningStatement | undefined;
  let failure: { error: unknown } | undefined;
  let isSettled = false;
  const startLast = (text: string) => {
    if (!state.isClosed && !isSettled) last = start(text);
  };
  try {
    return await begin(async (connection) => {
      first.end();
      try {
        // Bun runs this in its caller's context, not in that of whatever has freed a connection.
        const result = await allOf(await work(connection));
        startLast(texts.commit);
        return result;
      } catch (error) {
        failure = { error };
        startLast(texts.rollback);
        throw error;
      }
    });
  } catch (error) {
    first.fail(error);
    if (error !== failure?.error) last?.fail(error);
    throw error;
  } finally {
    isSettled = true;
    first.end();
    last?.end();
  }
}

/** What `close()` of a transaction sends, as a span. */
export async function traceClose(
  statements: Statements,
  state: TransactionState,
  close: () => Promise<void>,
): Promise<void> {
  if (state.isClosed) return await close();
  state.isClosed = true;
  return await runStatement(statements.ofText(state.rollback), callerLocation(), close);
}

/** As Bun does it: the queries of an array that a callback returns belong to its transaction. */
async function allOf<T>(result: T): Promise<T> {
  // A query's own result is an array too, of a class of its own.
  const isList = Array.isArray(result) && result.constructor === Array;
  return isList ? ((await Promise.all(result)) as T) : result;
}
