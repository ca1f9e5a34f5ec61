/** A lock between processes of this machine, which none of them can leave behind. */
import { Database } from "bun:sqlite";
import { sleep } from "#lib/waiting/waiting.ts";

const LOOK_INTERVAL_MS = 50;

/** How to wait for a lock; see {@link withLock}. */
export interface LockWait {
  readonly timeoutMs: number;
  /** Ends the wait with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Does some work while nobody else holds the lock.
 * @param file stays, empty: SQLite's lock on it is the lock, which the system takes back from a process
 *   that ends, however it does
 * @throws Error where the lock is not to be had in time; the signal's reason; what the work throws
 */
export async function withLock<T>(
  file: string,
  { timeoutMs, signal }: LockWait,
  work: () => Promise<T>,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  const database = new Database(file);
  try {
    // Looking again is for us: SQLite's own waiting would keep this process from all else.
    database.run("PRAGMA busy_timeout = 0");
    while (!take(database)) {
      if (performance.now() > deadlineMs) {
        throw new Error(`another process has held ${file} for ${timeoutMs / 1_000} s`);
      }
      await sleep(LOOK_INTERVAL_MS, signal);
    }
    return await work();
  } finally {
    database.close();
  }
}

function take(database: Database): boolean {
  try {
    database.run("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === "SQLITE_BUSY") return false;
    throw error;
  }
}
