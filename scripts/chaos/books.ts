/** The books after a run, read from PostgreSQL and Kafka themselves and not through the services. */
import { SQL } from "bun";
import type { Admin } from "kafkajs";
import { createKafka, withAdmin } from "#lib/kafka/client.ts";
import type { OrderStatus } from "#lib/orders/order.ts";
import {
  ORDER_CREATED_DEAD_LETTER_TOPIC,
  ORDER_CREATED_TOPIC,
  SETTLING_GROUP,
} from "#lib/orders/order-created.ts";
import type { StockedItem } from "./order-mix.ts";

export interface BookedOrder {
  readonly id: string;
  readonly customerId: string;
  readonly status: OrderStatus;
  /** Of its last status change, milliseconds since 1970. */
  readonly updatedAtMs: number;
  /** Summed over its lines. */
  readonly quantities: ReadonlyMap<string, number>;
}

export interface BookedItem {
  readonly itemId: string;
  readonly available: number;
  readonly reserved: number;
}

export interface Reservation {
  readonly orderId: string;
  readonly itemId: string;
  readonly quantity: number;
  readonly status: "reserved" | "released";
}

export interface Books {
  readonly orders: readonly BookedOrder[];
  readonly items: readonly BookedItem[];
  readonly reservations: readonly Reservation[];
  /** Events that are not published. */
  readonly outboxRows: number;
  readonly deadLetters: number;
  /** Records of the topic, and how many of them are not committed as handled. */
  readonly records: number;
  readonly recordsBehind: number;
}

/** What is still to be done. */
export interface Backlog {
  readonly pendingOrders: number;
  readonly outboxRows: number;
}

/** Puts the run's items into the inventory. */
export async function stockItems(sql: SQL, items: readonly StockedItem[]): Promise<void> {
  for (const { itemId, available } of items) {
    await sql`
      INSERT INTO inventory.items (item_id, name, available)
      VALUES (${itemId}, 'Chaos test', ${available})`;
  }
}

export async function readBacklog(sql: SQL): Promise<Backlog> {
  const [row] = await sql`
    SELECT (SELECT count(*) FROM orders.orders WHERE status = 'pending')::float8 AS pending,
           (SELECT count(*) FROM orders.outbox)::float8 AS outbox`;
  return { pendingOrders: row.pending, outboxRows: row.outbox };
}

/** @returns how many pieces of each item there are: available and reserved together */
export async function readPieces(sql: SQL): Promise<Map<string, number>> {
  return new Map(
    (await readItems(sql)).map((item) => [item.itemId, item.available + item.reserved]),
  );
}

export async function readBooks(sql: SQL, brokers: string): Promise<Books> {
  const { outboxRows } = await readBacklog(sql);
  return {
    orders: await readOrders(sql),
    items: await readItems(sql),
    reservations: await sql`
      SELECT order_id AS "orderId", item_id AS "itemId", quantity, status
      FROM inventory.reservations`,
    outboxRows,
    ...(await readTopics(brokers)),
  };
}

async function readItems(sql: SQL): Promise<BookedItem[]> {
  return await sql`SELECT item_id AS "itemId", available, reserved FROM inventory.items`;
}

async function readOrders(sql: SQL): Promise<BookedOrder[]> {
  const rows: { id: string; customer_id: string; status: OrderStatus; updated_at: Date }[] =
    await sql`SELECT id, customer_id, status, updated_at FROM orders.orders`;
  const lines: { order_id: string; item_id: string; quantity: number }[] = await sql`
    SELECT order_id, item_id, sum(quantity)::float8 AS quantity
    FROM orders.order_items GROUP BY order_id, item_id`;
  const linesOf = Map.groupBy(lines, (line) => line.order_id);
  return rows.map((row) => ({
    id: row.id,
    customerId: row.customer_id,
    status: row.status,
    updatedAtMs: row.updated_at.getTime(),
    quantities: new Map(
      (linesOf.get(row.id) ?? []).map(({ item_id, quantity }) => [item_id, quantity]),
    ),
  }));
}

/** What the topic holds, how far the worker's group has come, and what it gave up. */
export async function readTopics(
  brokers: string,
): Promise<Pick<Books, "deadLetters" | "records" | "recordsBehind">> {
  const kafka = createKafka({ connection: { brokers: brokers.split(",") }, clientId: "chaos" });
  return await withAdmin(kafka, async (admin) => {
    const topics = await admin.listTopics();
    const ends = topics.includes(ORDER_CREATED_TOPIC)
      ? await admin.fetchTopicOffsets(ORDER_CREATED_TOPIC)
      : [];
    const [committed] = await admin.fetchOffsets({
      groupId: SETTLING_GROUP,
      topics: [ORDER_CREATED_TOPIC],
    });
    const doneOf = new Map(
      committed?.partitions.map(({ partition, offset }) => [partition, Number(offset)]),
    );
    const behind = ends.map(({ partition, low, high }) => {
      return Number(high) - Math.max(doneOf.get(partition) ?? 0, Number(low));
    });
    return {
      records: ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0),
      recordsBehind: behind.reduce((sum, records) => sum + records, 0),
      deadLetters: topics.includes(ORDER_CREATED_DEAD_LETTER_TOPIC)
        ? await countRecords(admin, ORDER_CREATED_DEAD_LETTER_TOPIC)
        : 0,
    };
  });
}

async function countRecords(admin: Admin, topic: string): Promise<number> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
}
