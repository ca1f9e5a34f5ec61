/**
 * What the inventory service deletes when its time is over: reservations that have not changed for
 * long. They hold no stock by being there – that is counted in `inventory.items` – but they are what
 * makes a repeated reserve move nothing. So their deletion leaves a note behind: up to when there may
 * have been reservations that nobody knows of any more (see `earliestBooking` in stock.ts).
 */
import type { CleanedTable } from "#lib/service/clean-up.ts";

/** @param keepDays for how long a reservation is remembered after its last change, at least */
export function reservationsCleanUp(keepDays: number): CleanedTable {
  return {
    table: "inventory.reservations",
    async overdueSeconds(db) {
      const [found] = await db.query<{ seconds: number }>`
        SELECT coalesce(
          extract(epoch FROM now() - min(updated_at) - make_interval(days => ${keepDays}::integer)), 0
        )::float8 AS seconds
        FROM inventory.reservations`;
      return found?.seconds ?? 0;
    },
    /** Rows and note in one transaction: nobody sees the ones gone and the other not there yet. */
    async deleteBatch(db, rowsMax) {
      return await db.transaction(async (tx) => {
        const [deleted] = await tx.query<{ count: number; up_to: string | null }>`
          WITH due AS (
            SELECT order_id, item_id FROM inventory.reservations
            WHERE updated_at < now() - make_interval(days => ${keepDays}::integer)
            ORDER BY updated_at LIMIT ${rowsMax} FOR UPDATE SKIP LOCKED
          ), deleted AS (
            DELETE FROM inventory.reservations AS booked USING due
            WHERE booked.order_id = due.order_id AND booked.item_id = due.item_id
            RETURNING booked.updated_at
          )
          SELECT count(*)::integer AS count, max(updated_at)::text AS up_to FROM deleted`;
        if (!deleted || deleted.up_to === null) return 0;
        await tx.query`
          INSERT INTO inventory.forgotten_reservations AS forgotten (up_to)
          VALUES (${deleted.up_to}::timestamptz)
          ON CONFLICT (id) DO UPDATE SET up_to = greatest(forgotten.up_to, excluded.up_to)`;
        return deleted.count;
      });
    },
  };
}
