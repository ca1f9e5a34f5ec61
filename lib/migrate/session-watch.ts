// Whether the session that runs a migration file is still there. The file has no time limit, and a
// connection that went silent would be waited for for ever: so the server is asked on another one.

import { MigrateError } from "./errors.ts";

/** How a session is known on its server, apart from those that had its number before. */
export interface SessionIdentity {
  readonly pid: number;
  readonly startedAt: string;
}

/** SQL that gives the {@link SessionIdentity} of the session that asks. */
export const IDENTITY_SQL = `select pid, backend_start::text as "startedAt" from pg_stat_activity where pid = pg_backend_pid()`;

/** An answer may be under way just when the session ends. */
const MISSED_MAX = 2;

/**
 * Waits for a session's work.
 * @param isThere asks the server on another connection; where it rejects, nothing is known
 * @param intervalMs how often to ask
 * @throws MigrateError where the server has no such session any more; what the work rejects with
 */
export async function whileSessionLives<T>(
  work: Promise<T>,
  isThere: () => Promise<boolean>,
  intervalMs: number,
): Promise<T> {
  const isOver = Promise.withResolvers<never>();
  let missed = 0;
  let hasEnded = false;
  let timer: Timer | undefined;
  const askLater = () => {
    timer = setTimeout(async () => {
      const found = await isThere().catch(() => undefined);
      // Unknown is not gone: a server that restarts, or a network that is down, may come back.
      missed = found === false ? missed + 1 : 0;
      if (hasEnded) return;
      if (missed < MISSED_MAX) return askLater();
      isOver.reject(
        new MigrateError("the server has ended the session that ran it, and we did not hear of it"),
      );
    }, intervalMs);
  };
  askLater();
  try {
    return await Promise.race([work, isOver.promise]);
  } finally {
    hasEnded = true;
    clearTimeout(timer);
    work.catch(() => {});
    isOver.promise.catch(() => {});
  }
}
