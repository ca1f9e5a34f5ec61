/** The embedded trace store as its users see it: exporters on one port, Jaeger's API on the other. */
import { afterEach, describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { hostname } from "node:os";
import { gzipSync } from "node:zlib";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { decodeOtlp } from "#lib/embedded/traces/otlp-codec.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { refuseForeign } from "#lib/embedded/traces/own-requests.ts";
import { renderWaterfall } from "../scripts/shared/waterfall.ts";
import { exchange } from "./support/hostile/raw-http.ts";

const stores: TraceStore[] = [];

async function start(options: Parameters<typeof startTraceStore>[0] = {}): Promise<TraceStore> {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0, ...options });
  stores.push(store);
  return store;
}

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.stop()));
});

const JSON_TYPE = { "Content-Type": "application/json" };
const PROTOBUF_TYPE = { "Content-Type": "application/x-protobuf" };

/** Sends one request to the receiver's traces path, or to another. */
function send(
  store: TraceStore,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Record<string, string> = JSON_TYPE,
  path = "/v1/traces",
): Promise<Response> {
  return fetch(store.otlpUrl + path, { method: "POST", headers, body });
}

/** What a span is made of here; the rest is the same for all. */
interface SpanFields {
  trace?: number;
  service?: string;
  name?: string;
  startMs?: number;
  durationMs?: number;
  attributes?: Record<string, string>;
  failed?: boolean;
}

let spansMade = 0;

/** The body of an export request with one span, in JSON. */
function exportRequest(fields: SpanFields = {}): string {
  const startNs = BigInt(fields.startMs ?? 1_000_000) * 1_000_000n;
  const endNs = startNs + BigInt((fields.durationMs ?? 1) * 1_000_000);
  const span = {
    traceId: traceId(fields.trace ?? 1),
    spanId: (++spansMade).toString(16).padStart(16, "0"),
    name: fields.name ?? "op",
    kind: 2,
    startTimeUnixNano: String(startNs),
    endTimeUnixNano: String(endNs),
    attributes: attributesOf(fields.attributes ?? {}),
    status: fields.failed ? { code: 2 } : {},
  };
  const resource = { attributes: attributesOf({ "service.name": fields.service ?? "orders" }) };
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
}

function attributesOf(values: Record<string, string>): object[] {
  return Object.entries(values).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}

/** A field of protobuf's wire format that holds bytes, or a message of such fields; short ones only. */
function field(number: number, ...parts: Buffer<ArrayBuffer>[]): Buffer<ArrayBuffer> {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}

function idField(number: number, hex: string): Buffer<ArrayBuffer> {
  return field(number, Buffer.from(hex, "hex"));
}

function traceId(trace: number): string {
  return trace.toString(16).padStart(32, "a");
}

async function query(
  store: TraceStore,
  path: string,
): Promise<{ status: number; body: JaegerBody }> {
  const response = await fetch(store.queryUrl + path);
  return { status: response.status, body: (await response.json()) as JaegerBody };
}

/** As much of Jaeger's answers as the tests read. */
interface JaegerBody {
  data: { traceID: string }[];
  total: number;
  errors: unknown;
}

async function found(store: TraceStore, parameters: Record<string, string>): Promise<string[]> {
  const { status, body } = await query(store, `/api/traces?${new URLSearchParams(parameters)}`);
  expect(status).toBe(200);
  return body.data.map(({ traceID }) => traceID);
}

