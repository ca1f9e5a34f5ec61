// The sessions of a migration run: one that holds the lock and keeps the version table, one more for each file. And
// PostgreSQL's errors as one line.

import { SQL, type ReservedSQL } from "bun";

import {
  databaseOf,
  DIRECT_MARK,
  IS_DIRECT_SQL,
  isParameterRefused,
  isRefusedByPooler,
  KEEP_ALIVE,
} from "#lib/service/postgres-startup.ts";
import { withTimeout } from "#lib/waiting/waiting.ts";
import { MigrateError } from "./errors.ts";
import { IDENTITY_SQL, whileSessionLives, type SessionIdentity } from "./session-watch.ts";

const CONNECT_TIMEOUT_S = 10;

/** Bounds of a run, in milliseconds. */
export interface MigrateLimits {
  /**
   * For each of the tool's own statements, which are small.
   * @default 60_000, as a backup may hold the version table for a while
   */
  readonly answerMs: number;
  /** How often the server is asked whether the session of a long file is still there. @default 30_000 */
  readonly watchMs: number;
}

const DEFAULT_LIMITS: MigrateLimits = { answerMs: 60_000, watchMs: 30_000 };

/** A session in which the tool's own statements run. */
export interface AskingSession {
  /**
   * Runs a statement of the tool's own.
   * @throws SQL.PostgresError; MigrateError where there is no answer in time
   */
  ask<Row>(text: string): Promise<Row[]>;
}

/** The session of a run that no file has touched: what it locks, it holds. */
export interface MigrationSession extends AskingSession {
  /**
   * Opens a session for one file, which is as new: a role, a search_path or a time limit that the file
   * sets is gone with it, and so is a temporary table.
   * @throws MigrateError where it cannot be opened
   */
  openFile(): Promise<FileSession>;
}

/** A session that one migration file has for itself. */
export interface FileSession extends AskingSession, AsyncDisposable {
  /** The server process's number. */
  readonly pid: number;
  /**
   * Runs the file, and commits what it left open. It may rightly take hours, so that there is no limit,
   * but the server is asked every now and then whether the session is still there.
   * @throws SQL.PostgresError; MigrateError where the session is gone
   */
  run(text: string): Promise<void>;
}

/**
 * Opens a connection, hands it to `work`, and closes it, also after a failure.
 * @param postgresUrl `postgres://user:password@host:port/database`
 * @throws MigrateError for a bad URL, where PostgreSQL does not answer within 10 s or refuses, where
 *   a pooler stands before it, and for any PostgreSQL error that `work` lets through
 */
