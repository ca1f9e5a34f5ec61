/** The trace store for the demo and the tests: an OTLP receiver, a ring of traces, Jaeger's query API and a page to look. */
import { answerJaegerQuery } from "./jaeger-query.ts";
import { refuseForeign, urlOf } from "./own-requests.ts";
import { createOtlpReceiver } from "./otlp-receiver.ts";
import { type StoredTrace, TraceRing, type TraceRingStats } from "./trace-ring.ts";
import { answerViewer } from "./viewer.ts";

export type { OtlpSpan, OtlpTrace, SpanInContext } from "./otlp.ts";
export type { StoredTrace, TraceRingStats } from "./trace-ring.ts";

/** What {@link startTraceStore} may be told; everything has a default. */
export interface TraceStoreOptions {
  /** Address to listen on. @default "127.0.0.1" */
  readonly host?: string;
  /** Port for OTLP/HTTP, 0 for a free one. @default 4318 */
  readonly otlpPort?: number;
  /** Port for the query API and the pages, 0 for a free one. @default 16686 */
  readonly queryPort?: number;
  /** Traces that are kept; then the oldest goes. @default 2000 */
  readonly tracesMax?: number;
  /** Spans of one trace that are kept; later ones are rejected. @default 5000 */
  readonly spansPerTraceMax?: number;
  /** Bound for all traces together, as encoded; in memory they take about 14 times that. @default 16 MiB */
  readonly tracesBytesMax?: number;
  /** Bound for one export request, unpacked too. @default 16 MiB */
  readonly bodyBytesMax?: number;
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
    spansPerTraceMax: options.spansPerTraceMax ?? 5_000,
    bytesMax: options.tracesBytesMax ?? 16 * 1024 ** 2,
  });
  const metrics = new LatestExports();
  const logs = new LatestExports();
  const receive = createOtlpReceiver(
    {
      addTraces: ({ resourceSpans }, encodedBytes) => ring.add(resourceSpans, encodedBytes),
      addMetrics: (request, encodedBytes) => metrics.add(request, encodedBytes),
      addLogs: (request, encodedBytes) => logs.add(request, encodedBytes),
    },
    bodyBytesMax,
  );
  const otlp = listen(host, options.otlpPort ?? 4318, receive);
  let query: Server;
  try {
    query = listen(host, options.queryPort ?? 16686, (request) => answerQuery(ring, request));
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
    stats: () => ring.stats(),
    stop: async () => {
      await Promise.all([otlp.stop(true), query.stop(true)]);
    },
  };
}

/** A server that listens on TCP, so that its port is known. */
type Server = ReturnType<typeof Bun.serve> & { readonly port: number };

function listen(
  hostname: string,
  port: number,
  fetch: (request: Request) => Response | Promise<Response>,
): Server {
  try {
    return Bun.serve({
      hostname,
      port,
      fetch: (request) => refuseForeign(request, hostname) ?? fetch(request),
      // Our handler counts the bytes itself, so that a refusal says why.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      error: () => new Response("the trace store failed to answer\n", { status: 500 }),
    }) as Server;
  } catch (cause) {
    throw new Error(`the trace store cannot listen on ${baseUrl(hostname, port)}`, { cause });
  }
}

function answerQuery(ring: TraceRing, request: Request): Response {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("use GET\n", { status: 405, headers: { Allow: "GET, HEAD" } });
  }
  const url = urlOf(request);
  const found = answerJaegerQuery(ring, url) ?? answerViewer(url);
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
