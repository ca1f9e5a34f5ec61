// The lock that lets one migration run at a time, be it ours or golang-migrate's.

import type { MigrationSession } from "./connection.ts";
import { MigrateError } from "./errors.ts";

/** golang-migrate's default, in milliseconds. */
export const LOCK_WAIT_MS = 15_000;

const POLL_INTERVAL_MS = 100;

// GenerateAdvisoryLockId's salt.
const LOCK_ID_SALT = 1_486_364_155;

/**
 * Runs `work` while this session holds the database's migration lock.
 * @param session the one that does the work: the lock belongs to it
 * @param databaseName as it stands in the connection URL, decoded
 * @param waitMs how long to wait for another run to end
 * @throws MigrateError where the lock is still held after `waitMs`, or was lost on the way
 */
export async function withMigrationLock<T>(
  session: MigrationSession,
  databaseName: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const lockId = migrationLockId(databaseName);
  await acquire(session, lockId, waitMs);
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
async function acquire(session: MigrationSession, lockId: number, waitMs: number): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const rows = await session.ask<{ locked: boolean }>(
      `select pg_try_advisory_lock(${lockId}) as locked`,
    );
    if (rows[0]?.locked === true) return;
    if (performance.now() >= deadlineMs) {
      throw new MigrateError(
        `the database is locked by another migration run; gave up after ${waitMs / 1_000} s`,
      );
    }
    await Bun.sleep(POLL_INTERVAL_MS);
  }
}
