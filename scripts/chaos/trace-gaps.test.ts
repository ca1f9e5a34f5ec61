import { describe, expect, test } from "bun:test";
import type { KeptSpan } from "./kept-span.ts";
import { findGaps } from "./trace-gaps.ts";

const PORTS = new Map([
  [1, "orders"],
  [2, "inventory"],
  [3, "email"],
]);
const POSTED_AT_MS = 1_000;
const SETTLED_AT_MS = 2_900;

describe("the gaps of a trace", () => {
  test("there are none in an order's whole trace", () => {
    expect(gapsOf(wholeTrace())).toEqual([]);
  });

  // Each span of the whole trace, and who is said to have held it when it is gone.
  test.each([
    ["gateway POST /orders", "gateway"],
    ["gateway POST", "gateway"],
    ["orders POST /orders", "orders"],
    ["orders INSERT", "orders"],
    ["orders create order.created", "orders"],
    ["worker process order.created", "worker"],
    ["worker reserve items", "worker"],
    ["worker POST reserve", "worker"],
    ["inventory POST /stock", "inventory"],
    ["inventory UPDATE", "inventory"],
    ["worker PATCH", "worker"],
    ["orders PATCH", "orders"],
    ["orders UPDATE", "orders"],
    ["worker POST mail", "worker"],
    ["email POST /send", "email"],
  ])("%s is missed, at %s", (spanId, service) => {
    const gaps = gapsOf(wholeTrace().filter((span) => span.spanId !== spanId));
    expect(gaps.map((gap) => gap.service)).toContain(service);
  });

  test("a trace of which nothing came is missed at the gateway, orders and the worker", () => {
    const holders = gapsOf([]).map(({ service }) => service);
    expect(holders).toEqual(["gateway", "orders", "worker"]);
  });

  test("a call that got no answer needs no span at its other end", () => {
    const refused = span("worker refused", "worker process order.created", "worker", 3, {
      serverPort: 2,
    });
    expect(gapsOf([...wholeTrace(), refused])).toEqual([]);
  });

  test("a killed first try is missed, though a second one has settled the order", () => {
    const orphan = span("second UPDATE", "lost", "worker", 1);
    const [gap, ...others] = gapsOf([...wholeTrace(), orphan]);
    expect(gap).toEqual({
      what: "the parent of worker's second UPDATE",
      service: "worker",
      fromMs: orphan.startMs,
    });
    expect(others).toEqual([]);
  });

  test("a handling that failed or was abandoned settles nothing", () => {
    for (const outcome of [{ isError: true }, { isAbandoned: true }]) {
      const spans = wholeTrace().map((one) => (one.kind === 5 ? { ...one, ...outcome } : one));
      expect(gapsOf(spans).map(({ service }) => service)).toEqual(["worker"]);
    }
  });
});

describe("the way between creation and handling", () => {
  test("has a send, in whichever trace", () => {
    const [gap, ...others] = gapsOf(wholeTrace(), { sent: new Set() });
    expect(gap).toEqual({ what: "send order.created", service: "orders", fromMs: 2_000 });
    expect(others).toEqual([]);
  });

  // Its creator may have died long before: the event waited for the end of the dead one's lease.
  test("may have a send of its one record in the trace: the creation was over at any time before", () => {
    const creation = "orders create order.created";
    const sends = span("orders send order.created", creation, "orders", 3, { startMs: 12_000 });
    expect(gapsOf([...wholeTrace(), sends])).toEqual([]);
    const gaps = gapsOf([...wholeTrace().filter(({ spanId }) => spanId !== creation), sends]);
    expect(gaps).toContainEqual({
      what: "the parent of orders's send order.created",
      service: "orders",
      fromMs: POSTED_AT_MS,
    });
  });

  test("asks for each item: of a confirmed order for all", () => {
    const [gap, ...others] = gapsOf(wholeTrace(), { itemsMin: 2 });
    expect(gap).toMatchObject({ what: "a call to reserve an item", service: "worker" });
    expect(others).toEqual([]);
    const second = span("worker POST reserve 2", "worker reserve items", "worker", 3, called(2));
    const answer = { httpStatus: 409 };
    const other = span("inventory POST 2", "worker POST reserve 2", "inventory", 2, answer);
    expect(gapsOf([...wholeTrace(), second, other], { itemsMin: 2 })).toEqual([]);
  });
});

test("a handling that settled the order was over when it was settled, and not before", () => {
  const gaps = gapsOf(wholeTrace().filter(({ kind }) => kind !== 5));
  const [settling] = gaps.filter(({ what }) => what.startsWith("a process"));
  expect(settling?.fromMs).toBe(SETTLED_AT_MS);
});

function gapsOf(
  spans: readonly KeptSpan[],
  more: { sent?: ReadonlySet<string>; itemsMin?: number } = {},
) {
  const { sent = new Set(["orders create order.created"]), itemsMin = 1 } = more;
  const order = { postedAtMs: POSTED_AT_MS, settledAtMs: SETTLED_AT_MS, itemsMin };
  return findGaps(spans, order, { serviceAtPort: PORTS, sent });
}

function wholeTrace(): KeptSpan[] {
  const worker = "worker process order.created";
  return [
    span("gateway POST /orders", "the test's own", "gateway", 2, { httpStatus: 201 }),
    span("gateway POST", "gateway POST /orders", "gateway", 3, called(1)),
    span("orders POST /orders", "gateway POST", "orders", 2, { httpStatus: 201 }),
    span("orders INSERT", "orders POST /orders", "orders", 3, { isSql: true }),
    span("orders create order.created", "orders POST /orders", "orders", 4),
    span(worker, "orders create order.created", "worker", 5),
    span("worker reserve items", worker, "worker", 1),
    span("worker POST reserve", "worker reserve items", "worker", 3, called(2)),
    span("inventory POST /stock", "worker POST reserve", "inventory", 2, { httpStatus: 200 }),
    span("inventory UPDATE", "inventory POST /stock", "inventory", 3, { isSql: true }),
    span("worker PATCH", worker, "worker", 3, called(1)),
    span("orders PATCH", "worker PATCH", "orders", 2, { httpStatus: 200 }),
    span("orders UPDATE", "orders PATCH", "orders", 3, { isSql: true }),
    span("worker POST mail", worker, "worker", 3, called(3)),
    span("email POST /send", "worker POST mail", "email", 2, { httpStatus: 200 }),
  ];
}

/** A call that was answered. */
function called(serverPort: number): Partial<KeptSpan> {
  return { serverPort, httpStatus: 200 };
}

function span(
  spanId: string,
  parentSpanId: string,
  service: string,
  kind: number,
  more: Partial<KeptSpan> = {},
): KeptSpan {
  return {
    traceId: "t",
    spanId,
    parentSpanId,
    name: spanId.replace(`${service} `, ""),
    kind,
    service,
    instance: service,
    startMs: 2_000,
    endMs: 3_000,
    isError: false,
    isSql: false,
    retries: 0,
    isAbandoned: false,
    links: [],
    ...more,
  };
}
