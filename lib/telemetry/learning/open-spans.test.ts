import { afterAll, describe, expect, test } from "bun:test";
import { createNoopMeter, trace, type Span } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AlwaysOffSampler, AlwaysOnSampler } from "@opentelemetry/sdk-trace-base";
import { context } from "@opentelemetry/api";
import { readEnvironment } from "../setup/environment.ts";
import { createTracerProvider } from "../setup/tracer-provider.ts";

/** What the store was told: one list of spans a request. */
interface Told {
  readonly process: string | null;
  readonly spans: readonly {
    readonly name: string;
    readonly spanId: string;
    readonly parentSpanId?: string;
    readonly startTimeUnixNano: string;
    readonly endTimeUnixNano: string;
    readonly attributes: readonly object[];
  }[];
  readonly resource: unknown;
}

const ends: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** A store that takes open spans, or answers with another status. */
function startStore(status = 200) {
  const told: Told[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname !== "/api/open-spans") return new Response();
      const { resourceSpans } = (await request.json()) as {
        resourceSpans: { resource: unknown; scopeSpans: { spans: Told["spans"] }[] }[];
      };
      told.push({
        process: searchParams.get("process"),
        spans: resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
        resource: resourceSpans[0]?.resource,
      });
      return Response.json({}, { status });
    },
  });
  ends.push(() => server.stop(true));
  return { told, url: `http://127.0.0.1:${server.port}` };
}

/** The two ways in which the layer makes spans: a sampler of one's own asks for the SDK's. */
const PATHS = [
  ["ours", {}],
  ["the SDK's", { sampler: new AlwaysOnSampler() }],
] as const;

function tracerFor(env: Record<string, string>, own: object) {
  const ending = new AbortController();
  const provider = createTracerProvider(
    {
      resource: resourceFromAttributes({ "service.name": "patient" }),
      settings: readEnvironment(env),
      env,
      ending: ending.signal,
      meterProvider: { getMeter: () => createNoopMeter() },
    },
    own,
  );
  ends.push(
    () => ending.abort(),
    () => provider.shutdown().catch(() => undefined),
  );
  return { tracer: provider.getTracer("test"), ending };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(10);
}

function idOf(span: Span): string {
  return span.spanContext().spanId;
}

describe.concurrent.each(PATHS)("of spans that %s tracer makes", (_name, own) => {
  test("those that are open are told, as they are at the time, until they end", async () => {
    const { told, url } = startStore();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, ORDERFLOW_OPEN_SPANS: "on" };
    const { tracer } = tracerFor(env, own);
    tracer.startSpan("short").end();
    const outer = tracer.startSpan("outer", { attributes: { at: "first" } });
    const inner = tracer.startSpan("inner", {}, trace.setSpan(context.active(), outer));
    outer.setAttribute("later", 2).updateName("renamed");
    // The first look may come when the outer one alone is old enough.
    await until(() => (told.at(-1)?.spans.length ?? 0) >= 2);
    expect(told.at(-1)?.spans.map(({ name }) => name)).toEqual(["renamed", "inner"]);
    const [first, second] = told.at(-1)?.spans ?? [];
    expect(first?.attributes).toEqual([
      { key: "at", value: { stringValue: "first" } },
      { key: "later", value: { intValue: 2 } },
    ]);
    expect(first?.endTimeUnixNano).toBe("0");
    expect(Math.abs(Number(first?.startTimeUnixNano) / 1e6 - Date.now())).toBeLessThan(60_000);
    expect(second?.parentSpanId).toBe(idOf(outer));
    expect(JSON.stringify(told[0]?.resource)).toContain("patient");
    inner.end();
    await until(() => told.at(-1)?.spans.length === 1);
    outer.end();
    await until(() => told.at(-1)?.spans.length === 0);
    expect(new Set(told.map(({ process }) => process)).size).toBe(1);
  });

  test("none are told where nobody asked for it", async () => {
    const { told, url } = startStore();
    const span = tracerFor({ OTEL_EXPORTER_OTLP_ENDPOINT: url }, own).tracer.startSpan("unasked");
    const asked = startStore();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: asked.url, ORDERFLOW_OPEN_SPANS: "on" };
    const other = tracerFor(env, own).tracer.startSpan("asked");
    // That one was told, and began later.
    await until(() => asked.told.length > 0);
    expect(told).toEqual([]);
    span.end();
    other.end();
  });

  test("a collector that has no place for them is asked once", async () => {
    const { told, url } = startStore(404);
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, ORDERFLOW_OPEN_SPANS: "on" };
    const { tracer } = tracerFor(env, own);
    const span = tracer.startSpan("refused");
    await until(() => told.length > 0);
    const asked = startStore();
    const later = tracer.startSpan("also refused");
    const witness = tracerFor(
      { OTEL_EXPORTER_OTLP_ENDPOINT: asked.url, ORDERFLOW_OPEN_SPANS: "on" },
      own,
    ).tracer.startSpan("told");
    await until(() => asked.told.length > 0);
    expect(told.length).toBe(1);
    for (const one of [span, later, witness]) one.end();
  });

  test("at the end of the process nothing is told any more", async () => {
    const { told, url } = startStore();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, ORDERFLOW_OPEN_SPANS: "on" };
    const { tracer, ending } = tracerFor(env, own);
    ending.abort();
    tracer.startSpan("too late");
    const asked = startStore();
    const witness = tracerFor(
      { OTEL_EXPORTER_OTLP_ENDPOINT: asked.url, ORDERFLOW_OPEN_SPANS: "on" },
      own,
    ).tracer.startSpan("told");
    await until(() => asked.told.length > 0);
    expect(told).toEqual([]);
    witness.end();
  });
});

test.concurrent("what is not sampled is not told", async () => {
  const { told, url } = startStore();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, ORDERFLOW_OPEN_SPANS: "on" };
  const off = tracerFor({ ...env, OTEL_TRACES_SAMPLER: "always_off" }, {});
  const alsoOff = tracerFor(env, { sampler: new AlwaysOffSampler() });
  const spans = [off, alsoOff].map(({ tracer }) => tracer.startSpan("unsampled"));
  const on = tracerFor(env, {}).tracer.startSpan("sampled");
  await until(() => told.length > 0);
  expect(told.flatMap(({ spans: all }) => all).map(({ name }) => name)).toEqual(["sampled"]);
  for (const span of [...spans, on]) span.end();
});

test.concurrent("of very many the oldest are told, so that a request has a bound", async () => {
  const { told, url } = startStore();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, ORDERFLOW_OPEN_SPANS: "on" };
  const { tracer } = tracerFor(env, {});
  const spans = Array.from({ length: 12_000 }, (_, index) => tracer.startSpan(`span ${index}`));
  await until(() => told.some(({ spans: all }) => all.length === 500));
  expect(told.at(-1)?.spans[0]?.name).toBe("span 0");
  for (const span of spans) span.end();
  await until(() => told.at(-1)?.spans.length === 0);
  expect(Math.max(...told.map(({ spans: all }) => all.length))).toBe(500);
});
