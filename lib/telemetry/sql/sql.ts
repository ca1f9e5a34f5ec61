/**
 * SQL statements: one CLIENT span each, BEGIN, COMMIT and ROLLBACK included, over a pool.
 *
 * The text on the span is the text PostgreSQL gets, with `$1` placeholders; values never leave
 * through telemetry: not in the text (sql-text.ts), nor in what an error says (sql-error.ts). The name is the statement's summary, for example `SELECT orders.orders`.
 * `db.namespace` is the database's name: the schema stands in every table name instead.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/db/postgresql.md
 */
import { SpanKind, trace, context, type Attributes } from "@opentelemetry/api";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_QUERY_SUMMARY,
  ATTR_DB_QUERY_TEXT,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "../attributes.ts";
import { callerLocation, fixed } from "../optional.ts";
import { dbClientOperationDuration } from "../metrics/instruments.ts";
import { errorTypeOf, failSpan, tracer } from "../span.ts";
import { sqlStateOf } from "./error.ts";
import { summarizeQuery } from "./summary.ts";
import { withoutLiterals } from "./text.ts";

const POSTGRES_PORT = 5432;
const TEXTS_MAX = 200;

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

type Execute = (text: string, values: unknown[]) => Promise<unknown>;

interface Statement {
  text: string;
  summary: string;
  spanAttributes: Attributes;
  /** Without the text: a metric's attributes are kept few. */
  metricAttributes: Attributes;
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
 * Wraps a pool.
 * @param pool runs the statements
 * @param url the URL it was made with; host, port and database name of it go on the spans
 * @param begin what begins a transaction; more statements may follow the BEGIN, in the same message
 */
export function traceSql(pool: StatementPool, url: string, begin = "BEGIN"): TracedSql {
  const statements = new Statements(targetAttributes(url));
  return {
    ...queryable(pool, statements),
    async transaction<T>(work: (connection: Queryable) => Promise<T>): Promise<T> {
      const location = callerLocation();
      let connection: Reserved | undefined;
      const control = (text: string) =>
        runTraced(statements.ofText(text), [], location, async (...statement) => {
          // Inside the span of BEGIN: a pool that is empty, or a server that is away, shows there.
          connection ??= await pool.reserve();
          return await connection.unsafe(...statement);
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

/** The text of a tagged template, with `$1` and so on in the place of its values. */
function withPlaceholders(strings: TemplateStringsArray): string {
  return strings.reduce((before, after, index) => `${before}$${index}${after}`).trim();
}

function queryable(connection: StatementRunner, statements: Statements): Queryable {
  const execute: Execute = async (text, values) => await connection.unsafe(text, values);
  return {
    query<Row>(strings: TemplateStringsArray, ...values: unknown[]) {
      return runTraced<Row>(statements.ofTemplate(strings), values, callerLocation(), execute);
    },
    run<Row>(text: string, values: readonly unknown[]) {
      return runTraced<Row>(statements.ofText(text), values, callerLocation(), execute);
    },
  };
}

async function runTraced<Row>(
  statement: Statement,
  values: readonly unknown[],
  location: Attributes | undefined,
  execute: Execute,
): Promise<Row[]> {
  const span = tracer().startSpan(statement.summary, {
    kind: SpanKind.CLIENT,
    attributes: location ? { ...statement.spanAttributes, ...location } : statement.spanAttributes,
  });
  const startedMs = performance.now();
  let failure: Attributes | undefined;
  try {
    const active = trace.setSpan(context.active(), span);
    return (await context.with(active, execute, undefined, statement.text, [...values])) as Row[];
  } catch (error) {
    failure = failureAttributes(error);
    span.setAttributes(failure);
    failSpan(span, String(failure[ATTR_ERROR_TYPE]), error);
    throw error;
  } finally {
    dbClientOperationDuration.record(
      (performance.now() - startedMs) / 1000,
      failure ? { ...statement.metricAttributes, ...failure } : statement.metricAttributes,
    );
    span.end();
  }
}

/** SQLSTATE where the server answered; otherwise Bun's code, such as ERR_POSTGRES_CONNECTION_CLOSED. */
function failureAttributes(error: unknown): Attributes {
  const sqlState = sqlStateOf(error);
  if (sqlState !== undefined) {
    return { [ATTR_DB_RESPONSE_STATUS_CODE]: sqlState, [ATTR_ERROR_TYPE]: sqlState };
  }
  const { code } = error as { code?: unknown };
  return { [ATTR_ERROR_TYPE]: typeof code === "string" ? code : errorTypeOf(error) };
}

/**
 * The statements of one database. A program has few of them, so text, summary and attributes are put
 * together once for each; of texts made at run time only so many are kept.
 */
class Statements {
  readonly #target: Attributes;
  // A tagged template hands over the same `strings` at each call from one place in the source.
  readonly #templates = new WeakMap<TemplateStringsArray, Statement>();
  readonly #texts = new Map<string, Statement>();

  constructor(target: Attributes) {
    this.#target = target;
  }

  ofTemplate(strings: TemplateStringsArray): Statement {
    let statement = this.#templates.get(strings);
    if (!statement) {
      statement = this.#create(withPlaceholders(strings));
      this.#templates.set(strings, statement);
    }
    return statement;
  }

  ofText(text: string): Statement {
    let statement = this.#texts.get(text);
    if (!statement) {
      // Who made the text may have put values into it; a template's text stands in the source.
      statement = this.#create(text, withoutLiterals(text));
      if (this.#texts.size < TEXTS_MAX) this.#texts.set(text, statement);
    }
    return statement;
  }

  #create(text: string, shown = text): Statement {
    const summary = summarizeQuery(shown);
    const metricAttributes = fixed({ ...this.#target, [ATTR_DB_QUERY_SUMMARY]: summary });
    const spanAttributes = { ...metricAttributes, [ATTR_DB_QUERY_TEXT]: shown };
    return { text, summary, spanAttributes, metricAttributes };
  }
}

function targetAttributes(url: string): Attributes {
  const { hostname, port, pathname } = new URL(url);
  const portNumber = Number(port) || POSTGRES_PORT;
  return {
    [ATTR_DB_SYSTEM_NAME]: "postgresql",
    [ATTR_DB_NAMESPACE]: decodeURIComponent(pathname.slice(1)),
    [ATTR_SERVER_ADDRESS]: hostname,
    ...(portNumber === POSTGRES_PORT ? {} : { [ATTR_SERVER_PORT]: portNumber }),
  };
}