describe("the OTLP receiver", () => {
  test.each(["none", "gzip"] as const)(
    "keeps what OpenTelemetry's own exporter sends (compression %s)",
    async (compression) => {
      const store = await start();
      const exporter = new OTLPTraceExporter({
        url: `${store.otlpUrl}/v1/traces`,
        // Its type is an enum of a package that we do not depend on.
        compression: compression as never,
      });
      const provider = new BasicTracerProvider({
        resource: resourceFromAttributes({ "service.name": "worker" }),
        spanProcessors: [new BatchSpanProcessor(exporter)],
      });
      const tracer = provider.getTracer("scope", "1.2.3");
      const parent = tracer.startSpan("parent", { kind: SpanKind.CONSUMER }, ROOT_CONTEXT);
      const child = tracer.startSpan(
        "child",
        {
          attributes: { text: "ü", int: 7, half: 0.5, yes: true, list: ["a", "b"] },
          links: [{ context: parent.spanContext() }],
          startTime: [1_700_000_000, 123_456_789],
        },
        trace.setSpan(ROOT_CONTEXT, parent),
      );
      child.addEvent("retry", { attempt: 1 });
      child.setStatus({ code: SpanStatusCode.ERROR, message: "no" });
      child.end([1_700_000_001, 0]);
      parent.end();
      await provider.shutdown();

      const { traceId, spanId } = parent.spanContext();
      expect(store.trace(traceId)?.spanCount).toBe(2);
      const { body } = await query(store, `/api/traces/${traceId}`);
      const spans = (body.data[0] as unknown as { spans: { operationName: string }[] }).spans;
      expect(spans.find(({ operationName }) => operationName === "child")).toMatchObject({
        traceID: traceId,
        references: [{ refType: "FOLLOWS_FROM", traceID: traceId, spanID: spanId }],
        startTime: 1_700_000_000_123_456,
        duration: 876_543, // cut, as Jaeger cuts it
        tags: [
          { key: "otel.scope.name", type: "string", value: "scope" },
          { key: "otel.scope.version", type: "string", value: "1.2.3" },
          { key: "half", type: "float64", value: 0.5 },
          { key: "int", type: "int64", value: 7 },
          { key: "list", type: "string", value: '["a","b"]' },
          { key: "text", type: "string", value: "ü" },
          { key: "yes", type: "bool", value: true },
          { key: "span.kind", type: "string", value: "internal" },
          { key: "otel.status_code", type: "string", value: "ERROR" },
          { key: "error", type: "bool", value: true },
          { key: "otel.status_description", type: "string", value: "no" },
        ],
      });
    },
  );

  test.each(["json", "protobuf"])(
    "takes a span whose parent and link are zeros for a root without links (%s)",
    async (encoding) => {
      const store = await start();
      const ids = { traceId: traceId(1), spanId: "1".repeat(16) };
      const zeros = { traceId: "0".repeat(32), spanId: "0".repeat(16) };
      if (encoding === "json") {
        const span = { ...ids, parentSpanId: zeros.spanId, links: [zeros] };
        await send(store, JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }));
      } else {
        const link = [idField(1, zeros.traceId), idField(2, zeros.spanId)];
        const span = [
          idField(1, ids.traceId),
          idField(2, ids.spanId),
          idField(4, zeros.spanId),
          field(13, ...link),
        ];
        await send(store, field(1, field(2, field(2, ...span))), PROTOBUF_TYPE);
      }
      const { body } = await query(store, `/api/traces/${ids.traceId}`);
      expect(body.data).toMatchObject([{ spans: [{ spanID: ids.spanId, references: [] }] }]);
      const whole = store.trace(ids.traceId);
      expect(whole && renderWaterfall(whole, { widthColumns: 80, color: false })).not.toContain(
        "?",
      );
    },
  );

  test.each(["traces", "metrics", "logs"])(
    "answers 200 to an empty export of %s",
    async (signal) => {
      const store = await start();
      for (const contentType of ["application/x-protobuf", "application/json"]) {
        const response = await fetch(`${store.otlpUrl}/v1/${signal}`, {
          method: "POST",
          headers: { "content-type": contentType },
          body: contentType === "application/json" ? "{}" : new Uint8Array(),
        });
        expect([response.status, response.headers.get("content-type")]).toEqual([200, contentType]);
      }
    },
  );

  test("keeps the metrics and logs that OpenTelemetry's own exporters send", async () => {
    const store = await start();
    const reader = new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${store.otlpUrl}/v1/metrics` }),
      exportIntervalMillis: 60_000,
    });
    const meters = new MeterProvider({ readers: [reader] });
    meters.getMeter("m").createCounter("orders").add(3, { status: "confirmed" });
    meters.getMeter("m").createHistogram("took").record(0.2);
    await meters.shutdown();
    const exported = JSON.stringify(store.metrics());
    expect(exported).toContain('"name":"orders"');
    expect(exported).toContain('"key":"status","value":{"stringValue":"confirmed"}');
    expect(exported).toMatch(/"bucketCounts":\["0",/);

    const exporter = new OTLPLogExporter({ url: `${store.otlpUrl}/v1/logs` });
    const loggers = new LoggerProvider({
      processors: [new SimpleLogRecordProcessor({ exporter })],
    });
    loggers.getLogger("l").emit({ severityNumber: SeverityNumber.WARN, body: "look out" });
    await loggers.shutdown();
    expect(JSON.stringify(store.logs())).toContain('"body":{"stringValue":"look out"}');
  });

  test("lets the oldest metrics and logs go where they are large, before they are many", async () => {
    const store = await start();
    const large = "x".repeat(3 * 1024 ** 2);
    for (let n = 0; n < 8; n++) {
      const attributes = attributesOf({ n: String(n), large });
      const metrics = JSON.stringify({ resourceMetrics: [{ resource: { attributes } }] });
      const logs = JSON.stringify({ resourceLogs: [{ resource: { attributes } }] });
      expect((await send(store, metrics, JSON_TYPE, "/v1/metrics")).status).toBe(200);
      expect((await send(store, logs, JSON_TYPE, "/v1/logs")).status).toBe(200);
    }
    for (const exports of [store.metrics(), store.logs()]) {
      const kept = exports.map(
        (request) => /"n","value":\{"stringValue":"(\d)"/.exec(JSON.stringify(request))?.[1],
      );
      expect(kept).toEqual(["3", "4", "5", "6", "7"]);
    }
  });

  test("answers success in the request's own encoding: empty, as OTLP asks", async () => {
    const store = await start();
    const json = await send(store, exportRequest());
    expect([json.status, json.headers.get("content-type"), await json.text()]).toEqual([
      200,
      "application/json",
      "{}",
    ]);
    const protobuf = await send(store, new Uint8Array(), PROTOBUF_TYPE);
    expect([protobuf.status, protobuf.headers.get("content-type")]).toEqual([
      200,
      "application/x-protobuf",
    ]);
    expect(await protobuf.bytes()).toHaveLength(0);
  });

  test("takes a content type with parameters", async () => {
    const store = await start();
    const headers = { "Content-Type": "Application/JSON; charset=utf-8" };
    expect((await send(store, exportRequest(), headers)).status).toBe(200);
    expect(store.stats().spans).toBe(1);
  });

  test("reports spans that it rejects as a partial success", async () => {
    const store = await start({ spansPerTraceMax: 1 });
    await send(store, exportRequest());
    const response = await send(store, exportRequest());
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      partialSuccess: {
        rejectedSpans: "1",
        errorMessage: "1 × span of a trace that already has 1 spans",
      },
    });
  });

  test("refuses what it cannot read with 400 and a Status in the request's encoding", async () => {
    const store = await start();
    const json = await send(store, '{"resourceSpans":7}');
    expect(json.status).toBe(400);
    expect(await json.json()).toEqual({
      code: 3,
      message: "ExportTraceServiceRequest.resourceSpans must be an array",
    });
    const protobuf = await send(store, new Uint8Array([0x0a, 0x7f]), PROTOBUF_TYPE);
    expect(protobuf.status).toBe(400);
    const status = decodeOtlp("RpcStatus", "application/x-protobuf", await protobuf.bytes());
    expect(status).toMatchObject({
      code: 3,
      message: expect.stringContaining("not a valid Export"),
    });
    const garbage = await send(store, "garbage", { ...JSON_TYPE, "Content-Encoding": "gzip" });
    expect([garbage.status, store.stats().spans]).toEqual([400, 0]);
  });

  test("refuses other content types and encodings (415), methods (405) and paths (404)", async () => {
    const store = await start();
    expect((await send(store, "x", { "Content-Type": "text/plain" })).status).toBe(415);
    const brotli = await send(store, "x", { ...JSON_TYPE, "Content-Encoding": "br" });
    expect([brotli.status, brotli.headers.get("accept-encoding")]).toEqual([415, "gzip"]);
    const get = await fetch(`${store.otlpUrl}/v1/traces`);
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await send(store, "{}", JSON_TYPE, "/v1/profiles")).status).toBe(404);
  });

  test("refuses bodies over the limit (413): as sent, in chunks, and unpacked from a small bomb", async () => {
    const store = await start({ bodyBytesMax: 10_000 });
    const large = " ".repeat(10_001);
    expect((await send(store, large)).status).toBe(413);
    const chunks = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 11; i++) controller.enqueue(new Uint8Array(1_000));
        controller.close();
      },
    });
    expect((await send(store, chunks, PROTOBUF_TYPE)).status).toBe(413);
    const bomb = gzipSync(Buffer.alloc(5_000_000));
    expect(bomb.byteLength).toBeLessThan(10_000);
    const unpacked = await send(store, bomb, { ...PROTOBUF_TYPE, "Content-Encoding": "gzip" });
    expect(unpacked.status).toBe(413);
    expect((await send(store, exportRequest())).status).toBe(200);
  });

  test("keeps only the newest traces, and counts the others", async () => {
    const store = await start({ tracesMax: 2 });
    for (const trace of [1, 2, 3]) await send(store, exportRequest({ trace }));
    expect(store.traces().map((trace) => trace.traceId)).toEqual([traceId(3), traceId(2)]);
    expect(store.stats()).toMatchObject({ traces: 2, evictedTraces: 1 });
  });
});

describe("Jaeger's query API", () => {
  test("lists services and their operations", async () => {
    const store = await start();
    expect((await query(store, "/api/services")).body).toEqual({
      data: [],
      total: 0,
      limit: 0,
      offset: 0,
      errors: null,
    } as object as JaegerBody);
    await send(store, exportRequest({ service: "a/b", name: "GET /x" }));
    await send(store, exportRequest({ service: "a/b", name: "GET /x" }));
    await send(store, exportRequest({ service: "orders", name: "POST" }));
    const dataOf = async (path: string): Promise<unknown> => (await query(store, path)).body.data;
    expect(await dataOf("/api/services")).toEqual(["a/b", "orders"]);
    expect(await dataOf("/api/services/a%2Fb/operations")).toEqual(["GET /x"]);
    expect(await dataOf("/api/operations?service=orders")).toEqual([
      { name: "POST", spanKind: "server" },
    ]);
    const ofKind = (kind: string) => dataOf(`/api/operations?service=orders&spanKind=${kind}`);
    expect(await ofKind("server")).toEqual([{ name: "POST", spanKind: "server" }]);
    expect(await ofKind("client")).toEqual([]);
    expect(await ofKind("")).toEqual([{ name: "POST", spanKind: "server" }]);
    expect((await query(store, "/api/operations")).status).toBe(400);
  });

  test("finds traces by service, operation, tags, time and duration", async () => {
    const store = await start();
    const one = { trace: 1, service: "orders", name: "POST /orders", startMs: 1_000 };
    await send(
      store,
      exportRequest({ ...one, durationMs: 20, attributes: { "http.route": "/orders" } }),
    );
    await send(store, exportRequest({ ...one, service: "worker", name: "process" }));
    await send(store, exportRequest({ trace: 2, name: "GET", startMs: 2_000, failed: true }));
    const both = [traceId(2), traceId(1)];
    const [second, first] = both.map((id) => [id]) as [string[], string[]];
    expect(await found(store, {})).toEqual(both);
    expect(await found(store, { limit: "1" })).toEqual(second);
    expect(await found(store, { service: "orders" })).toEqual(both);
    expect(await found(store, { service: "worker" })).toEqual(first);
    // Every condition must hold for the same span.
    expect(await found(store, { service: "worker", operation: "POST /orders" })).toEqual([]);
    expect(await found(store, { tags: '{"http.route":"/orders"}' })).toEqual(first);
    expect(await found(store, { tag: "http.route:/orders" })).toEqual(first);
    expect(await found(store, { tags: '{"error":"true"}' })).toEqual(second);
    expect(await found(store, { service: "orders", tags: '{"error":"false"}' })).toEqual(first);
    expect(await found(store, { minDuration: "15ms" })).toEqual(first);
    expect(await found(store, { minDuration: "0" })).toEqual(both);
    expect(await found(store, { minDuration: ".015s" })).toEqual(first);
    expect(await found(store, { minDuration: "15.ms" })).toEqual(first);
    expect(await found(store, { minDuration: "0s", maxDuration: ".5s" })).toEqual(both);
    expect(await found(store, { maxDuration: "1.5ms", service: "orders" })).toEqual(second);
    expect(await found(store, { start: "1500000" })).toEqual(second);
    expect(await found(store, { end: "1500000" })).toEqual(first);
    // Jaeger's page sends it beside `start` and `end`, which say the same.
    expect(await found(store, { lookback: "1h" })).toEqual(both);
    expect(await found(store, { maxDuration: "0", minDuration: "-1s" })).toEqual(both);
  });

  test.each([
    "limit=0",
    "limit=x",
    "start=x",
    "minDuration=5",
    "minDuration=.s",
    "maxDuration=1d",
    "tags=%7B%22count%22:3%7D",
    "tags=[1]",
    "tag=x",
    "traceID=xyz",
  ])("refuses %s with 400 and a reason", async (parameters) => {
    const { status, body } = await query(await start(), `/api/traces?${parameters}`);
    expect(status).toBe(400);
    expect(body.errors).toEqual([{ code: 400, msg: expect.any(String) }]);
  });

  test("refuses a longest duration below the shortest", async () => {
    const { status } = await query(await start(), "/api/traces?minDuration=2s&maxDuration=1s");
    expect(status).toBe(400);
  });

  test("gives one trace, or several by their ids, and says which is not there", async () => {
    const store = await start();
    await send(store, exportRequest({ trace: 1 }));
    expect((await query(store, `/api/traces/${traceId(1).toUpperCase()}`)).body.data).toHaveLength(
      1,
    );
    expect(await query(store, `/api/traces/${traceId(2)}`)).toEqual({
      status: 404,
      body: {
        data: null,
        total: 0,
        limit: 0,
        offset: 0,
        errors: [{ code: 404, msg: "trace not found" }],
      } as object as JaegerBody,
    });
    const ids = `traceID=${traceId(1)}&traceID=${traceId(2)}`;
    const { status, body } = await query(store, `/api/traces?${ids}`);
    expect([status, body.data.length, body.errors]).toEqual([
      200,
      1,
      [{ msg: "trace not found", traceID: traceId(2) }],
    ]);
  });

  test("gives a trace as OTLP, just as it came", async () => {
    const store = await start();
    const request = exportRequest({ attributes: { k: "v" } });
    await send(store, request);
    const response = await fetch(`${store.queryUrl}/api/v3/traces/${traceId(1)}`);
    expect(await response.json()).toEqual({ result: JSON.parse(request) });
    const missing = await fetch(`${store.queryUrl}/api/v3/traces/${traceId(2)}`);
    expect([missing.status, await missing.json()]).toEqual([
      404,
      { error: { httpCode: 404, message: "No traces found" } },
    ]);
  });

  test("answers 404 for what is not there, and 405 for what would change something", async () => {
    const store = await start();
    expect((await fetch(`${store.queryUrl}/api/dependencies`)).status).toBe(404);
    const post = await fetch(`${store.queryUrl}/api/traces`, { method: "POST", body: "{}" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });
});

describe("the pages", () => {
  const PAGES = ["/", `/trace/${traceId(1)}`];

  test("come with a policy that lets no foreign or inline script run", async () => {
    const store = await start();
    for (const path of PAGES) {
      const response = await fetch(store.queryUrl + path);
      expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
      const policy = response.headers.get("content-security-policy");
      expect(policy).toContain("default-src 'none'; script-src 'self';");
      expect(policy).not.toContain("unsafe-inline");
      expect(await response.text()).not.toMatch(/<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=/);
    }
  });

  test("ask for a script and a style, which are compressed, kept by browsers, and not sent again", async () => {
    const store = await start();
    const html = await (await fetch(store.queryUrl)).text();
    const assets = [...html.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, path]) => path);
    expect(assets).toHaveLength(2);
    for (const path of assets) {
      const headers = { "accept-encoding": "gzip" };
      const response = await exchange(
        store.queryUrl,
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`,
      );
      expect(response?.headers.get("content-encoding")).toBe("gzip");
      expect(response?.headers.get("cache-control")).toContain("immutable");
      const etag = response?.headers.get("etag") ?? "";
      const again = await fetch(store.queryUrl + path, {
        headers: { ...headers, "if-none-match": etag },
      });
      expect([again.status, (await again.bytes()).length]).toEqual([304, 0]);
    }
    expect((await fetch(`${store.queryUrl}/assets/other.js`)).status).toBe(404);
  });

  test("make text of what a span says: their script has no way to markup of it", async () => {
    const store = await start();
    const html = await (await fetch(store.queryUrl)).text();
    const script = /src="([^"]+)"/.exec(html)?.[1] ?? "";
    const code = await (await fetch(store.queryUrl + script)).text();
    expect(code).toContain("createElement");
    expect(code).not.toMatch(/outerHTML|insertAdjacentHTML|document\.write|\beval\(/);
    // Preact has it for those who ask for it by name. Its compat changes what onChange is, for all files.
    for await (const file of new Glob("*.{ts,tsx}").scan("lib/embedded/viewer")) {
      const text = await Bun.file(`lib/embedded/viewer/${file}`).text();
      expect(text, file).not.toMatch(/dangerouslySetInnerHTML|innerHTML|preact\/compat/);
    }
  });
});

