// What grows gets an end: old idempotency keys and reservations are deleted, and what they guarded stays guarded.
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SQL } from "bun";
import type { Order } from "#lib/orders/order.ts";
import { orderCreatedValue } from "#lib/orders/order-created.ts";
import { call, expectError, line, newOrder, waitForStatus } from "./support/api.ts";
import { createDatabase } from "./support/conventions/flows.ts";
import { recordedSpans } from "./support/conventions/recorded.ts";
import { startServiceProcess, type ServiceProcess } from "./support/service-process.ts";
import {
  createItem,
  stack,
  startStack,
  STACK_START_TIMEOUT_MS,
  stockOf,
  TEST_TIMEOUT_MS,
} from "./support/stack.ts";
import { newTraceparent, settledTraceOf } from "./support/traces.ts";
import { until } from "./support/until.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

describe("idempotency keys", () => {
  test("of more than a day ago are forgotten, a key of yesterday is not", async () => {
    const { sql, services } = await stack();
    const order = newOrder([line("ITEM-UNKNOWN")]);
    const [old, young] = [crypto.randomUUID(), crypto.randomUUID()];
    const first = await place(order, old);
    const kept = await place(order, young);
    await sql`
      UPDATE orders.idempotency_keys SET created_at = now() - interval '24 hours 1 second'
      WHERE key = ${old}`;
    await sql`
      UPDATE orders.idempotency_keys SET created_at = now() - interval '23 hours 50 minutes'
      WHERE key = ${young}`;
    await until("the old key is gone", async () => {
      return (await sql`SELECT 1 FROM orders.idempotency_keys WHERE key = ${old}`).length === 0;
    });
    expect((await place(order, young)).json).toEqual(kept.json);
    // The order itself stays; the key is free.
    const { id } = first.json as Order;
    expect((await call("GET", `${services.orders}/orders/${id}`)).status).toBe(200);
    expect(((await place(order, old)).json as Order).id).not.toBe(id);
  });

  test("many are deleted in batches, each a short trace of its own, and counted", async () => {
    const { sql, services, traces } = await stack();
    const count = () => deleted(services.orders, "orders.idempotency_keys");
    const [countBefore, batchesBefore] = [await count(), cleanUpSpans().length];
    await sql`
      INSERT INTO orders.idempotency_keys (key, fingerprint, order_id, created_at)
      SELECT gen_random_uuid()::text, '', gen_random_uuid(), now() - interval '2 days'
      FROM generate_series(1, 1200)`;
    await until("they are gone", async () => {
      return (await oldKeys(sql)) === 0;
    });
    await until("they are counted", async () => (await count()) === countBefore + 1_200);
    const spans = await until("their spans have arrived", () => {
      const found = cleanUpSpans().slice(batchesBefore);
      return found.length >= 3 && found;
    });
    expect(spans.map(({ parentSpanId }) => parentSpanId).filter((id) => id !== "")).toEqual([]);
    await until("nothing is overdue any more", async () => {
      const line = /^orderflow_cleanup_overdue_seconds\{.*idempotency_keys.*\} (.+)$/m;
      return (await metric(services.orders, line)) === 0;
    });

    function cleanUpSpans() {
      return traces
        .traces()
        .flatMap((trace) => recordedSpans(trace))
        .filter(({ name }) => name === "clean up");
    }
  });
});

