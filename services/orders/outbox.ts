/** The statements on `orders.outbox` that the relay makes; see relay.ts for what they are for. */
import type { Queryable } from "#lib/telemetry/sql.ts";

/** An event that waits to be published. */
export interface OutboxEvent {
  /** bigint comes as text */
  id: string;
  topic: string;
  key: string;
  payload: string;
  headers: Record<string, string>;
}

/** An event that is to be left alone for a time. */
export interface PutOff {
  readonly id: string;
  /** For how long from now, in milliseconds; 0 makes it due at once. */
  readonly ms: number;
}

/**
 * Deletes events that are stored in Kafka, and takes the next ones that are due in hand: in one
 * statement, which is one round trip and one commit for each batch.
 *
 * @param stored ids of what is deleted
 * @param rowsMax how many to take at most; 0 takes none
 * @param leaseMs for how long they are nobody else's
 * @returns what was taken: the oldest ones, one of each key
 */
export async function takeDue(
  db: Queryable,
  stored: readonly string[],
  rowsMax: number,
  leaseMs: number,
): Promise<OutboxEvent[]> {
  // The parts of a statement see the table as it was before it: what is deleted here is left out by name.
  return await db.query<OutboxEvent>`
    WITH stored AS (
      DELETE FROM orders.outbox WHERE id = ANY (${stored}::bigint[])
    ), due AS (
      SELECT event.id FROM orders.outbox AS event
      WHERE event.due_at <= now() AND event.id <> ALL (${stored}::bigint[]) AND NOT EXISTS (
        SELECT 1 FROM orders.outbox AS older
        WHERE older.key = event.key AND older.id < event.id AND older.id <> ALL (${stored}::bigint[]))
      ORDER BY event.id LIMIT ${rowsMax} FOR UPDATE SKIP LOCKED
    )
    UPDATE orders.outbox AS event SET due_at = now() + make_interval(secs => ${leaseMs / 1000})
    FROM due WHERE event.id = due.id
    RETURNING event.id, event.topic, event.key, event.payload, event.headers`;
}

/** Puts events off. Those that are gone by now stay gone. */
export async function putOff(db: Queryable, events: readonly PutOff[]): Promise<void> {
  await db.query`
    UPDATE orders.outbox AS event SET due_at = now() + make_interval(secs => wait.seconds)
    FROM unnest(${events.map(({ id }) => id)}::bigint[], ${events.map(({ ms }) => ms / 1000)}::float8[])
      AS wait (id, seconds)
    WHERE event.id = wait.id`;
}
