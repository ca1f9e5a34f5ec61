// A peer that is measured: the route of ../overhead-server.ts on Node, steered by the same messages.
// node server.mjs express|fastify [none|auto|auto-plugin]
import { createRequire } from "node:module";

/** With `import` the frameworks would be loaded before anything could instrument them. */
const require = createRequire(import.meta.url);

const [framework, instrumentation = "none"] = process.argv.slice(2);
const tracing = instrumentation === "none" ? undefined : startTracing();
const handler = tracing ? (id) => readItemInSpan(tracing.tracer, id) : readItem;
let handled = 0;
let cpu = process.cpuUsage();
let handledBefore = 0;

process.on("message", async (order) => {
  if (order === "start") {
    cpu = process.cpuUsage();
    handledBefore = handled;
    process.send({ type: "started" });
  } else if (order === "stop") {
    const { user, system } = process.cpuUsage(cpu);
    process.send({
      type: "stopped",
      cpuMicros: user + system,
      handled: handled - handledBefore,
    });
  } else {
    await tracing?.flush();
    process.send({ type: "finished", droppedSpans: (await tracing?.dropped()) ?? 0 });
  }
});
// A server does not outlive the benchmark.
process.on("disconnect", () => process.exit());
// So that a profiler gets to write what it has.
process.on("SIGTERM", () => process.exit(0));

const port = framework === "express" ? await listenWithExpress() : await listenWithFastify();
process.send({ type: "listening", url: `http://127.0.0.1:${port}/items/17` });

async function listenWithExpress() {
  const app = require("express")();
  app.get("/items/:id", async (request, response) => {
    response.json(await handler(request.params.id));
  });
  const server = await new Promise((resolve, reject) => {
    const starting = app.listen(0, "127.0.0.1", (error) =>
      error ? reject(error) : resolve(starting),
    );
  });
  return server.address().port;
}

async function listenWithFastify() {
  const app = require("fastify")();
  if (instrumentation === "auto-plugin") {
    const { FastifyOtelInstrumentation } = require("@fastify/otel");
    await app.register(new FastifyOtelInstrumentation().plugin());
  }
  app.get("/items/:id", async (request) => await handler(request.params.id));
  await app.listen({ port: 0, host: "127.0.0.1" });
  return app.server.address().port;
}

/** The set-up of the packages' own documentation: all defaults, the metrics' push once a minute included. */
function startTracing() {
  const { getNodeAutoInstrumentations } = require("@opentelemetry/auto-instrumentations-node");
  const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
  const { metrics, NodeSDK, tracing } = require("@opentelemetry/sdk-node");
  const reader = new (class extends metrics.MetricReader {
    async onForceFlush() {}
    async onShutdown() {}
  })();
  // It counts what the processor does and nothing else: the application's metrics are the SDK's matter.
  const selfObsMeterProvider = new metrics.MeterProvider({ readers: [reader] });
  const processor = new tracing.BatchSpanProcessor(new OTLPTraceExporter(), {
    selfObsMeterProvider,
  });
  new NodeSDK({
    spanProcessors: [processor],
    instrumentations: [getNodeAutoInstrumentations()],
  }).start();
  return {
    tracer: require("@opentelemetry/api").trace.getTracer("bench"),
    flush: () => processor.forceFlush(),
    async dropped() {
      const { resourceMetrics } = await reader.collect();
      return resourceMetrics.scopeMetrics
        .flatMap((scope) => scope.metrics)
        .filter(({ descriptor }) => descriptor.name === "otel.sdk.processor.span.processed")
        .flatMap(({ dataPoints }) => dataPoints)
        .filter(({ attributes }) => "error.type" in attributes)
        .reduce((sum, { value }) => sum + value, 0);
    },
  };
}

/** The child by hand that the other variants have too. */
function readItemInSpan(tracer, id) {
  const options = { attributes: { "orderflow.item.id": id } };
  return tracer.startActiveSpan("read item", options, async (span) => {
    try {
      return await readItem(id);
    } finally {
      span.end();
    }
  });
}

async function readItem(id) {
  handled++;
  return { item_id: id, name: "Wireless Mouse", available: 100, reserved: 0 };
}
