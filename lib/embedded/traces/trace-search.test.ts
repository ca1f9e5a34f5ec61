import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { microsOf, type ResourceSpans, spansOf } from "./otlp.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { attributeText, attributesOf, textsOf } from "./span-terms.ts";
import { TraceRing } from "./trace-ring.ts";
import { searchTraces, type TraceQuery } from "./trace-search.ts";

const LIMITS = { tracesMax: 40, spansPerTraceMax: 100, bytesMax: 1e9 };

interface Made {
  readonly trace: number;
  readonly service: string;
  readonly name: string;
  readonly customer: string;
  readonly durationMs: number;
  readonly failed: boolean;
}

let made = 0;

function exported({ trace, service, name, customer, durationMs, failed }: Made): ResourceSpans[] {
  const span = {
    traceId: trace.toString(16).padStart(32, "0"),
    spanId: (++made).toString(16).padStart(16, "0"),
    name,
    startTimeUnixNano: "1000000000",
    endTimeUnixNano: String(1_000_000_000 + durationMs * 1_000_000),
    attributes: [{ key: "customer", value: { stringValue: customer } }],
    status: failed ? { code: 2 } : {},
  };
  const attributes = [{ key: "service.name", value: { stringValue: service } }];
  return [{ resource: { attributes }, scopeSpans: [{ spans: [span] }] }];
}

const words = fc.constantFrom("a", "b", "Ada", "bob", "GET /x", "GET /y");
const spans = fc.record({
  trace: fc.integer({ min: 1, max: 60 }),
  service: words,
  name: words,
  customer: words,
  durationMs: fc.integer({ min: 0, max: 20 }),
  failed: fc.boolean(),
});
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const queries: fc.Arbitrary<TraceQuery> = fc.record({
  service: optional(words),
  operation: optional(words),
  attributes: fc.array(fc.record({ key: fc.constant("customer"), value: optional(words) }), {
    maxLength: 1,
  }),
  status: optional(fc.constantFrom("error" as const, "ok" as const)),
  text: optional(fc.constantFrom("ad", "BOB", "get", "customer=a", "zzz")),
  minDurationUs: optional(fc.integer({ min: 0, max: 20_000 })),
  maxDurationUs: optional(fc.integer({ min: 0, max: 20_000 })),
});

/** The same without an index: every span of every trace is looked at. */
function slowly(ring: TraceRing, query: TraceQuery): string[] {
  const { service, operation, attributes = [], status, text = "" } = query;
  const asks = service !== undefined || operation !== undefined || status !== undefined;
  const lasts = (us: number) =>
    us >= (query.minDurationUs ?? 0) && us <= (query.maxDurationUs ?? Number.POSITIVE_INFINITY);
  return ring
    .all()
    .filter((trace) => {
      const all = spansOf(trace);
      const texts = all.flatMap((one) => [serviceNameOf(one.resource), ...textsOf(one)]);
      if (!texts.some((one) => one.toLowerCase().includes(text.toLowerCase()))) return false;
      if (!asks && attributes.length === 0) return lasts(trace.endTimeUs - trace.startTimeUs);
      return all.some(({ span, ...rest }) => {
        const context = { span, ...rest };
        const own = [...attributesOf(context)];
        return (
          (service === undefined || serviceNameOf(context.resource) === service) &&
          (operation === undefined || span.name === operation) &&
          (status === undefined || (span.status?.code === 2) === (status === "error")) &&
          attributes.every(({ key, value }) =>
            own.some(
              (one) =>
                one.key === key &&
                (value === undefined || attributeText(one) === `${key}=${value}`),
            ),
          ) &&
          lasts(microsOf(span.endTimeUnixNano) - microsOf(span.startTimeUnixNano))
        );
      });
    })
    .map(({ traceId }) => traceId);
}

describe("a search", () => {
  test("finds what looking at every span finds, also after traces have gone", () => {
    fc.assert(
      fc.property(
        fc.array(spans, { maxLength: 150 }),
        fc.array(queries, { maxLength: 20 }),
        (all, asked) => {
          const ring = new TraceRing(LIMITS);
          for (const one of all) ring.add(exported(one), 100);
          for (const query of asked) {
            const found = searchTraces(ring, query).map(({ traceId }) => traceId);
            expect(found).toEqual(slowly(ring, query));
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test("the indexes are empty again when all traces have gone", () => {
    const ring = new TraceRing({ ...LIMITS, bytesMax: 0 });
    const one = { service: "a", name: "b", customer: "c", durationMs: 1, failed: false };
    for (let trace = 1; trace < 50; trace++) ring.add(exported({ trace, ...one }), 100);
    expect(ring.stats().traces).toBe(0);
    const sizes = [ring.byService, ring.byOperation, ring.byText, ring.byLink].map(
      ({ size }) => size,
    );
    expect(sizes).toEqual([0, 0, 0, 0]);
  });
});
