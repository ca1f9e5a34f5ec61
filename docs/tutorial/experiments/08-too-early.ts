// A tracer and a counter, both taken before there is a provider, both used after.
import { metrics, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";

// As in a module that is imported before the set-up has run.
const earlyTracer = trace.getTracer("experiment");
const earlyCounter = metrics.getMeter("experiment").createCounter("early");

const spans = new InMemorySpanExporter();
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }),
);
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
metrics.setGlobalMeterProvider(provider);
const lateCounter = metrics.getMeter("experiment").createCounter("late");

for (let n = 0; n < 3; n++) {
  earlyTracer.startSpan("work").end();
  earlyCounter.add(1);
  lateCounter.add(1);
}
await provider.forceFlush();

const counted = new Map<string, number>();
for (const { scopeMetrics } of exporter.getMetrics()) {
  for (const metric of scopeMetrics.flatMap((scope) => scope.metrics)) {
    if (metric.dataPointType !== DataPointType.SUM) continue;
    counted.set(metric.descriptor.name, metric.dataPoints[0]?.value ?? 0);
  }
}
console.log("spans of the early tracer: ", spans.getFinishedSpans().length);
console.log("counted by the early counter:", counted.get("early") ?? "nothing");
console.log("counted by the late counter: ", counted.get("late") ?? "nothing");
await provider.shutdown();
