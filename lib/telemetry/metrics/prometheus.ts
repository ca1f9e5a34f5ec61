/**
 * `GET /metrics`: the same instruments as over OTLP, in Prometheus text form.
 *
 * The serialiser is OpenTelemetry's own. It leaves out one thing that the compatibility
 * specification asks for and that every dashboard expects: the unit as a suffix of the name.
 * @see https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#metric-metadata
 */
import type { Attributes } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  InstrumentType,
  type MetricData,
  type MetricReader,
} from "@opentelemetry/sdk-metrics";

const UNIT_SUFFIX: Record<string, string> = { s: "_seconds", By: "_bytes" };

/**
 * A metric reader to hand to the meter provider, and the text it gives at each scrape.
 *
 * @param push the reader that pushes the same metrics over OTLP, if there is one. It serves both where
 *   it counts from the start of the process, as Prometheus does: each reader sorts and prints the
 *   attributes of each measurement, so a second one would double the cost of metrics.
 */
export function createPrometheusReader(push: MetricReader | undefined) {
  const isCumulative =
    push?.selectAggregationTemporality(InstrumentType.HISTOGRAM) ===
    AggregationTemporality.CUMULATIVE;
  const reader = push && isCumulative ? push : new PrometheusExporter({ preventServerStart: true });
  const serializer = new PrometheusSerializer();
  return {
    reader,
    /** @returns the text of one scrape; what could not be collected is left out */
    async scrape(): Promise<string> {
      const { resourceMetrics } = await reader.collect();
      return serializer.serialize({
        resource: resourceFromAttributes(labelsOf(resourceMetrics.resource.attributes)),
        scopeMetrics: resourceMetrics.scopeMetrics.map((scope) => ({
          ...scope,
          metrics: scope.metrics.map(withUnitSuffix),
        })),
      });
    },
  };
}

function withUnitSuffix<T extends MetricData>(metric: T): T {
  const suffix = UNIT_SUFFIX[metric.descriptor.unit] ?? "";
  return { ...metric, descriptor: { ...metric.descriptor, name: metric.descriptor.name + suffix } };
}

/**
 * A resource's attributes as labels of `target_info`. The serialiser makes names valid, but not those
 * that begin with a digit; and two that become the same would cost the whole scrape.
 */
function labelsOf(attributes: Attributes): Attributes {
  const labels: Record<string, string> = {};
  for (const key of Object.keys(attributes).sort()) {
    const label = key.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_");
    const value = String(attributes[key]);
    labels[label] = label in labels ? `${labels[label]};${value}` : value;
  }
  return labels;
}
