// Idempotency-Key on POST /orders, at the gateway and at the orders service: asking again makes no second order.
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Order } from "#lib/orders/order.ts";
import { call, expectError, line, newOrder, rawCall, waitForStatus } from "./support/api.ts";
import { allCalledAt, startServiceProcess } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";
import { until } from "./support/until.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** An order that no other test places. */
const anOrder = () => newOrder([line("ITEM-UNKNOWN")], `idempotent-${crypto.randomUUID()}`);
const newKey = () => `key-${crypto.randomUUID()}`;
const withKey = (key: string) => ({ "idempotency-key": key });

describe.each(["gateway", "orders"] as const)("Idempotency-Key at %s", (service) => {
  const at = async (path: string) => (await stack()).services[service] + path;
  const post = async (body: unknown, headers: Record<string, string> = {}) =>
    call("POST", await at("/orders"), body, headers);

  test("the same key and order again is answered as the first time, however far it has gone", async () => {
    const order = newOrder([line("ITEM-UNKNOWN", 2, 7), line("ITEM-UNKNOWN", 1, 5)], "ann");
    const key = newKey();
    const first = await post(order, withKey(key));
    expect(first.status, first.text).toBe(201);
    const { id } = first.json as Order;
    await waitForStatus(id, "cancelled");

    const again = await post(order, withKey(key));
    expect({ status: again.status, json: again.json }).toEqual({ status: 201, json: first.json });
    expect(again.headers.get("location")).toBe(`/orders/${id}`);
    expect((await call("GET", await at(`/orders/${id}`))).json).toMatchObject({
      status: "cancelled",
    });
  });

  test("the same order is told from another by what is ordered, not by how it is written", async () => {
    const key = newKey();
    const { customer_id, items } = anOrder();
    const first = await post({ customer_id, items }, withKey(key));
    const rewritten = `{ "note": 1, "items": [ {"price":250.0,"quantity":1,"item_id":"ITEM-UNKNOWN"} ],
      "customer_id": ${JSON.stringify(customer_id)} }`;
    expect((await post(rewritten, withKey(key))).json).toEqual(first.json);
  });

  test.each([
    ["another customer", (order: ReturnType<typeof newOrder>) => (order.customer_id += "x")],
    ["another item", (order: ReturnType<typeof newOrder>) => (order.items = [line("OTHER")])],
    ["one piece more", (order: ReturnType<typeof newOrder>) => order.items[0]!.quantity++],
    ["another price", (order: ReturnType<typeof newOrder>) => order.items[0]!.price++],
    ["a line more", (order: ReturnType<typeof newOrder>) => order.items.push(line("ITEM-UNKNOWN"))],
  ])("the same key with %s is 422, and makes nothing", async (_, change) => {
    const key = newKey();
    const order = anOrder();
    const first = await post(order, withKey(key));
    const changed = structuredClone(order);
    change(changed);
    expectError(await post(changed, withKey(key)), 422, /Idempotency-Key/);
    expect(await ordersOf(changed.customer_id)).toBe(
      changed.customer_id === order.customer_id ? 1 : 0,
    );
    expect((await post(order, withKey(key))).json).toEqual(first.json);
  });

  test("fifty at once make one order, one event and one count", async () => {
    const order = anOrder();
    const key = newKey();
    const before = await createdCount();
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(order, withKey(key))));
    expect(answers.filter(({ status }) => status !== 201)).toEqual([]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(new Set(answers.map(({ headers }) => headers.get("location"))).size).toBe(1);
    expect(await ordersOf(order.customer_id)).toBe(1);
    const [made = ""] = await orderIdsOf(order.customer_id);
    await waitForStatus(made, "cancelled");
    expect((await createdCount()) - before).toBe(1);
  });

  test("without a key each request makes an order", async () => {
    const order = anOrder();
    await Promise.all([post(order), post(order)]);
    expect(await ordersOf(order.customer_id)).toBe(2);
  });

  test.each([
    ["1 character", "!"],
    ["255 characters", `${"~".repeat(219)}${crypto.randomUUID()}`],
    ["quotes, commas and what SQL would mind", `"';,--\\%_${crypto.randomUUID()}`],
  ])("a key of %s is taken as it is", async (_, start) => {
    const key = start.length === 1 ? start : start.slice(0, 255);
    const order = { ...anOrder(), customer_id: `key of ${start.length}` };
    const first = await post(order, withKey(key));
    expect(first.status, first.text).toBe(201);
    expect((await post(order, withKey(key))).json).toEqual(first.json);
  });

  test.each([
    ["empty", ["Idempotency-Key:"]],
    ["blank", ["Idempotency-Key:   "]],
    ["of 256 characters", [`Idempotency-Key: ${"x".repeat(256)}`]],
    ["of 8,000 characters", [`Idempotency-Key: ${"x".repeat(8_000)}`]],
    ["of two words", ["Idempotency-Key: a b"]],
    ["with a tab in it", ["Idempotency-Key: a\tb"]],
    ["with a letter that is not ASCII", ["Idempotency-Key: schlüssel"]],
    ["in Latin-1", ["Idempotency-Key: schl\xfcssel"]],
    ["sent twice", ["Idempotency-Key: a", "Idempotency-Key: b"]],
    ["sent twice with one value", ["Idempotency-Key: a", "idempotency-key: a"]],
    ["sent twice, once empty", ["Idempotency-Key: a", "Idempotency-Key:"]],
  ])("a key that is %s is 400, and makes nothing", async (what, lines) => {
    const order = anOrder();
    const body = JSON.stringify(order);
    const head = ["POST /orders HTTP/1.1", "Host: a", "Connection: close", ...lines];
    const text = `${[...head, `Content-Length: ${body.length}`].join("\r\n")}\r\n\r\n${body}`;
    const encoding = what === "in Latin-1" ? "latin1" : "utf8";
    expectError(
      await rawCall(await at("/orders"), Buffer.from(text, encoding)),
      400,
      /Idempotency/,
    );
    expect(await ordersOf(order.customer_id)).toBe(0);
  });

  test.each(["\0", "\x01", "\x7f", "\x1b"])(
    "a key with the control character %j is refused",
    async (c) => {
      const order = anOrder();
      const body = JSON.stringify(order);
      const answer = await rawCall(
        await at("/orders"),
        `POST /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nIdempotency-Key: a${c}b\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      // Bun's server refuses some of them before we see the request.
      expect(answer.status).toBe(400);
      expect(await ordersOf(order.customer_id)).toBe(0);
    },
  );
});

test("a key that came through the gateway is the same key at orders", async () => {
  const { services } = await stack();
  const [order, key] = [anOrder(), newKey()];
  const first = await call("POST", `${services.gateway}/orders`, order, withKey(key));
  const again = await call("POST", `${services.orders}/orders`, order, withKey(key));
  expect({ status: again.status, json: again.json }).toEqual({ status: 201, json: first.json });
});

test("a caller that got 504 gets, when it asks again, the order that was made", async () => {
  const { services } = await stack();
  const [order, key] = [anOrder(), newKey()];
  // Between the gateway and orders: the first answer gets lost.
  let passed = 0;
  const between = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 30,
    async fetch(request) {
      const url = services.orders + new URL(request.url).pathname;
      const answer = await fetch(url, {
        method: request.method,
        headers: request.headers,
        body: await request.text(),
      });
      if (request.method === "POST" && passed++ === 0) await new Promise(() => {});
      return answer;
    },
  });
  undo.push(() => between.stop(true));
  const gateway = await startServiceProcess("gateway", {
    ...allCalledAt(services.inventory, "gateway"),
    ORDERS_SERVICE_URL: between.url.origin,
    OTEL_SDK_DISABLED: "true",
  });
  undo.push(() => gateway.stop());
  const post = () => call("POST", `${gateway.url}/orders`, order, withKey(key));
  expectError(await post(), 504);
  const [made] = await orderIdsOf(order.customer_id);
  const again = await post();
  expect({ status: again.status, id: (again.json as Order).id }).toEqual({
    status: 201,
    id: made!,
  });
  expect(await ordersOf(order.customer_id)).toBe(1);
});

test("a caller that hung up gets, when it asks again, the order that was made", async () => {
  const { services } = await stack();
  const [order, key] = [anOrder(), newKey()];
  const caller = new AbortController();
  const headers = withKey(key);
  await whileLocked("orders.orders", async () => {
    fetch(`${services.orders}/orders`, {
      method: "POST",
      headers,
      body: JSON.stringify(order),
      signal: caller.signal,
    }).catch(() => {});
    await waiting("INSERT INTO orders.orders", 1);
    caller.abort();
  });
  const made = await until("the order is there all the same", async () => {
    return (await orderIdsOf(order.customer_id))[0];
  });
  const again = await call("POST", `${services.orders}/orders`, order, withKey(key));
  expect({ status: again.status, id: (again.json as Order).id }).toEqual({ status: 201, id: made });
});

test("a request that failed does not use its key up, and the one that waits for it makes the order", async () => {
  const { services, sql } = await stack();
  const [order, key] = [anOrder(), newKey()];
  const post = () => call("POST", `${services.orders}/orders`, order, withKey(key));
  let second: ReturnType<typeof post> | undefined;
  await whileLocked("orders.orders", async () => {
    const first = post();
    await waiting("INSERT INTO orders.orders", 1);
    second = post();
    await waiting("INSERT INTO orders.idempotency_keys", 1);
    const [{ pid }] = await sql`
      SELECT pid FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE 'INSERT INTO orders.orders%'`;
    await sql`SELECT pg_terminate_backend(${pid})`;
    expectError(await first, 503);
  });
  const answer = await second!;
  expect(answer.status, answer.text).toBe(201);
  expect(await orderIdsOf(order.customer_id)).toEqual([(answer.json as Order).id]);
  expect((await post()).json).toEqual(answer.json);
});

test("who waits for the first one's transaction too long is told 503, and makes nothing", async () => {
  const { services, sql } = await stack();
  const [order, key] = [anOrder(), newKey()];
  await sql.begin(async (tx) => {
    await tx`
      INSERT INTO orders.idempotency_keys (key, fingerprint, order_id)
      VALUES (${key}, 'another session has it in hand', ${crypto.randomUUID()})`;
    const answer = await call("POST", `${services.orders}/orders`, order, withKey(key));
    expectError(answer, 503);
    expect(answer.headers.get("retry-after")).toBe("1");
    await tx`ROLLBACK AND CHAIN`;
  });
  expect(await ordersOf(order.customer_id)).toBe(0);
  expect((await call("POST", `${services.orders}/orders`, order, withKey(key))).status).toBe(201);
});

/** Holds all inserts into a table while `work` runs. */
async function whileLocked(table: string, work: () => Promise<void>): Promise<void> {
  const { sql } = await stack();
  await sql.begin(async (lock) => {
    await lock.unsafe(`LOCK TABLE ${table} IN EXCLUSIVE MODE`);
    await work();
  });
}

async function waiting(statement: string, count: number): Promise<void> {
  const { sql } = await stack();
  await until(`${count} wait in ${statement}`, async () => {
    const [found] = await sql`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE ${`${statement}%`}`;
    return found.count >= count;
  });
}

async function orderIdsOf(customerId: string): Promise<string[]> {
  const { sql } = await stack();
  const rows = await sql`SELECT id FROM orders.orders WHERE customer_id = ${customerId}`;
  return rows.map(({ id }: { id: string }) => id);
}

async function ordersOf(customerId: string): Promise<number> {
  return (await orderIdsOf(customerId)).length;
}

/** What orders has counted. Nobody else makes orders while this file runs. */
async function createdCount(): Promise<number> {
  const { services } = await stack();
  const text = await (await fetch(`${services.orders}/metrics`)).text();
  return Number(/^orderflow_orders_created_total\S* (\d+)$/m.exec(text)?.[1] ?? 0);
}
