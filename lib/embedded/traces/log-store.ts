/** The log records in memory: the latest ones, found by their trace, within a bound. */
import { serviceNameOf } from "./jaeger-json.ts";
import { isId, type KeyValue, type AnyValue, microsOf, type Resource } from "./otlp.ts";

/** One log record, with what stands above it in OTLP. */
export interface LogRecord {
  /** Microseconds since 1970: of the event, or of its observation where that is not said. */
  readonly timeUs: number;
  readonly service: string;
  /** 1 to 24; 0 where it is not said. */
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: AnyValue | undefined;
  readonly attributes: readonly KeyValue[];
  readonly resource: Resource;
  /** "" where the record belongs to no span. */
  readonly traceId: string;
  readonly spanId: string;
  /** As it came. */
  readonly otlp: object;
}

/** What the store holds, and what it has let go since it was made. */
export interface LogStoreStats {
  readonly records: number;
  readonly bytes: number;
  readonly evictedRecords: number;
}

/** OTLP's log record, as far as it is read. */
interface OtlpLogRecord {
  readonly timeUnixNano?: string;
  readonly observedTimeUnixNano?: string;
  readonly severityNumber?: number;
  readonly severityText?: string;
  readonly body?: AnyValue;
  readonly attributes?: readonly KeyValue[];
  readonly traceId?: string;
  readonly spanId?: string;
}

interface ResourceLogs {
  readonly resource?: Resource;
  readonly scopeLogs?: readonly { readonly logRecords?: readonly OtlpLogRecord[] }[];
}

/** Log records in the order of their arrival; the oldest go when it is full. */
export class LogStore {
  readonly #bytesMax: number;
  readonly #records = new Map<LogRecord, number>();
  readonly #byTrace = new Map<string, Set<LogRecord>>();
  #bytes = 0;
  #evicted = 0;

  /** @param bytesMax of all records together, as they were encoded */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Takes the records of one export request.
   * @param request OTLP's ExportLogsServiceRequest
   * @param encodedBytes its size, which its records share
   * @returns them
   */
  add(request: Record<string, unknown>, encodedBytes: number): readonly LogRecord[] {
    const records = recordsIn(request);
    const bytes = encodedBytes / Math.max(1, records.length);
    for (const record of records) {
      this.#records.set(record, bytes);
      this.#bytes += bytes;
      if (record.traceId) {
        this.#byTrace.getOrInsertComputed(record.traceId, () => new Set()).add(record);
      }
    }
    this.#evictOldest();
    return records;
  }

  /** @returns a trace's records, in the order of their times */
  ofTrace(traceId: string): LogRecord[] {
    return [...(this.#byTrace.get(traceId) ?? [])].sort((a, b) => a.timeUs - b.timeUs);
  }

  /** @returns all records, newest first */
  all(): LogRecord[] {
    return [...this.#records.keys()].toReversed();
  }

  stats(): LogStoreStats {
    return {
      records: this.#records.size,
      bytes: Math.round(this.#bytes),
      evictedRecords: this.#evicted,
    };
  }

  #evictOldest(): void {
    for (const [record, bytes] of this.#records) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#records.delete(record);
      this.#bytes -= bytes;
      this.#evicted += 1;
      const ofTrace = this.#byTrace.get(record.traceId);
      ofTrace?.delete(record);
      if (ofTrace?.size === 0) this.#byTrace.delete(record.traceId);
    }
  }
}

/** @returns the records of an export request */
export function recordsIn(request: Record<string, unknown>): LogRecord[] {
  return ((request["resourceLogs"] ?? []) as readonly ResourceLogs[]).flatMap(recordsOf);
}

function recordsOf({ resource = {}, scopeLogs = [] }: ResourceLogs): LogRecord[] {
  const service = serviceNameOf(resource);
  return scopeLogs.flatMap(({ logRecords = [] }) =>
    logRecords.map((record) => ({
      timeUs: microsOf(record.timeUnixNano) || microsOf(record.observedTimeUnixNano),
      service,
      severityNumber: record.severityNumber ?? 0,
      severityText: record.severityText ?? "",
      body: record.body,
      attributes: record.attributes ?? [],
      resource,
      traceId: isId(record.traceId) ? (record.traceId ?? "") : "",
      spanId: isId(record.spanId) ? (record.spanId ?? "") : "",
      otlp: record,
    })),
  );
}
