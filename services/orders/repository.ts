/**
 * Orders in PostgreSQL. An order, its items and its event are written in one transaction: there is
 * no moment at which one exists without the others.
 */
import { onDatabase } from "#lib/service/database.ts";
import { throwIfTooLate } from "#lib/service/deadline.ts";
import { faultStrikes, POISON_VALUE, SLOW_SQL_SECONDS } from "#lib/service/faults.ts";
import { ConflictError, NotFoundError, UnavailableError } from "#lib/service/errors.ts";
import { ORDER_CREATED_TOPIC, orderCreatedValue } from "#lib/orders/order-created.ts";
import {
  canTransition,
  ORDER_STATUSES,
  orderTotal,
  type NewOrder,
  type Order,
  type OrderItem,
  type OrderStatus,
} from "#lib/orders/order.ts";
import { traceCreate } from "#lib/telemetry/kafka-producer.ts";
import type { Queryable, TracedSql } from "#lib/telemetry/sql.ts";
import type { Cursor, PageRequest } from "./list-page.ts";

/** How often a status is set again when it changed between the change and the look at it. */
const TRIES_MAX = 3;

interface OrderRow {
  id: string;
  customer_id: string;
  status: OrderStatus;
  /** bigint comes as text */
  total: string;
  created_at: Date;
}

interface ItemRow {
  order_id: string;
  item_id: string;
  quantity: number;
  price: string;
}

/** One page, and where the next one starts if there is more. */
export interface Page {
  orders: Order[];
  next?: Cursor;
}

/** An order after a status change, and how long it took to settle if this call settled it. */
export interface StatusChange {
  order: Order;
  settledAfterSeconds?: number;
}

export type OrderRepository = ReturnType<typeof createOrderRepository>;

/** @param db where the `orders` schema lives */
export function createOrderRepository(db: TracedSql) {
  return {
    create: (input: NewOrder) => onDatabase(() => createOrder(db, input)),
    /** @throws NotFoundError */
    get: (id: string) => onDatabase(() => getOrder(db, id)),
    /** Two statements a page: the orders, then all their items. */
    list: (page: PageRequest) =>
      onDatabase(async () => {
        const { rows, next } = await selectPage(db, page);
        const items = await selectItems(
          db,
          rows.map((row) => row.id),
        );
        return toPage(
          rows.map((row) => toOrder(row, items)),
          next,
        );
      }),
    /** One statement for the orders and one more for each of them: what a trace shows as N+1. */
    listNPlusOne: (page: PageRequest) =>
      onDatabase(async () => {
        const { rows, next } = await selectPage(db, page);
        const orders: Order[] = [];
        for (const row of rows) orders.push(toOrder(row, await selectItems(db, [row.id])));
        return toPage(orders, next);
      }),
    /** @throws NotFoundError; ConflictError for a transition that is not allowed */
    setStatus: (id: string, status: OrderStatus) => onDatabase(() => setStatus(db, id, status)),
  };
}

async function createOrder(db: TracedSql, input: NewOrder): Promise<Order> {
  const order: Order = {
    id: Bun.randomUUIDv7(),
    customer_id: input.customer_id,
    items: input.items.map(({ item_id, quantity, price }) => ({ item_id, quantity, price })),
    total: orderTotal(input.items),
    status: "pending",
    created_at: new Date().toISOString(),
  };
  await db.transaction(async (tx) => {
    // The wait for a connection may have outlasted the caller, who then does not know of this order.
    throwIfTooLate();
    await insertOrder(tx, order);
    await insertItems(tx, order);
    await traceCreate(ORDER_CREATED_TOPIC, order.id, async (headers) => {
      await insertEvent(tx, ORDER_CREATED_TOPIC, order.id, orderCreatedValue(order), headers);
    });
    if (faultStrikes("poison-message")) await insertPoison(tx, order.id);
  });
  return order;
}

/** The fault `poison-message`: one record more, which is no order's event. */
async function insertPoison(tx: Queryable, key: string) {
  await traceCreate(ORDER_CREATED_TOPIC, key, async (headers) => {
    await insertEvent(tx, ORDER_CREATED_TOPIC, key, POISON_VALUE, headers);
  });
}

async function insertOrder(tx: Queryable, order: Order) {
  await tx.query`
    INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
    VALUES (${order.id}, ${order.customer_id}, ${order.status}, ${order.total},
            ${order.created_at}::timestamptz, ${order.created_at}::timestamptz)`;
}

async function insertItems(tx: Queryable, { id, items }: Order) {
  // Version 7 ids grow with time, so that the order of the lines can be read back from them.
  await tx.query`
    INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
    SELECT line.id, ${id}, line.item_id, line.quantity, line.price
    FROM unnest(
      ${items.map(() => Bun.randomUUIDv7())}::uuid[], ${items.map((item) => item.item_id)}::text[],
      ${items.map((item) => item.quantity)}::integer[], ${items.map((item) => item.price)}::bigint[]
    ) AS line (id, item_id, quantity, price)`;
}

