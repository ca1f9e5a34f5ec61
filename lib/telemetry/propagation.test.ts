import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { context, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import {
  createPropagator,
  extractFromHttp,
  extractFromKafka,
  injectedHeaders,
} from "./propagation.ts";
import { inSpan, tracer } from "./span.ts";
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

/** What is left of a baggage. */
const baggageOf = (baggage: string) =>
  injectedHeaders(extractFromHttp(ROOT_CONTEXT, new Headers({ baggage })))["baggage"];

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
  ])("is left aside, with its tracestate, where traceparent is %s", (_, traceparent) => {
    expect(fromHttp({ traceparent, tracestate: "a=1" })).toBeUndefined();
  });

  test("loses a tracestate of more than 32 members, and keeps the trace", () => {
    expect(stateOf(members(32))).toBe(members(32));
    expect(stateOf(members(33))).toBe("");
  });

  test.each([
    "foo=,bar=3",
    "foo,bar=3",
    "=1,bar=3",
    "foo=1=2,bar=3",
    "foo =1,bar=3",
    "FOO=1,bar=3",
    "fo.o=1,bar=3",
    "-foo=1,bar=3",
    "@foo=1,bar=3",
    "foo=1;bar=3",
    "foo=ä,bar=3",
    `${"k".repeat(257)}=1,bar=3`,
    `foo=${"v".repeat(257)},bar=3`,
  ])("loses its tracestate whole where a member is malformed, and keeps the trace: %s", (text) => {
    expect(stateOf(text)).toBe("");
    const parent = extractFromHttp(
      ROOT_CONTEXT,
      new Headers({ traceparent: TRACEPARENT, tracestate: text }),
    );
    expect(injectedHeaders(parent)).toEqual({ traceparent: TRACEPARENT });
  });

  test.each([
    ["foo=1 , ,\tbar=2,", "foo=1,bar=2"],
    ["foo= a b,bar=:;!", "foo= a b,bar=:;!"],
    ["1st@x*/-_=1", "1st@x*/-_=1"],
    ["foo=new,bar=2,foo=old", "foo=new,bar=2"],
    [`${"k".repeat(255)}=1,bar=2`, `${"k".repeat(255)}=1,bar=2`],
    [`foo=${"v".repeat(256)}`, `foo=${"v".repeat(256)}`],
    ["", ""],
    [" , ", ""],
  ])("keeps a tracestate that is well-formed: %p", (text, kept) => {
    expect(stateOf(text)).toBe(kept);
  });

  test("has its tracestate shortened to 512 characters: long members go first, then the oldest", () => {
    const [a, b, c, d] = ["a", "b", "c", "d"].map((key) => `${key}=${"x".repeat(130)}`);
    expect(stateOf([a, members(10), b, c, d].join(","))).toBe([a, members(10), b, c].join(","));
    const short = Array.from({ length: 32 }, (_, n) => `key${n}=${"x".repeat(20)}`);
    const kept = stateOf(short.join(","));
    expect(`${short.join(",")},`).toStartWith(`${kept},`);
    expect(kept.length).toBeWithin(512 - 27, 513);
  });

  test.each([
    ["00", "00"],
    ["01", "01"],
    ["02", "02"],
    ["03", "03"],
    ["ff", "03"],
    ["04", "00"],
    ["f1", "01"],
  ])(
    "with flags %s goes on with %s: what nobody has defined is not passed on",
    async (came, goes) => {
      const traceparent = TRACEPARENT.replace(/01$/, came);
      const parent = extractFromHttp(ROOT_CONTEXT, new Headers({ traceparent }));
      expect(injectedHeaders(parent)["traceparent"]).toBe(TRACEPARENT.replace(/01$/, goes));
      // The same below a span of ours, and a span below that.
      await context.with(parent, () =>
        inSpan("outer", {}, () =>
          inSpan("inner", {}, async () => {
            expect(injectedHeaders()["traceparent"]).toMatch(
              RegExp(`^00-${TRACE_ID}-.{16}-${goes}$`),
            );
          }),
        ),
      );
    },
  );

  test("does not lend its flag for a random id to a trace that begins here", async () => {
    const traceparent = TRACEPARENT.replace(/01$/, "03");
    const parent = extractFromHttp(ROOT_CONTEXT, new Headers({ traceparent }));
    const root = tracer().startSpan("root", { root: true }, parent);
    expect(injectedHeaders(trace.setSpan(parent, root))["traceparent"]).toEndWith("-01");
    root.end();
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

  test("loses what is malformed or over the limits of its baggage, and keeps the rest", () => {
    expect(baggageOf("a=1,=,b,;;,c=3;meta=x")).toBe("a=1,c=3;meta=x");
    expect(baggageOf(`a=1,b=${"x".repeat(4_096)},c=3`)).toBe("a=1,c=3");
    expect(baggageOf(members(200))?.split(",")).toHaveLength(180);
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

  test("is nothing where there are no headers", () => {
    for (const headers of [{}, { traceparent: undefined }, { traceparent: [] }]) {
      expect(trace.getSpanContext(extractFromKafka(ROOT_CONTEXT, headers))).toBeUndefined();
    }
  });

  test("is the last one of each header that is there several times", () => {
    const other = `00-${"a".repeat(32)}-${SPAN_ID}-00`;
    const bytes = Buffer.from(TRACEPARENT);
    for (const traceparent of [
      [TRACEPARENT, TRACEPARENT],
      [bytes, bytes],
      [other, "", bytes],
    ]) {
      const headers = { traceparent, tracestate: ["a=1", "b=2"], baggage: ["c=3", "d=4"] };
      const parent = extractFromKafka(ROOT_CONTEXT, headers);
      expect(injectedHeaders(parent)).toEqual({
        traceparent: TRACEPARENT,
        tracestate: "b=2",
        baggage: "d=4",
      });
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
    expect(fieldsOf("TraceContext")).toEqual(["traceparent", "tracestate"]);
    expect(createPropagator("b3,tracecontext,magic").unknown).toEqual(["b3", "magic"]);
    expect(fieldsOf("b3,baggage")).toEqual(["baggage"]);
  });

  test("is the default where nothing in it is known, or none stands beside others", () => {
    expect(fieldsOf("b3")).toEqual(["baggage", "traceparent", "tracestate"]);
    expect(fieldsOf("none,baggage")).toEqual(["baggage", "traceparent", "tracestate"]);
    expect(createPropagator("none,baggage").isContradictory).toBe(true);
    expect(createPropagator("None").isContradictory).toBe(false);
  });
});

test("a tracestate that came in takes a further member in front, and loses one", () => {
  const parent = fromHttp({ traceparent: TRACEPARENT, tracestate: "a=1,b=2" })?.traceState;
  expect(parent?.get("b")).toBe("2");
  expect(parent?.set("b", "3").serialize()).toBe("b=3,a=1");
  expect(parent?.set("B", "3").serialize()).toBe("a=1,b=2");
  expect(parent?.unset("a").serialize()).toBe("b=2");
});

test("without an active span nothing is injected", () => {
  expect(injectedHeaders(ROOT_CONTEXT)).toEqual({});
  expect(propagation.fields()).toContain("traceparent");
});
