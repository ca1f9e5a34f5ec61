/**
 * OTLP traces as the JSON that Jaeger's query API and its UI speak.
 *
 * Follows the translation that Jaeger itself uses, and its habit of sorting attributes by key.
 * @see https://github.com/open-telemetry/opentelemetry-collector-contrib/blob/main/pkg/translator/jaeger/traces_to_jaegerproto.go
 * @see https://github.com/jaegertracing/jaeger/blob/main/internal/uimodel/model.go
 */
import {
  type AnyValue,
  attribute,
  type KeyValue,
  linksOf,
  microsOf,
  parentIdOf,
  plainValue,
  type Resource,
  type SpanEvent,
  type SpanInContext,
  spansOf,
} from "./otlp.ts";
import type { StoredTrace } from "./trace-ring.ts";

/** A trace in Jaeger's terms. */
export interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, JaegerProcess>>;
  readonly warnings: null;
}

/** A span; times are microseconds. */
export interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  /** The parent comes first; a link to the parent turns that reference into FOLLOWS_FROM. */
  readonly references: readonly JaegerReference[];
  readonly startTime: number;
  readonly duration: number;
  readonly tags: readonly JaegerTag[];
  readonly logs: readonly JaegerLog[];
  readonly processID: string;
  readonly warnings: null;
}

/** A parent (CHILD_OF) or a link (FOLLOWS_FROM). */
export interface JaegerReference {
  refType: "CHILD_OF" | "FOLLOWS_FROM";
  readonly traceID: string;
  readonly spanID: string;
}

/** An attribute; an int64 past what a number holds is a string. */
export interface JaegerTag {
  readonly key: string;
  readonly type: "string" | "bool" | "int64" | "float64" | "binary";
  readonly value: string | number | boolean;
}

/** An event; its name is the field `event`. */
export interface JaegerLog {
  readonly timestamp: number;
  readonly fields: readonly JaegerTag[];
}

/** A resource. */
export interface JaegerProcess {
  readonly serviceName: string;
  readonly tags: readonly JaegerTag[];
}

/** @returns the trace as Jaeger shows it, its spans in the order of their starts */
export function toJaegerTrace(trace: Pick<StoredTrace, "traceId" | "resourceSpans">): JaegerTrace {
  const processes: Record<string, JaegerProcess> = {};
  const processIds = new Map<Resource, string>();
  const processIdOf = ({ resource }: SpanInContext) => {
    const known = processIds.get(resource);
    if (known) return known;
    const processId = `p${processIds.size + 1}`;
    processIds.set(resource, processId);
    processes[processId] = toProcess(resource);
    return processId;
  };
  const spans = spansOf(trace)
    .map((context) => toJaegerSpan(context, processIdOf(context)))
    .sort((a, b) => a.startTime - b.startTime);
  return { traceID: toJaegerTraceId(trace.traceId), spans, processes, warnings: null };
}

/** @returns what Jaeger calls a span kind, "" where it is unspecified */
export function spanKindName(kind: number | undefined): string {
  return ["", "internal", "server", "client", "producer", "consumer"][kind ?? 0] ?? "";
}

/** @returns the service's name, as Jaeger has it for a resource that names none */
export function serviceNameOf(resource: Resource): string {
  const name = attribute(resource.attributes, "service.name");
  return name === undefined ? "missing-service-name" : String(name);
}

function toProcess(resource: Resource): JaegerProcess {
  const others = resource.attributes?.filter(({ key }) => key !== "service.name");
  return { serviceName: serviceNameOf(resource), tags: toTags(others) };
}

function toJaegerSpan(context: SpanInContext, processID: string): JaegerSpan {
  const { span } = context;
  return {
    traceID: toJaegerTraceId(span.traceId),
    spanID: span.spanId,
    operationName: span.name ?? "",
    references: referencesOf(context),
    startTime: microsOf(span.startTimeUnixNano),
    duration: durationUs(span),
    tags: spanTags(context),
    logs: (span.events ?? []).map(toLog),
    processID,
    warnings: null,
  };
}

/** Jaeger cuts the difference to microseconds, not each end of it. */
function durationUs({ startTimeUnixNano, endTimeUnixNano }: SpanInContext["span"]): number {
  const nanos = BigInt(endTimeUnixNano ?? 0) - BigInt(startTimeUnixNano ?? 0);
  return nanos > 0n ? Number(nanos / 1000n) : 0;
}

/** Jaeger writes 64-bit trace ids without their leading zeros. */
function toJaegerTraceId(traceId: string): string {
  return traceId.startsWith("0".repeat(16)) ? traceId.slice(16) : traceId;
}

function referencesOf({ span }: SpanInContext): JaegerReference[] {
  const references: JaegerReference[] = [];
  const parentId = parentIdOf(span);
  if (parentId !== undefined) {
    references.push({
      refType: "CHILD_OF",
      traceID: toJaegerTraceId(span.traceId),
      spanID: parentId,
    });
  }
  for (const link of linksOf(span)) {
    const declared = attribute(link.attributes, "opentracing.ref_type");
    const refType = declared === "child_of" ? "CHILD_OF" : "FOLLOWS_FROM";
    const parent = references[0];
    if (parent && link.traceId === span.traceId && link.spanId === parentId) {
      parent.refType = refType;
    } else {
      references.push({ refType, traceID: toJaegerTraceId(link.traceId), spanID: link.spanId });
    }
  }
  return references;
}

function spanTags({ span, scope }: SpanInContext): JaegerTag[] {
  const tags: JaegerTag[] = [];
  const addText = (key: string, value: string | undefined) => {
    if (value) tags.push({ key, type: "string", value });
  };
  addText("otel.scope.name", scope.name);
  addText("otel.scope.version", scope.version);
  tags.push(...toTags(span.attributes));
  addText("span.kind", spanKindName(span.kind));
  const code = span.status?.code;
  if (code === 1) addText("otel.status_code", "OK");
  if (code === 2) {
    addText("otel.status_code", "ERROR");
    tags.push({ key: "error", type: "bool", value: true });
  }
  addText("otel.status_description", span.status?.message);
  addText("w3c.tracestate", span.traceState);
  return tags;
}

function toLog(event: SpanEvent): JaegerLog {
  const fields = toTags(event.attributes);
  const named = fields.some(({ key }) => key === "event");
  if (event.name && !named) fields.unshift({ key: "event", type: "string", value: event.name });
  return { timestamp: microsOf(event.timeUnixNano), fields };
}

function toTags(attributes: readonly KeyValue[] = []): JaegerTag[] {
  return attributes
    .map(({ key, value }) => ({ key, ...toTyped(value) }))
    .sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
}

function toTyped(value: AnyValue | undefined): Omit<JaegerTag, "key"> {
  const plain = plainValue(value);
  if (value?.boolValue !== undefined) return { type: "bool", value: value.boolValue };
  if (value?.intValue !== undefined) return { type: "int64", value: plain as number | string };
  if (value?.doubleValue !== undefined) return { type: "float64", value: value.doubleValue };
  if (value?.bytesValue !== undefined) return { type: "binary", value: value.bytesValue };
  if (value?.stringValue !== undefined) return { type: "string", value: value.stringValue };
  return { type: "string", value: plain === null ? "" : JSON.stringify(plain) };
}
