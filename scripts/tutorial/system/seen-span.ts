/** Spans as they arrived at the collector, with plain values. */
import {
  parentIdOf,
  plainValue,
  type KeyValue,
  type OtlpTrace,
  type SpanInContext,
} from "#lib/embedded/traces/otlp.ts";

const KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] as const;
const STATUSES = ["UNSET", "OK", "ERROR"] as const;

export type SpanKindName = (typeof KINDS)[number];
export type Attributes = Readonly<Record<string, unknown>>;

/** One span. */
export interface SeenSpan {
  /** `service.name` of its resource; "" where it has none. */
  readonly service: string;
  /** The tracer's name. */
  readonly scope: string;
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits. */
  readonly spanId: string;
  /** undefined for a root. */
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: SpanKindName;
  readonly attributes: Attributes;
  readonly status: (typeof STATUSES)[number];
  readonly statusText: string;
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[];
  readonly links: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly attributes: Attributes;
  }[];
  /** As in the header `tracestate`; "" where there is none. */
  readonly traceState: string;
  /** Bit 0: sampled. Bit 9: the parent is in another process, if bit 8 says that this is known. */
  readonly flags: number;
  /** Since 1970, in nanoseconds. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly resource: Attributes;
}

/** @returns a span in the form that checks look at */
export function seenSpan({ span, scope, resource, service }: SpanInContext): SeenSpan {
  return {
    service,
    scope: scope.name ?? "",
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: parentIdOf(span),
    name: span.name ?? "",
    kind: KINDS[span.kind ?? 0] ?? "UNSPECIFIED",
    attributes: attributesOf(span.attributes),
    status: STATUSES[span.status?.code ?? 0] ?? "UNSET",
    statusText: span.status?.message ?? "",
    events: (span.events ?? []).map(({ name = "", attributes }) => ({
      name,
      attributes: attributesOf(attributes),
    })),
    links: (span.links ?? []).map(({ traceId, spanId, attributes }) => ({
      traceId,
      spanId,
      attributes: attributesOf(attributes),
    })),
    traceState: span.traceState ?? "",
    flags: span.flags ?? 0,
    startNs: BigInt(span.startTimeUnixNano ?? "0"),
    endNs: BigInt(span.endTimeUnixNano ?? "0"),
    resource: attributesOf(resource.attributes),
  };
}

/**
 * @returns the spans as traces, each as its spans arrived, in the order in which they begin. Starts are whole
 *   milliseconds: of two in the same one the trace that lasts longer is the one that began the other.
 */
export function tracesOf(spans: readonly SpanInContext[]): OtlpTrace[] {
  const groups = [...Map.groupBy(spans, ({ span }) => span.traceId).values()];
  const traces = groups.map((of) => ({
    of,
    startNs: least(of.map(startOf)),
    endNs: most(of.map(endOf)),
  }));
  traces.sort((a, b) => Number(a.startNs - b.startNs || b.endNs - a.endNs));
  return traces.map(({ of }) => ({
    resourceSpans: of.map(({ span, scope, resource }) => ({
      resource,
      scopeSpans: [{ scope, spans: [span] }],
    })),
  }));
}

/** @returns attributes with plain values */
export function attributesOf(list: readonly KeyValue[] | undefined): Attributes {
  return Object.fromEntries((list ?? []).map(({ key, value }) => [key, plainValue(value)]));
}

function least(times: readonly bigint[]): bigint {
  return times.reduce((one, other) => (other < one ? other : one));
}

function most(times: readonly bigint[]): bigint {
  return times.reduce((one, other) => (other > one ? other : one));
}

function startOf({ span }: SpanInContext): bigint {
  return BigInt(span.startTimeUnixNano ?? "0");
}

function endOf({ span }: SpanInContext): bigint {
  return BigInt(span.endTimeUnixNano ?? "0");
}
