// PATCH /orders/{id}/status at the orders service.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ORDER_STATUSES } from "#lib/orders/order.ts";
import { call, expectError, insertOrder } from "./support/api.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const ALLOWED = ["pending confirmed", "pending cancelled", "confirmed shipped"];

const patch = async (id: string, body: unknown) =>
  call("PATCH", `${(await stack()).services.orders}/orders/${id}/status`, body);

const rowOf = async (id: string) => {
  const [row] = await (
    await stack()
  ).sql`
    SELECT status, updated_at::text AS updated FROM orders.orders WHERE id = ${id}`;
  return row as { status: string; updated: string };
};

describe("an order's status", () => {
  const pairs = ORDER_STATUSES.flatMap((from) => ORDER_STATUSES.map((to) => [from, to] as const));

  test.each(pairs)("from %s to %s", async (from, to) => {
    const id = await insertOrder({ status: from });
    const before = await rowOf(id);
    const answer = await patch(id, { status: to });
    if (from === to) {
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ id, status: to });
      expect(await rowOf(id)).toEqual(before);
    } else if (ALLOWED.includes(`${from} ${to}`)) {
      expect(answer.status).toBe(200);
      expect(answer.json).toEqual({
        id,
        customer_id: "c",
        items: [{ item_id: "ITEM-001", quantity: 1, price: 250 }],
        total: 250,
        status: to,
        created_at: expect.any(String),
      });
      expect((await rowOf(id)).status).toBe(to);
    } else {
      expectError(answer, 409, new RegExp(`${from}.*${to}`));
      expect(await rowOf(id)).toEqual(before);
    }
  });

  test("two who settle it differently at once: one gets 200, the other 409", async () => {
    const id = await insertOrder();
    const answers = await Promise.all([
      patch(id, { status: "confirmed" }),
      patch(id, { status: "cancelled" }),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    const won = answers.find(({ status }) => status === 200)?.json as { status: string };
    expect((await rowOf(id)).status).toBe(won.status);
  });

  test("many who settle it the same at once all get 200", async () => {
    const id = await insertOrder();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => patch(id, { status: "confirmed" })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  test.each([
    ["an unknown status", { status: "lost" }],
    ["an empty status", { status: "" }],
    ["a status in capitals", { status: "CONFIRMED" }],
    ["a status that is a property of objects", { status: "constructor" }],
    ["a number", { status: 1 }],
    ["null", { status: null }],
    ["a list", { status: ["confirmed"] }],
    ["no status", {}],
    ["no object", "null"],
    ["no JSON", "{"],
    ["nothing", ""],
  ])("refuses %s with 400", async (_, body) => {
    expectError(await patch(await insertOrder(), body), 400);
  });

  test("of an order that is not there is 404, of what is no UUID 400", async () => {
    expectError(await patch(crypto.randomUUID(), { status: "confirmed" }), 404);
    expectError(await patch("42", { status: "confirmed" }), 400);
  });
});
