// The lock that lets one migration run at a time, be it ours or golang-migrate's.

import type { AskingSession, MigrationSession } from "./connection.ts";
import { MigrateError } from "./errors.ts";

/** golang-migrate's default, in milliseconds. */
export const LOCK_WAIT_MS = 15_000;

const POLL_INTERVAL_MS = 100;

// GenerateAdvisoryLockId's salt.
const LOCK_ID_SALT = 1_486_364_155;

/**
 * Runs `work` while this session holds the database's migration lock, and no file is at work: the server
 * goes on with one whose run was killed.
 * @param session the one that keeps the version table: the lock belongs to it
 * @param databaseName as it stands in the connection URL, decoded
 * @param waitMs how long to wait for another run to end
 * @param signal ends the waiting
 * @throws MigrateError where the lock is still held after `waitMs`, or was lost on the way
 */
export async function withMigrationLock<T>(
  session: MigrationSession,
  databaseName: string,
  { waitMs, signal }: LockWait,
  work: () => Promise<T>,
): Promise<T> {
  const lockId = migrationLockId(databaseName);
  const deadlineMs = performance.now() + waitMs;
  const gaveUp = `gave up after ${waitMs / 1_000} s`;
  await acquire(session, lockId, deadlineMs, signal, async () => {
    return `the database is locked by another migration run; ${gaveUp}`;
  });
  const fileLockId = migrationFileLockId(databaseName);
  await acquire(session, fileLockId, deadlineMs, signal, async () => {
    const pid = await holderOf(session, lockId);
    return `the server is still at work on the file of a run that has ended (its session is ${pid}); ${gaveUp}`;
  });
  await session.ask(`select pg_advisory_unlock(${fileLockId})`);
  const result = await work();
  // Not in a finally: after a failure the session ends, and PostgreSQL frees its lock.
  const [released] = await session.ask<{ was_ours: boolean }>(
    `select pg_advisory_unlock(${lockId}) as was_ours`,
  );
  if (released?.was_ours !== true) {
    throw new MigrateError(
      "the migration lock was not ours any more when it was to be given back: another run may have " +
        "worked at the same time; look at the schema, and use the server's own (direct) URL",
    );
  }
  return result;
}

/** How to wait for another run. */
export interface LockWait {
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes the lock that a file's session holds until it ends, with all that it has begun: so long the
 * server may be at work on the file, whatever became of the run.
 * @throws MigrateError where the session of the file before does not end in time
 */
export async function holdFileLock(file: AskingSession, databaseName: string): Promise<void> {
  const deadlineMs = performance.now() + LOCK_WAIT_MS;
  await acquire(file, migrationFileLockId(databaseName), deadlineMs, undefined, async () => {
    return `the session of the file before has not ended after ${LOCK_WAIT_MS / 1_000} s`;
  });
}

/** Beside golang-migrate's number, which has 32 bits. */
function migrationFileLockId(databaseName: string): number {
  return 2 ** 32 + migrationLockId(databaseName);
}

/** @returns the number of the server process that holds the lock of a file, where it can be told */
async function holderOf(session: AskingSession, lockId: number): Promise<string> {
  const [holder] = await session.ask<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory' and classid = 1 and objid = ${lockId} and granted`,
  );
  return String(holder?.pid ?? "not known");
}

/**
 * The number golang-migrate's CLI locks for a database, so that each tool waits for the other.
 * Its "database name" is the connection URL's path, with the slash.
 * @param databaseName without the slash
 * @see https://github.com/golang-migrate/migrate/blob/v4.19.0/database/util.go
 */
export function migrationLockId(databaseName: string): number {
  const names = ["public", "schema_migrations", `/${databaseName}`].join("\0");
  // Both factors are uint32 and so is the product: imul keeps its low 32 bits, >>> drops the sign.
  return Math.imul(Bun.hash.crc32(names), LOCK_ID_SALT) >>> 0;
}

// Asks again and again instead of waiting inside pg_advisory_lock: a waiting SELECT holds a
// snapshot, and CREATE INDEX CONCURRENTLY in the run that has the lock would wait for it in turn –
// a deadlock that leaves the database dirty.
async function acquire(
  session: AskingSession,
  lockId: number,
  deadlineMs: number,
  signal: AbortSignal | undefined,
  describeHolder: () => Promise<string>,
): Promise<void> {
  for (;;) {
    const rows = await session.ask<{ locked: boolean }>(
      `select pg_try_advisory_lock(${lockId}) as locked`,
    );
    if (rows[0]?.locked === true) return;
    if (signal?.aborted) throw new MigrateError("interrupted while another run was at work");
    if (performance.now() >= deadlineMs) throw new MigrateError(await describeHolder());
    await Bun.sleep(POLL_INTERVAL_MS);
  }
}
