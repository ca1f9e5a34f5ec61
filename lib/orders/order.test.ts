import { describe, expect, test } from "bun:test";
import {
  canTransition,
  isOrderStatus,
  ORDER_STATUSES,
  orderTotal,
  quantitiesByItem,
} from "./order.ts";

const item = (item_id: string, quantity: number, price = 0) => ({ item_id, quantity, price });

describe("an order's total", () => {
  test("is the sum of quantity times price", () => {
    expect(orderTotal([item("a", 2, 1999), item("b", 1, 5)])).toBe(4003);
    expect(orderTotal([item("a", 1, 0)])).toBe(0);
  });

  test("is exact for the largest order that is valid", () => {
    const items = Array.from({ length: 100 }, () => item("a", 10_000, 1_000_000_000));
    expect(orderTotal(items)).toBe(1e15);
    expect(Number.isSafeInteger(orderTotal(items))).toBe(true);
  });
});

describe("what to reserve", () => {
  test("is one quantity an item, summed over its lines", () => {
    expect(quantitiesByItem([item("a", 1), item("b", 2), item("a", 3)])).toEqual([
      ["a", 4],
      ["b", 2],
    ]);
  });

  test("stands in the same order whatever the order of the lines", () => {
    const items = [
      item("b", 1),
      item("a", 1),
      item("ü", 1),
      item("B", 1),
      item("10", 1),
      item("9", 1),
    ];
    const expected = ["10", "9", "B", "a", "b", "ü"];
    expect(quantitiesByItem(items).map(([id]) => id)).toEqual(expected);
    expect(quantitiesByItem(items.toReversed()).map(([id]) => id)).toEqual(expected);
  });

  test("takes ids that are names of object properties", () => {
    expect(quantitiesByItem([item("__proto__", 1), item("constructor", 2)])).toEqual([
      ["__proto__", 1],
      ["constructor", 2],
    ]);
  });
});

describe("a status", () => {
  test("changes only from pending to confirmed or cancelled, and from confirmed to shipped", () => {
    const allowed = ORDER_STATUSES.flatMap((from) =>
      ORDER_STATUSES.filter((to) => canTransition(from, to)).map((to) => `${from} ${to}`),
    );
    expect(allowed).toEqual(["pending confirmed", "pending cancelled", "confirmed shipped"]);
  });

  test("is one of four words, exactly", () => {
    expect(ORDER_STATUSES.every(isOrderStatus)).toBe(true);
    for (const other of ["", "Pending", " pending", "toString", "lost"]) {
      expect(isOrderStatus(other)).toBe(false);
    }
  });
});
