/** What the orders service deletes when its time is over: idempotency keys. Orders themselves stay. */
import type { CleanedTable } from "#lib/service/clean-up.ts";

/** @param keepHours for how long a key is remembered at least */
export function idempotencyKeysCleanUp(keepHours: number): CleanedTable {
  return {
    table: "orders.idempotency_keys",
    async overdueSeconds(db) {
      const [found] = await db.query<{ seconds: number }>`
        SELECT coalesce(
          extract(epoch FROM now() - min(created_at) - make_interval(hours => ${keepHours}::integer)), 0
        )::float8 AS seconds
        FROM orders.idempotency_keys`;
      return found?.seconds ?? 0;
    },
    async deleteBatch(db, rowsMax) {
      const deleted = await db.query`
        WITH due AS (
          SELECT key FROM orders.idempotency_keys
          WHERE created_at < now() - make_interval(hours => ${keepHours}::integer)
          ORDER BY created_at LIMIT ${rowsMax} FOR UPDATE SKIP LOCKED
        )
        DELETE FROM orders.idempotency_keys AS known USING due WHERE known.key = due.key
        RETURNING known.order_id`;
      return deleted.length;
    },
  };
}
