/** A span as the chaos test keeps it: what the check of traces looks at, and no more. */
import { readFile } from "node:fs/promises";
import { attribute, microsOf, type SpanInContext } from "#lib/embedded/traces/otlp.ts";

export interface KeptSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** "" on a root. */
  readonly parentSpanId: string;
  readonly name: string;
  /** OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly service: string;
  /** service.instance.id: one life of one process. */
  readonly instance: string;
  /** Milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly isError: boolean;
  /** Whether it is a statement to the database. */
  readonly isSql: boolean;
  readonly httpStatus?: number;
  /** Of a call: where it went. */
  readonly serverPort?: number;
  readonly retries: number;
  readonly isAbandoned: boolean;
  /** Ids of the spans that it links to. */
  readonly links: readonly string[];
}

export function toKeptSpan({ span, service, resource }: SpanInContext): KeptSpan {
  const httpStatus = attribute(span.attributes, "http.response.status_code");
  const serverPort = attribute(span.attributes, "server.port");
  const events = span.events ?? [];
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? "",
    name: span.name ?? "",
    kind: span.kind ?? 0,
    service,
    instance: String(attribute(resource.attributes, "service.instance.id") ?? ""),
    startMs: microsOf(span.startTimeUnixNano) / 1000,
    endMs: microsOf(span.endTimeUnixNano) / 1000,
    isError: span.status?.code === 2,
    isSql: attribute(span.attributes, "db.system.name") !== undefined,
    ...(typeof httpStatus === "number" && { httpStatus }),
    ...(typeof serverPort === "number" && { serverPort }),
    retries: events.filter((event) => event.name === "retry").length,
    isAbandoned: events.some((event) => event.name === "abandoned"),
    links: (span.links ?? []).map(({ spanId }) => spanId),
  };
}

/**
 * Reads what the lives of a receiver have written.
 * @returns the spans by trace; one that was exported twice, because its answer was lost, stands once
 */
export async function readSpans(files: readonly string[]): Promise<Map<string, KeptSpan[]>> {
  const traces = new Map<string, Map<string, KeptSpan>>();
  for (const file of files) {
    const lines = (await readFile(file, "utf8")).split("\n");
    // A killed receiver may leave a last line cut off; its export was not acknowledged.
    lines.pop();
    for (const line of lines) {
      const span = JSON.parse(line) as KeptSpan;
      const trace = traces.get(span.traceId) ?? new Map<string, KeptSpan>();
      traces.set(span.traceId, trace.set(span.spanId, span));
    }
  }
  return new Map([...traces].map(([traceId, spans]) => [traceId, [...spans.values()]]));
}
