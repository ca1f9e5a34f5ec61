/**
 * Orders in PostgreSQL. An order, its items and its event are written in one transaction: there is
 * no moment at which one exists without the others.
 */
import { onDatabase } from "#lib/service/database.ts";
import { throwIfTooLate } from "#lib/service/deadline.ts";
import { faultStrikes, POISON_VALUE, SLOW_SQL_SECONDS } from "#lib/service/faults.ts";
import {
  ConflictError,
  NotFoundError,
  UnavailableError,
  UnprocessableError,
} from "#lib/service/errors.ts";
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
import { ATTR_ORDER_ID } from "#lib/orders/attributes.ts";
import { traceCreate } from "#lib/telemetry/kafka/index.ts";
import { inSpan } from "#lib/telemetry/index.ts";
import type { Queryable, TracedSql } from "#lib/telemetry/sql/sql.ts";
import type { Cursor, PageRequest } from "./list-page.ts";

/** How often something is tried again when others changed it between the change and the look at it. */
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

/** An order's row beside one of its items, or beside none where it has none: a LEFT JOIN's row. */
type OrderLine = OrderRow & (ItemRow | { order_id: null });

/** One page, and where the next one starts if there is more. */
export interface Page {
  orders: Order[];
  next?: Cursor;
}

/** What `POST /orders` came to. */
export interface CreatedOrder {
  /** As it was when it was made, so `pending`. */
  order: Order;
  /** False where an earlier request with the same idempotency key made it. */
  isNew: boolean;
}

/** An order after a status change, and how long it took to settle if this call settled it. */
export interface StatusChange {
  order: Order;
  settledAfterSeconds?: number;
}

/** An order that should be settled by now. */
export interface OverdueOrder {
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  /** Its last change in microseconds since 1970, as PostgreSQL stores it. */
  readonly updatedUs: string;
}

export type OrderRepository = ReturnType<typeof createOrderRepository>;

/** @param db where the `orders` schema lives */
export function createOrderRepository(db: TracedSql) {
  return {
    /**
     * @param key the caller's idempotency key; the same key and order again is answered with the order
     *   that was made, two at once make one. Without a key each call makes an order
     * @throws UnprocessableError where the key was used for another order
     */
    create: (input: NewOrder, key?: string) => onDatabase(() => createOrder(db, input, key)),
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
    /** The orders that have been pending for long and have no event in the outbox, oldest first. */
    listOverdue: (olderThanSeconds: number, limit: number) =>
      onDatabase(() => selectOverdue(db, olderThanSeconds, limit)),
    /**
     * Writes the event of an overdue order into the outbox once more.
     * @param seen the order as it was listed
     * @returns whether it was written: not where the order has changed since, or another call for it was
     *   faster, however close they were
     */
    republish: (seen: OverdueOrder) => onDatabase(() => republish(db, seen)),
    /** @throws NotFoundError; ConflictError for a transition that is not allowed */
    setStatus: (id: string, status: OrderStatus) => onDatabase(() => setStatus(db, id, status)),
  };
}

async function createOrder(db: TracedSql, input: NewOrder, key?: string): Promise<CreatedOrder> {
  const order: Order = {
    id: Bun.randomUUIDv7(),
    customer_id: input.customer_id,
    items: input.items.map(({ item_id, quantity, price }) => ({ item_id, quantity, price })),
    total: orderTotal(input.items),
    status: "pending",
    created_at: new Date().toISOString(),
  };
  const id = await db.transaction(async (tx) => {
    // The wait for a connection may have outlasted the caller, who then does not know of this order.
    throwIfTooLate();
    const madeBefore = key === undefined ? undefined : await claimKey(tx, key, order);
    if (madeBefore !== undefined) return madeBefore;
    // Sent one behind the other without a wait for each one's answer: one round trip instead of three
    // (through a pooler Bun waits for each). The server runs them in this order, and none after one that
    // fails there; whatever did run goes with the ROLLBACK.
    await Promise.all([
      insertOrder(tx, order),
      insertItems(tx, order),
      traceCreate(ORDER_CREATED_TOPIC, order.id, async (headers) => {
        await insertEvent(tx, ORDER_CREATED_TOPIC, order.id, orderCreatedValue(order), headers);
      }),
    ]);
    if (faultStrikes("poison-message")) await insertPoison(tx, order.id);
    return order.id;
  });
  if (id === order.id) return { order, isNew: true };
  // The same answer as the first time, though the order has gone on since: GET shows how far.
  return { order: { ...(await getOrder(db, id)), status: "pending" }, isNew: false };
}

/**
 * Takes the key for an order. Where another transaction has it in hand, this waits for that one's end,
 * within the server's limit for a statement: a key is taken by who commits, and free again after a
 * ROLLBACK.
 * @returns the id of the order that was made with this key before; undefined where it is taken now
 * @throws UnprocessableError where that was another order
 */
