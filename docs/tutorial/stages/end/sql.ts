// #region query
// SQL: one CLIENT span a statement, named by what it does and to which table, and never with its values.
import { SpanKind } from "@opentelemetry/api";
import { SQL, type ReservedSQL } from "bun";
import { inSpan } from "./tracing.ts";

/** A statement: `` query`SELECT … WHERE id = ${id}` ``. */
export type Query = (
  texts: TemplateStringsArray,
  ...values: unknown[]
) => Promise<Record<string, unknown>[]>;

/** Gives `sql`, or one connection of it, as a function whose every statement is a span. */
export function traceSql(sql: SQL | ReservedSQL): Query {
  const { hostname, port, database } = sql.options as SQL.PostgresOrMySQLOptions;
  return async (texts, ...values) => {
    const text = textOf(texts);
    const summary = summaryOf(text);
    const attributes = {
      "db.system.name": "postgresql",
      "db.namespace": database,
      "db.query.summary": summary,
      "db.query.text": text,
      "server.address": hostname,
      "server.port": Number(port),
    };
    return await inSpan(
      summary,
      async (span) => {
        try {
          return await sql(texts, ...values);
        } catch (error) {
          // SQLSTATE, PostgreSQL's own code for what went wrong: Bun calls it errno.
          const { errno } = error as { errno?: string };
          if (errno) span.setAttribute("db.response.status_code", errno);
          throw error;
        }
      },
      { kind: SpanKind.CLIENT, attributes },
    );
  };
}
// #endregion query

// #region text
/** What PostgreSQL gets: `$1` where a value stands. The values go to it apart from the text. */
function textOf(texts: TemplateStringsArray): string {
  const text = texts.reduce((before, after, index) => `${before}$${index}${after}`);
  return text.replaceAll(/\s+/g, " ").trim();
}

/** `INSERT orders`: few different ones, so that spans can be grouped by their name. */
function summaryOf(text: string): string {
  const operation = text.split(" ", 1)[0] ?? "";
  const table = /\b(?:FROM|INTO|UPDATE) ([\w.]+)/i.exec(text)?.[1];
  return [operation.toUpperCase(), table].filter(Boolean).join(" ");
}
// #endregion text

// #region transaction
/** Runs `work` in a transaction whose BEGIN and COMMIT are statements like any other: they take time, too. */
export async function transaction<T>(sql: SQL, work: (query: Query) => Promise<T>): Promise<T> {
  const connection = await sql.reserve();
  const query = traceSql(connection);
  try {
    await query`BEGIN`;
    const result = await work(query);
    await query`COMMIT`;
    return result;
  } catch (error) {
    await query`ROLLBACK`.catch(() => {}); // the connection may be what failed
    throw error;
  } finally {
    connection.release();
  }
}
// #endregion transaction