describe("pages of other sites", () => {
  // A page whose name is rebound to 127.0.0.1 (DNS rebinding) is one origin with the store for its browser.
  const FOREIGN = [
    "rebound.example",
    "rebound.example:16686",
    "localhost.example",
    "127.0.0.1.example",
  ];
  const ODD = [
    "localhost@rebound.example",
    "a b",
    "localhost, rebound.example",
    "localhost:x",
    ":80",
  ];

  test.each([...FOREIGN, ...ODD])("read nothing by the name %s, on either port", async (host) => {
    const store = await start();
    await send(store, exportRequest({ attributes: { secret: "hunter2" } }));
    for (const path of [
      "/api/traces",
      `/api/traces/${traceId(1)}`,
      "/api/services",
      "/",
      "/api/view/traces",
      `/api/view/trace/${traceId(1)}`,
      "/api/view/live",
    ]) {
      const response = await fetch(store.queryUrl + path, { headers: { host } });
      const text = await response.text();
      expect(response.status, path).toBe(403);
      expect(text).toContain("localhost");
      expect(text).not.toContain("hunter2");
    }
    const response = await send(store, exportRequest(), { ...JSON_TYPE, host });
    expect(response.status).toBe(403);
    expect(store.stats().spans).toBe(1);
  });

  test.each(["https://rebound.example", "http://127.0.0.1.example:16686", "null", "file://"])(
    "send no spans: the origin %s",
    async (origin) => {
      const store = await start();
      expect((await send(store, exportRequest(), { ...JSON_TYPE, origin })).status).toBe(403);
      // What a page may send without asking first is refused for its type, whoever sends it.
      const simple = { "Content-Type": "text/plain" };
      expect((await send(store, exportRequest(), simple)).status).toBe(415);
      expect(store.stats().spans).toBe(0);
    },
  );

  test("may link to a trace", async () => {
    const store = await start();
    const headers = { origin: "https://rebound.example", "sec-fetch-site": "cross-site" };
    expect((await fetch(`${store.queryUrl}/trace/${traceId(1)}`, { headers })).status).toBe(200);
  });
});

