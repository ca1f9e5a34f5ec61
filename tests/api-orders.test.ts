// Orders over HTTP, at the gateway and at the orders service: the same promises at both.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  call,
  expectError,
  insertOrder,
  line,
  newOrder,
  rawCall,
  waitForStatus,
} from "./support/api.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";
import { until } from "./support/until.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

describe.each(["gateway", "orders"] as const)("orders at %s", (service) => {
  const at = async (path: string) => (await stack()).services[service] + path;
  const post = async (body: unknown, headers: Record<string, string> = {}) =>
    call("POST", await at("/orders"), body, headers);

  test("a posted order is answered with the order, pending, and where to find it", async () => {
    const items = [line("ITEM-007", 2, 1999), line("ITEM-008", 1, 5)];
    const answer = await post({ customer_id: "ann", items });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("content-type")).toStartWith("application/json");
    const order = answer.json as { id: string; created_at: string };
    expect(order).toEqual({
      id: expect.stringMatching(UUID),
      customer_id: "ann",
      items,
      total: 4003,
      status: "pending",
      created_at: expect.any(String),
    } as never);
    expect(new Date(order.created_at).toISOString()).toBe(order.created_at);
    expect(answer.headers.get("location")).toBe(`/orders/${order.id}`);

    const found = await call("GET", await at(`/orders/${order.id}`));
    expect(found.status).toBe(200);
    expect(found.json).toMatchObject({ ...order, status: expect.any(String) });
    await waitForStatus(order.id, "confirmed", "cancelled");
  });

  test("the same item may stand on several lines, and each is kept in its order", async () => {
    const items = [line("ITEM-007", 1, 10), line("ITEM-008", 1, 20), line("ITEM-007", 2, 30)];
    const answer = await post(newOrder(items));
    const { id } = answer.json as { id: string };
    expect(answer.json).toMatchObject({ items, total: 90 });
    expect((await call("GET", await at(`/orders/${id}`))).json).toMatchObject({ items });
  });

  test("200 that are posted at once are all taken", async () => {
    const order = newOrder([line("ITEM-UNKNOWN")]);
    const answers = await Promise.all(Array.from({ length: 200 }, () => post(order)));
    expect(answers.filter(({ status }) => status !== 201)).toEqual([]);
  });

  test("the largest total is exact", async () => {
    const items = Array.from({ length: 100 }, () => line("ITEM-UNKNOWN", 10_000, 1_000_000_000));
    const answer = await post(newOrder(items));
    expect(answer.json).toMatchObject({ total: 1_000_000_000_000_000 });
    const { id } = answer.json as { id: string };
    expect((await call("GET", await at(`/orders/${id}`))).json).toMatchObject({
      total: 1_000_000_000_000_000,
    });
  });

  // Each of these is the edge itself: it must still be taken. Quantities and prices that nobody has
  // in stock are fine, the order is then cancelled.
  test.each([
    ["a customer_id of 255 characters", newOrder([line("ITEM-007")], "x".repeat(255))],
    ["a customer_id of 255 emoji", newOrder([line("ITEM-007")], "😀".repeat(255))],
    ["a customer_id that is a blank", newOrder([line("ITEM-007")], " ")],
    ["an item_id of 64 characters", newOrder([line("x".repeat(64))])],
    ["an item_id of 64 emoji", newOrder([line("😀".repeat(64))])],
    ["100 items", newOrder(Array.from({ length: 100 }, () => line("ITEM-UNKNOWN")))],
    ["quantity 1", newOrder([line("ITEM-UNKNOWN", 1)])],
    ["quantity 10000", newOrder([line("ITEM-UNKNOWN", 10_000)])],
    ["price 0", newOrder([line("ITEM-UNKNOWN", 1, 0)])],
    ["price 1000000000", newOrder([line("ITEM-UNKNOWN", 1, 1_000_000_000)])],
    ["a text with quotes, backslash and newline", newOrder([line("ITEM-007")], `a'b"c\\d\ne; --`)],
    [
      "quantity 1.0, which is the integer 1",
      '{"customer_id":"c","items":[{"item_id":"ITEM-UNKNOWN","quantity":1.0,"price":1e2}]}',
    ],
  ])("takes %s", async (_, body) => {
    const answer = await post(body);
    expect(answer.status, answer.text).toBe(201);
    if (typeof body === "object") expect(answer.json).toMatchObject(body);
  });

  test.each([
    ["no customer_id", { items: [line("a")] }, /customer_id/],
    ["customer_id null", newOrder([line("a")], null as never), /customer_id/],
    ["customer_id a number", newOrder([line("a")], 7 as never), /customer_id/],
    ["customer_id empty", newOrder([line("a")], ""), /customer_id/],
    ["customer_id of 256 characters", newOrder([line("a")], "x".repeat(256)), /customer_id/],
    ["customer_id of 256 emoji", newOrder([line("a")], "😀".repeat(256)), /customer_id/],
    ["customer_id with NUL", newOrder([line("a")], "a\u0000b"), /customer_id/],
    ["customer_id with a lone high surrogate", newOrder([line("a")], "a\ud800b"), /customer_id/],
    ["customer_id with a lone low surrogate", newOrder([line("a")], "\udc00"), /customer_id/],
    ["no items", { customer_id: "c" }, /items/],
    ["items null", newOrder(null as never), /items/],
    ["items an object", newOrder({} as never), /items/],
    ["items empty", newOrder([]), /items/],
    ["101 items", newOrder(Array.from({ length: 101 }, () => line("a"))), /items/],
    ["an item that is null", newOrder([null as never]), /item/],
    ["an item that is a text", newOrder(["a" as never]), /item/],
    ["no item_id", newOrder([{ quantity: 1, price: 1 } as never]), /item_id/],
    ["item_id empty", newOrder([line("")]), /item_id/],
    ["item_id of 65 characters", newOrder([line("x".repeat(65))]), /item_id/],
    ["item_id of 65 emoji", newOrder([line("😀".repeat(65))]), /item_id/],
    ["item_id with NUL", newOrder([line("\u0000")]), /item_id/],
    ["item_id with a lone surrogate", newOrder([line("\ud83d")]), /item_id/],
    ["no quantity", newOrder([{ item_id: "a", price: 1 } as never]), /quantity/],
    ["quantity 0", newOrder([line("a", 0)]), /quantity/],
    ["quantity -1", newOrder([line("a", -1)]), /quantity/],
    ["quantity 10001", newOrder([line("a", 10_001)]), /quantity/],
    ["quantity 1.5", newOrder([line("a", 1.5)]), /quantity/],
    ['quantity "1"', newOrder([line("a", "1" as never)]), /quantity/],
    ['quantity " 2 "', newOrder([line("a", " 2 " as never)]), /quantity/],
    ["quantity null", newOrder([line("a", null as never)]), /quantity/],
    ["quantity true", newOrder([line("a", true as never)]), /quantity/],
    ["quantity [1]", newOrder([line("a", [1] as never)]), /quantity/],
    [
      "quantity 1e400",
      '{"customer_id":"c","items":[{"item_id":"a","quantity":1e400,"price":1}]}',
      /quantity/,
    ],
    ["no price", newOrder([{ item_id: "a", quantity: 1 } as never]), /price/],
    ["price -1", newOrder([line("a", 1, -1)]), /price/],
    ["price 1000000001", newOrder([line("a", 1, 1_000_000_001)]), /price/],
    ["price 9.99", newOrder([line("a", 1, 9.99)]), /price/],
    ['price "1"', newOrder([line("a", 1, "1" as never)]), /price/],
    [
      "price 1e400",
      '{"customer_id":"c","items":[{"item_id":"a","quantity":1,"price":1e400}]}',
      /price/,
    ],
    ["a body that is null", "null", /object/],
    ["a body that is an array", "[]", /object/],
    ["a body that is a number", "1", /object/],
    ["a body that is a text", '"order"', /object/],
  ])("refuses %s with 400 and says which field", async (_, body, text) => {
    expectError(await post(body), 400, text);
  });

  test("says on which line the mistake is", async () => {
    expectError(await post(newOrder([line("a"), line("b", 0)])), 400, /items\[1\].*quantity/);
  });

  test.each([
    ["empty", ""],
    ["blank", " \n"],
    ["cut off", '{"customer_id":"c"'],
    ["followed by more", '{"customer_id":"c","items":[]} x'],
    ["NaN", "NaN"],
    ["with a comma too much", '{"customer_id":"c",}'],
    ["nested 100 000 deep", "[".repeat(100_000)],
    ["nested 100 000 deep and closed", "[".repeat(100_000) + "]".repeat(100_000)],
  ])("refuses a body that is %s with 400", async (_, body) => {
    const url = await at("/orders");
    const head = `POST /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json`;
    const raw = `${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    expectError(await rawCall(url, raw), 400);
  });

  test("refuses a body that is not UTF-8 with 400", async () => {
    const body = Buffer.from('{"customer_id":"\xff\xfe","items":[]}', "latin1");
    const head = `POST /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
    expectError(await rawCall(await at("/orders"), Buffer.concat([Buffer.from(head), body])), 400);
  });

  test("takes a JSON body whatever its Content-Type says, or without one", async () => {
    const body = JSON.stringify(newOrder());
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/json; charset=utf-8",
    ]) {
      expect((await post(body, { "content-type": type })).status, type).toBe(201);
    }
    const raw = `POST /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    expect((await rawCall(await at("/orders"), raw)).status).toBe(201);
  });

  test("an order with fields we do not know is taken, and they are left out", async () => {
    const answer = await post({ ...newOrder(), status: "confirmed", id: "x", total: 1 });
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({ status: "pending", total: 250 });
    expect((answer.json as { id: string }).id).toMatch(UUID);
  });

  test("an order that is not there is 404, a text that is no UUID is 400", async () => {
    expectError(await call("GET", await at(`/orders/${crypto.randomUUID()}`)), 404, /order/);
    for (const id of [
      "1",
      "x",
      "00000000-0000-0000-0000-00000000000",
      "%20",
      "%00",
      "a%2Fb",
      "%F0%9F%98%80",
      "%FF",
      "%ED%A0%80",
    ]) {
      expectError(await call("GET", await at(`/orders/${id}`)), 400, /UUID/);
    }
  });

  test("a UUID in capitals is the same order", async () => {
    const id = await insertOrder();
    const answer = await call("GET", await at(`/orders/${id.toUpperCase()}`));
    expect(answer.json).toMatchObject({ id });
  });

  test("HEAD is answered like GET, without a body", async () => {
    const id = await insertOrder();
    const head = await call("HEAD", await at(`/orders/${id}`));
    expect({ status: head.status, text: head.text }).toEqual({ status: 200, text: "" });
    expect((await call("HEAD", await at(`/orders/${crypto.randomUUID()}`))).status).toBe(404);
  });
});

test("an order whose caller gave up while it waited for a connection is not begun", async () => {
  const { services, sql } = await stack();
  const post = (customerId: string, waitsMs?: number) =>
    call(
      "POST",
      `${services.orders}/orders`,
      newOrder([line("ITEM-UNKNOWN")], customerId),
      waitsMs === undefined ? {} : { "x-request-timeout-ms": String(waitsMs) },
    );
  const late = `late-${crypto.randomUUID()}`;
  const answers: ReturnType<typeof post>[] = [];
  await sql.begin(async (lock) => {
    // These wait for the lock, and each holds one of the 16 connections; so may what becomes of an order
    // of another test.
    await lock`LOCK TABLE orders.orders IN EXCLUSIVE MODE`;
    for (let n = 0; n < 16; n++) answers.push(post(`holder-${n}`));
    await until("they hold all connections", async () => {
      const [waiting] = await sql`
        SELECT count(*)::int AS count FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      return waiting.count >= 16;
    });
    answers.push(post(late, 300));
    await Bun.sleep(500);
  });
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  expect(statuses).toEqual([...Array.from({ length: 16 }, () => 201), 504]);
  const [found] = await sql`
    SELECT count(*)::int AS count FROM orders.orders WHERE customer_id = ${late}`;
  expect(found.count).toBe(0);
});
