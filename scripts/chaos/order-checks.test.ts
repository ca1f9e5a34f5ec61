import { describe, expect, test } from "bun:test";
import type { BookedOrder, Books } from "./books.ts";
import type { PostedOrder } from "./load.ts";
import { checkOrders } from "./order-checks.ts";
import type { Expectation } from "./order-mix.ts";

const OUTCOME = "confirmed exactly where there is stock";

describe("an order of a scarce item", () => {
  test("may be confirmed, and cancelled where less is left than it wanted", () => {
    expect(outcomeOf("either", "confirmed", { wanted: 2, left: 5 })).toEqual([]);
    expect(outcomeOf("either", "cancelled", { wanted: 2, left: 1 })).toEqual([]);
    expect(outcomeOf("either", "cancelled", { wanted: 2, left: 0 })).toEqual([]);
  });

  test("may not be cancelled while all that it wanted is there", () => {
    const breaches = outcomeOf("either", "cancelled", { wanted: 2, left: 2 });
    expect(breaches).toEqual(["order o of c is cancelled; all that it wanted is still there"]);
  });
});

test("the other orders end as planned, whatever is left", () => {
  expect(outcomeOf("confirmed", "cancelled", { wanted: 2, left: 1 })).toHaveLength(1);
  expect(outcomeOf("cancelled", "confirmed", { wanted: 2, left: 1 })).toHaveLength(1);
  expect(outcomeOf("confirmed", "confirmed", { wanted: 2, left: 1 })).toEqual([]);
});

test("a run in which no order was accepted proves nothing", () => {
  const checks = checkOrders([], booksOf([], 0), new Map());
  expect(checks[0]?.breaches).toEqual(["no order was accepted"]);
});

function outcomeOf(
  expected: Expectation,
  status: BookedOrder["status"],
  { wanted, left }: { wanted: number; left: number },
): readonly string[] {
  const post: PostedOrder = {
    customerId: "c",
    items: [{ item_id: "SCARCE", quantity: wanted, price: 1 }],
    expected,
    traceId: "t",
    startMs: 0,
    endMs: 1,
    status: 201,
    orderId: "o",
  };
  const quantities = new Map([["SCARCE", wanted]]);
  const order: BookedOrder = { id: "o", customerId: "c", status, updatedAtMs: 1, quantities };
  const checks = checkOrders([post], booksOf([order], left), new Map());
  return checks.find(({ name }) => name === OUTCOME)?.breaches ?? ["there is no such check"];
}

function booksOf(orders: readonly BookedOrder[], available: number): Books {
  return {
    orders,
    items: [{ itemId: "SCARCE", available, reserved: 0 }],
    reservations: [],
    outboxRows: 0,
    deadLetters: 0,
    records: orders.length,
    recordsBehind: 0,
  };
}
