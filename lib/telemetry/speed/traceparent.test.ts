import { describe, expect, test } from "bun:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { wordText } from "./ids.ts";
import { parseTraceparent } from "./traceparent.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID = "b7ad6b7169203331";

/** What the SDK makes of it. */
function stock(traceparent: string) {
  const getter = { keys: () => [], get: (_: unknown, key: string) => headers[key] };
  const headers: Record<string, string> = { traceparent };
  const extracted = new W3CTraceContextPropagator().extract(ROOT_CONTEXT, {}, getter);
  return trace.getSpanContext(extracted);
}

describe("the usual traceparent", () => {
  test.each(["00", "01", "02", "03", "ff", "a1"])(
    "with flags %s is read as the SDK reads it",
    (flags) => {
      const text = `00-${TRACE_ID}-${SPAN_ID}-${flags}`;
      const { traceId, spanId, traceFlags, isRemote } = parseTraceparent(text) ?? {};
      expect({ traceId, spanId, traceFlags, isRemote } as object).toEqual(stock(text) as object);
    },
  );

  test("has its ids as words, too", () => {
    const parent = parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-01`);
    const { a = 0, b = 0, c = 0, d = 0 } = parent?.trace ?? {};
    expect([a, b, c, d].map(wordText).join("")).toBe(TRACE_ID);
    expect(wordText(parent?.first ?? 0) + wordText(parent?.last ?? 0)).toBe(SPAN_ID);
  });
});

test.each([
  "",
  "00",
  `00-${TRACE_ID}-${SPAN_ID}-1`,
  `00-${TRACE_ID}-${SPAN_ID}-001`,
  `00-${TRACE_ID}-${SPAN_ID}-01-`,
  `01-${TRACE_ID}-${SPAN_ID}-01`,
  `ff-${TRACE_ID}-${SPAN_ID}-01`,
  `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`,
  `00-${"0".repeat(32)}-${SPAN_ID}-01`,
  `00-${TRACE_ID}-${"0".repeat(16)}-01`,
  `00-${TRACE_ID}-${SPAN_ID}-0g`,
  `00_${TRACE_ID}-${SPAN_ID}-01`,
  `00-${TRACE_ID}_${SPAN_ID}-01`,
  `00-${TRACE_ID.slice(1)}\u00e9-${SPAN_ID}-01`,
  `00-${TRACE_ID.slice(1)}\u0130-${SPAN_ID}-01`,
])("%p is left to the SDK", (text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});
