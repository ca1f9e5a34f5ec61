/** What a list of traces says of each: what it was about, how long, how much, and what failed. */
import type { WireSummary } from "../viewer/wire.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { microsOf, type OtlpSpan, parentIdOf } from "./otlp.ts";
import { hasFailed } from "./span-terms.ts";
import type { StoredTrace } from "./trace-ring.ts";

const summaries = new WeakMap<StoredTrace, { version: number; summary: WireSummary }>();

/** @returns what is to be said of a trace as it is now */
export function summaryOf(trace: StoredTrace): WireSummary {
  const known = summaries.get(trace);
  if (known?.version === trace.version) return known.summary;
  const summary = summarize(trace);
  summaries.set(trace, { version: trace.version, summary });
  return summary;
}

/** Of every trace that is found first: over each of their spans, so with nothing made for one. */
function summarize(trace: StoredTrace): WireSummary {
  const services = new Map<string, number>();
  let errors = 0;
  let first: First | undefined;
  for (const { resource = {}, scopeSpans = [] } of trace.resourceSpans) {
    const service = serviceNameOf(resource);
    for (const { spans = [] } of scopeSpans) {
      services.set(service, (services.get(service) ?? 0) + spans.length);
      for (const span of spans) {
        if (hasFailed(span)) errors += 1;
        if (!first || isBefore(span, first.span)) first = { span, service };
      }
    }
  }
  return {
    traceId: trace.traceId,
    service: first?.service ?? "",
    name: first?.span.name ?? "",
    hasRoot: first !== undefined && parentIdOf(first.span) === undefined,
    startUs: trace.startTimeUs,
    durationUs: Math.max(0, trace.endTimeUs - trace.startTimeUs),
    spans: trace.spanCount,
    open: 0,
    errors,
    services: [...services],
  };
}

interface First {
  readonly span: OtlpSpan;
  readonly service: string;
}

/** A root is before all others; else the earlier start is. */
function isBefore(a: OtlpSpan, b: OtlpSpan): boolean {
  const rootA = parentIdOf(a) === undefined;
  const rootB = parentIdOf(b) === undefined;
  if (rootA !== rootB) return rootA;
  return microsOf(a.startTimeUnixNano) < microsOf(b.startTimeUnixNano);
}