export async function withConnection<T>(
  postgresUrl: string,
  work: (session: MigrationSession, databaseName: string) => Promise<T>,
  limits: MigrateLimits = DEFAULT_LIMITS,
): Promise<T> {
  const { address, databaseName } = parsePostgresUrl(postgresUrl);
  const { pool, reserved } = await connect(postgresUrl, address);
  try {
    const ask = <Row>(text: string) => withinTime<Row[]>(reserved.unsafe(text), limits.answerMs);
    const [found] = await ask<{ direct: boolean }>(`select ${IS_DIRECT_SQL} as direct`);
    if (!found?.direct) throw new MigrateError(throughPooler(address));
    // It waits in silence while a file runs: a server's limit for idle sessions is not for it.
    await ask(
      "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'",
    );
    const openFile = () => openFileSession(postgresUrl, address, limits);
    const session: MigrationSession = { ask, openFile };
    return await work(session, databaseName);
  } catch (error) {
    if (!(error instanceof SQL.PostgresError)) throw error;
    throw new MigrateError(`PostgreSQL: ${reasonOf(error)}`, { cause: error });
  } finally {
    // At once: what is under way after a failure may never be answered.
    await pool.close({ timeout: 0 });
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

/** An error in words: of PostgreSQL's its message, detail and SQLSTATE, on one line. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof SQL.PostgresError)) return String(error);
  const detail = error.detail ? `: ${error.detail}` : "";
  return `${error.message}${detail} (${error.errno ?? error.code})`.replaceAll(/\s+/g, " ");
}

interface Connected {
  readonly pool: SQL;
  readonly reserved: ReservedSQL;
}

async function connect(
  postgresUrl: string,
  address: string,
  keepAlive: Readonly<Record<string, number>> = KEEP_ALIVE,
): Promise<Connected> {
  const pool = new SQL({
    url: postgresUrl,
    database: databaseOf(postgresUrl),
    max: 1,
    connectionTimeout: CONNECT_TIMEOUT_S,
    connection: { application_name: "orderflow-migrate", ...DIRECT_MARK, ...keepAlive },
  });
  try {
    // Reserved: a pool would replace a lost connection in silence, and the new one would go on
    // without the lock.
    return { pool, reserved: await pool.reserve() };
  } catch (error) {
    await pool.close({ timeout: 0 });
    if (isParameterRefused(error) && Object.keys(keepAlive).length > 0) {
      return await connect(postgresUrl, address, {});
    }
    if (isRefusedByPooler(error)) throw new MigrateError(throughPooler(address), { cause: error });
    // Also errors that are not PostgreSQL's: a certificate that fails verification is a plain one.
    const reason = reasonOf(error);
    throw new MigrateError(`cannot connect to PostgreSQL at ${address}: ${reason}`, {
      cause: error,
    });
  }
}

async function openFileSession(
  postgresUrl: string,
  address: string,
  { answerMs, watchMs }: MigrateLimits,
): Promise<FileSession> {
  const { pool, reserved } = await connect(postgresUrl, address);
  const close = () => pool.close({ timeout: 0 });
  try {
    const ask = <Row>(text: string) => withinTime<Row[]>(reserved.unsafe(text), answerMs);
    const [identity] = await ask<SessionIdentity>(IDENTITY_SQL);
    if (identity === undefined) throw new MigrateError("the server does not know its own session");
    const isThere = () => hasSession(postgresUrl, address, identity, answerMs);
    const runAll = async (text: string) => {
      await reserved.unsafe(text);
      // What the file began and did not end, golang-migrate commits, too. Elsewhere this is a warning.
      await reserved.unsafe("commit");
    };
    return {
      ask,
      pid: identity.pid,
      run: (text) => whileSessionLives(runAll(text), isThere, watchMs),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Asks on a connection of its own. */
async function hasSession(
  postgresUrl: string,
  address: string,
  identity: SessionIdentity,
  answerMs: number,
): Promise<boolean> {
  const { pool, reserved } = await connect(postgresUrl, address);
  try {
    const answer = reserved<{ found: boolean }[]>`
      select exists (
        select from pg_stat_activity
        where pid = ${identity.pid} and backend_start::text = ${identity.startedAt}
      ) as found`;
    const [row] = await withinTime(answer, answerMs);
    return row?.found === true;
  } finally {
    await pool.close({ timeout: 0 });
  }
}

function throughPooler(address: string): string {
  return (
    `at ${address} there is a pooler, through which a migration would lose its lock: ` +
    "POSTGRES_URL must be the server's own (direct) URL here"
  );
}

async function withinTime<T>(answer: Promise<T>, ms: number): Promise<T> {
  const seconds = ms / 1_000;
  return await withTimeout(answer, ms, () => {
    return new MigrateError(`PostgreSQL did not answer within ${seconds} s`);
  });
}

function decodeDatabaseName(url: URL): string | null {
  // A slash or @ in the path is the tail of a password that was not percent-encoded; what precedes
  // it, taken for a host, would then be printed.
  if (!/^\/[^/@]+$/.test(url.pathname)) return null;
  try {
    // A stray % in user or password makes Bun's SQL throw a bare "URI error": find it here.
    decodeURIComponent(`${url.username}:${url.password}`);
    return databaseOf(url.href);
  } catch {
    return null;
  }
}
