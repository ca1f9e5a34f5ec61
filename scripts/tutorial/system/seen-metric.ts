/** Metrics and logs as they arrived at the collector, with plain values. */
import {
  plainValue,
  type AnyValue,
  type KeyValue,
  type Resource,
} from "#lib/embedded/traces/otlp.ts";
import { attributesOf, type Attributes } from "./seen-span.ts";

/** The latest point of one series. */
export interface SeenMetric {
  readonly service: string;
  readonly scope: string;
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly type: "histogram" | "counter" | "updowncounter" | "gauge" | "other";
  readonly temporality: "delta" | "cumulative" | "unspecified";
  readonly attributes: Attributes;
  /** Of a counter or gauge. */
  readonly value: number | undefined;
  /** Of a histogram, as all below. */
  readonly count: number | undefined;
  readonly sum: number | undefined;
  /** How many fell into each bucket; `bounds` are their upper ends, the last one's is infinite. */
  readonly buckets: readonly number[] | undefined;
  readonly bounds: readonly number[] | undefined;
  readonly resource: Attributes;
}

/** One log record. */
export interface SeenLog {
  readonly service: string;
  readonly severity: string;
  readonly body: unknown;
  readonly attributes: Attributes;
  /** undefined where it was written outside of a span. */
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
}

interface OtlpPoint {
  readonly attributes?: readonly KeyValue[];
  readonly explicitBounds?: readonly number[];
  readonly bucketCounts?: readonly string[];
  readonly count?: string;
  readonly sum?: number;
  readonly asInt?: string;
  readonly asDouble?: number;
}

interface OtlpData {
  readonly dataPoints?: readonly OtlpPoint[];
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

interface OtlpMetric {
  readonly name?: string;
  readonly description?: string;
  readonly unit?: string;
  readonly histogram?: OtlpData;
  readonly sum?: OtlpData;
  readonly gauge?: OtlpData;
}

interface OtlpMetrics {
  readonly resourceMetrics?: readonly {
    readonly resource?: Resource;
    readonly scopeMetrics?: readonly {
      readonly scope?: { readonly name?: string };
      readonly metrics?: readonly OtlpMetric[];
    }[];
  }[];
}

interface OtlpLogs {
  readonly resourceLogs?: readonly {
    readonly resource?: Resource;
    readonly scopeLogs?: readonly {
      readonly logRecords?: readonly {
        readonly severityText?: string;
        readonly body?: AnyValue;
        readonly attributes?: readonly KeyValue[];
        readonly traceId?: string;
        readonly spanId?: string;
      }[];
    }[];
  }[];
}

const TEMPORALITIES = ["unspecified", "delta", "cumulative"] as const;

/** @param message an ExportMetricsServiceRequest as OTLP/JSON */
export function seenMetrics(message: Readonly<Record<string, unknown>>): SeenMetric[] {
  const { resourceMetrics = [] } = message as OtlpMetrics;
  return resourceMetrics.flatMap(({ resource, scopeMetrics = [] }) => {
    const who = attributesOf(resource?.attributes);
    return scopeMetrics.flatMap(({ scope, metrics = [] }) =>
      metrics.flatMap((metric) => pointsOf(metric, scope?.name ?? "", who)),
    );
  });
}

/** @param message an ExportLogsServiceRequest as OTLP/JSON */
export function seenLogs(message: Readonly<Record<string, unknown>>): SeenLog[] {
  const { resourceLogs = [] } = message as OtlpLogs;
  return resourceLogs.flatMap(({ resource, scopeLogs = [] }) => {
    const service = serviceIn(attributesOf(resource?.attributes));
    return scopeLogs
      .flatMap(({ logRecords = [] }) => logRecords)
      .map(({ severityText = "", body, attributes, traceId, spanId }) => ({
        service,
        severity: severityText,
        body: plainValue(body),
        attributes: attributesOf(attributes),
        traceId: traceId || undefined,
        spanId: spanId || undefined,
      }));
  });
}

function pointsOf(metric: OtlpMetric, scope: string, resource: Attributes): SeenMetric[] {
  const data = metric.histogram ?? metric.sum ?? metric.gauge ?? {};
  return (data.dataPoints ?? []).map((point) => ({
    service: serviceIn(resource),
    scope,
    name: metric.name ?? "",
    unit: metric.unit ?? "",
    description: metric.description ?? "",
    type: typeOf(metric),
    temporality: TEMPORALITIES[data.aggregationTemporality ?? 0] ?? "unspecified",
    attributes: attributesOf(point.attributes),
    value: numberIn(point.asInt ?? point.asDouble),
    count: numberIn(point.count),
    sum: numberIn(point.sum),
    buckets: point.bucketCounts?.map(Number),
    bounds: point.explicitBounds,
    resource,
  }));
}

function typeOf({ histogram, sum, gauge }: OtlpMetric): SeenMetric["type"] {
  if (histogram) return "histogram";
  if (sum) return sum.isMonotonic ? "counter" : "updowncounter";
  return gauge ? "gauge" : "other";
}

function serviceIn(resource: Attributes): string {
  return String(resource["service.name"] ?? "");
}

function numberIn(value: string | number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