test.each([
  "localhost",
  "LOCALHOST:16686",
  "localhost.",
  "traces.localhost",
  "127.0.0.1:1",
  "127.1.2.3",
  "[::1]",
  "[::1]:16686",
  "192.168.1.2",
  "[fd00::1]:80",
  hostname(),
])("the store answers by the name %s of its machine", async (host) => {
  const store = await start();
  const response = await fetch(`${store.queryUrl}/api/services`, { headers: { host } });
  expect(response.status).toBe(200);
  const sent = await send(store, exportRequest(), { ...JSON_TYPE, host, origin: `http://${host}` });
  expect(sent.status).toBe(200);
});

test("the store answers by the name that it was told to listen on", () => {
  const request = new Request("http://host/", { headers: { host: "Traces.Example:16686" } });
  expect(refuseForeign(request, "traces.example")).toBeUndefined();
  expect(refuseForeign(request, "other.example")?.status).toBe(403);
});

test("the store answers HTTP/1.0, which names no host", async () => {
  const store = await start();
  await send(store, exportRequest());
  const found = await exchange(store.queryUrl, `GET /api/traces/${traceId(1)} HTTP/1.0\r\n\r\n`);
  expect([found?.status, found?.body.toString().includes(traceId(1))]).toEqual([200, true]);
  const body = exportRequest();
  const head = `POST /v1/traces HTTP/1.0\r\nContent-Type: application/json\r\n`;
  const sent = await exchange(
    store.otlpUrl,
    `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  expect([sent?.status, store.stats().spans]).toEqual([200, 2]);
});

describe("starting and stopping", () => {
  test("frees both ports on stop, however often it is called", async () => {
    const { otlpPort, queryPort, stop } = await start();
    await stop();
    await stop();
    await start({ otlpPort, queryPort });
  });

  test("names the address that is taken, and leaves the other port free", async () => {
    const first = await start();
    const second = startTraceStore({ otlpPort: 0, queryPort: first.queryPort });
    await expect(second).rejects.toThrow(`cannot listen on http://127.0.0.1:${first.queryPort}`);
  });
});
