/** What the pages ask the store: `/api/view/…`, in the shapes of `../viewer/wire.ts`. */
import type { OpenSpans } from "./open-spans.ts";
import { gzipSync } from "bun";
import type {
  WireChange,
  WireFacets,
  WireFound,
  WireGroup,
  WireLogLine,
  WireLogs,
  WireMap,
  WireMetrics,
  WireStats,
} from "../viewer/wire.ts";
import { microsOfDuration } from "./go-duration.ts";
import { conventionsOf } from "./conventions.ts";
import { ImportError } from "./import.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { LiveChanges } from "./live.ts";
import { mapOf } from "./service-map.ts";
import type { LogStore } from "./log-store.ts";
import type { MetricStore } from "./metric-store.ts";
import { microsOf, type SpanInContext, spansOf } from "./otlp.ts";
import { bytesOf } from "./otlp-bytes.ts";
import { sourceAround } from "./source-lines.ts";
import { attributesOf, textAttribute } from "./span-terms.ts";
import type { StoredTrace, TraceRing } from "./trace-ring.ts";
import { isFoundBy, searchTraces, type TraceQuery } from "./trace-search.ts";
import { summaryOf } from "./trace-summary.ts";
import { whyOf } from "./why.ts";
import { toWireLogLine, toWireTrace } from "./trace-wire.ts";

/** What the pages are told of. */
export interface ViewSource {
  readonly ring: TraceRing;
  readonly open: OpenSpans;
  readonly logs: LogStore;
  readonly metrics: MetricStore;
  /** The folder whose files may be shown. */
  readonly sourceRoot: string;
  /** Takes a file; see `TraceStore.importText`. */
  readonly importText: (text: string) => object;
}

/** Where a page hears of changes, for as long as it is open. */
export const LIVE_PATH = "/api/view/live";
/** Where a page sends a file that is dropped on it. */
export const IMPORT_PATH = "/api/view/import";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
const POINTS_MAX = 5_000;
const GROUPS_MAX = 500;
const FACETS_MAX = 1_000;
const TOLD_IDS_MAX = 100;
const SERIES_SHOWN_MAX = 200;
const IMPORT_BYTES_MAX = 64 * 1024 ** 2;
/** Below it, zipping costs more than it saves. */
const ZIP_FROM_BYTES = 2_000;

/** A parameter says what cannot be. */
class BadQuery extends Error {
  override readonly name = "BadQuery";
}

/** Answers the pages. One a store, as it holds the streams of the open ones. */
export class ViewApi {
  readonly #source: ViewSource;
  readonly #live: LiveChanges;

