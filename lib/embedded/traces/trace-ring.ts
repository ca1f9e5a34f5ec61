/** The traces in memory: a ring that lets the oldest go when it is full, and counts what it let go. */
import {
  isId,
  linksOf,
  microsOf,
  type OtlpSpan,
  type OtlpTrace,
  type ResourceSpans,
  type ScopeSpans,
} from "./otlp.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { textsOfResource, textsOfSpan } from "./span-terms.ts";
import { TermIndex } from "./term-index.ts";

/** How much is kept. */
export interface TraceRingLimits {
  readonly tracesMax: number;
  readonly spansPerTraceMax: number;
  /** Of all traces together, counted as they were encoded; in memory they take several times that. */
  readonly bytesMax: number;
}

/** Services outlive their traces: they have a bound of their own. */
const SERVICES_MAX = 1_000;
const SERVICE_CHARS_MAX = 500;
/** Different spans of one id in one trace: two that share one are known of old clients, more are not. */
const SPANS_PER_ID_MAX = 4;

/** A trace as far as its spans have arrived. */
export interface StoredTrace extends OtlpTrace {
  readonly traceId: string;
  readonly spanCount: number;
  /** Start of its earliest span, microseconds since 1970. */
  readonly startTimeUs: number;
  /** End of its latest span so far, microseconds since 1970. */
  readonly endTimeUs: number;
  /** In which order traces came: a later one has a higher number. */
  readonly ordinal: number;
  /** The ring's version when a span was last added to it. */
  readonly version: number;
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
  /** Traces by the names of services in them. */
  readonly byService = new TermIndex<StoredTrace>();
  /** Traces by the names of their spans. */
  readonly byOperation = new TermIndex<StoredTrace>();
  /** Traces by their other texts (see `textsOf`). */
  readonly byText = new TermIndex<StoredTrace>();
  /** Traces by the ids of the traces that they link to. */
  readonly byLink = new TermIndex<StoredTrace>();
  /** Services in the order in which they were first heard of; see {@link noteService}. */
  readonly services = new Set<string>();
  /** Grows whenever a trace came, grew or went. */
  version = 0;
  readonly #limits: TraceRingLimits;
  readonly #traces = new Map<string, MutableTrace>();
  #spans = 0;
  #bytes = 0;
  #evictedTraces = 0;
  #rejectedSpans = 0;
  #ordinal = 0;

  constructor(limits: TraceRingLimits) {
    this.#limits = limits;
  }

