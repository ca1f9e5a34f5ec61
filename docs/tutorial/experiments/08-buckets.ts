// The same durations in two histograms: with the SDK's own boundaries, and with those of the conventions.
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";

/** What a day brings: most are fast, some are not. In seconds, as the conventions want it. */
const DURATIONS = [0.003, 0.004, 0.004, 0.008, 0.02, 0.03, 0.06, 0.2, 0.4, 3];
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
const meter = provider.getMeter("experiment");
const own = meter.createHistogram("the SDK's own boundaries", { unit: "s" });
const advised = meter.createHistogram("the conventions' boundaries", {
  unit: "s",
  advice: { explicitBucketBoundaries: BOUNDARIES },
});
for (const seconds of DURATIONS) {
  own.record(seconds);
  advised.record(seconds);
}
await provider.forceFlush();

for (const { scopeMetrics } of exporter.getMetrics()) {
  for (const metric of scopeMetrics.flatMap(({ metrics }) => metrics)) {
    if (metric.dataPointType !== DataPointType.HISTOGRAM) continue;
    console.log(metric.descriptor.name);
    const { boundaries, counts } = metric.dataPoints[0]?.value.buckets ?? {};
    for (const [index, count] of counts?.entries() ?? []) {
      const upTo = boundaries?.[index] ?? "more";
      if (count > 0) console.log(`  up to ${upTo}`.padEnd(16), "#".repeat(count));
    }
  }
}
await provider.shutdown();