  constructor(source: ViewSource) {
    this.#source = source;
    this.#live = new LiveChanges({
      version: () => source.ring.version,
      changeSince: (version) => changeSince(source, version),
    });
  }

  /** @returns undefined for any other path */
  async answer(request: Request, url: URL): Promise<Response | undefined> {
    const [, api, view, what, id = "", span = ""] = url.pathname.split("/");
    if (api !== "api" || view !== "view") return undefined;
    try {
      if (url.pathname === IMPORT_PATH) return await this.#import(request);
      if (what === "traces") return json(request, found(this.#source, url.searchParams));
      if (what === "logs") return json(request, logLines(this.#source, url.searchParams));
      if (what === "metrics") return json(request, metricsOf(this.#source, url.searchParams));
      if (what === "map") {
        return json(request, serviceMap(this.#source, url.searchParams));
      }
      if (what === "conventions") {
        const keys = url.searchParams.getAll("key").slice(0, FACETS_MAX);
        return json(request, await conventionsOf(keys));
      }
      if (what === "bytes") return this.#bytes(request, id, span);
      if (what === "why") return await this.#why(request, id, span);
      if (what === "export") return exported(this.#source, url.searchParams);
      if (what === "facets") return json(request, facets(this.#source, url.searchParams));
      if (url.pathname === LIVE_PATH) return this.#live.answer(request);
      if (what === "trace") return this.#trace(request, id);
      if (what === "source") return await this.#lines(request, id, span);
      return undefined;
    } catch (error) {
      if (error instanceof BadQuery) return json(request, { error: error.message }, 400);
      throw error;
    }
  }

  async #import(request: Request): Promise<Response> {
    if (request.method !== "POST") return json(request, { error: "use POST" }, 405);
    // Such a type no page of another site may send without asking first.
    if (request.headers.get("content-type") !== "application/json") {
      return json(request, { error: "send application/json" }, 415);
    }
    const text = await textUpTo(request, IMPORT_BYTES_MAX);
    if (text === undefined) {
      return json(request, { error: `a file may have ${IMPORT_BYTES_MAX} bytes` }, 413);
    }
    try {
      return json(request, this.#source.importText(text));
    } catch (error) {
      if (error instanceof ImportError) return json(request, { error: error.message }, 400);
      throw error;
    }
  }

  /** Ends the streams. */
  stop(): void {
    this.#live.stop();
  }

  #trace(request: Request, id: string): Response {
    const { open } = this.#source;
    const trace = open.withOpen(id.toLowerCase().padStart(32, "0"));
    if (!trace) return json(request, { error: "there is no such trace here" }, 404);
    return json(request, toWireTrace(trace, this.#source));
  }

  #bytes(request: Request, traceId: string, spanId: string): Response {
    const context = this.#span(traceId, spanId);
    if (!context || !this.#source.ring.hasSpan(traceId, spanId)) {
      return json(request, { error: "there is no such span here, or it has not ended" }, 404);
    }
    return json(request, bytesOf("Span", context.span));
  }

  async #why(request: Request, traceId: string, spanId: string): Promise<Response> {
    const context = this.#span(traceId, spanId);
    const why = context && (await whyOf(context.span, context.scope));
    return why ? json(request, why) : json(request, { error: "nothing is known of it" }, 404);
  }

  #span(traceId: string, spanId: string): SpanInContext | undefined {
    const trace = this.#source.open.withOpen(traceId);
    return trace && spansOf(trace).find(({ span }) => span.spanId === spanId);
  }

  async #lines(request: Request, traceId: string, spanId: string): Promise<Response> {
    const { sourceRoot } = this.#source;
    const context = this.#span(traceId, spanId);
    const file = textAttribute(context?.span.attributes, "code.file.path");
    const line = Number(textAttribute(context?.span.attributes, "code.line.number"));
    const lines = file === undefined ? undefined : await sourceAround(sourceRoot, file, line);
    if (!lines) return json(request, { error: "there is no such line in this project" }, 404);
    return json(request, lines);
  }
}

/** @returns the body, read to its end; undefined where it is longer */
async function textUpTo(request: Request, bytesMax: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function found(source: ViewSource, parameters: URLSearchParams): WireFound {
  const { ring, open } = source;
  const query = queryIn(parameters);
  const matched = searchWithOpen(source, query);
  const limit = Math.min(numberIn(parameters, "limit") ?? LIMIT_DEFAULT, LIMIT_MAX);
  return {
    traces: matched.slice(0, limit).map((trace) => ({
      ...summaryOf(trace),
      open: open.statesOf(trace.traceId).size,
    })),
    matched: matched.length,
    points: matched.slice(0, POINTS_MAX).map((trace) => {
      const { startUs, durationUs, errors, traceId } = summaryOf(trace);
      return [startUs, durationUs, errors > 0 ? 1 : 0, traceId];
    }),
    groups: parameters.has("groups") ? groupsOf(matched) : [],
    services: [...ring.services],
    stats: statsOf(source),
  };
}

/** @returns the traces that are as asked for, those with open spans by these as well; newest first */
function searchWithOpen({ ring, open }: ViewSource, query: TraceQuery): StoredTrace[] {
  const found = searchTraces(ring, query);
  const withOpen = open.traces();
  if (withOpen.length === 0) return found;
  const ids = new Set(withOpen.map(({ traceId }) => traceId));
  return [
    ...withOpen.filter((trace) => isFoundBy(trace, query)),
    ...found.filter(({ traceId }) => !ids.has(traceId)),
  ].sort((a, b) => b.ordinal - a.ordinal);
}

/** @throws BadQuery */
function queryIn(parameters: URLSearchParams): TraceQuery {
  const status = parameters.get("status") || undefined;
  if (status !== undefined && status !== "error" && status !== "ok") {
    throw new BadQuery("status is error or ok");
  }
  return {
    service: parameters.get("service") || undefined,
    operation: parameters.get("operation") || undefined,
    text: parameters.get("text")?.trim() || undefined,
    attributes: parameters
      .getAll("attribute")
      .filter((attribute) => attribute.trim() !== "")
      .map(attributeIn),
    status,
    minDurationUs: durationIn(parameters, "min"),
    maxDurationUs: durationIn(parameters, "max"),
    fromUs: numberIn(parameters, "from"),
    toUs: numberIn(parameters, "to"),
  };
}

/** `key=value`, or a key alone. */
function attributeIn(text: string): { key: string; value?: string } {
  const at = text.indexOf("=");
  if (at === -1) return { key: text.trim() };
  return { key: text.slice(0, at).trim(), value: text.slice(at + 1).trim() };
}

function durationIn(parameters: URLSearchParams, name: string): number | undefined {
  const text = parameters.get(name)?.replaceAll(" ", "");
  if (!text) return undefined;
  const micros = microsOfDuration(text);
  if (micros === undefined) throw new BadQuery(`${name} is no duration: write 100ms, 1.5s or 1m`);
  return micros;
}

function numberIn(parameters: URLSearchParams, name: string): number | undefined {
  const text = parameters.get(name);
  if (!text) return undefined;
  if (!/^\d{1,16}$/.test(text)) throw new BadQuery(`${name} is no whole number`);
  return Number(text);
}

/** Spans by service and name, the most frequent first. */
function groupsOf(traces: readonly StoredTrace[]): WireGroup[] {
  const services = new Map<string, Map<string, { durations: number[]; errors: number }>>();
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const trace of traces) {
    first = Math.min(first, trace.startTimeUs);
    last = Math.max(last, trace.endTimeUs);
    for (const { resource = {}, scopeSpans = [] } of trace.resourceSpans) {
      const names = services.getOrInsertComputed(serviceNameOf(resource), () => new Map());
      for (const span of scopeSpans.flatMap(({ spans = [] }) => spans)) {
        const group = names.getOrInsertComputed(span.name ?? "", newGroup);
        group.durations.push(microsOf(span.endTimeUnixNano) - microsOf(span.startTimeUnixNano));
        if (span.status?.code === 2) group.errors += 1;
      }
    }
  }
  const seconds = Math.max(1, (last - first) / 1_000_000);
  return [...services]
    .flatMap(([service, names]) =>
      [...names].map(([name, { durations, errors }]): WireGroup => {
        const sorted = Float64Array.from(durations).sort();
        return {
          service,
          name,
          spans: sorted.length,
          errors,
          rate: sorted.length / seconds,
          p50: quantile(sorted, 0.5),
          p95: quantile(sorted, 0.95),
          p99: quantile(sorted, 0.99),
        };
      }),
    )
    .sort((a, b) => b.spans - a.spans)
    .slice(0, GROUPS_MAX);
}

function newGroup(): { durations: number[]; errors: number } {
  return { durations: [], errors: 0 };
}

/** Of sorted numbers, the one below which that share of them is. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function metricsOf(source: ViewSource, parameters: URLSearchParams): WireMetrics {
  const name = parameters.get("name");
  const service = parameters.get("service") || undefined;
  return {
    metrics: source.metrics.list(),
    series: name ? source.metrics.seriesOf(name, service, SERIES_SHOWN_MAX) : [],
    services: [...source.ring.services],
    stats: statsOf(source),
  };
}

function serviceMap(source: ViewSource, parameters: URLSearchParams): WireMap {
  const traces = searchTraces(source.ring, queryIn(parameters));
  return { ...mapOf(traces), services: [...source.ring.services], stats: statsOf(source) };
}

/** Traces with their log records, as a file that this store and others read: OTLP's JSON, one object a line. */
function exported({ ring, logs }: ViewSource, parameters: URLSearchParams): Response {
  const id = parameters.get("trace");
  const one = id === null ? undefined : ring.get(id);
  const traces = id === null ? searchTraces(ring, queryIn(parameters)) : one ? [one] : [];
  if (traces.length === 0) throw new BadQuery("there is nothing to save");
  const lines = function* () {
    for (const { traceId, resourceSpans } of traces) {
      yield `${JSON.stringify({ resourceSpans })}\n`;
      const resourceLogs = logs.ofTrace(traceId).map(({ resource, otlp }) => ({
        resource,
        scopeLogs: [{ logRecords: [otlp] }],
      }));
      if (resourceLogs.length > 0) yield `${JSON.stringify({ resourceLogs })}\n`;
    }
  };
  const name = id === null ? "traces" : `trace-${id}`;
  const line = lines();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    pull(stream) {
      const { value, done } = line.next();
      if (done) stream.close();
      else stream.enqueue(encoder.encode(value));
    },
  });
  return new Response(body, {
    headers: {
      "Content-Type": "application/jsonl",
      "Content-Disposition": `attachment; filename="${name}.jsonl"`,
      "Cache-Control": "no-store",
    },
  });
}

/** Log records whose service, severity, trace and text are as asked for. */
function logLines(source: ViewSource, parameters: URLSearchParams): WireLogs {
  const service = parameters.get("service") || undefined;
  const traceId = parameters.get("trace") || undefined;
  const severity = numberIn(parameters, "severity") ?? 0;
  const text = parameters.get("text")?.trim().toLowerCase() ?? "";
  const limit = Math.min(numberIn(parameters, "limit") ?? LIMIT_DEFAULT, LIMIT_MAX);
  const records = traceId ? source.logs.ofTrace(traceId).toReversed() : source.logs.all();
  const lines: WireLogLine[] = [];
  let matched = 0;
  for (const record of records) {
    if (service !== undefined && record.service !== service) continue;
    if (record.severityNumber < severity) continue;
    const line = toWireLogLine(record);
    if (text && !JSON.stringify(line).toLowerCase().includes(text)) continue;
    matched += 1;
    if (lines.length < limit) lines.push(line);
  }
  return { lines, matched, services: [...source.ring.services], stats: statsOf(source) };
}

function facets({ ring }: ViewSource, parameters: URLSearchParams): WireFacets {
  const service = parameters.get("service");
  const operations = new Set<string>();
  const keys = new Set<string>();
  const traces = service ? ring.byService.holdersOf(service) : ring.all();
  for (const trace of traces) {
    for (const context of spansOf(trace)) {
      for (const { key } of attributesOf(context)) keys.add(key);
      if (service && serviceNameOf(context.resource) !== service) continue;
      if (context.span.name) operations.add(context.span.name);
    }
    if (operations.size > FACETS_MAX || keys.size > FACETS_MAX) break;
  }
  return { operations: [...operations].sort(), keys: [...keys].sort() };
}

function statsOf({ ring, logs, metrics }: ViewSource): WireStats {
  const { traces, spans, evictedTraces, rejectedSpans } = ring.stats();
  const { records, evictedRecords } = logs.stats();
  return {
    traces,
    spans,
    evictedTraces,
    rejectedSpans,
    logRecords: records,
    evictedLogRecords: evictedRecords,
    ...metrics.stats(),
  };
}

function changeSince(source: ViewSource, version: number): WireChange {
  const traceIds = source.open.changedSince(version).slice(0, TOLD_IDS_MAX);
  for (const trace of source.ring.all()) {
    if (trace.version > version) traceIds.push(trace.traceId);
    if (traceIds.length === TOLD_IDS_MAX) break;
  }
  return { traceIds, stats: statsOf(source) };
}

function json(request: Request, body: object, status = 200): Response {
  const text = JSON.stringify(body);
  const headers = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    Vary: "Accept-Encoding",
  };
  const takesGzip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  if (!takesGzip || text.length < ZIP_FROM_BYTES) return new Response(text, { status, headers });
  const zipped = gzipSync(new TextEncoder().encode(text), { level: 1 });
  return new Response(zipped, { status, headers: { ...headers, "Content-Encoding": "gzip" } });
}
