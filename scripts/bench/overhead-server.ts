// The server that is measured, a program of its own: one Elysia route, instrumented as its argument
// says. The parent process steers it by messages.
import {
  trace,
  ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
} from "@opentelemetry/api";
import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  NoopSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { Elysia } from "elysia";
import { httpInstrumentation } from "#lib/service/http-instrumentation.ts";
import { createPrometheusReader } from "#lib/telemetry/metrics/prometheus.ts";
import { startTelemetry } from "#lib/telemetry/setup/start-telemetry.ts";
import { inSpan } from "#lib/telemetry/span.ts";
import { droppedIn } from "./dropped-spans.ts";

/** From parent to child: measure from now on; say what was measured; send what is left and say what was lost. */
export type ServerOrder = "start" | "stop" | "finish";

/** From child to parent. */
export type ServerReport =
  | { type: "listening"; url: string }
  | { type: "started" }
  | { type: "stopped"; cpuMicros: number; handled: number }
  | { type: "finished"; droppedSpans: number };

/** The ways to instrument; which spans are sampled is the environment's matter. */
export type Instrumentation = "none" | "layer" | "layer-sdk-tracer" | "stock";

const instrumentation = process.argv[2] as Instrumentation;
const { app, scrape } = build();
let handled = 0;
let cpu = process.cpuUsage();
let handledBefore = 0;

process.on("message", async (order: ServerOrder) => {
  if (order === "start") {
    cpu = process.cpuUsage();
    handledBefore = handled;
    report({ type: "started" });
  } else if (order === "stop") {
    const { user, system } = process.cpuUsage(cpu);
    report({ type: "stopped", cpuMicros: user + system, handled: handled - handledBefore });
  } else {
    await flushSpans();
    const droppedSpans = droppedIn(await scrape());
    report({ type: "finished", droppedSpans });
  }
});
// A server does not outlive the benchmark.
process.on("disconnect", () => process.exit());
// So that a profiler gets to write what it has.
process.on("SIGTERM", () => process.exit(0));
app.listen({ port: 0, hostname: "127.0.0.1" });
report({ type: "listening", url: `http://127.0.0.1:${app.server?.port}/items/17` });

function build() {
  const name = `bench-${instrumentation}`;
  if (instrumentation === "layer" || instrumentation === "layer-sdk-tracer") {
    // With a span processor of one's own it is the SDK's tracer that makes the spans.
    const own = instrumentation === "layer" ? {} : { spanProcessors: [new NoopSpanProcessor()] };
    const telemetry = startTelemetry({ name, version: "0" }, process.env, own);
    const app = new Elysia().use(httpInstrumentation()).get("/items/:id", async ({ params }) => {
      return await inSpan("read item", { "orderflow.item.id": params.id }, () =>
        readItem(params.id),
      );
    });
    return { app, scrape: telemetry.scrape };
  }
  if (instrumentation === "stock") return stockApp();
  const app = new Elysia().get("/items/:id", async ({ params }) => await readItem(params.id));
  return { app, scrape: async () => "" };
}

/** The same two spans with nothing but the SDK as it is: what a first attempt would look like. */
function stockApp() {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  // Its metrics are read at the end only: they tell how many spans were dropped.
  const metrics = createPrometheusReader(undefined);
  const meterProvider = new MeterProvider({ readers: [metrics.reader] });
  const counted = { maxQueueSize: 2_048, selfObsMeterProvider: meterProvider };
  const processor = new BatchSpanProcessor(new OTLPTraceExporter(), counted);
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
  const tracer = trace.getTracer("bench");
  const getter = {
    keys: (headers: Headers) => [...headers.keys()],
    get: (headers: Headers, key: string) => headers.get(key) ?? undefined,
  };
  const app = new Elysia().get("/items/:id", async ({ params, request, set }) => {
    const parent = propagation.extract(ROOT_CONTEXT, request.headers, getter);
    const attributes = {
      "http.request.method": request.method,
      "http.route": "/items/:id",
      "url.path": new URL(request.url).pathname,
      "url.scheme": "http",
    };
    const options = { kind: SpanKind.SERVER, attributes };
    return await tracer.startActiveSpan("GET /items/:id", options, parent, async (server) => {
      try {
        const child = { attributes: { "orderflow.item.id": params.id } };
        return await tracer.startActiveSpan("read item", child, async (span) => {
          try {
            return await readItem(params.id);
          } finally {
            span.end();
          }
        });
      } finally {
        server.setAttribute("http.response.status_code", Number(set.status ?? 200));
        server.end();
      }
    });
  });
  return { app, scrape: metrics.scrape };
}

async function readItem(id: string) {
  handled++;
  return { item_id: id, name: "Wireless Mouse", available: 100, reserved: 0 };
}

async function flushSpans(): Promise<void> {
  const proxy = trace.getTracerProvider();
  const provider = proxy instanceof ProxyTracerProvider ? proxy.getDelegate() : proxy;
  if ("forceFlush" in provider) await (provider as BasicTracerProvider).forceFlush();
}

function report(message: ServerReport): void {
  process.send?.(message);
}
