/** Searching the traces that are kept: by what their spans are called, say, and how long they took. */
import { serviceNameOf } from "./jaeger-json.ts";
import { microsOf, type SpanInContext, someSpan } from "./otlp.ts";
import { hasAttribute, hasFailed, textsOf } from "./span-terms.ts";
import type { StoredTrace, TraceRing } from "./trace-ring.ts";

/**
 * What is asked of a trace. Service, operation, attributes and status are asked of one and the same span.
 * So are the durations where one of these is asked for; else they are asked of the whole trace.
 */
export interface TraceQuery {
  readonly service?: string | undefined;
  readonly operation?: string | undefined;
  /** Each with its value, or with any. */
  readonly attributes?: readonly { readonly key: string; readonly value?: string | undefined }[];
  readonly status?: "error" | "ok" | undefined;
  /** Anywhere in the trace, whatever its case. */
  readonly text?: string | undefined;
  /** Microseconds. */
  readonly minDurationUs?: number | undefined;
  readonly maxDurationUs?: number | undefined;
  /** When the trace began: microseconds since 1970. */
  readonly fromUs?: number | undefined;
  readonly toUs?: number | undefined;
}

/** @returns the traces that are as asked for, newest first */
export function searchTraces(ring: TraceRing, query: TraceQuery): StoredTrace[] {
  return candidates(ring, query).filter((trace) => isAsked(trace, query));
}

/** Whether a trace is as asked for; of one that is in no index. */
export function isFoundBy(trace: StoredTrace, query: TraceQuery): boolean {
  const { text } = query;
  if (text && !someSpan(trace, (context) => spanContains(context, text))) return false;
  return isAsked(trace, query);
}

/** Whether a trace is as asked for, but for the text. */
function isAsked(trace: StoredTrace, query: TraceQuery): boolean {
  const asksSpan =
    query.service !== undefined ||
    query.operation !== undefined ||
    query.status !== undefined ||
    (query.attributes?.length ?? 0) > 0;
  if (trace.startTimeUs < (query.fromUs ?? 0)) return false;
  if (trace.startTimeUs > (query.toUs ?? Number.POSITIVE_INFINITY)) return false;
  if (!asksSpan) return lasts(trace.endTimeUs - trace.startTimeUs, query);
  return someSpan(trace, (context) => matches(context, query));
}

/** Whether one span is as asked for, but for the text, which may stand in another. */
function matches(context: SpanInContext, query: TraceQuery): boolean {
  const { span, resource } = context;
  if (query.service !== undefined && serviceNameOf(resource) !== query.service) return false;
  if (query.operation !== undefined && (span.name ?? "") !== query.operation) return false;
  if (query.status !== undefined && hasFailed(context.span) !== (query.status === "error"))
    return false;
  const { attributes = [] } = query;
  if (!attributes.every(({ key, value }) => hasAttribute(context, key, value))) return false;
  if (query.minDurationUs === undefined && query.maxDurationUs === undefined) return true;
  return lasts(microsOf(span.endTimeUnixNano) - microsOf(span.startTimeUnixNano), query);
}

function lasts(durationUs: number, { minDurationUs, maxDurationUs }: TraceQuery): boolean {
  return (
    durationUs >= (minDurationUs ?? 0) && durationUs <= (maxDurationUs ?? Number.POSITIVE_INFINITY)
  );
}

/** @returns the traces that the indexes leave over, newest first */
function candidates(ring: TraceRing, query: TraceQuery): StoredTrace[] {
  const sets: ReadonlySet<StoredTrace>[] = [];
  if (query.service !== undefined) sets.push(ring.byService.holdersOf(query.service));
  if (query.operation !== undefined) sets.push(ring.byOperation.holdersOf(query.operation));
  for (const { key, value } of query.attributes ?? []) {
    if (value !== undefined) sets.push(ring.byText.holdersOf(`${key}=${value}`));
  }
  if (query.text) {
    const inServices = ring.byService.holdersWith(query.text);
    sets.push(inServices.union(ring.byText.holdersWith(query.text)));
  }
  const [smallest, ...others] = sets.sort((a, b) => a.size - b.size);
  if (!smallest) return ring.all();
  return [...smallest]
    .filter((trace) => others.every((set) => set.has(trace)))
    .sort((a, b) => b.ordinal - a.ordinal);
}

/** Whether a text stands anywhere in a span, as {@link searchTraces} finds it. */
function spanContains(context: SpanInContext, text: string): boolean {
  const wanted = text.toLowerCase();
  if (serviceNameOf(context.resource).toLowerCase().includes(wanted)) return true;
  for (const one of textsOf(context)) if (one.toLowerCase().includes(wanted)) return true;
  return false;
}
