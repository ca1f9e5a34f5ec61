/** What the store and its pages say to each other: shapes of `/api/view/…`, for both sides. */

/** An attribute; its value as plain JSON. */
export type Attribute = readonly [key: string, value: unknown];

/** One process of a service. */
export interface WireResource {
  readonly service: string;
  readonly attributes: readonly Attribute[];
}

/** One tracer. */
export interface WireScope {
  readonly name: string;
  readonly version: string;
}

/**
 * How it is with a span that has not come yet: its program says that it is under way, has stopped saying so,
 * as it has ended and is on its way, or says nothing any more at all.
 */
export type WireOpenState = "running" | "ending" | "silent";

/** A span; its resource and scope stand once for all of them. */
export interface WireSpan {
  readonly id: string;
  /** Missing on a root. */
  readonly parent?: string;
  readonly resource: number;
  readonly scope: number;
  readonly name: string;
  /** OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  /** Nanoseconds after the trace's first start. */
  readonly start: number;
  /** Nanoseconds; of an open one until now, or until it was last heard of. */
  readonly duration: number;
  /** Missing on a span that has ended, as OTLP's have. */
  readonly open?: WireOpenState;
  /** 1 ok, 2 error; missing where unset. */
  readonly status?: number;
  readonly message?: string;
  readonly traceState?: string;
  /** OTLP's flags: the lowest eight bits are those of W3C's trace flags. */
  readonly flags?: number;
  readonly attributes: readonly Attribute[];
  /** Nanoseconds after the trace's first start, name, attributes. */
  readonly events?: readonly (readonly [time: number, name: string, attributes: Attribute[]])[];
  readonly links?: readonly WireLink[];
}

/** A link to a span of this trace or another. */
export interface WireLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: readonly Attribute[];
}

/** A span, here or elsewhere, that links to one of this trace. */
export interface WireLinkedFrom {
  readonly traceId: string;
  readonly spanId: string;
  readonly service: string;
  readonly name: string;
  /** The span of this trace. */
  readonly to: string;
}

/** A measurement that was made in a span of the trace. */
export interface WireExemplar {
  readonly span: string;
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
  readonly attributes: readonly Attribute[];
}

/** A log record of the trace. */
export interface WireLog {
  /** Nanoseconds after the trace's first start; may be negative. */
  readonly time: number;
  /** "" where it belongs to none. */
  readonly span: string;
  readonly service: string;
  readonly severity: number;
  readonly severityText: string;
  readonly body: unknown;
  readonly attributes: readonly Attribute[];
}

/** A trace as far as it has come. */
export interface WireTrace {
  readonly traceId: string;
  /** Its first start: decimal nanoseconds since 1970. */
  readonly baseNs: string;
  readonly resources: readonly WireResource[];
  readonly scopes: readonly WireScope[];
  readonly spans: readonly WireSpan[];
  readonly logs: readonly WireLog[];
  readonly linkedFrom: readonly WireLinkedFrom[];
  readonly exemplars: readonly WireExemplar[];
  /** All services of the store, in the order in which they came: that of their colours. */
  readonly services: readonly string[];
}

/** How much the store holds, and what it let go. */
export interface WireStats {
  readonly traces: number;
  readonly spans: number;
  readonly evictedTraces: number;
  readonly rejectedSpans: number;
  readonly logRecords: number;
  readonly evictedLogRecords: number;
  readonly series: number;
  readonly seriesBytes: number;
  readonly evictedSeries: number;
}

/** A trace in a list. */
export interface WireSummary {
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
  /** How many of these have not ended. */
  readonly open: number;
  readonly errors: number;
  /** Spans by service, in the order in which they came. */
  readonly services: readonly (readonly [name: string, spans: number])[];
}

