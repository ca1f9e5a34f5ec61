import { describe, expect, test } from "bun:test";
import { AbandonedError, UnprocessableRecordError } from "#lib/kafka/errors.ts";
import type { HandlingContext } from "#lib/kafka/record-handling.ts";
import type { OrderStatus } from "#lib/orders/order.ts";
import type { Dependency } from "#lib/service/dependency.ts";
import { forEachCalled } from "#lib/service/services.ts";
import type { ConsumedRecord } from "#lib/kafka/owned-record.ts";
import { createSettler } from "./settle.ts";

const ORDER_ID = "01a208df-26fe-76a4-9498-9ed041436d4d";

const context: HandlingContext = {
  signal: new AbortController().signal,
  attempts: 1,
  retry: async (error) => {
    throw error;
  },
  succeeded: () => {},
};

type Call = { service: string; method: string; path: string; body: Record<string, unknown> };

interface WorldOptions {
  /** Pieces of each item; an item that is not here is unknown. */
  stock: Record<string, number>;
  status?: OrderStatus | "unknown";
  /** The number of the call, from 0, at which the worker dies; before or after it has had its effect. */
  crash?: { at: number; after: boolean };
}

/** Orders, inventory and e-mail in memory, by the contract; whatever is called is noted. */
function createWorld({ stock, status = "pending", crash }: WorldOptions) {
  const calls: Call[] = [];
  const mails = new Map<string, Record<string, unknown>>();
  const booked = new Map<string, { quantity: number; status: "reserved" | "released" }>();
  const order = { status };
  let failing = crash;
  let meanwhile: { after: number; happens: () => Promise<void> } | undefined;

  const inventory = (path: string, body: Record<string, unknown>): [number, unknown] => {
    const [, , item = "", move] = path.split("/").map(decodeURIComponent);
    const quantity = Number(body["quantity"]);
    const booking = booked.get(item);
    const available = stock[item];
    if (available === undefined) return [404, { error: "there is no such item" }];
    if (booking && booking.quantity !== quantity) return [409, { error: "another quantity" }];
    if (move === "reserve") {
      if (booking?.status === "released") return [409, { error: "released already" }];
      if (booking) return [200, {}];
      if (available < quantity) {
        if (body["final"]) booked.set(item, { quantity, status: "released" });
        return [409, { error: "too little stock" }];
      }
      stock[item] = available - quantity;
      booked.set(item, { quantity, status: "reserved" });
    } else {
      if (!booking) return [409, { error: "nothing to release" }];
      if (booking.status === "reserved") stock[item] = available + quantity;
      booking.status = "released";
    }
    return [200, {}];
  };

  const orders = (method: string, body: Record<string, unknown>): [number, unknown] => {
    if (order.status === "unknown") return [404, { error: "there is no such order" }];
    if (method === "GET" || order.status === body["status"]) return [200, order];
    if (order.status !== "pending") return [409, { error: "not allowed" }];
    order.status = body["status"] as OrderStatus;
    return [200, order];
  };

  const dependency = (service: string): Dependency => ({
    isDown: async () => false,
    async call(_, method, path, options = {}) {
      const body = (options.body ?? {}) as Record<string, unknown>;
      const crashes = failing?.at === calls.length;
      calls.push({ service, method, path, body });
      if (crashes && !failing?.after) throw new AbandonedError("the worker died");
      let answer: [number, unknown] = [200, { status: "sent" }];
      if (service === "inventory") answer = inventory(path, body);
      else if (service === "orders") answer = orders(method, body);
      else if (service === "email") mails.set(options.headers?.["idempotency-key"] ?? "", body);
      if (crashes) throw new AbandonedError("the worker died");
      if (meanwhile?.after === calls.length) await meanwhile.happens();
      return { status: answer[0], headers: new Headers(), body: JSON.stringify(answer[1]) };
    },
  });

  const settle = createSettler(forEachCalled("worker", dependency));
  return {
    calls,
    mails,
    order,
    stock,
    said: () => calls.map(({ service, method, path }) => `${service} ${method} ${path}`),
    settle: (value: unknown = event()) => settle(recordOf(value), context),
    recover: () => (failing = undefined),
    /** Something that happens between the answer of the `after`th call and what is done with it. */
    meanwhile: (after: number, happens: () => Promise<void>) => (meanwhile = { after, happens }),
  };
}

function event(
  items: [itemId: string, quantity: number][] = [
    ["a", 1],
    ["b", 2],
  ],
) {
  return {
    order_id: ORDER_ID,
    customer_id: "ann",
    items: items.map(([item_id, quantity]) => ({ item_id, quantity, price: 1 })),
    timestamp: "2026-01-02T03:04:05.678Z",
  };
}

function recordOf(value: unknown): ConsumedRecord {
  const bytes = Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
  return {
    topic: "order.created",
    partition: 0,
    offset: "0",
    key: Buffer.from(ORDER_ID),
    value: bytes,
    headers: {},
    timestamp: "0",
  };
}

const PATCH = `orders PATCH /orders/${ORDER_ID}/status`;
const MAIL = "email POST /send";

