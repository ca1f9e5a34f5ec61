/** The trace store for the demo and the tests: an OTLP receiver, a ring of traces, Jaeger's query API and a page to look. */
import { type Imported, importText } from "./import.ts";
import { answerJaegerQuery } from "./jaeger-query.ts";
import { KeptFile } from "./kept-file.ts";
import { LogStore, recordsIn } from "./log-store.ts";
import { MetricStore } from "./metric-store.ts";
import { type OtlpTrace, spansOf } from "./otlp.ts";
import { OpenSpans } from "./open-spans.ts";
import { answerPage } from "./page-bundle.ts";
import { refuseForeign, urlOf } from "./own-requests.ts";
import { createOtlpReceiver, type OtlpSink } from "./otlp-receiver.ts";
import { OTLP_PORT, QUERY_PORT } from "./ports.ts";
import { type StoredTrace, TraceRing, type TraceRingStats } from "./trace-ring.ts";
import { IMPORT_PATH, LIVE_PATH, ViewApi } from "./view-api.ts";

export type { OtlpSpan, OtlpTrace, SpanInContext } from "./otlp.ts";
export type { StoredTrace, TraceRingStats } from "./trace-ring.ts";

/** What {@link startTraceStore} may be told; everything has a default. */
export interface TraceStoreOptions {
  /** Address to listen on. @default "127.0.0.1" */
  readonly host?: string;
  /** Port for OTLP/HTTP, 0 for a free one. @default OTLP_PORT */
  readonly otlpPort?: number;
  /** Port for the query API and the pages, 0 for a free one. @default QUERY_PORT */
  readonly queryPort?: number;
  /** Traces that are kept; then the oldest goes. @default 2000 */
  readonly tracesMax?: number;
  /** Spans of one trace that are kept; later ones are rejected. @default 20000 */
  readonly spansPerTraceMax?: number;
  /** Bound for all traces together, as encoded; in memory they take about 14 times that. @default 16 MiB */
  readonly tracesBytesMax?: number;
  /** Bound for all log records together, as encoded. @default 16 MiB */
  readonly logsBytesMax?: number;
  /** Bound for all series of metrics together, each with its latest 720 points. @default 32 MiB */
  readonly metricsBytesMax?: number;
  /** Bound for one export request, unpacked too. @default 16 MiB */
  readonly bodyBytesMax?: number;
  /** A file that holds what came before, and to which is added what comes: OTLP's JSON, a line each. */
  readonly keepFile?: string;
  /** The folder whose source files the pages may show, where a span names one. @default the current one */
  readonly sourceRoot?: string;
}

/** A running trace store. */
export interface TraceStore {
  readonly otlpPort: number;
  readonly queryPort: number;
  /** For OTEL_EXPORTER_OTLP_ENDPOINT: without /v1/traces. */
  readonly otlpUrl: string;
  readonly queryUrl: string;
  /** @returns all traces, newest first */
  traces(): StoredTrace[];
  /** @returns the trace as far as it has arrived, or undefined */
  trace(traceId: string): StoredTrace | undefined;
  /** @returns the latest metric exports, oldest first, as OTLP/JSON: `{resourceMetrics: […]}` */
  metrics(): readonly Record<string, unknown>[];
  /** @returns the latest log exports, oldest first, as OTLP/JSON: `{resourceLogs: […]}` */
  logs(): readonly Record<string, unknown>[];
  /**
   * Takes what a file holds; see `importText`.
   * @returns how many spans and log records there are in it
   * @throws ImportError
   */
  importText(text: string): ImportResult;
  /** @returns why the file of `keepFile` is not written any more; undefined where all is well */
  keepProblem(): string | undefined;
  /** @returns how much is held, and how much was let go */
  stats(): TraceRingStats;
  /** Closes both ports. Safe to call again. */
  stop(): Promise<void>;
}

/** Metrics and logs are there for tests to look at: the latest few exports of five services do. */
const EXPORTS_MAX = 100;
/** As encoded. */
const EXPORTS_BYTES_MAX = 16 * 1024 ** 2;

/**
 * Starts the trace store.
 * @throws Error naming the port, if one of the two is taken; nothing is left listening
 */
export async function startTraceStore(options: TraceStoreOptions = {}): Promise<TraceStore> {
  const host = options.host ?? "127.0.0.1";
  const bodyBytesMax = options.bodyBytesMax ?? 16 * 1024 ** 2;
  const ring = new TraceRing({
    tracesMax: options.tracesMax ?? 2_000,
    spansPerTraceMax: options.spansPerTraceMax ?? 20_000,
    bytesMax: options.tracesBytesMax ?? 16 * 1024 ** 2,
  });
  const metrics = new LatestExports();
  const logs = new LatestExports();
  const metricStore = new MetricStore(options.metricsBytesMax ?? 32 * 1024 ** 2);
  const logStore = new LogStore(options.logsBytesMax ?? EXPORTS_BYTES_MAX);
  const open = new OpenSpans(ring);
  const sink = sinkInto({ ring, open, metrics, metricStore, logs, logStore });
  const kept = await openKept(options.keepFile, sink);
  const receive = createOtlpReceiver(kept ? keeping(sink, kept) : sink, bodyBytesMax);
  const importInto = (text: string) =>
    importAll(importText(text), kept ? keeping(sink, kept) : sink);
  const api = new ViewApi({
    ring,
    open,
    logs: logStore,
    metrics: metricStore,
    sourceRoot: options.sourceRoot ?? process.cwd(),
    importText: importInto,
  });
  const otlp = listen(host, options.otlpPort ?? OTLP_PORT, receive);
  let query: Server;
  try {
    query = listen(host, options.queryPort ?? QUERY_PORT, (request, server) => {
      // A stream of changes says nothing for as long as nothing changes.
      if (urlOf(request).pathname === LIVE_PATH) server.timeout(request, 0);
      return answerQuery(ring, api, request);
    });
  } catch (error) {
    await otlp.stop(true);
    throw error;
  }
  return {
    otlpPort: otlp.port,
    queryPort: query.port,
    otlpUrl: baseUrl(host, otlp.port),
    queryUrl: baseUrl(host, query.port),
    traces: () => ring.all(),
    trace: (traceId) => ring.get(traceId),
    metrics: () => metrics.requests,
    logs: () => logs.requests,
    importText: importInto,
    keepProblem: () => kept?.problem,
    stats: () => ring.stats(),
    stop: async () => {
      api.stop();
      open.stop();
      await Promise.all([otlp.stop(true), query.stop(true)]);
      await kept?.close();
    },
  };
}

