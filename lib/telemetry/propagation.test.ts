import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import {
  createPropagator,
  extractFromHttp,
  extractFromKafka,
  injectedHeaders,
} from "./propagation.ts";
import { recordSpans, type SpanRecording } from "./testing/record-spans.ts";

const TRACE_ID = "0123456789abcdef0123456789abcdef";
const SPAN_ID = "0123456789abcdef";
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

const fromHttp = (headers: Record<string, string>) =>
  trace.getSpanContext(extractFromHttp(ROOT_CONTEXT, new Headers(headers)));

/** A tracestate of so many members. */
const members = (count: number) => Array.from({ length: count }, (_, n) => `k${n}=v`).join(",");

/** What is left of a tracestate. */
const stateOf = (tracestate: string) => {
  const found = fromHttp({ traceparent: TRACEPARENT, tracestate });
  expect(found?.traceId).toBe(TRACE_ID);
  return found?.traceState?.serialize() ?? "";
};

describe("what an HTTP request brings along", () => {
  test("is read and goes out again as it came", () => {
    const headers = { traceparent: TRACEPARENT, tracestate: "a=1,b=2", baggage: "tenant=blue" };
    const parent = extractFromHttp(ROOT_CONTEXT, new Headers(headers));
    expect(injectedHeaders(parent)).toEqual(headers);
  });

  test("keeps its sampling flag", () => {
    expect(fromHttp({ traceparent: TRACEPARENT })?.traceFlags).toBe(1);
    expect(fromHttp({ traceparent: TRACEPARENT.replace(/01$/, "00") })?.traceFlags).toBe(0);
  });

  test("of a later version is read as far as we know it", () => {
    expect(fromHttp({ traceparent: `01-${TRACE_ID}-${SPAN_ID}-01-more` })?.traceId).toBe(TRACE_ID);
  });

  test.each([
    ["empty", ""],
    ["too short", `00-${TRACE_ID}-${SPAN_ID}`],
    ["longer than its version allows", `${TRACEPARENT}-more`],
    ["of the version that is forbidden", `ff-${TRACE_ID}-${SPAN_ID}-01`],
    ["of trace 0", `00-${"0".repeat(32)}-${SPAN_ID}-01`],
    ["of span 0", `00-${TRACE_ID}-${"0".repeat(16)}-01`],
    ["in capitals", `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`],
    ["there twice", `${TRACEPARENT}, ${TRACEPARENT}`],
    ["of 100 000 digits", "0".repeat(100_000)],
  ])("is left aside where traceparent is %s", (_, traceparent) => {
    expect(fromHttp({ traceparent })).toBeUndefined();
  });

  test("loses a tracestate of more than 32 members, and keeps the trace", () => {
    expect(stateOf(members(32))).toBe(members(32));
    expect(stateOf(members(33))).toBe("");
  });

  test("may be a baggage that is malformed or huge, which harms nothing", () => {
    for (const baggage of ["=", ";;;", "a=%ZZ", `k=${"x".repeat(20_000)}`, "a=1,".repeat(500)]) {
      const parent = extractFromHttp(
        ROOT_CONTEXT,
        new Headers({ traceparent: TRACEPARENT, baggage }),
      );
      expect(trace.getSpanContext(parent)?.traceId).toBe(TRACE_ID);
      expect(injectedHeaders(parent)["traceparent"]).toBe(TRACEPARENT);
      expect((injectedHeaders(parent)["baggage"] ?? "").length).toBeLessThanOrEqual(8_192);
    }
  });
});

describe("what a Kafka record brings along", () => {
  test("is read from bytes and from texts", () => {
    for (const traceparent of [TRACEPARENT, Buffer.from(TRACEPARENT), [Buffer.from(TRACEPARENT)]]) {
      const found = trace.getSpanContext(extractFromKafka(ROOT_CONTEXT, { traceparent }));
      expect(found).toMatchObject({ traceId: TRACE_ID, spanId: SPAN_ID });
    }
  });

  test.each(["a=b;note=€", "a=b;note=x\ny", "a=b;note=\u0001"])(
    "may be a baggage that no HTTP header can carry: %p goes no further",
    (baggage) => {
      const parent = extractFromKafka(ROOT_CONTEXT, { traceparent: TRACEPARENT, baggage });
      expect(injectedHeaders(parent)).toEqual({ traceparent: TRACEPARENT });
    },
  );

  test("is nothing where there are no headers, or two different ones of the name", () => {
    const other = `00-${"a".repeat(32)}-${SPAN_ID}-01`;
    for (const headers of [{}, { traceparent: undefined }, { traceparent: [TRACEPARENT, other] }]) {
      expect(trace.getSpanContext(extractFromKafka(ROOT_CONTEXT, headers))).toBeUndefined();
    }
  });
});

const fieldsOf = (names?: string) => createPropagator(names).propagator.fields().sort();

describe("OTEL_PROPAGATORS", () => {
  test("is tracecontext and baggage where it is not set", () => {
    expect(fieldsOf()).toEqual(["baggage", "traceparent", "tracestate"]);
    expect(fieldsOf(" ")).toEqual(["baggage", "traceparent", "tracestate"]);
  });

  test("chooses, and says what it does not know", () => {
    expect(fieldsOf("baggage")).toEqual(["baggage"]);
    expect(fieldsOf("none")).toEqual([]);
    expect(fieldsOf(" tracecontext , tracecontext ")).toEqual(["traceparent", "tracestate"]);
    expect(createPropagator("b3,tracecontext,magic").unknown).toEqual(["b3", "magic"]);
  });
});

test("without an active span nothing is injected", () => {
  expect(injectedHeaders(ROOT_CONTEXT)).toEqual({});
  expect(propagation.fields()).toContain("traceparent");
});