async function claimKey(tx: Queryable, key: string, order: Order): Promise<string | undefined> {
  const fingerprint = fingerprintOf(order);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const taken = await tx.query`
      INSERT INTO orders.idempotency_keys (key, fingerprint, order_id)
      VALUES (${key}, ${fingerprint}, ${order.id})
      ON CONFLICT DO NOTHING
      RETURNING key`;
    if (taken.length > 0) return undefined;
    const [known] = await tx.query<{ fingerprint: string; order_id: string }>`
      SELECT fingerprint, order_id FROM orders.idempotency_keys WHERE key = ${key}`;
    if (known && known.fingerprint !== fingerprint) {
      throw new UnprocessableError("this Idempotency-Key was used for another order");
    }
    if (known) return known.order_id;
    // The clean-up took it away in between.
  }
  throw new UnavailableError("this Idempotency-Key changes too often; try again shortly");
}

/** Of what was ordered, however the JSON was written: the order of its fields, or others beside them. */
function fingerprintOf({ customer_id, items }: NewOrder): string {
  const lines = items.map(({ item_id, quantity, price }) => [item_id, quantity, price]);
  return new Bun.CryptoHasher("sha256").update(JSON.stringify([customer_id, lines])).digest("hex");
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
  const order = orderOfLines(
    await db.query<OrderLine>`
      SELECT found.id, found.customer_id, found.status, found.total, found.created_at,
             item.order_id, item.item_id, item.quantity, item.price
      FROM orders.orders AS found LEFT JOIN orders.order_items AS item ON item.order_id = found.id
      WHERE found.id = ${id} ORDER BY item.id`,
  );
  if (!order) throw new NotFoundError(`there is no order ${id}`);
  return order;
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
  const lines = await db.query<OrderLine & { age_seconds: number }>`
    WITH changed AS (
      UPDATE orders.orders SET status = ${status}, updated_at = now()
      WHERE id = ${id} AND status = ANY (${from}::text[])
      RETURNING id, customer_id, status, total, created_at
    )
    SELECT changed.*, extract(epoch FROM now() - changed.created_at)::float8 AS age_seconds,
           item.order_id, item.item_id, item.quantity, item.price
    FROM changed LEFT JOIN orders.order_items AS item ON item.order_id = changed.id ORDER BY item.id`;
  const order = orderOfLines(lines);
  if (!order) return undefined;
  // The two clocks may differ by some milliseconds.
  const settledAfterSeconds = Math.max(0, lines[0]?.age_seconds ?? 0);
  return status === "shipped" ? { order } : { order, settledAfterSeconds };
}

async function selectOverdue(
  db: Queryable,
  olderThanSeconds: number,
  limit: number,
): Promise<OverdueOrder[]> {
  const pending: OrderStatus = "pending";
  // updated_at too: what was republished just now is on its way.
  const rows = await db.query<{ id: string; created_at: Date; updated_us: string }>`
    SELECT id, created_at, (extract(epoch FROM updated_at) * 1000000)::bigint AS updated_us
    FROM orders.orders AS overdue
    WHERE status = ${pending}
      AND created_at <= now() - make_interval(secs => ${olderThanSeconds})
      AND updated_at <= now() - make_interval(secs => ${olderThanSeconds})
      AND NOT EXISTS (SELECT 1 FROM orders.outbox AS event WHERE event.key = overdue.id::text)
    ORDER BY created_at, id LIMIT ${limit}`;
  return rows.map(({ id, created_at, updated_us }) => ({
    id,
    createdAt: created_at.toISOString(),
    updatedUs: updated_us,
  }));
}

/**
 * The old event's trace context went with it, so this one begins a trace of its own.
 *
 * The change of `updated_at` is what two calls at once meet at: the second one waits for the first one's
 * transaction, and then finds another order than it has seen.
 */
async function republish(db: TracedSql, { id, updatedUs }: OverdueOrder): Promise<boolean> {
  const pending: OrderStatus = "pending";
  return await inSpan("republish order", { [ATTR_ORDER_ID]: id }, () =>
    db.transaction(async (tx) => {
      const [row] = await tx.query<OrderRow>`
        UPDATE orders.orders SET updated_at = now()
        WHERE id = ${id} AND status = ${pending}
          AND (extract(epoch FROM updated_at) * 1000000)::bigint = ${updatedUs}::bigint
          AND NOT EXISTS (SELECT 1 FROM orders.outbox AS event WHERE event.key = ${id}::text)
        RETURNING id, customer_id, status, total, created_at`;
      if (!row) return false;
      const order = toOrder(row, await selectItems(tx, [id]));
      await traceCreate(ORDER_CREATED_TOPIC, id, async (headers) => {
        await insertEvent(tx, ORDER_CREATED_TOPIC, id, orderCreatedValue(order), headers);
      });
      return true;
    }),
  );
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
  return byOrder(rows);
}

function byOrder(rows: readonly ItemRow[]): Map<string, OrderItem[]> {
  const lines = new Map<string, OrderItem[]>();
  for (const { order_id, item_id, quantity, price } of rows) {
    const items = lines.get(order_id) ?? [];
    items.push({ item_id, quantity, price: Number(price) });
    lines.set(order_id, items);
  }
  return lines;
}

/** @param lines all of one order */
function orderOfLines(lines: readonly OrderLine[]): Order | undefined {
  const [row] = lines;
  return row && toOrder(row, byOrder(lines.filter((line) => line.order_id !== null)));
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