  /**
   * Sorts the spans of one export request into their traces.
   *
   * A trace is charged with what it keeps: its spans, and whole each resource and scope that they
   * stand under, as one span is enough to hold those. The request's bytes are split in proportion
   * to all these as JSON.
   * @param encodedBytes size of the request
   */
  add(resourceSpans: readonly ResourceSpans[], encodedBytes: number): AddResult {
    this.version += 1;
    const reasons = new Map<string, number>();
    const bytesPerWeight = encodedBytes / weightOfAll(resourceSpans);
    for (const [resource, resourceText] of withText(resourceSpans)) {
      const resourceKey = digest(resourceText);
      for (const [scope, scopeText] of withText(resource.scopeSpans)) {
        const origin: Origin = {
          service: serviceNameOf(resource.resource ?? {}),
          resource,
          resourceKey,
          resourceBytes: resourceText.length * bytesPerWeight,
          scope,
          scopeKey: digest(scopeText),
          scopeBytes: scopeText.length * bytesPerWeight,
        };
        for (const span of scope.spans ?? []) {
          const refusal = this.#addSpan(span, origin, weightOf(span) * bytesPerWeight);
          if (refusal) reasons.set(refusal, (reasons.get(refusal) ?? 0) + 1);
          else this.#evictOldest(span.traceId);
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

  /** Whether a span has come, and is still here. */
  hasSpan(traceId: string, spanId: string): boolean {
    return (this.#traces.get(traceId)?.countOf(spanId) ?? 0) > 0;
  }

  /** Remembers a service, which has its colour by that. What nobody could name is no service to remember. */
  noteService(service: string): void {
    const isKept = this.services.size < SERVICES_MAX && service.length <= SERVICE_CHARS_MAX;
    if (isKept) this.services.add(service);
  }

  /** Says that something about a trace has changed which is kept elsewhere: its log records, say. */
  touch(traceId: string): void {
    this.version += 1;
    const trace = this.#traces.get(traceId);
    if (trace) trace.version = this.version;
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
    const known = this.#traces.get(span.traceId);
    const trace = known ?? new MutableTrace(span.traceId, this.#ordinal + 1);
    if (trace.has(span)) return undefined;
    if (trace.countOf(span.spanId) >= SPANS_PER_ID_MAX) {
      return `span of an id that ${SPANS_PER_ID_MAX} spans of the trace already have`;
    }
    if (trace.spanCount >= this.#limits.spansPerTraceMax) {
      return `span of a trace that already has ${this.#limits.spansPerTraceMax} spans`;
    }
    if (!known) this.#ordinal += 1;
    this.#index(trace, span, origin);
    this.#traces.set(span.traceId, trace);
    this.#spans += 1;
    this.#bytes += trace.add(span, origin, bytes);
    trace.version = this.version;
    return undefined;
  }

  #index(trace: MutableTrace, span: OtlpSpan, { service, resource, resourceKey }: Origin): void {
    trace.index(this.byOperation, span.name ?? "");
    for (const text of textsOfSpan(span)) trace.index(this.byText, text);
    for (const { traceId } of linksOf(span)) trace.index(this.byLink, traceId);
    if (trace.knowsResource(resourceKey)) return;
    this.noteService(service);
    trace.index(this.byService, service);
    for (const text of textsOfResource(resource.resource ?? {})) trace.index(this.byText, text);
  }

  /** @param growing a trace that the request under way still adds to: its turn comes with the request's end */
  #evictOldest(growing?: string): void {
    for (const [traceId, trace] of this.#traces) {
      const full =
        this.#traces.size > this.#limits.tracesMax || this.#bytes > this.#limits.bytesMax;
      if (!full || traceId === growing) return;
      this.#traces.delete(traceId);
      trace.unindex();
      this.#spans -= trace.spanCount;
      this.#bytes -= trace.bytes;
      this.#evictedTraces += 1;
    }
  }
}

/** Where in an export request a span stood, and what that takes. */
interface Origin {
  readonly service: string;
  readonly resource: ResourceSpans;
  readonly scope: ScopeSpans;
  /** They tell resources and scopes apart: digests, as every trace keeps its own. */
  readonly resourceKey: string;
  readonly scopeKey: string;
  readonly resourceBytes: number;
  readonly scopeBytes: number;
}

class MutableTrace implements StoredTrace {
  readonly traceId: string;
  readonly ordinal: number;
  readonly resourceSpans: ResourceSpans[] = [];
  version = 0;
  spanCount = 0;
  bytes = 0;
  startTimeUs = Number.POSITIVE_INFINITY;
  endTimeUs = 0;
  readonly #scopes = new Map<string, ScopeSpans[]>();
  readonly #spans = new Map<string, OtlpSpan[]>();
  readonly #spansOfScope = new Map<string, OtlpSpan[]>();

  readonly #terms = new Map<TermIndex<StoredTrace>, Set<string>>();

  constructor(traceId: string, ordinal: number) {
    this.traceId = traceId;
    this.ordinal = ordinal;
  }

  index(index: TermIndex<StoredTrace>, term: string): void {
    const terms = this.#terms.getOrInsertComputed(index, () => new Set());
    if (terms.has(term)) return;
    terms.add(term);
    index.add(term, this);
  }

  /** Whether a span of that resource is here already. */
  knowsResource(resourceKey: string): boolean {
    return this.#scopes.has(resourceKey);
  }

  unindex(): void {
    for (const [index, terms] of this.#terms) for (const term of terms) index.remove(term, this);
  }

  /** An exporter that missed our answer sends its batch again: the very same span is no second one. */
  has(span: OtlpSpan): boolean {
    const known = this.#spans.get(span.spanId) ?? [];
    return known.some((other) => Bun.deepEquals(other, span));
  }

  countOf(spanId: string): number {
    return this.#spans.get(spanId)?.length ?? 0;
  }

  /**
   * @param bytes of the span itself
   * @returns the bytes that the trace takes more than before
   */
  add(span: OtlpSpan, origin: Origin, bytes: number): number {
    const bytesBefore = this.bytes;
    this.#listFor(origin).push(span);
    this.#spans.set(span.spanId, [...(this.#spans.get(span.spanId) ?? []), span]);
    this.startTimeUs = Math.min(this.startTimeUs, microsOf(span.startTimeUnixNano));
    this.endTimeUs = Math.max(this.endTimeUs, microsOf(span.endTimeUnixNano));
    this.spanCount += 1;
    this.bytes += bytes;
    return this.bytes - bytesBefore;
  }

  /** Many small batches come from one service: their spans go under one resource and scope. */
  #listFor(origin: Origin): OtlpSpan[] {
    const { resource, resourceKey, scope, scopeKey } = origin;
    const key = `${resourceKey} ${scopeKey}`;
    const known = this.#spansOfScope.get(key);
    if (known) return known;
    const spans: OtlpSpan[] = [];
    this.#spansOfScope.set(key, spans);
    this.bytes += origin.scopeBytes;
    const scopes = this.#scopes.get(resourceKey);
    if (scopes) {
      scopes.push({ ...scope, spans });
    } else {
      const scopeSpans = [{ ...scope, spans }];
      this.#scopes.set(resourceKey, scopeSpans);
      this.resourceSpans.push({ ...resource, scopeSpans });
      this.bytes += origin.resourceBytes;
    }
    return spans;
  }
}

/** Resources or scopes, each with the JSON of what it says about itself. */
function* withText<T extends ResourceSpans | ScopeSpans>(
  places: readonly T[] = [],
): Generator<[T, string]> {
  for (const place of places) {
    yield [place, JSON.stringify({ ...place, scopeSpans: undefined, spans: undefined })];
  }
}

function weightOfAll(resourceSpans: readonly ResourceSpans[]): number {
  let weight = 0;
  for (const [resource, resourceText] of withText(resourceSpans)) {
    weight += resourceText.length;
    for (const [scope, scopeText] of withText(resource.scopeSpans)) {
      weight += scopeText.length;
      for (const span of scope.spans ?? []) weight += weightOf(span);
    }
  }
  return weight;
}

function weightOf(span: OtlpSpan): number {
  return JSON.stringify(span).length;
}

function digest(text: string): string {
  return Bun.SHA256.hash(text, "base64");
}

function isValidId(id: string | undefined, digits: number): boolean {
  return isId(id) && id?.length === digits;
}
