/** What a list of traces says of each: what it was about, how long, how much, and what failed. */
import type { WireSummary } from "../viewer/wire.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { microsOf, parentIdOf, type SpanInContext, spansOf } from "./otlp.ts";
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

function summarize(trace: StoredTrace): WireSummary {
  const services = new Map<string, number>();
  let errors = 0;
  let first: SpanInContext | undefined;
  for (const context of spansOf(trace)) {
    const service = serviceNameOf(context.resource);
    services.set(service, (services.get(service) ?? 0) + 1);
    if (hasFailed(context)) errors += 1;
    if (!first || isBefore(context, first)) first = context;
  }
  return {
    traceId: trace.traceId,
    service: first ? serviceNameOf(first.resource) : "",
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

/** A root is before all others; else the earlier start is. */
function isBefore(a: SpanInContext, b: SpanInContext): boolean {
  const rootA = parentIdOf(a.span) === undefined;
  const rootB = parentIdOf(b.span) === undefined;
  if (rootA !== rootB) return rootA;
  return microsOf(a.span.startTimeUnixNano) < microsOf(b.span.startTimeUnixNano);
}
