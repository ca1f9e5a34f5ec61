import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { hrTimeToMicroseconds } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { preciseStart } from "./precise-start.ts";

const exporter = new InMemorySpanExporter();
const ended = new SimpleSpanProcessor(exporter);
const provider = new BasicTracerProvider({ spanProcessors: [preciseStart, ended] });
const tracer = provider.getTracer("test");

/** As where the process loses the processor just after the SDK has read the clock for a child. */
const holdUp: SpanProcessor = {
  ...preciseStart,
  onStart(span) {
    const untilMs = performance.now() + 3;
    while (span.name === "child" && performance.now() < untilMs);
  },
};

afterEach(() => exporter.reset());

describe("precise start times", () => {
  test("spans that start one after the other stand in that order, finer than a millisecond", () => {
    for (let index = 0; index < 500; index++) tracer.startSpan(`${index}`).end();
    const starts = exporter.getFinishedSpans().map((span) => hrTimeToMicroseconds(span.startTime));
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    const milliseconds = new Set(starts.map((us) => Math.floor(us / 1000)));
    expect(new Set(starts).size).toBeGreaterThan(milliseconds.size);
  });

  test("a child lies within its parent, however late its start is looked at", () => {
    const late = new BasicTracerProvider({
      spanProcessors: [holdUp, preciseStart, ended],
    }).getTracer("test");
    const parent = late.startSpan("parent");
    late.startSpan("child", {}, trace.setSpan(ROOT_CONTEXT, parent)).end();
    parent.end();
    const [inner, outer] = exporter.getFinishedSpans();
    if (!inner || !outer) throw new Error("two spans were expected");
    expect(hrTimeToMicroseconds(inner.startTime)).toBeGreaterThanOrEqual(
      hrTimeToMicroseconds(outer.startTime),
    );
    expect(hrTimeToMicroseconds(inner.endTime)).toBeLessThanOrEqual(
      hrTimeToMicroseconds(outer.endTime),
    );
    expect(hrTimeToMicroseconds(inner.duration)).toBeGreaterThanOrEqual(3_000);
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
      await Bun.sleep(2);
      tracer.startSpan("back").end(); // the clock is everyone's: it is set back
    }
  });
});
