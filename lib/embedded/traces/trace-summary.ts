/** What a list of traces says of each: what it was about, how long, how much, and what failed. */
import { serviceNameOf } from "./jaeger-json.ts";
import { microsOf, parentIdOf, type SpanInContext, spansOf } from "./otlp.ts";
import { hasFailed } from "./span-terms.ts";
import type { StoredTrace } from "./trace-ring.ts";

/** A trace in a list. */
export interface TraceSummary {
  readonly traceId: string;
  /** Of its root; of the earliest span where the root has not come. */
  readonly service: string;
  readonly name: string;
  /** Whether a root has come. */
  readonly hasRoot: boolean;
  /** Microseconds since 1970. */
  readonly startUs: number;
  /** From the first start to the last end: a root may end long before. */
  readonly durationUs: number;
  readonly spans: number;
  readonly errors: number;
  /** Spans by service, in the order in which they came. */
  readonly services: readonly (readonly [name: string, spans: number])[];
}

const summaries = new WeakMap<StoredTrace, { version: number; summary: TraceSummary }>();

/** @returns what is to be said of a trace as it is now */
export function summaryOf(trace: StoredTrace): TraceSummary {
  const known = summaries.get(trace);
  if (known?.version === trace.version) return known.summary;
  const summary = summarize(trace);
  summaries.set(trace, { version: trace.version, summary });
  return summary;
}

function summarize(trace: StoredTrace): TraceSummary {
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