async function insertEvent(
  tx: Queryable,
  topic: string,
  key: string,
  payload: string,
  headers: Record<string, string>,
) {
  await tx.query`
    INSERT INTO orders.outbox (topic, key, payload, headers)
    VALUES (${topic}, ${key}, ${payload}, ${headers}::jsonb)`;
}

async function getOrder(db: Queryable, id: string): Promise<Order> {
  const [row] = await db.query<OrderRow>`
    SELECT id, customer_id, status, total, created_at FROM orders.orders WHERE id = ${id}`;
  if (!row) throw new NotFoundError(`there is no order ${id}`);
  return toOrder(row, await selectItems(db, [id]));
}

async function setStatus(db: Queryable, id: string, status: OrderStatus): Promise<StatusChange> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const changed = await tryToSetStatus(db, id, status);
    if (changed) return changed;
    const order = await getOrder(db, id);
    if (order.status === status) return { order };
    if (!canTransition(order.status, status)) {
      throw new ConflictError(`an order that is ${order.status} cannot become ${status}`);
    }
  }
  throw new UnavailableError("this order's status changes too often; try again shortly");
}

/** @returns undefined where the order is not there, or its status does not allow it */
async function tryToSetStatus(
  db: Queryable,
  id: string,
  status: OrderStatus,
): Promise<StatusChange | undefined> {
  const from = ORDER_STATUSES.filter((before) => canTransition(before, status));
  const [changed] = await db.query<OrderRow & { age_seconds: number }>`
    UPDATE orders.orders SET status = ${status}, updated_at = now()
    WHERE id = ${id} AND status = ANY (${from}::text[])
    RETURNING id, customer_id, status, total, created_at,
              extract(epoch FROM now() - created_at)::float8 AS age_seconds`;
  if (!changed) return undefined;
  const order = toOrder(changed, await selectItems(db, [id]));
  // The two clocks may differ by some milliseconds.
  const settledAfterSeconds = Math.max(0, changed.age_seconds);
  return status === "shipped" ? { order } : { order, settledAfterSeconds };
}

/** Reads one order more than asked for: if it is there, there is a next page. */
async function selectPage(db: Queryable, page: PageRequest) {
  const values: unknown[] = [];
  const param = (value: unknown) => `$${values.push(value)}`;
  const conditions: string[] = [];
  if (page.status) conditions.push(`status = ${param(page.status)}`);
  if (page.customerId !== undefined) conditions.push(`customer_id = ${param(page.customerId)}`);
  if (page.cursor) {
    conditions.push(
      `(created_at, id) < (timestamptz 'epoch' + ${param(page.cursor.createdUs)}::bigint * interval '1 microsecond', ${param(page.cursor.id)}::uuid)`,
    );
  }
  const where = conditions.length > 0 ? ` WHERE ${conditions.join(" AND ")}` : "";
  const slow = faultStrikes("slow-sql") ? ` CROSS JOIN pg_sleep(${SLOW_SQL_SECONDS})` : "";
  const found = await db.run<OrderRow & { created_us: string }>(
    `SELECT id, customer_id, status, total, created_at, (extract(epoch FROM created_at) * 1000000)::bigint AS created_us` +
      ` FROM orders.orders${slow}${where} ORDER BY created_at DESC, id DESC LIMIT ${param(page.limit + 1)}`,
    values,
  );
  const rows = found.slice(0, page.limit);
  const last = rows.at(-1);
  const next =
    found.length > rows.length && last ? { createdUs: last.created_us, id: last.id } : undefined;
  return { rows, next };
}

async function selectItems(db: Queryable, orderIds: string[]): Promise<Map<string, OrderItem[]>> {
  const rows = await db.query<ItemRow>`
    SELECT order_id, item_id, quantity, price FROM orders.order_items
    WHERE order_id = ANY (${orderIds}::uuid[]) ORDER BY id`;
  const byOrder = new Map<string, OrderItem[]>();
  for (const { order_id, item_id, quantity, price } of rows) {
    const items = byOrder.get(order_id) ?? [];
    items.push({ item_id, quantity, price: Number(price) });
    byOrder.set(order_id, items);
  }
  return byOrder;
}

function toOrder(row: OrderRow, items: Map<string, OrderItem[]>): Order {
  return {
    id: row.id,
    customer_id: row.customer_id,
    items: items.get(row.id) ?? [],
    total: Number(row.total),
    status: row.status,
    created_at: row.created_at.toISOString(),
  };
}

function toPage(orders: Order[], next: Cursor | undefined): Page {
  return next ? { orders, next } : { orders };
}
