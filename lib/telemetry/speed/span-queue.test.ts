import { afterEach, expect, spyOn, test } from "bun:test";
import { diag, type Attributes, type Span } from "@opentelemetry/api";
import { emptyResource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { AlwaysOnSampler } from "@opentelemetry/sdk-trace-base";
import { SpanQueue, type Outcome } from "./span-queue.ts";
import { SpeedyTracer } from "./tracer.ts";

const MIB = 1024 * 1024;
const LIMITS = {
  attributeValueLengthLimit: Infinity,
  attributeCountLimit: 128,
  eventCountLimit: 128,
  linkCountLimit: 128,
  attributePerEventCountLimit: 128,
  attributePerLinkCountLimit: 128,
};

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** A queue whose requests are answered by the test. */
function start(own: { maxQueueSize?: number; maxExportBatchSize?: number; delayMs?: number } = {}) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter });
  const selfObsMeterProvider = new MeterProvider({ readers: [reader] });
  undo.push(() => selfObsMeterProvider.shutdown());
  const requests: { bytes: number; answer: (outcome: Outcome) => void }[] = [];
  const queue = new SpanQueue(
    emptyResource(),
    {
      maxQueueSize: own.maxQueueSize ?? 100_000,
      maxExportBatchSize: own.maxExportBatchSize ?? 512,
      scheduledDelayMillis: own.delayMs ?? 60_000,
      exportTimeoutMillis: 1_000,
      selfObsMeterProvider,
    },
    (bodies) =>
      new Promise<Outcome>((answer) => {
        requests.push({ bytes: bodies.reduce((sum, body) => sum + body.length, 0), answer });
      }),
  );
  const scope = { name: "test" };
  const tracer = new SpeedyTracer(new AlwaysOnSampler(), LIMITS, (span) => queue.add(span, scope));
  return {
    queue,
    requests,
    endSpans(count: number, attributes: Attributes = {}) {
      for (let made = 0; made < count; made++) tracer.startSpan("span", { attributes }).end();
    },
    startSpan: (): Span => tracer.startSpan("span"),
    /** otel.sdk.processor.span.processed by error.type. */
    async processed(): Promise<Record<string, unknown>> {
      await reader.forceFlush();
      const metrics = exporter
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((all) => all.metrics);
      const found = metrics?.find(({ descriptor }) => descriptor.name.endsWith("span.processed"));
      const points = found?.dataPoints ?? [];
      return Object.fromEntries(
        points.map(({ attributes, value }) => [attributes["error.type"] ?? "", value]),
      );
    },
  };
}

test("a block goes when it holds as many spans as a batch may, one request at a time", async () => {
  const { requests, endSpans, processed } = start({ maxExportBatchSize: 10 });
  endSpans(9);
  expect(requests).toHaveLength(0);
  endSpans(16);
  expect(requests).toHaveLength(1);
  requests[0]?.answer({});
  await Bun.sleep(0);
  expect(requests).toHaveLength(2);
  expect(await processed()).toEqual({ "": 10 });
});

test("a block goes when it is 64 KiB large", () => {
  const { requests, endSpans } = start();
  endSpans(1, { text: "x".repeat(60 * 1024) });
  expect(requests).toHaveLength(0);
  endSpans(1, { text: "x".repeat(10 * 1024) });
  expect(requests[0]?.bytes).toBeGreaterThan(70 * 1024);
});

test("what waits is bounded in bytes; what finds no room is counted, and said once there is room", async () => {
  const warn = spyOn(diag, "warn").mockImplementation(() => undefined);
  undo.push(() => warn.mockRestore());
  const { requests, endSpans, processed } = start();
  endSpans(40, { text: "x".repeat(MIB) });
  // One request under way, sixteen MiB behind it.
  const { queue_full: dropped } = await processed();
  expect(dropped).toBeGreaterThanOrEqual(22);
  expect(dropped).toBeLessThanOrEqual(24);
  expect(warn).toHaveBeenCalledTimes(0);
  requests[0]?.answer({});
  await Bun.sleep(0);
  endSpans(1);
  expect(warn).toHaveBeenCalledTimes(1);
});

test("a span that cannot be encoded is counted and harms no other", async () => {
  const warn = spyOn(diag, "warn").mockImplementation(() => undefined);
  undo.push(() => warn.mockRestore());
  const { queue, requests, startSpan, endSpans, processed } = start();
  endSpans(1);
  startSpan().end(Number.NaN);
  startSpan().addEvent("at no time", new Date(Number.NaN)).end();
  endSpans(2);
  const flushed = queue.flush();
  requests[0]?.answer({});
  await flushed;
  expect(await processed()).toEqual({ "": 3, not_encodable: 2 });
  // The same bytes, but for ids and times, as if the two had never been.
  const other = start();
  other.endSpans(3);
  const otherFlushed = other.queue.flush();
  other.requests[0]?.answer({});
  await otherFlushed;
  expect(requests[0]?.bytes).toBe(other.requests[0]?.bytes);
});

test("what is exported, rejected and lost is counted by its reason", async () => {
  const { requests, endSpans, processed } = start({ maxExportBatchSize: 10 });
  endSpans(30);
  for (const outcome of [{}, { errorType: "rejected", rejected: 3 }, { errorType: "503" }]) {
    requests.at(-1)?.answer(outcome);
    await Bun.sleep(0);
  }
  expect(await processed()).toEqual({ "": 17, rejected: 3, "503": 10 });
});

test("a flush ends when what was there is sent, though more spans come", async () => {
  const { queue, requests, endSpans } = start({ maxExportBatchSize: 10 });
  endSpans(15);
  const flushed = queue.flush();
  requests[0]?.answer({});
  await Bun.sleep(0);
  endSpans(5);
  expect(requests).toHaveLength(2);
  requests[1]?.answer({});
  await flushed;
});

test("after the delay a block goes, full or not; after a shutdown nothing is taken any more", async () => {
  const { queue, requests, endSpans } = start({ delayMs: 10 });
  endSpans(1);
  while (requests.length === 0) await Bun.sleep(5);
  requests[0]?.answer({});
  await queue.shutdown();
  endSpans(1);
  await queue.flush();
  expect(requests).toHaveLength(1);
});
