/** The database: its pool of connections, and what its errors mean to a caller. */
import { SQL, type ReservedSQL } from "bun";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { tracePool, untracedSql, type Queryable, type TracedSql } from "#lib/telemetry/sql/sql.ts";
import type { DatabaseConfig } from "./config.ts";
import { ConnectionPool, POOL_LIMITS } from "./connection-pool.ts";
import { throwIfTooLate } from "./deadline.ts";
import { UnavailableError } from "./errors.ts";
import { PoolError, type OpenSession } from "./pooled-connection.ts";
import { openPostgresSession } from "./postgres-session.ts";
import {
  DIRECT_MARK,
  IS_DIRECT_SQL,
  isParameterRefused,
  isRefusedByPooler,
  KEEP_ALIVE,
  SERVER_LIMITS,
} from "./postgres-startup.ts";

/** Who closes the database has waited for its work already. */
const CLOSE_TIMEOUT_MS = 300;
/** A pooler hands on no start-up parameters: each transaction brings its bounds, in its first message. */
const BEGIN_WITH_LIMITS = [
  "BEGIN",
  ...Object.entries(SERVER_LIMITS).map(([name, ms]) => `SET LOCAL ${name} = ${ms}`),
].join("; ");
/** Above the pool's own limit, which tells more. */
const CONNECT_TIMEOUT_S = Math.ceil(POOL_LIMITS.connectMs / 1_000) + 1;
const SET_POOLER = "set POSTGRES_POOLER=transaction, or use the server's own address";

export interface Database {
  readonly sql: TracedSql;
  /** The same without spans: for probes, and for looks that are taken again and again. */
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
export function openDatabase({ url, pooler }: DatabaseConfig, applicationName: string): Database {
  const hasPooler = pooler === "transaction";
  const pool = new ConnectionPool(
    hasPooler ? pooledSessions(url, applicationName) : directSessions(url, applicationName),
  );
  const untraced = untracedSql(pool);
  let hasWarned = false;
  return {
    sql: tracePool(pool, url, hasPooler ? BEGIN_WITH_LIMITS : "BEGIN"),
    untraced,
    async probe(table) {
      const [found] = await untraced
        .run<{ migrated: boolean; statement_timeout: string }>(
          `SELECT to_regclass($1) IS NOT NULL AS migrated, ` +
            `current_setting('statement_timeout') AS statement_timeout`,
          [table],
        )
        .catch((error: unknown) => {
          if (!isRefusedByPooler(error)) throw error;
          const { message } = error as Error;
          throw new Error(`a pooler refuses the connection (${message}): ${SET_POOLER}`);
        });
      if (!found?.migrated) throw new Error(`table ${table} is missing: run the migrations`);
      if (hasPooler && found.statement_timeout === "0" && !hasWarned) {
        hasWarned = true;
        logger.warn(
          "statements outside of transactions have no limit on the server: " +
            "ALTER ROLE … SET statement_timeout sets one behind a pooler",
        );
      }
    },
    close: () => pool.close(CLOSE_TIMEOUT_MS),
  };
}

/** Connections to the server itself. One that does not know some socket option goes without them. */
function directSessions(url: string, applicationName: string): OpenSession {
  const needed = { application_name: applicationName, ...SERVER_LIMITS, ...DIRECT_MARK };
  let parameters: Record<string, string | number> = { ...needed, ...KEEP_ALIVE };
  return (onClosed) => {
    const session = openPostgresSession(
      { url, parameters, prepare: true, check: assertDirect, connectTimeoutS: CONNECT_TIMEOUT_S },
      onClosed,
    );
    session.opened.catch((error: unknown) => {
      if (!isParameterRefused(error) || parameters === needed) return;
      parameters = needed;
      logger.warn("PostgreSQL refuses keep-alive settings; the next connection has none", {
        error,
      });
    });
    return session;
  };
}

/**
 * Our prepared statements would meet other clients' behind a transaction pooler: queries get another
 * one's rows, without an error. So no statement of a request runs on a connection that is not direct.
 * @throws PoolError where it leads through a pooler that drops start-up parameters in silence
 */
async function assertDirect(connection: ReservedSQL): Promise<void> {
  const [found] = await connection.unsafe(`SELECT ${IS_DIRECT_SQL} AS is_direct`).simple();
  if (found?.is_direct) return;
  const text = `a pooler drops the connection's start-up parameters: ${SET_POOLER}`;
  throw new PoolError(text, "ERR_POSTGRES_POOLER");
}

/**
 * Connections through a transaction pooler. With `prepare: false` Bun parses and runs a statement in
 * one exchange, which a pooler keeps on one server.
 */
function pooledSessions(url: string, applicationName: string): OpenSession {
  const parameters = { application_name: applicationName };
  return (onClosed) =>
    openPostgresSession(
      { url, parameters, prepare: false, connectTimeoutS: CONNECT_TIMEOUT_S },
      onClosed,
    );
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
    if (!mayPass(error)) throw error;
    throwIfTooLate(); // the wait may have been as long as the caller's
    throw new UnavailableError("the database does not answer; try again shortly", { cause: error });
  }
}

function mayPass(error: unknown): boolean {
  if (!(error instanceof SQL.SQLError)) return false;
  const { errno, code } = error as { errno?: unknown; code?: unknown };
  if (typeof errno === "string" && /^[0-9A-Z]{5}$/.test(errno)) return PASSING.test(errno);
  return String(code).startsWith("ERR_POSTGRES_");
}
