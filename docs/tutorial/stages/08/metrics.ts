// #region provider
// Metrics by hand: how often and how long, counted of every request, whether anybody keeps its trace or not.
import { metrics, type Attributes, type Histogram } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { atEnd } from "./ending.ts";

const EXPORT_INTERVAL_MS = Number(process.env["OTEL_METRIC_EXPORT_INTERVAL"]) || 60_000;

/** Makes this process a source of metrics. Called once, before the first instrument is made. */
export function startMetrics(serviceName: string): void {
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis: EXPORT_INTERVAL_MS,
  });
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ "service.name": serviceName }),
    readers: [reader],
  });
  metrics.setGlobalMeterProvider(provider);
  atEnd(() => provider.shutdown());
}
// #endregion provider

// #region duration
/** The conventions' own, in seconds: with the SDK's, made for milliseconds, all would be in one. */
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Records how long a request took, in seconds since `startedMs` (of performance.now()). */
export function recordDuration(
  name: "http.server.request.duration" | "http.client.request.duration",
  startedMs: number,
  attributes: Attributes,
): void {
  durationOf(name).record((performance.now() - startedMs) / 1000, attributes);
}

const durations = new Map<string, Histogram>();

/** Made when it is first used: an instrument that is made before there is a provider counts nothing, for ever. */
function durationOf(name: string): Histogram {
  const known = durations.get(name);
  if (known) return known;
  const histogram = metrics.getMeter("tutorial").createHistogram(name, {
    unit: "s",
    advice: { explicitBucketBoundaries: BUCKETS_SECONDS },
  });
  durations.set(name, histogram);
  return histogram;
}
// #endregion duration

// #region orders
/** Counts a new order. `shop.` is ours: the conventions know no orders. */
export function countOrder(): void {
  metrics.getMeter("tutorial").createCounter("shop.orders.created", { unit: "{order}" }).add(1);
}
// #endregion orders
