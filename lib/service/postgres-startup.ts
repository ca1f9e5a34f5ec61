/**
 * Start-up parameters of a connection that leads to the server itself: its bounds on the server's
 * side, and the mark by which a connection through a pooler is told from one.
 *
 * PgBouncer refuses parameters that it does not know, unless told to ignore them; other poolers drop
 * them in silence. So a parameter of our own is sent along and read back.
 * @see https://www.pgbouncer.org/config.html#ignore_startup_parameters
 */
import { SQL } from "bun";

/**
 * Milliseconds. A statement ends below the gateway's 5 s: one that hangs is given up before its caller
 * is. Nothing of ours leaves a transaction idle for seconds: only a client that is gone does, and its
 * locks hold up all others.
 */
export const SERVER_LIMITS = {
  statement_timeout: 4_500,
  lock_timeout: 4_000,
  idle_in_transaction_session_timeout: 5_000,
} as const;

/** A client that is gone without a word is noticed by the server within a minute. */
export const KEEP_ALIVE = {
  tcp_keepalives_idle: 30, // seconds
  tcp_keepalives_interval: 10, // seconds
  tcp_keepalives_count: 3,
  tcp_user_timeout: 30_000, // milliseconds
} as const;

/** The mark. A server takes any parameter whose name has a dot. */
export const DIRECT_MARK = { "orderflow.direct": "on" } as const;

/** SQL that is true where the mark has come through to the server, on this very session. */
export const IS_DIRECT_SQL = "coalesce(current_setting('orderflow.direct', true), '') = 'on'";

/**
 * The database that a connection URL names, for the driver's option of that name: Bun 1.4.5 takes
 * PGDATABASE before what stands in the URL, and so would work in another one than it was told to.
 * @param url `postgres://user:password@host:port/database`
 */
export function databaseOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1));
}

/** undefined_object, invalid_parameter_value, insufficient_privilege */
const PARAMETER_REFUSED = new Set(["42704", "22023", "42501"]);
const PROTOCOL_VIOLATION = "08P01";

/** Whether a server refused a connection for a parameter that it does not have, or not for us. */
export function isParameterRefused(error: unknown): boolean {
  return error instanceof SQL.PostgresError && PARAMETER_REFUSED.has(error.errno ?? "");
}

/** Whether a pooler refused a connection for its start-up parameters. */
export function isRefusedByPooler(error: unknown): boolean {
  return (
    error instanceof SQL.PostgresError &&
    error.errno === PROTOCOL_VIOLATION &&
    error.message.includes("unsupported startup parameter")
  );
}