/** Spans of one service and name, among the traces that were found. */
export interface WireGroup {
  readonly service: string;
  readonly name: string;
  readonly spans: number;
  readonly errors: number;
  /** Spans a second, over the time from the first to the last of all. */
  readonly rate: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** The answer to a search. */
export interface WireFound {
  readonly traces: readonly WireSummary[];
  /** How many there are; `traces` are the newest of them. */
  readonly matched: number;
  /** Start in microseconds since 1970, duration in microseconds, whether it failed; of up to 5,000. */
  readonly points: readonly (readonly [
    startUs: number,
    durationUs: number,
    failed: 0 | 1,
    id: string,
  ])[];
  readonly groups: readonly WireGroup[];
  readonly services: readonly string[];
  readonly stats: WireStats;
}

/** What may be asked for: suggestions for the fields of a search. */
export interface WireFacets {
  readonly operations: readonly string[];
  readonly keys: readonly string[];
}

/** A piece of a source file. */
export interface WireSource {
  /** As the span says it. */
  readonly file: string;
  /** The absolute path, for an editor on this machine. */
  readonly path: string;
  /** The line that the span names; from 1. */
  readonly line: number;
  /** The number of the first of `lines`. */
  readonly first: number;
  readonly lines: readonly string[];
}

/** What `/api/view/live` tells, in an event `change`. */
export interface WireChange {
  /** Traces that came or grew; the newest 100. */
  readonly traceIds: readonly string[];
  readonly stats: WireStats;
}

/** A service, or what services call that has no spans of its own. */
export interface WireMapNode {
  readonly id: string;
  readonly kind: "service" | "database" | "topic";
  readonly name: string;
  readonly spans: number;
  readonly errors: number;
}

/** Calls from one to another. */
export interface WireMapEdge {
  readonly from: string;
  readonly to: string;
  readonly calls: number;
  readonly errors: number;
  /** Calls a second. */
  readonly rate: number;
  /** Microseconds. */
  readonly p95: number;
}

/** Who calls whom. */
export interface WireMap {
  readonly nodes: readonly WireMapNode[];
  readonly edges: readonly WireMapEdge[];
  readonly services: readonly string[];
  readonly stats: WireStats;
}

/** A log record in a list. */
export interface WireLogLine {
  /** Microseconds since 1970. */
  readonly timeUs: number;
  readonly service: string;
  readonly severity: number;
  readonly severityText: string;
  readonly body: unknown;
  readonly attributes: readonly Attribute[];
  /** "" where it belongs to none. */
  readonly traceId: string;
  readonly spanId: string;
}

/** The answer to a search for log records. */
export interface WireLogs {
  /** Newest first. */
  readonly lines: readonly WireLogLine[];
  readonly matched: number;
  readonly services: readonly string[];
  readonly stats: WireStats;
}

/** What the semantic conventions say of an attribute. */
export interface WireConvention {
  readonly brief: string;
  readonly stability: "stable" | "in development" | "deprecated";
  /** For a deprecated one: what is to be used in its place. */
  readonly instead?: string;
  readonly link: string;
}

/** A message of OTLP as bytes. */
export interface WireBytes {
  /** Of its first bytes, where it is very long. */
  readonly hex: string;
  /** How many there are. */
  readonly length: number;
  /** In the order of their bytes; those inside a message after it, one deeper. */
  readonly fields: readonly WireField[];
}

/** A field, and where its bytes are. */
export interface WireField {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly depth: number;
  /** Its first byte, that of its value, and the one behind. */
  readonly from: number;
  readonly value: number;
  readonly to: number;
  readonly text: string;
}

/** A metric that there is. */
export interface WireMetric {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  /** A sum that only grows is a counter; one that may fall is shown as a gauge. */
  readonly type: "counter" | "gauge" | "histogram";
  readonly services: readonly string[];
  readonly series: number;
}

/** What a series was at a time. */
export interface WireMetricPoint {
  /** Microseconds since 1970. */
  readonly time: number;
  /** For a histogram how many there were. */
  readonly value: number;
  readonly sum?: number;
  /** Upper bounds of the buckets but the last. */
  readonly bounds?: readonly number[];
  readonly buckets?: readonly number[];
}

/** One combination of attributes of a metric. */
export interface WireSeries {
  readonly service: string;
  readonly attributes: readonly Attribute[];
  /** Whether a point says all since the process began, or what came since the point before. */
  readonly isCumulative: boolean;
  readonly points: readonly WireMetricPoint[];
  /** Measurements with the span in which they were made, where the sender says so. */
  readonly exemplars: readonly {
    readonly time: number;
    readonly value: number;
    readonly traceId: string;
    readonly spanId: string;
  }[];
}

/** The answer to a question for metrics. */
export interface WireMetrics {
  readonly metrics: readonly WireMetric[];
  /** Of the metric that was asked for. */
  readonly series: readonly WireSeries[];
  readonly services: readonly string[];
  readonly stats: WireStats;
}

/** Why a span is as it is. */
export interface WireWhy {
  readonly title: string;
  readonly parts: readonly {
    readonly question: string;
    readonly text: string;
    /** The chapter's page that has it. */
    readonly page: string;
  }[];
  /** Where the conventions say so. */
  readonly rule?: string;
  /** For a span of our own layer: where it was started, and where it was ended. */
  readonly layer: readonly { readonly what: string; readonly source: WireSource }[];
}
