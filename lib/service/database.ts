/** The connection pool to PostgreSQL, and what its errors mean to a caller. */
import { SQL } from "bun";
import { traceSql, type Queryable, type TracedSql } from "#lib/telemetry/sql.ts";
import { throwIfTooLate } from "./deadline.ts";
import { UnavailableError } from "./errors.ts";

/** Connections of one process. PostgreSQL's own default allows 100 in all. */
const CONNECTIONS_MAX = 16;
const CONNECT_TIMEOUT_S = 5;
/** Below the gateway's 5 s: a statement that hangs is given up before its caller is. */
const STATEMENT_TIMEOUT_MS = 4_500;
/** Who closes the pool has waited for its work already. */
const CLOSE_TIMEOUT_S = 0.3;

export interface Database {
  readonly sql: TracedSql;
  /** The same without spans, for probes. */
  readonly untraced: Queryable;
  /**
   * Whether the database answers and its migrations have run.
   * @param table one that the service needs, schema-qualified
   * @throws Error that says what is wrong
   */
  probe(table: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the pool; connections are made when they are first needed, and again when they are lost. */
export function openDatabase(url: string, applicationName: string): Database {
  const pool = new SQL({
    url,
    max: CONNECTIONS_MAX,
    connectionTimeout: CONNECT_TIMEOUT_S,
    connection: { application_name: applicationName, statement_timeout: STATEMENT_TIMEOUT_MS },
  });
  return {
    untraced: {
      query: async (strings, ...values) => (await pool(strings, ...values)) as never,
      run: async (text, values) => (await pool.unsafe(text, [...values])) as never,
    },
    sql: traceSql(pool, url),
    // Untraced on purpose: it stands behind GET /readyz.
    async probe(table) {
      const [found] = await pool`SELECT to_regclass(${table}) IS NOT NULL AS migrated`;
      if (!found?.migrated) throw new Error(`table ${table} is missing: run the migrations`);
    },
    close: () => pool.close({ timeout: CLOSE_TIMEOUT_S }),
  };
}

/**
 * SQLSTATE classes and codes that say "not now": connection lost, shutting down, too busy, deadlock;
 * and, for services start in any order, no access yet, no database yet, no table or schema yet.
 */
const PASSING =
  /^(08...|53...|57P0[123]|57014|40001|40P01|55P03|25006|25P03|28...|3D000|3F000|42P01)$/;

/**
 * Runs work on the database.
 * @throws UnavailableError where the database does not answer, or not now; GatewayTimeoutError where
 *   the caller has given up already; anything else as it came
 */
export async function onDatabase<T>(work: () => Promise<T>): Promise<T> {
  throwIfTooLate();
  try {
    return await work();
  } catch (error) {
    throw mayPass(error)
      ? new UnavailableError("the database does not answer; try again shortly", { cause: error })
      : error;
  }
}

function mayPass(error: unknown): boolean {
  if (!(error instanceof SQL.SQLError)) return false;
  const { errno, code } = error as { errno?: unknown; code?: unknown };
  if (typeof errno === "string" && /^[0-9A-Z]{5}$/.test(errno)) return PASSING.test(errno);
  return String(code).startsWith("ERR_POSTGRES_");
}
