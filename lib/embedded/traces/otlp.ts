/** OTLP's JSON shapes, as far as the store and the waterfall read them, and how to walk them. */

/**
 * The traces of one or more services: what OTLP calls TracesData.
 *
 * Field names, hex ids, enum numbers and 64-bit numbers as strings follow the JSON encoding of OTLP
 * 1.x; a field that has its default value may be left out.
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export interface OtlpTrace {
  readonly resourceSpans: readonly ResourceSpans[];
}

/** Spans of one resource, that is one process of a service. */
export interface ResourceSpans {
  readonly resource?: Resource;
  readonly scopeSpans?: readonly ScopeSpans[];
  readonly schemaUrl?: string;
}

/** Who recorded: service.name and its kin. */
export interface Resource {
  readonly attributes?: readonly KeyValue[];
  readonly droppedAttributesCount?: number;
}

/** Spans of one tracer. */
export interface ScopeSpans {
  readonly scope?: InstrumentationScope;
  readonly spans?: readonly OtlpSpan[];
  readonly schemaUrl?: string;
}

/** The tracer. */
export interface InstrumentationScope {
  readonly name?: string;
  readonly version?: string;
  readonly attributes?: readonly KeyValue[];
}

/** One span. */
export interface OtlpSpan {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits. */
  readonly spanId: string;
  /** Missing or empty on a root; see {@link parentIdOf}. */
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly flags?: number;
  readonly name?: string;
  readonly kind?: SpanKindNumber;
  /** Decimal nanoseconds since 1970, past what a number can hold. */
  readonly startTimeUnixNano?: string;
  readonly endTimeUnixNano?: string;
  readonly attributes?: readonly KeyValue[];
  readonly events?: readonly SpanEvent[];
  readonly links?: readonly SpanLink[];
  readonly status?: SpanStatus;
}

/** 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
export type SpanKindNumber = 0 | 1 | 2 | 3 | 4 | 5;

/** Something that happened at one moment of a span. */
export interface SpanEvent {
  readonly timeUnixNano?: string;
  readonly name?: string;
  readonly attributes?: readonly KeyValue[];
}

/** A span that this one has to do with, without being its child. */
export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState?: string;
  readonly attributes?: readonly KeyValue[];
}

/** How a span ended; code 0 unset, 1 ok, 2 error. */
export interface SpanStatus {
  readonly code?: number;
  readonly message?: string;
}

/** An attribute. */
export interface KeyValue {
  readonly key: string;
  readonly value?: AnyValue;
}

/** An attribute's value: at most one of these is there; none is the empty value. */
export interface AnyValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  /** Decimal. */
  readonly intValue?: string;
  /** A string for NaN, Infinity and -Infinity, which JSON has no numbers for. */
  readonly doubleValue?: number | "NaN" | "Infinity" | "-Infinity";
  readonly arrayValue?: { readonly values?: readonly AnyValue[] };
  readonly kvlistValue?: { readonly values?: readonly KeyValue[] };
  /** Base64. */
  readonly bytesValue?: string;
}

/** A span with what stands above it in OTLP. */
export interface SpanInContext {
  readonly span: OtlpSpan;
  readonly scope: InstrumentationScope;
  readonly resource: Resource;
  /** The resource's service.name; "" where it has none. */
  readonly service: string;
}

/** @returns all spans of a trace, in the order they stand there */
export function spansOf(trace: OtlpTrace): SpanInContext[] {
  return trace.resourceSpans.flatMap(({ resource = {}, scopeSpans = [] }) => {
    const service = String(attribute(resource.attributes, "service.name") ?? "");
    return scopeSpans.flatMap(({ scope = {}, spans = [] }) =>
      spans.map((span) => ({ span, scope, resource, service })),
    );
  });
}

/** Whether one of the trace's spans is such a one; stops at the first that is, with nothing made for the others. */
export function someSpan(trace: OtlpTrace, isSuch: (context: SpanInContext) => boolean): boolean {
  return trace.resourceSpans.some(({ resource = {}, scopeSpans = [] }) => {
    const service = String(attribute(resource.attributes, "service.name") ?? "");
    return scopeSpans.some(({ scope = {}, spans = [] }) =>
      spans.some((span) => isSuch({ span, scope, resource, service })),
    );
  });
}

/**
 * @returns the id of the span's parent; undefined for a root. OTLP's way to say that is an empty id, and
 *   some senders write it as zeros, which are no id of anything
 * @see https://www.w3.org/TR/trace-context/#parent-id
 */
export function parentIdOf({ parentSpanId }: OtlpSpan): string | undefined {
  return isId(parentSpanId) ? parentSpanId : undefined;
}

/** @returns the span's links that lead somewhere: a sender may leave the ids out, or write zeros */
export function linksOf({ links = [] }: OtlpSpan): readonly SpanLink[] {
  return links.filter(({ traceId, spanId }) => isId(traceId) && isId(spanId));
}

/** Whether it is an id, and not the empty one, in either of the forms that has. */
export function isId(id: string | undefined): boolean {
  return id !== undefined && !/^0*$/.test(id);
}

/** @returns the attribute's value as a plain one (see {@link plainValue}), undefined where it is missing */
export function attribute(attributes: readonly KeyValue[] | undefined, key: string): unknown {
  const found = attributes?.find((attribute) => attribute.key === key);
  return found && plainValue(found.value);
}

/** @returns the value as plain JSON: an int as a number where that is exact, else as a string; bytes as base64 */
export function plainValue(value: AnyValue | undefined): unknown {
  if (value?.intValue !== undefined) {
    const number = Number(value.intValue);
    return Number.isSafeInteger(number) ? number : value.intValue;
  }
  if (value?.arrayValue) return (value.arrayValue.values ?? []).map(plainValue);
  if (value?.kvlistValue) {
    const entries = (value.kvlistValue.values ?? []).map(({ key, value }) => [
      key,
      plainValue(value),
    ]);
    return Object.fromEntries(entries);
  }
  return value?.stringValue ?? value?.boolValue ?? value?.doubleValue ?? value?.bytesValue ?? null;
}

/**
 * @param timeUnixNano decimal digits
 * @returns a time of OTLP in microseconds, cut off, which a number holds exactly; 0 where it is missing
 */
export function microsOf(timeUnixNano: string | undefined): number {
  // Without its last three digits: a search does this for every span, and BigInt takes twice as long.
  return Number(timeUnixNano?.slice(0, -3) ?? 0);
}
