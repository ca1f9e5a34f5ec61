import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { hrTimeToMicroseconds } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { preciseStart } from "./precise-start.ts";

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({
  spanProcessors: [preciseStart, new SimpleSpanProcessor(exporter)],
});
const tracer = provider.getTracer("test");

afterEach(() => exporter.reset());

describe("precise start times", () => {
  test("spans that start one after the other stand in that order, finer than a millisecond", () => {
    for (let index = 0; index < 500; index++) tracer.startSpan(`${index}`).end();
    const starts = exporter.getFinishedSpans().map((span) => hrTimeToMicroseconds(span.startTime));
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    const milliseconds = new Set(starts.map((us) => Math.floor(us / 1000)));
    expect(new Set(starts).size).toBeGreaterThan(milliseconds.size);
  });

  test("children lie within their parent, however late its start is looked at", () => {
    const now = performance.now.bind(performance);
    // The process loses the processor just after the SDK has read the clock for a child.
    const clock = spyOn(performance, "now");
    for (let index = 0; index < 50; index++) {
      const parent = tracer.startSpan("parent");
      let looks = 0;
      clock.mockImplementation(() => now() + (looks++ === 0 ? 0 : 20));
      const child = tracer.startSpan("child", {}, trace.setSpan(ROOT_CONTEXT, parent));
      clock.mockImplementation(now);
      child.end();
      parent.end();
    }
    clock.mockRestore();
    const spans = exporter.getFinishedSpans();
    for (let index = 0; index < spans.length; index += 2) {
      const [inner, outer] = spans.slice(index, index + 2);
      if (!inner || !outer) throw new Error("two spans were expected");
      const [innerStart, innerEnd] = [inner.startTime, inner.endTime].map(hrTimeToMicroseconds);
      const [outerStart, outerEnd] = [outer.startTime, outer.endTime].map(hrTimeToMicroseconds);
      expect(innerStart).toBeGreaterThanOrEqual(outerStart ?? Infinity);
      expect(innerEnd).toBeLessThanOrEqual(outerEnd ?? -Infinity);
    }
    expect(spans).toHaveLength(100);
  });

  test("a start that is given stays, and so does its end", () => {
    tracer.startSpan("past", { startTime: new Date(1_000) }).end(new Date(3_500));
    const [past] = exporter.getFinishedSpans();
    expect([past?.startTime, past?.endTime, past?.duration]).toEqual([
      [1, 0],
      [3, 500_000_000],
      [2, 500_000_000],
    ]);
  });

  test("a step of the wall clock is followed, and no duration becomes negative", async () => {
    const real = Date.now;
    const clock = spyOn(Date, "now");
    try {
      for (const stepMs of [0, -3_600_000, 0, 7_200_000]) {
        clock.mockImplementation(() => real() + stepMs);
        await Bun.sleep(2); // the two clocks are compared once a millisecond
        const span = tracer.startSpan("stepped");
        clock.mockImplementation(() => real() - 60_000);
        span.end();
        const [stepped] = exporter.getFinishedSpans().slice(-1);
        const startMs = hrTimeToMicroseconds(stepped?.startTime ?? [0, 0]) / 1000;
        expect(Math.abs(startMs - (real() + stepMs))).toBeLessThan(1_000);
        expect(hrTimeToMicroseconds(stepped?.duration ?? [-1, 0])).toBeGreaterThanOrEqual(0);
      }
    } finally {
      clock.mockRestore();
    }
  });
});