describe("an order whose items are all there", () => {
  test("is reserved item by item, then confirmed, then mailed: status first", async () => {
    const world = createWorld({ stock: { a: 5, b: 5 } });
    await world.settle();
    expect(world.said()).toEqual([
      "inventory POST /stock/a/reserve",
      "inventory POST /stock/b/reserve",
      PATCH,
      MAIL,
    ]);
    expect(world.order.status).toBe("confirmed");
    expect(world.stock).toEqual({ a: 4, b: 3 });
    expect([...world.mails]).toEqual([
      [
        `${ORDER_ID}:confirmed`,
        {
          to: "ann@example.com",
          subject: expect.stringContaining("confirmed"),
          body: expect.stringContaining("confirmed"),
        },
      ],
    ]);
  });

  test("with an item on several lines reserves their sum once, and in an order of its own", async () => {
    const world = createWorld({ stock: { a: 5, b: 5 } });
    await world.settle(
      event([
        ["b", 1],
        ["a", 2],
        ["b", 3],
      ]),
    );
    expect(world.calls.slice(0, 2)).toMatchObject([
      { path: "/stock/a/reserve", body: { quantity: 2, order_id: ORDER_ID } },
      { path: "/stock/b/reserve", body: { quantity: 4, order_id: ORDER_ID } },
    ]);
  });

  test("encodes an item's id", async () => {
    const world = createWorld({ stock: { "a/b?c": 1 } });
    await world.settle(event([["a/b?c", 1]]));
    expect(world.said()[0]).toBe("inventory POST /stock/a%2Fb%3Fc/reserve");
    expect(world.order.status).toBe("confirmed");
  });
});

describe("an order with an item that is not there", () => {
  test.each([
    ["unknown", { a: 5, b: 5 }],
    ["short", { a: 5, b: 5, c: 1 }],
  ])("(%s) is put back in the reverse order, cancelled, then mailed", async (_, stock) => {
    const world = createWorld({ stock });
    const before = { ...stock };
    await world.settle(
      event([
        ["a", 1],
        ["b", 2],
        ["c", 3],
      ]),
    );
    expect(world.said()).toEqual([
      "inventory POST /stock/a/reserve",
      "inventory POST /stock/b/reserve",
      "inventory POST /stock/c/reserve",
      "inventory POST /stock/b/release",
      "inventory POST /stock/a/release",
      PATCH,
      MAIL,
    ]);
    expect(world.order.status).toBe("cancelled");
    expect(world.stock).toEqual(before);
    expect([...world.mails.keys()]).toEqual([`${ORDER_ID}:cancelled`]);
  });
});

describe("an order that someone else has settled", () => {
  test.each(["confirmed", "shipped"] as const)("as %s keeps what it holds", async (status) => {
    const world = createWorld({ stock: { a: 5, b: 5 }, status });
    await world.settle();
    expect(world.order.status).toBe(status);
    expect(world.stock).toEqual({ a: 4, b: 3 });
  });

  test("as cancelled holds nothing in the end", async () => {
    const world = createWorld({ stock: { a: 5, b: 5 }, status: "cancelled" });
    await world.settle();
    expect(world.order.status).toBe("cancelled");
    expect(world.stock).toEqual({ a: 5, b: 5 });
    expect([...world.mails.keys()]).not.toContain(`${ORDER_ID}:confirmed`);
  });

  test("or that does not exist holds nothing, and is given up", async () => {
    const world = createWorld({ stock: { a: 5, b: 5 }, status: "unknown" });
    const error = await world.settle().catch((thrown: Error) => thrown);
    expect((error as Error).message).toContain(ORDER_ID);
    expect(world.stock).toEqual({ a: 5, b: 5 });
    expect(world.mails.size).toBe(0);
  });
});

describe("a worker that dies at any call, before or after its effect, and gets the record again", () => {
  const cases: [string, Record<string, number>, OrderStatus][] = [
    ["an order that can be confirmed", { a: 5, b: 5, c: 5 }, "confirmed"],
    ["an order that is short of its last item", { a: 5, b: 5, c: 0 }, "cancelled"],
    ["an order whose last item is unknown", { a: 5, b: 5 }, "cancelled"],
    ["an order that is short of its first item", { a: 0, b: 5, c: 5 }, "cancelled"],
  ];

  test.each(cases)("comes to the same end: %s", async (_, stock, expected) => {
    const value = event([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    const calm = createWorld({ stock: { ...stock } });
    await calm.settle(value);
    for (let at = 0; at < calm.calls.length; at++) {
      for (const after of [false, true]) {
        const world = createWorld({ stock: { ...stock }, crash: { at, after } });
        const died = await world.settle(value).catch((error: unknown) => error);
        expect(died).toBeInstanceOf(AbandonedError);
        world.recover();
        await world.settle(value);
        const end = {
          status: world.order.status,
          stock: world.stock,
          mails: [...world.mails.keys()],
        };
        expect(end, `died at call ${at}, ${after ? "after" : "before"} it`).toEqual({
          status: expected,
          stock: calm.stock,
          mails: [`${ORDER_ID}:${expected}`],
        });
      }
    }
  });
});

describe("two workers with one order, while stock that was short comes back", () => {
  const value = event([
    ["a", 1],
    ["b", 2],
  ]);

  test.each([1, 2, 3, 4, 5])("come to one end: the other works after call %d", async (after) => {
    const world = createWorld({ stock: { a: 5, b: 0 } });
    world.meanwhile(after, async () => {
      world.stock["b"] = 5;
      await world.settle(value);
    });
    await world.settle(value);
    const isConfirmed = world.order.status === "confirmed";
    expect(world.stock).toEqual(isConfirmed ? { a: 4, b: 3 } : { a: 5, b: 5 });
    expect([...world.mails.keys()]).toEqual([`${ORDER_ID}:${world.order.status}`]);
  });
});

test("a record that is no order.created event can be handled by nobody, and nothing is called", async () => {
  const world = createWorld({ stock: { a: 5 } });
  for (const value of [
    "",
    "{",
    "null",
    { ...event(), order_id: "42" },
    { ...event(), items: [] },
  ]) {
    const error = await world.settle(value).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnprocessableRecordError);
  }
  expect(world.calls).toEqual([]);
});
