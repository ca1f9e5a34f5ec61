/** Spans and metric points as the checks look at them, made from what arrived over OTLP. */
import {
  plainValue,
  spansOf,
  type AnyValue,
  type KeyValue,
  type OtlpTrace,
} from "#lib/embedded/traces/otlp.ts";

export type ValueType = "string" | "int" | "double" | "boolean" | "array" | "map" | "empty";
export type Attributes = Record<string, { type: ValueType; value: unknown }>;

const KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] as const;
export type Kind = (typeof KINDS)[number];

const STATUSES = ["UNSET", "OK", "ERROR"] as const;

export interface RecordedSpan {
  service: string;
  traceId: string;
  spanId: string;
  /** Empty on a root. */
  parentSpanId: string;
  name: string;
  kind: Kind;
  attributes: Attributes;
  status: { code: (typeof STATUSES)[number]; message: string };
  events: { name: string; attributes: Attributes }[];
  links: { traceId: string; spanId: string }[];
  durationNs: bigint;
  resource: Attributes;
}

export interface RecordedPoint {
  service: string;
  metric: string;
  description: string;
  unit: string;
  instrument: "Histogram" | "Counter" | "UpDownCounter" | "Gauge" | "unknown";
  boundaries: readonly number[] | undefined;
  attributes: Attributes;
  /** The count of a histogram, the value of anything else. */
  value: number;
}

/** The spans of a trace. */
export function recordedSpans(trace: OtlpTrace): RecordedSpan[] {
  return spansOf(trace).map(({ span, service, resource }) => ({
    service,
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? "",
    name: span.name ?? "",
    kind: KINDS[span.kind ?? 0] ?? "UNSPECIFIED",
    attributes: attributesOf(span.attributes),
    status: {
      code: STATUSES[span.status?.code ?? 0] ?? "UNSET",
      message: span.status?.message ?? "",
    },
    events: (span.events ?? []).map((event) => ({
      name: event.name ?? "",
      attributes: attributesOf(event.attributes),
    })),
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    durationNs: BigInt(span.endTimeUnixNano ?? 0) - BigInt(span.startTimeUnixNano ?? 0),
    resource: attributesOf(resource.attributes),
  }));
}

/** The parts of OTLP's metrics that are read here. */
interface OtlpPoint {
  attributes?: KeyValue[];
  explicitBounds?: number[];
  count?: string | number;
  asInt?: string;
  asDouble?: number;
}
interface OtlpMetric {
  name: string;
  description?: string;
  unit?: string;
  histogram?: { dataPoints?: OtlpPoint[] };
  sum?: { dataPoints?: OtlpPoint[]; isMonotonic?: boolean };
  gauge?: { dataPoints?: OtlpPoint[] };
}
interface OtlpMetrics {
  resourceMetrics?: {
    resource?: { attributes?: KeyValue[] };
    scopeMetrics?: { metrics?: OtlpMetric[] }[];
  }[];
}

/**
 * The points of the last export of each process, all the earlier ones being contained in it.
 * @param exports oldest first
 */
export function recordedPoints(exports: readonly Record<string, unknown>[]): RecordedPoint[] {
  const last = new Map<unknown, RecordedPoint[]>();
  for (const { resourceMetrics = [] } of exports as readonly OtlpMetrics[]) {
    for (const { resource, scopeMetrics = [] } of resourceMetrics) {
      const who = attributesOf(resource?.attributes);
      const service = String(who["service.name"]?.value ?? "");
      const metrics = scopeMetrics.flatMap((scope) => scope.metrics ?? []);
      last.set(
        who["service.instance.id"]?.value,
        metrics.flatMap((metric) => pointsOf(metric, service)),
      );
    }
  }
  return [...last.values()].flat();
}

function pointsOf(metric: OtlpMetric, service: string): RecordedPoint[] {
  const points =
    (metric.histogram ?? metric.sum ?? metric.gauge)?.dataPoints ?? ([] as OtlpPoint[]);
  return points.map((point) => ({
    service,
    metric: metric.name,
    description: metric.description ?? "",
    unit: metric.unit ?? "",
    instrument: instrumentOf(metric),
    boundaries: point.explicitBounds,
    attributes: attributesOf(point.attributes),
    value: Number(point.count ?? point.asInt ?? point.asDouble ?? 0),
  }));
}

function instrumentOf(metric: OtlpMetric): RecordedPoint["instrument"] {
  if (metric.histogram) return "Histogram";
  if (metric.sum) return metric.sum.isMonotonic ? "Counter" : "UpDownCounter";
  return metric.gauge ? "Gauge" : "unknown";
}

function attributesOf(list: readonly KeyValue[] | undefined): Attributes {
  return Object.fromEntries(
    (list ?? []).map(({ key, value }) => [key, { type: typeOf(value), value: plainValue(value) }]),
  );
}

function typeOf(value: AnyValue | undefined): ValueType {
  if (value?.stringValue !== undefined) return "string";
  if (value?.intValue !== undefined) return "int";
  if (value?.doubleValue !== undefined) return "double";
  if (value?.boolValue !== undefined) return "boolean";
  if (value?.arrayValue !== undefined) return "array";
  return value?.kvlistValue === undefined ? "empty" : "map";
}