describe("reservations", () => {
  test("that have not changed for 30 days are deleted, and move no stock by that", async () => {
    const { sql } = await stack();
    const item = await createItem(10);
    const [old, young] = [orderIdOf(daysAgo(31)), orderIdOf(daysAgo(29))];
    await book(item, old, daysAgo(31));
    await book(item, young, daysAgo(29));
    await forgotten(old);
    expect(await stockOf(item)).toEqual({ available: 4, reserved: 6 });
    const rows = await sql`SELECT 1 FROM inventory.reservations WHERE order_id = ${young}`;
    expect(rows.length).toBe(1);

    // As long as there is a row it answers as ever.
    expect((await move("reserve", item, { quantity: 3, order_id: young })).status).toBe(200);
    expect((await move("release", item, { quantity: 3, order_id: young })).status).toBe(200);
    expect(await stockOf(item)).toEqual({ available: 7, reserved: 3 });
  });

  test("that changed in the last 30 days stay, however old they are", async () => {
    const { sql } = await stack();
    const item = await createItem(10);
    const [old, released] = [orderIdOf(daysAgo(40)), orderIdOf(daysAgo(41))];
    await book(item, old, daysAgo(40));
    await sql`UPDATE inventory.reservations SET updated_at = now() WHERE order_id = ${old}`;
    await book(item, released, daysAgo(41));
    await forgotten(released);
    const rows = await sql`SELECT 1 FROM inventory.reservations WHERE order_id = ${old}`;
    expect(rows.length).toBe(1);
  });

  test("a reserve that comes after its reservation was deleted is refused, and moves no stock", async () => {
    const item = await createItem(10);
    const body = { quantity: 3, order_id: orderIdOf(daysAgo(40)) };
    await book(item, body.order_id, daysAgo(40));
    await forgotten(body.order_id);
    for (const late of [body, { ...body, final: true }, { ...body, quantity: 2 }]) {
      expectError(await move("reserve", item, late), 409, /so old/);
    }
    // Another spelling is the same order.
    const capitals = { ...body, order_id: body.order_id.toUpperCase() };
    expectError(await move("reserve", item, capitals), 409, /so old/);
    expectError(await move("release", item, body), 409, /nothing/);
    expect(await stockOf(item)).toEqual({ available: 7, reserved: 3 });
  });

  test("so is one that comes after the deletion of its release", async () => {
    const item = await createItem(10);
    const body = { quantity: 3, order_id: orderIdOf(daysAgo(40)) };
    await book(item, body.order_id, daysAgo(40), "released");
    await forgotten(body.order_id);
    expectError(await move("reserve", item, body), 409, /so old/);
    expect(await stockOf(item)).toEqual({ available: 10, reserved: 0 });
  });

  test("an order whose clock was ahead of the database's is refused as well, a later one is not", async () => {
    const item = await createItem(10);
    // The youngest row that is ever deleted here, so that it is the one that counts.
    const bookedMs = daysAgo(30) - 1_000;
    const ahead = orderIdOf(bookedMs + 0.9 * HOUR_MS);
    await book(item, ahead, bookedMs);
    await forgotten(ahead);
    expectError(await move("reserve", item, { quantity: 3, order_id: ahead }), 409, /so old/);
    const later = orderIdOf(bookedMs + 1.5 * HOUR_MS);
    expect((await move("reserve", item, { quantity: 3, order_id: later })).status).toBe(200);
    expect(await stockOf(item)).toEqual({ available: 4, reserved: 6 });
  });

  test("an id that is no UUIDv7 does not tell its age, and neither its first nor its last moment is an error", async () => {
    const item = await createItem(10);
    for (const orderId of [crypto.randomUUID(), "4711", orderIdOf(2 ** 48 - 1)]) {
      const answer = await move("reserve", item, { quantity: 1, order_id: orderId });
      expect([orderId, answer.status]).toEqual([orderId, 200]);
    }
    const some = orderIdOf(daysAgo(40));
    await book(item, some, daysAgo(40));
    await forgotten(some);
    const earliest = { quantity: 1, order_id: orderIdOf(0) };
    expectError(await move("reserve", item, earliest), 409, /so old/);
  });

  test.each(["confirmed", "shipped", "cancelled"] as const)(
    "an event of a %s order that is delivered again after that changes neither stock nor status",
    async (status) => {
      const { services } = await stack();
      const item = await createItem(10);
      const held = status === "cancelled" ? 0 : 3;
      const order = await oldOrder(item, status);
      await book(item, order.id, daysAgo(40), held > 0 ? "reserved" : "released");
      await forgotten(order.id);
      await redeliver(order);
      expect(await stockOf(item)).toEqual({ available: 10 - held, reserved: held });
      expect((await call("GET", `${services.orders}/orders/${order.id}`)).json).toMatchObject({
        status,
      });
    },
  );

  test("a pending order that is that old is cancelled by its event, and takes no stock", async () => {
    const item = await createItem(10);
    // What was deleted reaches as far as this order.
    const other = orderIdOf(daysAgo(35));
    await book(item, other, daysAgo(35));
    await forgotten(other);
    const order = await oldOrder(item, "pending");
    await redeliver(order);
    await waitForStatus(order.id, "cancelled");
    expect(await stockOf(item)).toEqual({ available: 7, reserved: 3 });
  });
});

