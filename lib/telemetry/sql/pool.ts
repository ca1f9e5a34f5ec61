/**
 * Statements over a pool of one's own: whatever has `unsafe` and `reserve`. Around Bun's `SQL` itself stands
 * `traceSql`.
 */
import type { Attributes } from "@opentelemetry/api";
import { callerLocation } from "../optional.ts";
import { runStatement, type Statement } from "./statement.ts";
import { Statements } from "./statements.ts";
import { postgresTarget } from "./target.ts";

/** What can run a statement: a pool, or the one connection of a transaction. Bun's `SQL` is one. */
export interface StatementRunner {
  unsafe(text: string, values?: unknown[]): PromiseLike<unknown>;
}

/** A connection that was taken out of its pool. */
export interface Reserved extends StatementRunner {
  /** Gives it back. Afterwards it runs nothing any more. */
  release(): void;
}

/** Where connections come from. */
export interface StatementPool extends StatementRunner {
  reserve(): Promise<Reserved>;
}

/** Something to run SQL on; inside `transaction` it is that transaction's connection. */
export interface Queryable {
  /**
   * Runs one statement: db.query`SELECT … WHERE id = ${id}`. Each `${}` becomes a placeholder.
   * @returns the rows; int8 comes as a string, timestamptz as a Date of whole milliseconds
   * @throws SQL.PostgresError, its SQLSTATE in `errno`; without one the server was not reached
   */
  query<Row>(strings: TemplateStringsArray, ...values: unknown[]): Promise<Row[]>;
  /**
   * Runs a statement whose text is put together at run time, with `$1` placeholders in it. Literals in
   * it go to the database only: the span has `?` in their place.
   */
  run<Row>(text: string, values: readonly unknown[]): Promise<Row[]>;
}

/** A database whose every statement is traced. */
export interface TracedSql extends Queryable {
  /**
   * Runs `work` in one transaction on a connection of its own. Whatever `work` or the COMMIT throws
   * rolls it back and is thrown on; after a failed COMMIT it is not known whether it took effect.
   */
  transaction<T>(work: (connection: Queryable) => Promise<T>): Promise<T>;
}

/**
 * Wraps a pool of connections to PostgreSQL.
 * @param pool runs the statements
 * @param url the URL it was made with; host, port and database name of it go on the spans
 * @param begin what begins a transaction; more statements may follow the BEGIN, in the same message
 */
export function tracePool(pool: StatementPool, url: string, begin = "BEGIN"): TracedSql {
  const statements = new Statements(postgresTarget(url));
  return {
    ...queryable(pool, statements),
    async transaction<T>(work: (connection: Queryable) => Promise<T>): Promise<T> {
      const location = callerLocation();
      let connection: Reserved | undefined;
      const control = (text: string) =>
        runStatement(statements.ofText(text), location, async () => {
          // Inside the span of BEGIN: a pool that is empty, or a server that is away, shows there.
          connection ??= await pool.reserve();
          return await connection.unsafe(text, []);
        });
      try {
        await control(begin);
        try {
          const result = await work(queryable(connection as Reserved, statements));
          await control("COMMIT");
          return result;
        } catch (error) {
          // Where the connection is gone the server has rolled back already; what matters to the
          // caller is the first error.
          await control("ROLLBACK").catch(() => undefined);
          throw error;
        }
      } finally {
        connection?.release();
      }
    },
  };
}

/** Wraps a pool without any spans: for probes and for looks that are taken again and again. */
export function untracedSql(pool: StatementRunner): Queryable {
  return {
    async query<Row>(strings: TemplateStringsArray, ...values: unknown[]) {
      return (await pool.unsafe(withPlaceholders(strings), values)) as Row[];
    },
    async run<Row>(text: string, values: readonly unknown[]) {
      return (await pool.unsafe(text, [...values])) as Row[];
    },
  };
}

function queryable(connection: StatementRunner, statements: Statements): Queryable {
  const run = <Row>(
    statement: Statement,
    values: readonly unknown[],
    location: Attributes | undefined,
  ) =>
    runStatement(
      statement,
      location,
      () => connection.unsafe(statement.text, [...values]) as PromiseLike<Row[]>,
    );
  return {
    query<Row>(strings: TemplateStringsArray, ...values: unknown[]) {
      const statement = statements.ofTemplate(strings, () => withPlaceholders(strings));
      return run<Row>(statement, values, callerLocation());
    },
    run<Row>(text: string, values: readonly unknown[]) {
      return run<Row>(statements.ofText(text), values, callerLocation());
    },
  };
}

/** The text of a tagged template, with `$1` and so on in the place of its values. */
function withPlaceholders(strings: TemplateStringsArray): string {
  return strings.reduce((before, after, index) => `${before}$${index}${after}`).trim();
}
