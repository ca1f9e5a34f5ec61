/** Traces, logs and metrics out of files: OTLP's JSON, whole or a line each, and what Jaeger's page saves. */
import { decodeOtlp, OtlpDecodeError } from "./otlp-codec.ts";
import type { KeyValue, OtlpSpan, ResourceSpans } from "./otlp.ts";

/** What a file holds, each as one export request. */
export interface Imported {
  readonly signal: "traces" | "logs" | "metrics";
  readonly message: Record<string, unknown>;
  readonly bytes: number;
}

/** The file is none of the kinds that are known; the text says where it is not. */
export class ImportError extends Error {
  override readonly name = "ImportError";
}

const SIGNALS = [
  ["resourceSpans", "traces", "ExportTraceServiceRequest"],
  ["resourceLogs", "logs", "ExportLogsServiceRequest"],
  ["resourceMetrics", "metrics", "ExportMetricsServiceRequest"],
] as const;

/**
 * Reads a file.
 * @param text OTLP JSON (`{"resourceSpans": …}` and its kin), one such object a line as OpenTelemetry's file
 *   exporter writes them, or Jaeger's `{"data": [{"traceID": …}]}`
 * @throws ImportError
 * @see https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
 */
export function importText(text: string): Imported[] {
  const whole = parse(text);
  if (whole !== undefined) return importObject(whole, text.length, "");
  const imported: Imported[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `line ${index + 1}`;
    const object = parse(line);
    if (object === undefined) throw new ImportError(`${where} is no JSON`);
    imported.push(...importObject(object, line.length, where));
  }
  if (imported.length === 0) throw new ImportError("there is nothing in it");
  return imported;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function importObject(object: unknown, bytes: number, where: string): Imported[] {
  const prefix = where && `${where}: `;
  if (typeof object !== "object" || object === null) {
    throw new ImportError(`${prefix}neither OTLP's JSON nor Jaeger's`);
  }
  if (Array.isArray(object)) return object.flatMap((one) => importObject(one, bytes, where));
  const found: Imported[] = [];
  try {
    for (const [field, signal, type] of SIGNALS) {
      if (!(field in object)) continue;
      const body = new TextEncoder().encode(JSON.stringify(object));
      found.push({ signal, message: decodeOtlp(type, "application/json", body), bytes });
    }
    const { data, traceID } = object as { data?: unknown; traceID?: unknown };
    const traces = Array.isArray(data) ? data : traceID === undefined ? [] : [object];
    for (const trace of traces as JaegerTrace[]) {
      const message = { resourceSpans: fromJaeger(trace) };
      found.push({ signal: "traces", message, bytes: JSON.stringify(trace).length });
    }
  } catch (error) {
    if (error instanceof OtlpDecodeError || error instanceof ImportError) {
      throw new ImportError(prefix + error.message, { cause: error });
    }
    throw error;
  }
  if (found.length === 0) throw new ImportError(`${prefix}neither OTLP's JSON nor Jaeger's`);
  return found;
}

interface JaegerTag {
  readonly key: string;
  readonly type?: string;
  readonly value: unknown;
}

interface JaegerTrace {
  readonly spans?: readonly {
    readonly traceID: string;
    readonly spanID: string;
    readonly operationName?: string;
    readonly parentSpanID?: string;
    readonly references?: readonly { refType: string; traceID: string; spanID: string }[];
    readonly startTime: number;
    readonly duration: number;
    readonly tags?: readonly JaegerTag[];
    readonly logs?: readonly { timestamp: number; fields: readonly JaegerTag[] }[];
    readonly processID?: string;
    readonly process?: JaegerProcess;
  }[];
  readonly processes?: Readonly<Record<string, JaegerProcess>>;
}

interface JaegerProcess {
  readonly serviceName: string;
  readonly tags?: readonly JaegerTag[];
}

const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
/** Tags that Jaeger made of what OTLP has fields for. */
const OF_FIELDS = new Set(["span.kind", "otel.status_code", "otel.status_description", "error"]);

/** Back to what Jaeger has translated from. */
function fromJaeger(trace: JaegerTrace): ResourceSpans[] {
  const { spans = [] } = trace;
  if (typeof spans.map !== "function") throw new ImportError("a trace whose spans are no list");
  return spans.map((span) => {
    if (!/^[0-9a-f]{1,32}$/i.test(span.traceID) || !/^[0-9a-f]{1,16}$/i.test(span.spanID)) {
      throw new ImportError("a span without the ids that a span has");
    }
    const process = span.process ?? trace.processes?.[span.processID ?? ""];
    const tags = span.tags ?? [];
    const tag = (key: string) => tags.find((one) => one.key === key)?.value;
    const references = span.references ?? [];
    const parent = references.find(
      ({ refType, traceID }) => refType === "CHILD_OF" && traceID === span.traceID,
    );
    const parentId = parent?.spanID ?? span.parentSpanID;
    const startNs = BigInt(Math.round(span.startTime)) * 1000n;
    const failed = tag("error") === true || tag("otel.status_code") === "ERROR";
    const message = tag("otel.status_description");
    const converted: OtlpSpan = {
      traceId: traceIdOf(span.traceID),
      spanId: spanIdOf(span.spanID),
      ...(parentId !== undefined && { parentSpanId: spanIdOf(parentId) }),
      name: span.operationName ?? "",
      kind: Math.max(0, KINDS.indexOf(String(tag("span.kind")))) as 0 | 1 | 2 | 3 | 4 | 5,
      startTimeUnixNano: String(startNs),
      endTimeUnixNano: String(startNs + BigInt(Math.round(span.duration)) * 1000n),
      attributes: attributesOf(tags.filter(({ key }) => !OF_FIELDS.has(key))),
      events: (span.logs ?? []).map(({ timestamp, fields }) => ({
        timeUnixNano: String(BigInt(Math.round(timestamp)) * 1000n),
        name: String(fields.find(({ key }) => key === "event")?.value ?? ""),
        attributes: attributesOf(fields.filter(({ key }) => key !== "event")),
      })),
      links: references
        .filter((reference) => reference !== parent)
        .map(({ traceID, spanID }) => ({ traceId: traceIdOf(traceID), spanId: spanIdOf(spanID) })),
      status: failed
        ? { code: 2, ...(message !== undefined && { message: String(message) }) }
        : tag("otel.status_code") === "OK"
          ? { code: 1 }
          : {},
    };
    const name = { key: "service.name", value: { stringValue: process?.serviceName ?? "" } };
    return {
      resource: { attributes: [name, ...attributesOf(process?.tags ?? [])] },
      scopeSpans: [{ spans: [converted] }],
    };
  });
}

function traceIdOf(id: string): string {
  return id.toLowerCase().padStart(32, "0");
}

function spanIdOf(id: string): string {
  return id.toLowerCase().padStart(16, "0");
}

function attributesOf(tags: readonly JaegerTag[]): KeyValue[] {
  return tags.map(({ key, type, value }) => {
    if (type === "bool" || typeof value === "boolean") {
      return { key, value: { boolValue: value === true || value === "true" } };
    }
    if (type === "int64" || Number.isInteger(value))
      return { key, value: { intValue: String(value) } };
    if (typeof value === "number") return { key, value: { doubleValue: value } };
    return { key, value: { stringValue: String(value) } };
  });
}