describe("the clean-up", () => {
  test("of three replicas deletes each row once, and waits for no row that is in use", async () => {
    const { sql, postgresUrl } = await database();
    await oldReservations(sql, 4_000);
    const busy = new SQL(postgresUrl, { max: 1 });
    undo.push(() => busy.close());
    const replicas: ServiceProcess[] = [];
    await busy.begin(async (tx) => {
      // The oldest one: a DELETE that waited for it would delete nothing at all.
      await tx`
        SELECT 1 FROM inventory.reservations ORDER BY updated_at, order_id LIMIT 1 FOR UPDATE`;
      replicas.push(...(await Promise.all([1, 2, 3].map(() => startInventory(postgresUrl)))));
      await until("all others are gone", async () => (await reservations(sql)) === 1);
      const overdue = await until("it has looked", () =>
        metric(replicas[0]!.url, /^orderflow_cleanup_overdue_seconds\S* (.+)$/m),
      );
      expect(overdue).toBeGreaterThan(DAY_MS / 1_000);
    });
    await until("the last one, too", async () => (await reservations(sql)) === 0);
    await until("each is counted once", async () => {
      const counts = replicas.map(({ url }) => deleted(url, "inventory.reservations"));
      return (await Promise.all(counts)).reduce((sum, count) => sum + count) === 4_000;
    });
    // The index: a table of this size would be scanned otherwise, at each of many looks.
    await until("the statistics tell that it is used", async () => {
      const [usage] = await sql`
        SELECT idx_scan::int AS scans FROM pg_stat_user_indexes
        WHERE indexrelname = 'reservations_updated_at_idx'`;
      return usage.scans > 8;
    });
  });

  test("ends with its service in the middle of its work, and takes half a batch of nothing", async () => {
    const { sql, postgresUrl } = await database();
    await oldReservations(sql, 30_000);
    const inventory = await startInventory(postgresUrl);
    await until("it is at work", async () => (await reservations(sql)) < 30_000);
    inventory.kill("SIGTERM");
    expect(await inventory.exited).toBe(0);
    const left = await reservations(sql);
    expect(left).toBeGreaterThan(0);
    expect(left % 500).toBe(0);
  });

  test("is on the metrics from the start of its service, before its first round", async () => {
    const { sql, postgresUrl } = await database();
    await oldReservations(sql, 10);
    const inventory = await startInventory(postgresUrl, { CLEANUP_INTERVAL_MS: "86400000" });
    const overdue = await until("it has looked", () =>
      metric(inventory.url, /^orderflow_cleanup_overdue_seconds\S* (.+)$/m),
    );
    expect(overdue * 1_000).toBeCloseTo(10 * DAY_MS, -6);
    expect(
      await metric(
        inventory.url,
        /^orderflow_cleanup_deleted_total\S*inventory.reservations\S* (.+)$/m,
      ),
    ).toBe(0);
    expect(await reservations(sql)).toBe(10);
  });

  test("that fails says so, leaves the service at work, and goes on when it can", async () => {
    const { sql, postgresUrl } = await database();
    const inventory = await startInventory(postgresUrl);
    await inventory.ready();
    await sql`ALTER TABLE inventory.reservations RENAME COLUMN updated_at TO away`;
    await until("it has failed twice", () => {
      const said = inventory.lines.filter(
        ({ message }) => message === "old rows of inventory.reservations could not be deleted",
      );
      return said.length >= 2;
    });
    expect((await call("GET", `${inventory.url}/stock`)).status).toBe(200);
    await sql`ALTER TABLE inventory.reservations RENAME COLUMN away TO updated_at`;
    await oldReservations(sql, 10);
    await until("it works again", async () => (await reservations(sql)) === 0);
  });

  test("keeps what it was told to keep, by variables", async () => {
    const { sql, postgresUrl } = await database();
    await oldReservations(sql, 10); // 40 days
    await sql`
      INSERT INTO inventory.reservations (order_id, item_id, quantity, status, updated_at)
      VALUES ('older', 'ITEM-001', 1, 'reserved', now() - interval '51 days')`;
    await startInventory(postgresUrl, { RESERVATIONS_KEEP_DAYS: "50" });
    await until("the older one is gone", async () => (await reservations(sql)) <= 10);
    expect(await reservations(sql)).toBe(10);
  });
});

async function place(order: unknown, key: string) {
  const { services } = await stack();
  return await call("POST", `${services.orders}/orders`, order, { "idempotency-key": key });
}

