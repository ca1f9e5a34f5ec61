import { describe, expect, test } from "bun:test";
import {
  createTraceState,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
} from "@opentelemetry/api";

import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import * as fc from "fast-check";
import { encodeSpans } from "./span-encoder.ts";

describe("span encoder", () => {
  test("writes the same bytes as the SDK's own serialiser, whatever is on the spans", () => {
    fc.assert(
      fc.property(fc.array(spanPlan, { minLength: 1, maxLength: 20 }), (plans) => {
        const spans = record(plans);
        // Twice: the second time from what it remembers.
        for (let time = 0; time < 2; time++) expect(hex(encodeSpans(spans))).toBe(stock(spans));
      }),
      { numRuns: 50 },
    );
  });

  test("goes on writing the right bytes when more values come than it remembers", () => {
    const spans = record(
      Array.from({ length: 500 }, (_, index) => ({
        ...PLAIN,
        attributes: { "order.id": `id-${index}`, "query.text": "x".repeat(index * 20) },
      })),
    );
    for (let time = 0; time < 2; time++) expect(hex(encodeSpans(spans))).toBe(stock(spans));
  });

  test("tells the number 1, the text 1 and true apart under one key", () => {
    const spans = record(
      [1, "1", true, 1.5, [1], ["1"]].map((value) => ({ ...PLAIN, attributes: { value } })),
    );
    for (let time = 0; time < 2; time++) expect(hex(encodeSpans(spans))).toBe(stock(spans));
  });

  test("makes an empty request of no spans", () => {
    expect(encodeSpans([])).toHaveLength(0);
  });
});

interface SpanPlan {
  name: string;
  kind: SpanKind;
  attributes: Attributes;
  eventAttributes: Attributes[];
  linkAttributes: Attributes[];
  traceState: string | undefined;
  isRemote: boolean;
  startMs: number;
  durationMs: number;
  status: { code: SpanStatusCode; message?: string } | undefined;
  scope: string;
}

const PLAIN: SpanPlan = {
  name: "GET /orders/:id",
  kind: SpanKind.SERVER,
  attributes: {},
  eventAttributes: [],
  linkAttributes: [],
  traceState: undefined,
  isRemote: false,
  startMs: 1_795_000_000_000,
  durationMs: 12.5,
  status: undefined,
  scope: "test",
};

const text = fc.string({ unit: "binary", maxLength: 200 });
const value = fc.oneof(
  text,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }),
  fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 2 ** 63, -0),
  fc.boolean(),
  fc.array(text, { maxLength: 5 }),
  fc.array(fc.integer(), { maxLength: 5 }),
  fc.array(fc.boolean(), { maxLength: 5 }),
);
const attributes = fc.dictionary(fc.string({ minLength: 1, maxLength: 40 }), value, {
  maxKeys: 12,
  noNullPrototype: true,
});
const spanPlan: fc.Arbitrary<SpanPlan> = fc.record({
  name: text,
  kind: fc.constantFrom(
    SpanKind.INTERNAL,
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.PRODUCER,
    SpanKind.CONSUMER,
  ),
  attributes,
  eventAttributes: fc.array(attributes, { maxLength: 3 }),
  linkAttributes: fc.array(attributes, { maxLength: 3 }),
  traceState: fc.constantFrom(undefined, "vendor=value", "a=1,b=2"),
  isRemote: fc.boolean(),
  startMs: fc.integer({ min: 1_000_000_000_000, max: 4_000_000_000_000 }),
  durationMs: fc.double({ min: 0, max: 100_000, noNaN: true }),
  status: fc.option(
    fc.constantFrom(
      { code: SpanStatusCode.OK },
      { code: SpanStatusCode.ERROR },
      { code: SpanStatusCode.ERROR, message: "the database does not answer – später" },
    ),
    { nil: undefined },
  ),
  scope: fc.constantFrom("test", "other"),
});

/** Records the spans with the SDK, as an exporter gets them. */
function record(plans: readonly SpanPlan[]): ReadableSpan[] {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "orders", "process.pid": 17 }),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  for (const plan of plans) {
    const parent = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: TraceFlags.SAMPLED,
      isRemote: plan.isRemote,
      ...(plan.traceState && { traceState: createTraceState(plan.traceState) }),
    };
    const span = provider.getTracer(plan.scope, "1.0.0").startSpan(
      plan.name,
      {
        kind: plan.kind,
        attributes: plan.attributes,
        links: plan.linkAttributes.map((own) => ({ context: parent, attributes: own })),
        startTime: plan.startMs,
      },
      plan.traceState === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    );
    for (const own of plan.eventAttributes) span.addEvent("retry", own, plan.startMs);
    if (plan.status) span.setStatus(plan.status);
    span.end(plan.startMs + plan.durationMs);
  }
  return exporter.getFinishedSpans();
}

function stock(spans: ReadableSpan[]): string {
  return hex(ProtobufTraceSerializer.serializeRequest(spans));
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}
