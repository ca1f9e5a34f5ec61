/**
 * One SQL statement, one CLIENT span: how it is named, what it says, how it ends.
 *
 * The text on the span is the text the database gets, with placeholders; values never leave through
 * telemetry: not in the text (text.ts), nor in what an error says (error.ts). The name is the
 * statement's summary, for example `SELECT users`.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/db/database-spans.md
 */
import { context, SpanKind, trace, type Attributes, type Context } from "@opentelemetry/api";
import { ATTR_DB_RESPONSE_STATUS_CODE, ATTR_ERROR_TYPE } from "../attributes.ts";
import { dbClientOperationDuration } from "../metrics/instruments.ts";
import { errorTypeOf } from "../error-text.ts";
import { failSpan, startSpan } from "../span.ts";
import { mysqlNumberOf, sqlStateOf } from "./error.ts";

/** What is known of a statement before it runs. */
export interface Statement {
  readonly text: string;
  readonly summary: string;
  readonly spanAttributes: Attributes;
  /** Without the text: a metric's attributes are kept few. */
  readonly metricAttributes: Attributes;
}

/** A statement that runs now. Its first end counts, and no other. */
export interface RunningStatement {
  /** The context in which its span is active. */
  readonly context: Context;
  /** Tells late what it is: only by running it became known. */
  describe(statement: Statement): void;
  end(): void;
  /** @param error what the database or its driver said */
  fail(error: unknown): void;
}

/**
 * Starts a statement's span.
 * @param location the caller's line, where it is known
 * @param parent what it is a child of
 */
export function startStatement(
  statement: Statement,
  location: Attributes | undefined,
  parent: Context = context.active(),
): RunningStatement {
  const span = startSpan(statement.summary, SpanKind.CLIENT, parent, () => ({
    shared: statement.spanAttributes,
    own: location,
  }));
  const startedMs = performance.now();
  let { metricAttributes } = statement;
  let hasEnded = false;
  const end = (failure?: Attributes) => {
    hasEnded = true;
    dbClientOperationDuration.record(
      (performance.now() - startedMs) / 1000,
      failure ? { ...metricAttributes, ...failure } : metricAttributes,
    );
    span.end();
  };
  return {
    context: trace.setSpan(parent, span),
    describe: (known) => {
      if (hasEnded) return;
      ({ metricAttributes } = known);
      span.updateName(known.summary).setAttributes(known.spanAttributes);
    },
    end: () => {
      if (!hasEnded) end();
    },
    fail: (error) => {
      if (hasEnded) return;
      const failure = failureAttributes(error);
      span.setAttributes(failure);
      failSpan(span, String(failure[ATTR_ERROR_TYPE]), error);
      end(failure);
    },
  };
}

/** Runs one statement in a span of its own. @throws what `work` throws, as it came */
export async function runStatement<T>(
  statement: Statement,
  location: Attributes | undefined,
  work: () => PromiseLike<T>,
): Promise<T> {
  const running = startStatement(statement, location);
  try {
    return await context.with(running.context, work);
  } catch (error) {
    running.fail(error);
    throw error;
  } finally {
    running.end();
  }
}

/**
 * The database's own code where it answered: PostgreSQL's SQLSTATE, MySQL's number, SQLite's name.
 * Otherwise Bun's, such as ERR_POSTGRES_CONNECTION_CLOSED, as `error.type` alone.
 */
function failureAttributes(error: unknown): Attributes {
  const { code } = (error ?? {}) as { code?: unknown };
  const status =
    sqlStateOf(error) ??
    mysqlNumberOf(error) ??
    (typeof code === "string" && code.startsWith("SQLITE_") && code);
  if (status) return { [ATTR_DB_RESPONSE_STATUS_CODE]: status, [ATTR_ERROR_TYPE]: status };
  return { [ATTR_ERROR_TYPE]: typeof code === "string" ? code : errorTypeOf(error) };
}