/** A UUIDv7 of a moment. */
function orderIdOf(ms: number): string {
  const time = Math.floor(ms).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15, 18)}-8${crypto.randomUUID().slice(20)}`;
}

async function move(kind: "reserve" | "release", itemId: string, body: unknown) {
  const { services } = await stack();
  return await call("POST", `${services.inventory}/stock/${itemId}/${kind}`, body);
}

const daysAgo = (days: number) => Date.now() - days * DAY_MS;

/** Books 3 pieces of an item for an order, at a moment that may be long ago. */
async function book(
  itemId: string,
  orderId: string,
  ms: number,
  status: "reserved" | "released" = "reserved",
): Promise<void> {
  const { sql } = await stack();
  const moved = status === "reserved" ? 3 : 0;
  await sql.begin(async (tx) => {
    await tx`
      UPDATE inventory.items SET available = available - ${moved}, reserved = reserved + ${moved}
      WHERE item_id = ${itemId}`;
    await tx`
      INSERT INTO inventory.reservations
        (order_id, item_id, quantity, status, created_at, updated_at)
      VALUES (${orderId}, ${itemId}, 3, ${status}, ${new Date(ms)}, ${new Date(ms)})`;
  });
}

async function forgotten(orderId: string): Promise<void> {
  const { sql } = await stack();
  await until(`the reservations of ${orderId} are deleted`, async () => {
    const rows = await sql`SELECT 1 FROM inventory.reservations WHERE order_id = ${orderId}`;
    return rows.length === 0;
  });
}

/** An order of 3 pieces, made 40 days ago. */
async function oldOrder(itemId: string, status: Order["status"]): Promise<Order> {
  const { sql } = await stack();
  const createdAt = new Date(Date.now() - 40 * DAY_MS);
  const id = orderIdOf(createdAt.getTime());
  const order: Order = {
    id,
    customer_id: "late",
    items: [line(itemId, 3)],
    total: 750,
    status,
    created_at: createdAt.toISOString(),
  };
  await sql`
    INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
    VALUES (${id}, 'late', ${status}, 750, ${createdAt}, ${createdAt})`;
  await sql`
    INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
    VALUES (${crypto.randomUUID()}, ${id}, ${itemId}, 3, 250)`;
  return order;
}

/** Publishes an order's event again, and waits until the worker is through with it. */
async function redeliver(order: Order): Promise<void> {
  const { sql } = await stack();
  const { traceId, traceparent } = newTraceparent();
  await sql`
    INSERT INTO orders.outbox (topic, key, payload, headers)
    VALUES ('order.created', ${order.id}, ${orderCreatedValue(order)}, ${{ traceparent }}::jsonb)`;
  await settledTraceOf(traceId, (spans) =>
    spans.some(({ name }) => name === "process order.created"),
  );
}

async function database() {
  const own = await createDatabase(await stack());
  undo.push(() => own.drop());
  return own;
}

async function startInventory(
  postgresUrl: string,
  env: Record<string, string> = {},
): Promise<ServiceProcess> {
  const inventory = await startServiceProcess("inventory", {
    POSTGRES_URL: postgresUrl,
    CLEANUP_INTERVAL_MS: "100",
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
    ...env,
  });
  undo.push(() => inventory.stop());
  return inventory;
}

async function oldReservations(sql: SQL, count: number): Promise<void> {
  await sql`
    INSERT INTO inventory.reservations (order_id, item_id, quantity, status, updated_at)
    SELECT gen_random_uuid()::text, 'ITEM-001', 1, 'reserved', now() - interval '40 days'
    FROM generate_series(1, ${count}::integer)`;
  await sql`ANALYZE inventory.reservations`;
}

async function reservations(sql: SQL): Promise<number> {
  const [found] = await sql`SELECT count(*)::int AS count FROM inventory.reservations`;
  return found.count;
}

async function oldKeys(sql: SQL): Promise<number> {
  const [found] = await sql`
    SELECT count(*)::int AS count FROM orders.idempotency_keys
    WHERE created_at < now() - interval '1 day'`;
  return found.count;
}

async function deleted(url: string, table: string): Promise<number> {
  const line = new RegExp(
    `^orderflow_cleanup_deleted_total\\{[^}]*orderflow_cleanup_table="${table}"[^}]*\\} (.+)$`,
    "m",
  );
  return (await metric(url, line)) ?? 0;
}

async function metric(url: string, line: RegExp): Promise<number | undefined> {
  const found = line.exec(await (await fetch(`${url}/metrics`)).text());
  return found ? Number(found[1]) : undefined;
}
