// The one connection a migration run uses, and PostgreSQL's errors as one line.

import { SQL, type ReservedSQL } from "bun";

import { MigrateError } from "./errors.ts";

const CONNECT_TIMEOUT_S = 10;

/**
 * Opens one connection, hands it to `work`, and closes it, also after a failure.
 * @param postgresUrl `postgres://user:password@host:port/database`
 * @throws MigrateError for a bad URL, where PostgreSQL does not answer within 10 s or refuses, and
 *   for any PostgreSQL error that `work` lets through
 */
export async function withConnection<T>(
  postgresUrl: string,
  work: (sql: ReservedSQL, databaseName: string) => Promise<T>,
): Promise<T> {
  const { address, databaseName } = parsePostgresUrl(postgresUrl);
  const pool = new SQL({ url: postgresUrl, max: 1, connectionTimeout: CONNECT_TIMEOUT_S });
  try {
    // Reserved: a pool would replace a lost connection in silence, and the new one would go on
    // without the lock.
    using session = await reserve(pool, address);
    return await work(session, databaseName);
  } catch (error) {
    if (!(error instanceof SQL.PostgresError)) throw error;
    throw new MigrateError(`PostgreSQL: ${describePostgresError(error)}`, { cause: error });
  } finally {
    await pool.close();
  }
}

/**
 * Reads what the tool itself needs from a connection URL.
 * @returns `address` to name in messages (never with user or password), and the decoded database
 *   name, from which the lock's number follows: therefore it must stand in the URL
 * @throws MigrateError where it is no PostgreSQL URL or names no database; never quotes the URL
 */
export function parsePostgresUrl(postgresUrl: string): { address: string; databaseName: string } {
  const url = URL.parse(postgresUrl);
  const databaseName = url === null ? null : decodeDatabaseName(url);
  if (url === null || databaseName === null || !/^postgres(?:ql)?:$/.test(url.protocol)) {
    throw new MigrateError(
      "POSTGRES_URL is not a PostgreSQL URL: it must look like " +
        "postgres://user:password@host:5432/database, special characters percent-encoded",
    );
  }
  return { address: `${url.hostname || "localhost"}:${url.port || "5432"}`, databaseName };
}

/** PostgreSQL's message, detail and SQLSTATE on one line. */
export function describePostgresError(error: SQL.PostgresError): string {
  const detail = error.detail ? `: ${error.detail}` : "";
  return `${error.message}${detail} (${error.errno ?? error.code})`.replaceAll(/\s+/g, " ");
}

async function reserve(pool: SQL, address: string): Promise<ReservedSQL> {
  try {
    return await pool.reserve();
  } catch (error) {
    // Also errors that are not PostgreSQL's: a certificate that fails verification is a plain one.
    const reason =
      error instanceof SQL.PostgresError ? describePostgresError(error) : String(error);
    throw new MigrateError(`cannot connect to PostgreSQL at ${address}: ${reason}`, {
      cause: error,
    });
  }
}

function decodeDatabaseName(url: URL): string | null {
  // A slash or @ in the path is the tail of a password that was not percent-encoded; what precedes
  // it, taken for a host, would then be printed.
  if (!/^\/[^/@]+$/.test(url.pathname)) return null;
  try {
    // A stray % in user or password makes Bun's SQL throw a bare "URI error": find it here.
    decodeURIComponent(`${url.username}:${url.password}`);
    return decodeURIComponent(url.pathname.slice(1));
  } catch {
    return null;
  }
}
