import { describe, expect, test } from "bun:test";
import { renderWaterfall } from "../../shared/waterfall.ts";
import { shapeOf } from "./shape.ts";

/** A trace of two spans as it is drawn; where its child is, and how long, is as given. */
function drawn(traceId: string, childStartNs: number, childMs: number, name = "GET"): string {
  const span = (
    spanId: string,
    parentSpanId: string,
    name: string,
    startNs: number,
    ms: number,
  ) => ({
    traceId,
    spanId,
    parentSpanId,
    name,
    startTimeUnixNano: String(startNs),
    endTimeUnixNano: String(startNs + ms * 1_000_000),
  });
  const spans = [
    span("00000000000000a1", "", "GET /orders", 0, 10),
    span("00000000000000a2", "00000000000000a1", name, childStartNs, childMs),
  ];
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "gateway" } }] };
  return renderWaterfall(
    { resourceSpans: [{ resource, scopeSpans: [{ scope: {}, spans }] }] },
    { widthColumns: 100, color: false },
  );
}

const ID = "0af7651916cd43dd8448eb211c80319c";

describe("traces have the same shape", () => {
  test("whatever their ids, and however long their spans are and where", () => {
    const other = drawn("ffffffffffffffffffffffffffffff01", 9_900_000, 0.04);
    expect(other).not.toBe(drawn(ID, 1_000_000, 8));
    expect(shapeOf(other)).toBe(shapeOf(drawn(ID, 1_000_000, 8)));
    expect(shapeOf(drawn(ID, 0, 4_000))).toBe(shapeOf(drawn(ID, 0, 0)));
  });

  test("only where their spans have the same names", () => {
    expect(shapeOf(drawn(ID, 0, 1, "POST"))).not.toBe(shapeOf(drawn(ID, 0, 1)));
  });
});

test.each([
  ["0 bytes left the process", "412 bytes left the process"],
  ["worker: confirmed an order", "orders: confirmed an order"],
  ["HTTP 201", "HTTP 500"],
  ["parent SPAN_ID", "no parent"],
  ["└ GET /orders", "├ GET /orders"],
  [`one trace: ${ID}, ${ID}`, `one trace: ${ID}, ${ID.replace("0af", "1af")}`],
])("the shape tells %p from %p", (one, other) => {
  expect(shapeOf(one)).not.toBe(shapeOf(other));
});

test.each([
  ["http://localhost:4000/orders", "http://localhost:39211/orders"],
  [
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    `traceparent: 00-${ID}-00f067aa0ba902b7-01`,
  ],
  ["order 0195b3a2-7c1e-7000-8a4f-1d5c3b6a9e01", "order 0195b3a2-9999-7000-8a4f-1d5c3b6a9e01"],
  ["it took 3.2 ms", "it took 812 µs"],
  ["at 2026-01-02T03:04:05.678Z", "at 2026-11-12T13:14:15Z"],
])("the shape of %p is that of %p", (one, other) => {
  expect(shapeOf(one)).toBe(shapeOf(other));
});
