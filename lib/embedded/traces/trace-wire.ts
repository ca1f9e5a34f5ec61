/** A trace as its page gets it: resources once, times as offsets, attributes as plain values. */
import type {
  Attribute,
  WireLinkedFrom,
  WireLog,
  WireLogLine,
  WireSpan,
  WireTrace,
} from "../viewer/wire.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import type { LogRecord, LogStore } from "./log-store.ts";
import type { MetricStore } from "./metric-store.ts";
import type { OpenSpans } from "./open-spans.ts";
import {
  type KeyValue,
  linksOf,
  parentIdOf,
  plainValue,
  spansOf,
  type SpanInContext,
} from "./otlp.ts";
import type { StoredTrace, TraceRing } from "./trace-ring.ts";

/** @returns the trace with its log records, its measurements, and the spans that link to it */
export function toWireTrace(
  trace: StoredTrace,
  {
    ring,
    open,
    logs,
    metrics,
  }: { ring: TraceRing; open: OpenSpans; logs: LogStore; metrics: MetricStore },
): WireTrace {
  const openStates = open.statesOf(trace.traceId);
  const baseNs = firstStartNs(trace);
  const resources = new Numbered<object>();
  const scopes = new Numbered<object>();
  const spans = spansOf(trace).map((context): WireSpan => {
    const resource = resources.numberOf(context.resource);
    const state = openStates.get(context.span.spanId);
    const span = toWireSpan(context, baseNs, resource, scopes.numberOf(context.scope));
    return state ? { ...span, open: state } : span;
  });
  return {
    traceId: trace.traceId,
    baseNs: String(baseNs),
    resources: resources.all.map((resource: KeyValues) => ({
      service: serviceNameOf(resource),
      attributes: plainAttributes(resource.attributes),
    })),
    scopes: scopes.all.map(({ name = "", version = "" }: { name?: string; version?: string }) => ({
      name,
      version,
    })),
    spans,
    logs: logs.ofTrace(trace.traceId).map((record) => toWireLog(record, baseNs)),
    linkedFrom: linkedFrom(trace, ring),
    exemplars: metrics.ofTrace(trace.traceId),
    services: [...ring.services],
  };
}

interface KeyValues {
  readonly attributes?: readonly KeyValue[];
}

/** Things with numbers, each once: the store keeps a resource once for all its spans. */
class Numbered<T extends object> {
  readonly all: T[] = [];
  readonly #numbers = new Map<T, number>();

  numberOf(one: T): number {
    return this.#numbers.getOrInsertComputed(one, () => this.all.push(one) - 1);
  }
}

function firstStartNs(trace: StoredTrace): bigint {
  let first: bigint | undefined;
  for (const { span } of spansOf(trace)) {
    const start = BigInt(span.startTimeUnixNano ?? "0");
    if (first === undefined || start < first) first = start;
  }
  return first ?? 0n;
}

function toWireSpan(
  { span }: SpanInContext,
  baseNs: bigint,
  resource: number,
  scope: number,
): WireSpan {
  const startNs = BigInt(span.startTimeUnixNano ?? "0");
  const endNs = BigInt(span.endTimeUnixNano ?? "0");
  const parent = parentIdOf(span);
  const links = linksOf(span).map(({ traceId, spanId, attributes }) => ({
    traceId,
    spanId,
    attributes: plainAttributes(attributes),
  }));
  return {
    id: span.spanId,
    ...(parent !== undefined && { parent }),
    resource,
    scope,
    name: span.name ?? "",
    kind: span.kind ?? 0,
    start: Number(startNs - baseNs),
    duration: endNs > startNs ? Number(endNs - startNs) : 0,
    ...(span.status?.code && { status: span.status.code }),
    ...(span.status?.message && { message: span.status.message }),
    ...(span.flags && { flags: span.flags }),
    ...(span.traceState && { traceState: span.traceState }),
    attributes: plainAttributes(span.attributes),
    ...(span.events?.length && {
      events: span.events.map(({ timeUnixNano, name = "", attributes }) => [
        Number(BigInt(timeUnixNano ?? "0") - baseNs),
        name,
        plainAttributes(attributes),
      ]),
    }),
    ...(links.length > 0 && { links }),
  };
}

/** A log record as it stands in a list of them. */
export function toWireLogLine(record: LogRecord): WireLogLine {
  return {
    timeUs: record.timeUs,
    service: record.service,
    severity: record.severityNumber,
    severityText: record.severityText,
    body: plainValue(record.body),
    attributes: plainAttributes(record.attributes),
    traceId: record.traceId,
    spanId: record.spanId,
  };
}

function toWireLog(record: LogRecord, baseNs: bigint): WireLog {
  return {
    time: Number(BigInt(record.timeUs) * 1000n - baseNs),
    span: record.spanId,
    service: record.service,
    severity: record.severityNumber,
    severityText: record.severityText,
    body: plainValue(record.body),
    attributes: plainAttributes(record.attributes),
  };
}

/** @returns the spans of all traces, this one too, that link to a span of this one */
function linkedFrom({ traceId }: StoredTrace, ring: TraceRing): WireLinkedFrom[] {
  const found: WireLinkedFrom[] = [];
  for (const other of ring.byLink.holdersOf(traceId)) {
    for (const { span, resource } of spansOf(other)) {
      for (const link of linksOf(span)) {
        if (link.traceId !== traceId) continue;
        const service = serviceNameOf(resource);
        const name = span.name ?? "";
        found.push({ traceId: other.traceId, spanId: span.spanId, service, name, to: link.spanId });
      }
    }
  }
  return found;
}

function plainAttributes(attributes: readonly KeyValue[] = []): Attribute[] {
  return attributes.map(({ key, value }) => [key, plainValue(value)]);
}
