import { describe, expect, test } from "bun:test";
import { toJaegerTrace } from "./jaeger-json.ts";
import type { KeyValue, OtlpSpan, ResourceSpans } from "./otlp.ts";

const TRACE_ID = "83a9efd15c1c98a977e0711cc93ee28b";
const OTHER_TRACE_ID = "f".repeat(32);

function stored(traceId: string, resourceSpans: ResourceSpans[]) {
  return { traceId, resourceSpans };
}

/** The trace of one span, as Jaeger shows that span. */
function translate(fields: Partial<OtlpSpan>) {
  const span = { traceId: TRACE_ID, spanId: "e127af99e3b3e074", name: "op", ...fields };
  const [translated] = toJaegerTrace(stored(TRACE_ID, [{ scopeSpans: [{ spans: [span] }] }])).spans;
  if (!translated) throw new Error("no span came out");
  return translated;
}

function text(key: string, stringValue: string): KeyValue {
  return { key, value: { stringValue } };
}

describe("the translation to Jaeger's JSON", () => {
  // After cmd/jaeger/internal/extension/jaegerquery/internal/fixture/otlp2jaeger-out.json in Jaeger.
  test("gives a trace the shape that Jaeger gives it", () => {
    const span: OtlpSpan = {
      traceId: TRACE_ID,
      spanId: "e127af99e3b3e074",
      parentSpanId: "909541b92cf05311",
      name: "okey-dokey-0",
      kind: 2,
      startTimeUnixNano: "1706678909209712000",
      endTimeUnixNano: "1706678909209835000",
      attributes: [text("peer.service", "telemetrygen-client"), text("net.peer.ip", "1.2.3.4")],
    };
    const trace = stored(TRACE_ID, [
      {
        resource: { attributes: [text("service.name", "telemetrygen"), text("host.name", "h")] },
        scopeSpans: [{ scope: { name: "telemetrygen" }, spans: [span] }],
      },
    ]);
    expect(toJaegerTrace(trace)).toEqual({
      traceID: TRACE_ID,
      spans: [
        {
          traceID: TRACE_ID,
          spanID: "e127af99e3b3e074",
          operationName: "okey-dokey-0",
          references: [{ refType: "CHILD_OF", traceID: TRACE_ID, spanID: "909541b92cf05311" }],
          startTime: 1706678909209712,
          duration: 123,
          tags: [
            { key: "otel.scope.name", type: "string", value: "telemetrygen" },
            { key: "net.peer.ip", type: "string", value: "1.2.3.4" },
            { key: "peer.service", type: "string", value: "telemetrygen-client" },
            { key: "span.kind", type: "string", value: "server" },
          ],
          logs: [],
          processID: "p1",
          warnings: null,
        },
      ],
      processes: {
        p1: {
          serviceName: "telemetrygen",
          tags: [{ key: "host.name", type: "string", value: "h" }],
        },
      },
      warnings: null,
    });
  });

  test("turns a status into tags: error=true only where it is an error", () => {
    expect(translate({ status: { code: 2, message: "boom" } }).tags).toEqual([
      { key: "otel.status_code", type: "string", value: "ERROR" },
      { key: "error", type: "bool", value: true },
      { key: "otel.status_description", type: "string", value: "boom" },
    ]);
    expect(translate({ status: { code: 1 } }).tags).toEqual([
      { key: "otel.status_code", type: "string", value: "OK" },
    ]);
    expect(translate({ status: {} }).tags).toEqual([]);
  });

  test("turns links into FOLLOWS_FROM after the parent, and the parent's own reference where they meet", () => {
    const parentSpanId = "909541b92cf05311";
    const links = [
      { traceId: TRACE_ID, spanId: parentSpanId },
      { traceId: OTHER_TRACE_ID, spanId: parentSpanId },
    ];
    expect(translate({ parentSpanId, links }).references).toEqual([
      { refType: "FOLLOWS_FROM", traceID: TRACE_ID, spanID: parentSpanId },
      { refType: "FOLLOWS_FROM", traceID: OTHER_TRACE_ID, spanID: parentSpanId },
    ]);
    expect(translate({ links: links.slice(1) }).references).toEqual([
      { refType: "FOLLOWS_FROM", traceID: OTHER_TRACE_ID, spanID: parentSpanId },
    ]);
  });

  test("keeps every value's type, and an integer's every digit", () => {
    const attributes: KeyValue[] = [
      { key: "a", value: { intValue: "42" } },
      { key: "b", value: { intValue: "9223372036854775807" } },
      { key: "c", value: { doubleValue: 0.5 } },
      { key: "d", value: { boolValue: false } },
      { key: "e", value: { bytesValue: "AQI=" } },
      { key: "f", value: { arrayValue: { values: [{ intValue: "1" }, { stringValue: "x" }] } } },
      { key: "g", value: { kvlistValue: { values: [{ key: "k", value: { boolValue: true } }] } } },
      { key: "h" },
    ];
    expect(translate({ attributes }).tags.map(({ type, value }) => [type, value])).toEqual([
      ["int64", 42],
      ["int64", "9223372036854775807"],
      ["float64", 0.5],
      ["bool", false],
      ["binary", "AQI="],
      ["string", '[1,"x"]'],
      ["string", '{"k":true}'],
      ["string", ""],
    ]);
  });

  test("turns events into logs with the event's name first", () => {
    const events = [
      { timeUnixNano: "1706678909209712999", name: "retry", attributes: [text("a", "b")] },
      { timeUnixNano: "1706678909209713000", name: "n", attributes: [text("event", "own")] },
    ];
    expect(translate({ events }).logs).toEqual([
      {
        timestamp: 1706678909209712,
        fields: [
          { key: "event", type: "string", value: "retry" },
          { key: "a", type: "string", value: "b" },
        ],
      },
      {
        timestamp: 1706678909209713,
        fields: [{ key: "event", type: "string", value: "own" }],
      },
    ]);
  });

  test("cuts a duration to microseconds, not its two ends", () => {
    const times = { startTimeUnixNano: "1000900", endTimeUnixNano: "1003100" };
    expect(translate(times)).toMatchObject({ startTime: 1_000, duration: 2 });
  });

  test("leaves the flags out, as Jaeger does for OTLP spans, and passes the trace state on", () => {
    expect(translate({ flags: 0x301 })).not.toHaveProperty("flags");
    expect(translate({ traceState: "a=1" }).tags).toEqual([
      { key: "w3c.tracestate", type: "string", value: "a=1" },
    ]);
  });

  test("orders spans by their starts, writes short trace ids short, and never a negative duration", () => {
    const traceId = "0".repeat(16) + "77e0711cc93ee28b";
    const at = (spanId: string, startTimeUnixNano: string) => ({
      traceId,
      spanId,
      startTimeUnixNano,
    });
    const spans = [at("b".repeat(16), "2000"), at("a".repeat(16), "1000")];
    const trace = toJaegerTrace(stored(traceId, [{ scopeSpans: [{ spans }] }]));
    expect(trace.traceID).toBe("77e0711cc93ee28b");
    expect(trace.spans.map(({ spanID, duration }) => [spanID, duration])).toEqual([
      ["a".repeat(16), 0],
      ["b".repeat(16), 0],
    ]);
    expect(trace.processes).toEqual({ p1: { serviceName: "missing-service-name", tags: [] } });
  });
});

test("a parent or a link of zeros is no reference", () => {
  const zeros = { traceId: "0".repeat(32), spanId: "0".repeat(16) };
  const links = [
    zeros,
    { ...zeros, traceId: OTHER_TRACE_ID },
    { ...zeros, spanId: "1".padStart(16, "0") },
    { traceId: "", spanId: "" },
  ];
  expect(translate({ parentSpanId: zeros.spanId, links }).references).toEqual([]);
});
