import { describe, expect, test } from "bun:test";
import { decodeOtlp, encodeOtlp, OtlpDecodeError } from "./otlp-codec.ts";

const TRACES = "ExportTraceServiceRequest";
const METRICS = "ExportMetricsServiceRequest";
const LOGS = "ExportLogsServiceRequest";

const TRACE_ID = "5b8efff798038103d269b633813fc60c";
const SPAN_ID = "eee19b7ec3c1b174";

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** A request with one span that has these fields. */
function spanWith(fields: Record<string, unknown>): Record<string, unknown> {
  return { resourceSpans: [{ scopeSpans: [{ spans: [fields] }] }] };
}

function decodeSpan(fields: Record<string, unknown>): unknown {
  return decodeOtlp(TRACES, "application/json", json(spanWith(fields)));
}

describe("OTLP decoding", () => {
  test("reads the same from protobuf as from JSON: hex ids, numbers past 2^53, every kind of value", () => {
    const spans = [
      {
        traceId: TRACE_ID,
        spanId: SPAN_ID,
        parentSpanId: "eee19b7ec3c1b173",
        traceState: "vendor=1",
        flags: 769,
        name: "Grüße",
        kind: 2,
        startTimeUnixNano: "1544712660000000001",
        endTimeUnixNano: "18446744073709551615",
        attributes: [
          { key: "text", value: { stringValue: "" } },
          { key: "yes", value: { boolValue: true } },
          { key: "long", value: { intValue: "-9223372036854775808" } },
          { key: "half", value: { doubleValue: 0.5 } },
          { key: "endless", value: { doubleValue: "-Infinity" } },
          { key: "bytes", value: { bytesValue: "+/8=" } },
          { key: "list", value: { arrayValue: { values: [{ intValue: "1" }, {}] } } },
          { key: "map", value: { kvlistValue: { values: [{ key: "k", value: {} }] } } },
        ],
        droppedAttributesCount: 4294967295,
        events: [{ timeUnixNano: "1", name: "retry", attributes: [{ key: "n", value: {} }] }],
        links: [{ traceId: TRACE_ID, spanId: SPAN_ID, flags: 257 }],
        status: { code: 2, message: "no" },
      },
    ];
    const resource = { attributes: [{ key: "service.name", value: { stringValue: "orders" } }] };
    const scopeSpans = [{ scope: { name: "orderflow", version: "1" }, spans, schemaUrl: "u" }];
    const request = { resourceSpans: [{ resource, scopeSpans, schemaUrl: "v" }] };
    expect(decodeOtlp(TRACES, "application/json", json(request))).toEqual(request);

    // protobufjs takes bytes as base64: the two encodings of the same message differ in that.
    const inBase64 = JSON.parse(JSON.stringify(request), (key, value: unknown) =>
      /^(trace|span|parentSpan)Id$/.test(key)
        ? Uint8Array.fromHex(String(value)).toBase64()
        : key === "doubleValue"
          ? Number(value)
          : value,
    );
    const bytes = encodeOtlp(TRACES, "application/x-protobuf", inBase64);
    expect(decodeOtlp(TRACES, "application/x-protobuf", bytes)).toEqual(request);
  });

  test("reads metrics and logs", () => {
    const metrics = {
      resourceMetrics: [
        {
          scopeMetrics: [
            {
              metrics: [
                { name: "up", sum: { dataPoints: [{ asInt: "-3" }], isMonotonic: true } },
                {
                  name: "took",
                  histogram: {
                    aggregationTemporality: 2,
                    dataPoints: [
                      {
                        count: "2",
                        sum: 0.5,
                        bucketCounts: ["0", "2"],
                        explicitBounds: [0.1],
                        min: 0.2,
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    };
    for (const encoding of ["application/json", "application/x-protobuf"] as const) {
      const bytes = encodeOtlp(METRICS, encoding, metrics);
      expect(decodeOtlp(METRICS, encoding, bytes)).toEqual(metrics);
    }
    const logs = {
      resourceLogs: [
        {
          scopeLogs: [
            {
              logRecords: [
                {
                  timeUnixNano: "1",
                  severityNumber: 9,
                  body: { stringValue: "hello" },
                  traceId: TRACE_ID,
                  eventName: "e",
                },
              ],
            },
          ],
        },
      ],
    };
    expect(decodeOtlp(LOGS, "application/json", json(logs))).toEqual(logs);
  });

  test("takes what JSON allows: numbers for 64-bit fields, upper-case ids, null for unset", () => {
    const fields = {
      traceId: TRACE_ID.toUpperCase(),
      spanId: SPAN_ID,
      startTimeUnixNano: 42,
      parentSpanId: null,
      attributes: [{ key: "half", value: { doubleValue: "0.5" } }],
    };
    expect(decodeSpan(fields)).toEqual(
      spanWith({
        traceId: TRACE_ID,
        spanId: SPAN_ID,
        startTimeUnixNano: "42",
        attributes: [{ key: "half", value: { doubleValue: 0.5 } }],
      }),
    );
  });

  test("ignores fields that it does not know, inherited names too", () => {
    const text = '{"resourceSpans":[],"futureField":{"a":1},"__proto__":{"b":1},"constructor":1}';
    const body = new TextEncoder().encode(text);
    expect(decodeOtlp(TRACES, "application/json", body)).toEqual({ resourceSpans: [] });
  });

  test.each([
    ["an id that is not hex", { traceId: "W47/95gDgQPSabYzgT/GDA==" }, "spans[0].traceId is not"],
    ["an enum member's name", { kind: "SPAN_KIND_SERVER" }, "spans[0].kind is not a valid int32"],
    ["a number for a text", { name: 7 }, "spans[0].name is not a valid string"],
    ["a time before 1970", { startTimeUnixNano: "-1" }, "startTimeUnixNano is not a valid fixed64"],
    ["a time too late", { endTimeUnixNano: "18446744073709551616" }, "not a valid fixed64"],
    ["a fraction for a count", { droppedAttributesCount: 1.5 }, "not a valid uint32"],
    ["an object for an array", { attributes: {} }, "spans[0].attributes must be an array"],
    ["an array for an object", { status: [] }, "spans[0].status must be an object"],
  ])("refuses %s, and says where it stands", (_, fields, message) => {
    expect(() => decodeSpan(fields)).toThrow(message);
    expect(() => decodeSpan(fields)).toThrow(OtlpDecodeError);
  });

  test("refuses what is no message at all, without running out of stack", () => {
    const bodies: [string, Uint8Array][] = [
      ["[]", new TextEncoder().encode("[]")],
      ["cut off", new TextEncoder().encode('{"resourceSpans":[')],
      ["not UTF-8", new Uint8Array([0x22, 0xff, 0x22])],
      ["endless nesting", new TextEncoder().encode(nested(50_000))],
      ["deep nesting", new TextEncoder().encode(nested(200))],
    ];
    for (const [, body] of bodies) {
      expect(() => decodeOtlp(TRACES, "application/json", body)).toThrow(OtlpDecodeError);
    }
    for (const body of [new Uint8Array([0x0a, 0x7f]), new Uint8Array(64).fill(0xff)]) {
      expect(() => decodeOtlp(TRACES, "application/x-protobuf", body)).toThrow(OtlpDecodeError);
    }
  });
});

/** A log whose body is an array in an array in an array… */
function nested(depth: number): string {
  const value = '{"arrayValue":{"values":['.repeat(depth) + "]}}".repeat(depth);
  return `{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":${value}}]}}]}`;
}

test.each(["application/json", "application/x-protobuf"] as const)(
  "an id of zeros is read as none, in %s",
  (encoding) => {
    const zeros = { traceId: "0".repeat(32), spanId: "0".repeat(16) };
    const span = { traceId: TRACE_ID, spanId: SPAN_ID, parentSpanId: zeros.spanId, links: [zeros] };
    // The encoder for protobuf takes bytes.
    const bytes = {
      traceId: Buffer.from(TRACE_ID, "hex"),
      spanId: Buffer.from(SPAN_ID, "hex"),
      parentSpanId: Buffer.alloc(8),
      links: [{ traceId: Buffer.alloc(16), spanId: Buffer.alloc(8) }],
    };
    const sent = encoding === "application/json" ? span : bytes;
    expect(decodeOtlp(TRACES, encoding, encodeOtlp(TRACES, encoding, spanWith(sent)))).toEqual(
      spanWith({ ...span, parentSpanId: "", links: [{ traceId: "", spanId: "" }] }),
    );
  },
);
