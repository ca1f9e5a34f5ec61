import { describe, expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import type { OtlpSpan, ResourceSpans } from "./otlp.ts";
import { TraceRing } from "./trace-ring.ts";

const LIMITS = { tracesMax: 3, spansPerTraceMax: 4, bytesMax: 1_000_000 };

function span(trace: number, number: number, more: Partial<OtlpSpan> = {}): OtlpSpan {
  return { traceId: traceId(trace), spanId: number.toString(16).padStart(16, "0"), ...more };
}

function traceId(trace: number): string {
  return trace.toString(16).padStart(32, "0");
}

function request(service: string, ...spans: OtlpSpan[]): ResourceSpans[] {
  const attributes = [{ key: "service.name", value: { stringValue: service } }];
  return [{ resource: { attributes }, scopeSpans: [{ scope: { name: "s" }, spans }] }];
}

describe("the ring of traces", () => {
  test("gathers a trace from many exports, one resource for each service", () => {
    const ring = new TraceRing(LIMITS);
    ring.add(
      request("orders", span(1, 2, { startTimeUnixNano: "5000", endTimeUnixNano: "9000" })),
      10,
    );
    ring.add(
      request("gateway", span(1, 1, { startTimeUnixNano: "3000", endTimeUnixNano: "4000" })),
      10,
    );
    ring.add(
      request("orders", span(1, 3, { startTimeUnixNano: "6000", endTimeUnixNano: "7999" })),
      10,
    );
    const trace = ring.get(traceId(1));
    expect(trace).toMatchObject({
      traceId: traceId(1),
      spanCount: 3,
      startTimeUs: 3,
      endTimeUs: 9,
    });
    const spans = trace?.resourceSpans.map(({ scopeSpans }) =>
      scopeSpans?.map((scope) => scope.spans?.map(({ spanId }) => Number.parseInt(spanId, 16))),
    );
    expect(spans).toEqual([[[2, 3]], [[1]]]);
  });

  test("keeps the newest traces, lists them newest first, and counts those it let go", () => {
    const ring = new TraceRing(LIMITS);
    for (let trace = 1; trace <= 5; trace++) ring.add(request("a", span(trace, 1)), 10);
    expect(ring.all().map((trace) => trace.traceId)).toEqual([5, 4, 3].map(traceId));
    expect(ring.get(traceId(2))).toBeUndefined();
    expect(ring.stats()).toEqual({
      traces: 3,
      spans: 3,
      bytes: 30,
      evictedTraces: 2,
      rejectedSpans: 0,
    });
  });

  test("lets traces go when they take too many bytes, even the newest", () => {
    const ring = new TraceRing({ ...LIMITS, bytesMax: 100 });
    ring.add(request("a", span(1, 1)), 60);
    ring.add(request("a", span(2, 1)), 60);
    expect(ring.stats()).toMatchObject({ traces: 1, bytes: 60, evictedTraces: 1 });
    ring.add(request("a", span(3, 1), span(3, 2)), 200);
    expect(ring.stats()).toMatchObject({ traces: 0, spans: 0, bytes: 0, evictedTraces: 3 });
  });

  test("rejects spans past a trace's limit, and says how many and why", () => {
    const ring = new TraceRing(LIMITS);
    const spans = [1, 2, 3, 4, 5, 6].map((number) => span(1, number));
    expect(ring.add(request("a", ...spans), 10)).toEqual({
      rejectedSpans: 2,
      errorMessage: "2 × span of a trace that already has 4 spans",
    });
    expect(ring.stats()).toMatchObject({ spans: 4, rejectedSpans: 2 });
  });

  test.each([
    ["no trace id", { traceId: "" }],
    ["a trace id of zeros", { traceId: "0".repeat(32) }],
    ["a short trace id", { traceId: "abcd" }],
    ["no span id", { spanId: "" }],
    ["a span id of zeros", { spanId: "0".repeat(16) }],
  ])("rejects a span with %s, and keeps the others", (_, fields) => {
    const ring = new TraceRing(LIMITS);
    const result = ring.add(request("a", span(1, 1, fields), span(1, 2)), 10);
    expect(result.rejectedSpans).toBe(1);
    expect(ring.get(traceId(1))?.spanCount).toBe(1);
  });

  test("takes a span that is sent again as the same, but not another one with its id", () => {
    const ring = new TraceRing(LIMITS);
    ring.add(request("a", span(1, 1, { name: "x" })), 10);
    expect(ring.add(request("a", span(1, 1, { name: "x" })), 10).rejectedSpans).toBe(0);
    expect(ring.get(traceId(1))?.spanCount).toBe(1);
    ring.add(request("a", span(1, 1, { name: "y" })), 10);
    expect(ring.get(traceId(1))?.spanCount).toBe(2);
  });

  test("rejects the fifth span of one id, so that telling repeats from others stays cheap", () => {
    const ring = new TraceRing({ ...LIMITS, spansPerTraceMax: 100_000 });
    const same = Array.from({ length: 20_000 }, (_, n) => span(1, 1, { name: `${n}` }));
    const startMs = performance.now();
    expect(ring.add(request("a", ...same), 10)).toEqual({
      rejectedSpans: 19_996,
      errorMessage: "19996 × span of an id that 4 spans of the trace already have",
    });
    // Each compared with each, these would be 200 million comparisons.
    expect(performance.now() - startMs).toBeLessThan(2_000);
    expect(ring.add(request("a", span(1, 1, { name: "3" })), 10).rejectedSpans).toBe(0);
    expect(ring.stats().spans).toBe(4);
  });

  describe("the memory bound", () => {
    const LARGE = 400 * 1024;
    const SPANS = 500;

    /** One request: a large resource, or scope, above many small spans, each of a trace of its own. */
    function largePlace(where: "resource" | "scope", round = 0): ResourceSpans[] {
      const large = [{ key: "large", value: { stringValue: `${round}`.padEnd(LARGE, "x") } }];
      const spans = Array.from({ length: SPANS }, (_, n) => span(1 + n + round * SPANS, 1));
      return where === "resource"
        ? [{ resource: { attributes: large }, scopeSpans: [{ spans }] }]
        : [{ scopeSpans: [{ scope: { name: "s", attributes: large }, spans }] }];
    }

    test.each(["resource", "scope"] as const)(
      "holds for a large %s: no trace keeps a copy of it, and each is charged with it",
      (where) => {
        const bytesMax = 4 * 1024 ** 2;
        const ring = new TraceRing({ tracesMax: 2_000, spansPerTraceMax: 10, bytesMax });
        const before = heapBytes();
        ring.add(largePlace(where), LARGE);
        const { traces, bytes } = ring.stats();
        expect(bytes).toBeLessThanOrEqual(bytesMax);
        expect(traces).toBeLessThanOrEqual(bytesMax / LARGE + 1);
        expect(heapBytes() - before).toBeLessThan(4 * bytesMax);
      },
    );

    test("holds where one trace keeps what many others were charged for", () => {
      const bytesMax = 4 * 1024 ** 2;
      const ring = new TraceRing({ tracesMax: 2_000, spansPerTraceMax: 10, bytesMax });
      const before = heapBytes();
      for (let round = 0; round < 100; round++) {
        // All but the last span are refused: what is left holds the resource nonetheless.
        const spans = Array.from({ length: SPANS }, (_, n) => span(n === 0 ? round + 1 : 0, n + 1));
        const attributes = [
          { key: "large", value: { stringValue: `${round}`.padEnd(LARGE, "x") } },
        ];
        ring.add([{ resource: { attributes }, scopeSpans: [{ spans }] }], LARGE);
      }
      expect(ring.stats().bytes).toBeLessThanOrEqual(bytesMax);
      expect(heapBytes() - before).toBeLessThan(4 * bytesMax);
    });

    test("holds while one request makes very many traces", () => {
      const ring = new TraceRing(LIMITS);
      let tracesMax = 0;
      const spans = Array.from({ length: 1_000 }, (_, n) => ({
        ...span(n + 1, 1),
        get name() {
          tracesMax = Math.max(tracesMax, ring.stats().traces);
          return "x";
        },
      }));
      ring.add(request("a", ...spans), 10);
      expect(tracesMax).toBe(LIMITS.tracesMax);
      expect(ring.stats()).toMatchObject({ traces: LIMITS.tracesMax, evictedTraces: 997 });
    });
  });
});

function heapBytes(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}
