/** Bun's `SQL`, traced: what it can do it still does, and each statement that runs is a CLIENT span. */
import type { ReservedSQL, SavepointSQL, SQL, TransactionSQL } from "bun";
import { ATTR_DB_SYSTEM_NAME } from "../attributes.ts";
import { callerLocation } from "../optional.ts";
import { textOf, traceQuery, type Query } from "./query.ts";
import { runStatement, type Statement } from "./statement.ts";
import { Statements } from "./statements.ts";
import { targetAttributes } from "./target.ts";
import {
  distributedTexts,
  finishText,
  savepointTexts,
  traceClose,
  traceTransaction,
  transactionTexts,
  type TransactionState,
  type TransactionTexts,
} from "./transaction.ts";

export {
  tracePool,
  untracedSql,
  type Queryable,
  type Reserved,
  type StatementPool,
  type StatementRunner,
  type TracedSql,
} from "./pool.ts";

type Values = unknown[] | Record<string, unknown>;
type OwnTransaction = (...given: unknown[]) => Promise<unknown>;
type Work<Connection> = (connection: Connection) => unknown;

/** One database as this file needs it. */
interface Database {
  readonly system: unknown;
  readonly statements: Statements;
}

/**
 * Traces a client of Bun's: PostgreSQL, MySQL, MariaDB or SQLite.
 *
 * What comes back is used as the client itself: tagged templates with their helpers and fragments,
 * `begin`, `savepoint`, `reserve`, `unsafe`, `file`, `values()` and all else. A statement's span starts
 * when the statement does, as a child of what is active then; BEGIN, COMMIT and their like are spans
 * too. Results and errors are Bun's own. `listen` is passed on without a span.
 *
 * One difference: Bun reports a query that only `execute()` has started, and that fails with nobody
 * looking, as an unhandled rejection; traced, its span alone tells.
 * @param sql `new SQL(url)`, or Bun's own `sql`
 */
export function traceSql<Client extends SQL>(sql: Client): Client {
  const target = targetAttributes(sql.options);
  return traced(sql, {
    system: target[ATTR_DB_SYSTEM_NAME],
    statements: new Statements(target),
  });
}

function traced<Client extends SQL>(
  sql: Client,
  database: Database,
  state?: TransactionState,
): Client {
  const own: Record<string | symbol, unknown> = {
    ...queryMethods(sql, database),
    ...(state
      ? savepointMethods(sql as unknown as TransactionSQL, database, state)
      : transactionMethods(sql, database)),
    connect: async () => {
      await sql.connect();
      return proxy;
    },
    reserve: async (options?: { signal?: AbortSignal }): Promise<ReservedSQL> =>
      traced(await sql.reserve(options), database),
  };
  const proxy = new Proxy(sql, {
    apply: (target, self, given) => traceCall(Reflect.apply(target, self, given), given, database),
    get: (target, key) => (Object.hasOwn(own, key) ? own[key] : Reflect.get(target, key)),
  });
  return proxy;
}

/** A call of the client: a template makes a query, all else a helper for one. */
function traceCall(
  made: unknown,
  [strings, ...values]: unknown[],
  { statements }: Database,
): unknown {
  if (!isTemplate(strings)) return made;
  const query = made as Query;
  const text = () => textOf(query, strings.join("?"));
  // Helpers, fragments and arrays with a type change the text; what is no object cannot.
  const isFixed = values.every((value) => typeof value !== "object" || value === null);
  const describe = () =>
    isFixed ? statements.ofTemplate(strings, text) : statements.ofText(text());
  return traceQuery(query, { describe: () => describedOr(describe), location: callerLocation() });
}

function queryMethods(sql: SQL, { statements, system }: Database) {
  const finishDistributed =
    (method: "commitDistributed" | "rollbackDistributed", word: "COMMIT" | "ROLLBACK") =>
    (name: string) => {
      const text = finishText(system, name, word);
      if (text === undefined) return sql[method](name);
      return runStatement(statements.ofText(text), callerLocation(), () => sql[method](name));
    };
  return {
    unsafe: (text: string, values?: Values) =>
      traceQuery(sql.unsafe(text, values as never), {
        describe: () => statements.ofText(String(text)),
        location: callerLocation(),
      }),
    file: (path: string, values?: Values) => {
      const query = sql.file(path, values as never);
      return traceQuery(query, {
        describe: () => statements.ofText(""), // Bun reads it when it runs
        describeLate: () => {
          const text = textOf(query, path);
          return text === path ? undefined : statements.ofText(text);
        },
        location: callerLocation(),
      });
    },
    notify: (channel: string, payload?: string) => {
      if (system !== "postgresql") return sql.notify(channel, payload);
      return runStatement(statements.ofText("SELECT pg_notify($1, $2)"), callerLocation(), () =>
        sql.notify(channel, payload),
      );
    },
    commitDistributed: finishDistributed("commitDistributed", "COMMIT"),
    rollbackDistributed: finishDistributed("rollbackDistributed", "ROLLBACK"),
  };
}

function transactionMethods(sql: SQL, database: Database) {
  const begin = (
    method: "begin" | "beginDistributed",
    textsOf: (given: unknown) => TransactionTexts | undefined,
  ) => {
    const own = sql[method] as OwnTransaction;
    return (...given: unknown[]): Promise<unknown> => {
      const [first] = given;
      const workAt = typeof first === "function" ? 0 : 1;
      const texts = textsOf(first);
      const state: TransactionState = {
        savepoints: 0,
        isClosed: false,
        rollback: texts?.rollback ?? "",
        isDistributed: method === "beginDistributed",
      };
      return runTransaction(own, given, workAt, () => texts, state, database);
    };
  };
  const plain = begin("begin", (given) => transactionTexts(database.system, given));
  const distributed = begin("beginDistributed", (name) => distributedTexts(database.system, name));
  return { begin: plain, transaction: plain, beginDistributed: distributed, distributed };
}

function savepointMethods(sql: TransactionSQL, database: Database, state: TransactionState) {
  const close = (options?: { timeout?: number }) =>
    traceClose(database.statements, state, () => sql.close(options));
  return {
    savepoint: (...given: unknown[]): Promise<unknown> => {
      const own = sql.savepoint as OwnTransaction;
      // The label may come first or second, as with Bun.
      const workAt = typeof given[1] === "function" ? 1 : 0;
      const label = given[1 - workAt];
      const texts = () => savepointTexts(state, typeof label === "function" ? "" : label);
      return runTransaction(own, given, workAt, texts, state, database);
    },
    close,
    end: close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** @param workAt where the callback stands among what was given */
function runTransaction(
  own: OwnTransaction,
  given: unknown[],
  workAt: number,
  textsOf: () => TransactionTexts | undefined,
  state: TransactionState,
  database: Database,
): Promise<unknown> {
  const work = given[workAt];
  // What Bun refuses before it sends anything, it refuses without a span.
  const texts = typeof work === "function" ? textsOf() : undefined;
  if (!texts) return own(...given);
  return traceTransaction<SavepointSQL, unknown>(
    database.statements,
    texts,
    state,
    (seen) => own(...given.with(workAt, seen)),
    (connection) => (work as Work<SavepointSQL>)(traced(connection, database, state)),
  );
}

/** Where a query cannot be built Bun sends none, and says so itself. */
function describedOr(describe: () => Statement): Statement | undefined {
  try {
    return describe();
  } catch {
    return undefined;
  }
}

function isTemplate(value: unknown): value is TemplateStringsArray {
  return Array.isArray(value) && Array.isArray((value as { raw?: unknown }).raw);
}