function sinkInto(stores: {
  readonly ring: TraceRing;
  readonly open: OpenSpans;
  readonly metrics: LatestExports;
  readonly metricStore: MetricStore;
  readonly logs: LatestExports;
  readonly logStore: LogStore;
}): OtlpSink {
  const { ring, open, metrics, metricStore, logs, logStore } = stores;
  return {
    addOpenSpans: (process, request, encodedBytes) => open.say(process, request, encodedBytes),
    addTraces: ({ resourceSpans }, encodedBytes) => ring.add(resourceSpans, encodedBytes),
    addMetrics: (request, encodedBytes) => {
      metrics.add(request, encodedBytes);
      for (const service of metricStore.add(request)) ring.noteService(service);
      ring.version += 1;
    },
    addLogs: (request, encodedBytes) => {
      logs.add(request, encodedBytes);
      for (const { service, traceId } of logStore.add(request, encodedBytes)) {
        ring.noteService(service);
        ring.touch(traceId);
      }
    },
  };
}

/** What was in a file that was imported. */
export interface ImportResult {
  readonly spans: number;
  readonly logRecords: number;
  /** Spans that were not taken, and why. */
  readonly rejectedSpans: number;
  readonly errorMessage: string;
}

/** @returns the file to add to, after what it holds has been taken; undefined where none is asked for */
async function openKept(path: string | undefined, sink: OtlpSink): Promise<KeptFile | undefined> {
  if (path === undefined) return undefined;
  const file = Bun.file(path);
  const text = (await file.exists()) ? await file.text() : "";
  if (text.trim() !== "") importAll(importText(text), sink);
  return new KeptFile(path, text.length);
}

/** Each export goes into the file as well. */
function keeping(sink: OtlpSink, kept: KeptFile): OtlpSink {
  return {
    ...sink,
    addTraces: (request, bytes) => {
      kept.add(request as unknown as Record<string, unknown>);
      return sink.addTraces(request, bytes);
    },
    addMetrics: (request, bytes) => {
      kept.add(request);
      sink.addMetrics(request, bytes);
    },
    addLogs: (request, bytes) => {
      kept.add(request);
      sink.addLogs(request, bytes);
    },
  };
}

function importAll(imported: readonly Imported[], sink: OtlpSink): ImportResult {
  let spans = 0;
  let logRecords = 0;
  let rejectedSpans = 0;
  let errorMessage = "";
  for (const { signal, message, bytes } of imported) {
    if (signal === "traces") {
      const request = message as unknown as OtlpTrace;
      spans += spansOf(request).length;
      const result = sink.addTraces(request, bytes);
      rejectedSpans += result.rejectedSpans;
      errorMessage ||= result.errorMessage;
    } else if (signal === "logs") {
      logRecords += recordsIn(message).length;
      sink.addLogs(message, bytes);
    } else {
      sink.addMetrics(message, bytes);
    }
  }
  return { spans, logRecords, rejectedSpans, errorMessage };
}

/** A server that listens on TCP, so that its port is known. */
type Server = ReturnType<typeof Bun.serve> & { readonly port: number };

function listen(
  hostname: string,
  port: number,
  fetch: (request: Request, server: Bun.Server<undefined>) => Response | Promise<Response>,
): Server {
  try {
    return Bun.serve({
      hostname,
      port,
      fetch: (request, server) => refuseForeign(request, hostname) ?? fetch(request, server),
      // Our handler counts the bytes itself, so that a refusal says why.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      error: () => new Response("the trace store failed to answer\n", { status: 500 }),
    }) as Server;
  } catch (cause) {
    throw new Error(`the trace store cannot listen on ${baseUrl(hostname, port)}`, { cause });
  }
}

async function answerQuery(ring: TraceRing, api: ViewApi, request: Request): Promise<Response> {
  const url = urlOf(request);
  const changes = request.method === "POST" && url.pathname === IMPORT_PATH;
  if (request.method !== "GET" && request.method !== "HEAD" && !changes) {
    return new Response("use GET\n", { status: 405, headers: { Allow: "GET, HEAD" } });
  }
  const found =
    (await api.answer(request, url)) ??
    answerJaegerQuery(ring, url) ??
    (await answerPage(request, url));
  return found ?? new Response("there is nothing here\n", { status: 404 });
}

/** The latest exports of a signal, as many as the bounds allow. */
class LatestExports {
  /** Oldest first. */
  readonly requests: Record<string, unknown>[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;

  add(request: Record<string, unknown>, encodedBytes: number): void {
    this.requests.push(request);
    this.#sizes.push(encodedBytes);
    this.#bytes += encodedBytes;
    while (this.requests.length > EXPORTS_MAX || this.#bytes > EXPORTS_BYTES_MAX) {
      this.requests.shift();
      this.#bytes -= this.#sizes.shift() ?? 0;
    }
  }
}

function baseUrl(host: string, port: number): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
