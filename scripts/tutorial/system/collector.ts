/** The run's own collector: keeps what arrives, fails as told, and hands on to the viewer's. */
import { createOtlpReceiver, type OtlpSink } from "#lib/embedded/traces/otlp-receiver.ts";
import { spansOf, type SpanInContext } from "#lib/embedded/traces/otlp.ts";
import { settledWithin } from "#lib/waiting/waiting.ts";
import { seenLogs, seenMetrics, type SeenLog, type SeenMetric } from "./seen-metric.ts";
import { seenSpan, type SeenSpan } from "./seen-span.ts";

/** What is sent to a collector. */
export type Signal = "traces" | "metrics" | "logs";

/** What a check may do to the collector, and what it may ask. */
export interface Collector {
  /** From now on takes requests and does not answer them before {@link resume}. @param signals default: all */
  hang(...signals: Signal[]): void;
  /** From now on answers with this HTTP status. @param signals default: all */
  refuse(status: number, ...signals: Signal[]): void;
  /** Takes and answers what comes, and what hung and is still waited for. */
  resume(): void;
  /** @returns the bytes of all bodies so far, refused and hung ones too. @param signal default: all */
  bytesReceived(signal?: Signal): number;
  /** @returns how many requests came, refused and hung ones too. @param signal default: all */
  exports(signal?: Signal): number;
}

/** See {@link startCollector}. */
export interface RecordingCollector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  readonly control: Collector;
  /** In the order of their arrival, as all below. */
  spans(): readonly SeenSpan[];
  /** The same, as OTLP has them. */
  otlpSpans(): readonly SpanInContext[];
  metrics(): readonly SeenMetric[];
  logs(): readonly SeenLog[];
  /** Forgets what arrived so far. */
  forget(): void;
  stop(): Promise<void>;
}

const BODY_BYTES_MAX = 16 * 1024 ** 2;
const SPANS_MAX = 20_000;
const SERIES_MAX = 10_000;
const LOGS_MAX = 10_000;
const FORWARDS_MAX = 50;
const FORWARD_TIMEOUT_MS = 2_000;

/** @param forwardTo the OTLP endpoint that gets what was taken, too; what it does not take is not sent again */
export function startCollector(forwardTo?: string): RecordingCollector {
  const { sink, ...kept } = createStore();
  const receive = createOtlpReceiver(sink, BODY_BYTES_MAX);
  const forwarder = createForwarder(forwardTo);
  const received = new Map<string, { requests: number; bytes: number }>();
  const faults = new Map<string, "hang" | number>();
  let resumed = Promise.withResolvers<void>();

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    maxRequestBodySize: BODY_BYTES_MAX,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const signal = pathname.replace("/v1/", "");
      const body = await request.bytes();
      const { requests = 0, bytes = 0 } = received.get(signal) ?? {};
      received.set(signal, { requests: requests + 1, bytes: bytes + body.byteLength });

      const fault = faults.get(signal);
      if (typeof fault === "number") return new Response("", { status: fault });
      if (fault === "hang") {
        await resumed.promise;
        // Whoever gave up has sent it again, or counted it as lost.
        if (request.signal.aborted) return new Response("", { status: 503 });
      }
      const { method, headers } = request;
      const answer = await receive(
        new Request(request.url, { method, headers, ...(method === "POST" && { body }) }),
      );
      if (answer.ok) forwarder.forward(pathname, headers, body);
      return answer;
    },
  });

  const setFault = (fault: "hang" | number, signals: readonly Signal[]) => {
    for (const signal of signals.length > 0 ? signals : SIGNALS) faults.set(signal, fault);
  };
  const sumOf = (what: "requests" | "bytes", signal?: Signal) =>
    [...received]
      .filter(([name]) => signal === undefined || name === signal)
      .reduce((sum, [, counts]) => sum + counts[what], 0);

  return {
    url: `http://127.0.0.1:${server.port}`,
    control: {
      hang: (...signals) => setFault("hang", signals),
      refuse: (status, ...signals) => setFault(status, signals),
      resume() {
        faults.clear();
        resumed.resolve();
        resumed = Promise.withResolvers();
      },
      bytesReceived: (signal) => sumOf("bytes", signal),
      exports: (signal) => sumOf("requests", signal),
    },
    ...kept,
    async stop() {
      await server.stop(true);
      await forwarder.stop();
    },
  };
}

/** What was taken, in bounded memory. */
function createStore() {
  const otlpSpans: SpanInContext[] = [];
  const spans: SeenSpan[] = [];
  const series = new Map<string, SeenMetric>();
  const logs: SeenLog[] = [];
  const sink: OtlpSink = {
    addTraces(request) {
      const room = Math.max(0, SPANS_MAX - spans.length);
      const all = spansOf(request);
      const taken = all.slice(0, room);
      otlpSpans.push(...taken);
      spans.push(...taken.map(seenSpan));
      const rejectedSpans = all.length - taken.length;
      return { rejectedSpans, errorMessage: rejectedSpans ? "there are too many spans" : "" };
    },
    addMetrics(request) {
      for (const point of seenMetrics(request)) {
        const key = JSON.stringify([point.service, point.scope, point.name, point.attributes]);
        if (series.size < SERIES_MAX || series.has(key)) series.set(key, point);
      }
    },
    addLogs(request) {
      logs.push(...seenLogs(request).slice(0, Math.max(0, LOGS_MAX - logs.length)));
    },
  };
  return {
    sink,
    spans: () => [...spans],
    otlpSpans: () => [...otlpSpans],
    metrics: () => [...series.values()],
    logs: () => [...logs],
    forget() {
      otlpSpans.length = spans.length = logs.length = 0;
      series.clear();
    },
  };
}

function createForwarder(forwardTo: string | undefined) {
  const forwards = new Set<Promise<unknown>>();
  return {
    forward(path: string, headers: Headers, body: Uint8Array): void {
      if (!forwardTo || forwards.size >= FORWARDS_MAX) return;
      const sent = fetch(forwardTo + path, {
        method: "POST",
        headers: contentHeadersOf(headers),
        body: body.slice(),
        proxy: false,
        signal: AbortSignal.timeout(FORWARD_TIMEOUT_MS),
      })
        .then((answer) => answer.bytes())
        // Without the viewer there is less to look at, and nothing wrong with the reader's program.
        .catch(() => {})
        .finally(() => forwards.delete(sent));
      forwards.add(sent);
    },
    async stop(): Promise<void> {
      await settledWithin(Promise.all(forwards), FORWARD_TIMEOUT_MS);
    },
  };
}

const SIGNALS: readonly Signal[] = ["traces", "metrics", "logs"];

function contentHeadersOf(headers: Headers): Record<string, string> {
  const names = ["content-type", "content-encoding"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
}
