/** The traces in memory: a ring that lets the oldest go when it is full, and counts what it let go. */
import {
  microsOf,
  type OtlpSpan,
  type OtlpTrace,
  type ResourceSpans,
  type ScopeSpans,
} from "./otlp.ts";

/** How much is kept. */
export interface TraceRingLimits {
  readonly tracesMax: number;
  readonly spansPerTraceMax: number;
  /** Of all traces together, counted as they were encoded; in memory they take several times that. */
  readonly bytesMax: number;
}

/** A trace as far as its spans have arrived. */
export interface StoredTrace extends OtlpTrace {
  readonly traceId: string;
  readonly spanCount: number;
  /** Start of its earliest span, microseconds since 1970. */
  readonly startTimeUs: number;
  /** End of its latest span so far, microseconds since 1970. */
  readonly endTimeUs: number;
}

/** What the ring holds and what it has let go since it was made. */
export interface TraceRingStats {
  readonly traces: number;
  readonly spans: number;
  readonly bytes: number;
  readonly evictedTraces: number;
  readonly rejectedSpans: number;
}

/** What became of one export request's spans, in the terms of OTLP's partial success. */
export interface AddResult {
  readonly rejectedSpans: number;
  /** Why, for a person; "" where nothing was rejected. */
  readonly errorMessage: string;
}

/** Traces by id, in the order in which their first spans arrived. */
export class TraceRing {
  readonly #limits: TraceRingLimits;
  readonly #traces = new Map<string, MutableTrace>();
  #spans = 0;
  #bytes = 0;
  #evictedTraces = 0;
  #rejectedSpans = 0;

  constructor(limits: TraceRingLimits) {
    this.#limits = limits;
  }

  /**
   * Sorts the spans of one export request into their traces.
   * @param encodedBytes size of the request, which its spans are charged with in equal parts
   */
  add(resourceSpans: readonly ResourceSpans[], encodedBytes: number): AddResult {
    const reasons = new Map<string, number>();
    const spanCount = countSpans(resourceSpans);
    const bytesPerSpan = spanCount === 0 ? 0 : encodedBytes / spanCount;
    for (const resource of resourceSpans) {
      const resourceKey = JSON.stringify([resource.resource, resource.schemaUrl]);
      for (const scope of resource.scopeSpans ?? []) {
        const scopeKey = JSON.stringify([scope.scope, scope.schemaUrl]);
        for (const span of scope.spans ?? []) {
          const refusal = this.#addSpan(
            span,
            { resource, resourceKey, scope, scopeKey },
            bytesPerSpan,
          );
          if (refusal) reasons.set(refusal, (reasons.get(refusal) ?? 0) + 1);
        }
      }
    }
    this.#evictOldest();
    const rejectedSpans = [...reasons.values()].reduce((sum, count) => sum + count, 0);
    this.#rejectedSpans += rejectedSpans;
    const errorMessage = [...reasons].map(([reason, count]) => `${count} × ${reason}`).join("; ");
    return { rejectedSpans, errorMessage };
  }

  /** @returns the trace, or undefined where it never came or is gone again */
  get(traceId: string): StoredTrace | undefined {
    return this.#traces.get(traceId);
  }

  /** @returns all traces, newest first */
  all(): StoredTrace[] {
    return [...this.#traces.values()].toReversed();
  }

  stats(): TraceRingStats {
    return {
      traces: this.#traces.size,
      spans: this.#spans,
      bytes: Math.round(this.#bytes),
      evictedTraces: this.#evictedTraces,
      rejectedSpans: this.#rejectedSpans,
    };
  }

  /** @returns why the span was refused, or undefined */
  #addSpan(span: OtlpSpan, origin: Origin, bytes: number): string | undefined {
    if (!isValidId(span.traceId, 32) || !isValidId(span.spanId, 16)) {
      return "span without a valid trace id and span id";
    }
    const trace = this.#traces.get(span.traceId) ?? new MutableTrace(span.traceId);
    if (trace.has(span)) return undefined;
    if (trace.spanCount >= this.#limits.spansPerTraceMax) {
      return `span of a trace that already has ${this.#limits.spansPerTraceMax} spans`;
    }
    this.#traces.set(span.traceId, trace);
    trace.add(span, origin, bytes);
    this.#spans += 1;
    this.#bytes += bytes;
    return undefined;
  }

  #evictOldest(): void {
    for (const [traceId, trace] of this.#traces) {
      const full =
        this.#traces.size > this.#limits.tracesMax || this.#bytes > this.#limits.bytesMax;
      if (!full) return;
      this.#traces.delete(traceId);
      this.#spans -= trace.spanCount;
      this.#bytes -= trace.bytes;
      this.#evictedTraces += 1;
    }
  }
}

/** Where in an export request a span stood. The keys tell resources and scopes apart. */
interface Origin {
  readonly resource: ResourceSpans;
  readonly resourceKey: string;
  readonly scope: ScopeSpans;
  readonly scopeKey: string;
}

class MutableTrace implements StoredTrace {
  readonly traceId: string;
  readonly resourceSpans: ResourceSpans[] = [];
  spanCount = 0;
  bytes = 0;
  startTimeUs = Number.POSITIVE_INFINITY;
  endTimeUs = 0;
  readonly #scopes = new Map<string, ScopeSpans[]>();
  readonly #spans = new Map<string, OtlpSpan[]>();
  readonly #spansOfScope = new Map<string, OtlpSpan[]>();

  constructor(traceId: string) {
    this.traceId = traceId;
  }

  /** An exporter that missed our answer sends its batch again: the very same span is no second one. */
  has(span: OtlpSpan): boolean {
    const known = this.#spans.get(span.spanId) ?? [];
    return known.some((other) => Bun.deepEquals(other, span));
  }

  add(span: OtlpSpan, origin: Origin, bytes: number): void {
    this.#listFor(origin).push(span);
    this.#spans.set(span.spanId, [...(this.#spans.get(span.spanId) ?? []), span]);
    this.startTimeUs = Math.min(this.startTimeUs, microsOf(span.startTimeUnixNano));
    this.endTimeUs = Math.max(this.endTimeUs, microsOf(span.endTimeUnixNano));
    this.spanCount += 1;
    this.bytes += bytes;
  }

  /** Many small batches come from one service: their spans go under one resource and scope. */
  #listFor({ resource, resourceKey, scope, scopeKey }: Origin): OtlpSpan[] {
    const key = `${resourceKey} ${scopeKey}`;
    const known = this.#spansOfScope.get(key);
    if (known) return known;
    const spans: OtlpSpan[] = [];
    this.#spansOfScope.set(key, spans);
    const scopes = this.#scopes.get(resourceKey);
    if (scopes) {
      scopes.push({ ...scope, spans });
    } else {
      const scopeSpans = [{ ...scope, spans }];
      this.#scopes.set(resourceKey, scopeSpans);
      this.resourceSpans.push({ ...resource, scopeSpans });
    }
    return spans;
  }
}

function countSpans(resourceSpans: readonly ResourceSpans[]): number {
  let count = 0;
  for (const { scopeSpans = [] } of resourceSpans) {
    for (const { spans = [] } of scopeSpans) count += spans.length;
  }
  return count;
}

function isValidId(id: string | undefined, digits: number): boolean {
  return id !== undefined && id.length === digits && !/^0+$/.test(id);
}
