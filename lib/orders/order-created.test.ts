import { describe, expect, test } from "bun:test";
import type { Order } from "./order.ts";
import { orderCreatedValue, parseOrderCreated } from "./order-created.ts";

const order: Order = {
  id: "01a208df-26fe-76a4-9498-9ed041436d4d",
  customer_id: "ann",
  items: [{ item_id: "ITEM-001", quantity: 2, price: 1999 }],
  total: 3998,
  status: "pending",
  created_at: "2026-01-02T03:04:05.678Z",
};
const event = {
  order_id: order.id,
  customer_id: "ann",
  items: order.items,
  timestamp: order.created_at,
};
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

describe("the event order.created", () => {
  test("has exactly the fields that were promised", () => {
    expect(JSON.parse(orderCreatedValue(order))).toEqual(event);
  });

  test("can be read back", () => {
    expect(parseOrderCreated(Buffer.from(orderCreatedValue(order)))).toEqual(event);
  });

  test("names one order by one id, however a UUID is spelt", () => {
    const value = bytes({ ...event, order_id: event.order_id.toUpperCase() });
    expect(parseOrderCreated(value).order_id).toBe(event.order_id);
  });

  test("may have fields that we do not know", () => {
    expect(parseOrderCreated(bytes({ ...event, source: "import" }))).toMatchObject(event);
  });

  test.each([
    ["no value", null],
    ["an empty value", Buffer.alloc(0)],
    ["bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0x7d])],
    ["text that is not JSON", Buffer.from("{")],
    ["null", bytes(null)],
    ["a list", bytes([event])],
    ["no order_id", bytes({ ...event, order_id: undefined })],
    ["an order_id that is no UUID", bytes({ ...event, order_id: "42" })],
    [
      "an order_id that climbs",
      bytes({ ...event, order_id: "../../../../../../../../../healthz//" }),
    ],
    ["no customer_id", bytes({ ...event, customer_id: undefined })],
    ["an empty customer_id", bytes({ ...event, customer_id: "" })],
    ["no items", bytes({ ...event, items: [] })],
    [
      "a quantity that is a text",
      bytes({ ...event, items: [{ ...order.items[0], quantity: "1" }] }),
    ],
    ["a quantity of 0", bytes({ ...event, items: [{ ...order.items[0], quantity: 0 }] })],
    ["a price below 0", bytes({ ...event, items: [{ ...order.items[0], price: -1 }] })],
    ["no timestamp", bytes({ ...event, timestamp: undefined })],
  ])("is refused with a reason for %s", (_, value) => {
    expect(() => parseOrderCreated(value)).toThrow(/^the record('s| has)/);
  });
});
