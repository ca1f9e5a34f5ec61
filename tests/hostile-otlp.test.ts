/** Hostile bodies to the OTLP receiver: taken or refused as malformed, and what was taken can be shown. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { answerJaegerQuery } from "#lib/embedded/traces/jaeger-query.ts";
import { createOtlpReceiver, type OtlpSink } from "#lib/embedded/traces/otlp-receiver.ts";
import { TraceRing } from "#lib/embedded/traces/trace-ring.ts";
import { encodeOtlp } from "#lib/embedded/traces/otlp-codec.ts";
import { renderWaterfall } from "../scripts/shared/waterfall.ts";
import { hostileBody, hostileText } from "./support/hostile/inputs.ts";
import { HOSTILE_TIMEOUT_MS, hostileSettings, reportInputs } from "./support/hostile/settings.ts";

const BODY_BYTES_MAX = 64 * 1024;
const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";
const TYPES = {
  "/v1/traces": "ExportTraceServiceRequest",
  "/v1/metrics": "ExportMetricsServiceRequest",
  "/v1/logs": "ExportLogsServiceRequest",
} as const;
const REFUSALS = new Set([400, 404, 405, 413, 415]);

let store: TraceStore;

beforeAll(async () => {
  store = await startTraceStore({ otlpPort: 0, queryPort: 0, bodyBytesMax: BODY_BYTES_MAX });
});
afterAll(() => store.stop());

test(
  "hostile exports are taken or refused, and what was taken can be asked for and drawn",
  async () => {
    const outcomes: Record<string, number> = {};
    let inputs = 0;
    const settings = hostileSettings<[unknown]>(0.5);
    await fc.assert(
      fc.asyncProperty(exports, async ({ path, method, headers, body }) => {
        // A store of its own for each input: what it holds is from this one alone.
        const ring = new TraceRing({ tracesMax: 5, spansPerTraceMax: 50, bytesMax: 1024 ** 2 });
        const receive = createOtlpReceiver(sinkOf(ring), BODY_BYTES_MAX);
        const init = { method, headers, ...(method === "GET" ? {} : { body }) };
        const response = await receive(new Request(`http://localhost${path}`, init));
        if (response.status !== 200) expect(REFUSALS).toContain(response.status);
        expectShown(ring);
        inputs += 1;
        outcomes[response.status] = (outcomes[response.status] ?? 0) + 1;
      }),
      settings,
    );
    reportInputs("OTLP receiver", inputs, outcomes);
    expect(inputs).toBe(settings.numRuns);
  },
  HOSTILE_TIMEOUT_MS,
);

test("a running trace store is not disturbed by hostile exports", async () => {
  for (const { path, method, headers, body } of fc.sample(exports, { numRuns: 200, seed: 1 })) {
    const init = { method, headers, ...(method === "GET" ? {} : { body }) };
    const response = await fetch(`${store.otlpUrl}${path}`, init);
    await response.arrayBuffer();
    if (response.status !== 200) expect(REFUSALS).toContain(response.status);
  }
  const traceId = crypto.randomUUID().replaceAll("-", "");
  const taken = await fetch(`${store.otlpUrl}/v1/traces`, {
    method: "POST",
    headers: { "content-type": JSON_TYPE },
    body: JSON.stringify(exportOf({ traceId })),
  });
  expect(taken.status).toBe(200);
  expect(store.trace(traceId)?.spanCount).toBe(1);
  const shown = await fetch(`${store.queryUrl}/api/traces/${traceId}`);
  expect(shown.status).toBe(200);
});

test("a small body that unpacks into a large one is refused", async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const response = await fetch(`${store.otlpUrl}/v1/traces`, {
    method: "POST",
    headers: { "content-type": PROTOBUF, "content-encoding": "gzip" },
    body: bomb.subarray(),
  });
  expect(response.status).toBe(413);
});

function sinkOf(ring: TraceRing): OtlpSink {
  return {
    addTraces: ({ resourceSpans }, encodedBytes) => ring.add(resourceSpans, encodedBytes),
    addMetrics: () => {},
    addLogs: () => {},
  };
}

/** @throws where a trace that was taken cannot be drawn or asked for */
function expectShown(ring: TraceRing): void {
  for (const trace of ring.all()) {
    expect(renderWaterfall(trace, { widthColumns: 100, color: false })).toEndWith("\n");
    for (const path of [`/api/traces/${trace.traceId}`, "/api/services", "/api/traces?service=x"]) {
      const response = answerJaegerQuery(ring, new URL(path, "http://localhost"));
      expect({ path, status: response?.status }).toEqual({ path, status: 200 });
    }
  }
}

/** An export of one valid span, with some fields of it replaced. */
function exportOf(fields: Record<string, unknown>) {
  const span = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    name: "GET /",
    kind: 2,
    startTimeUnixNano: "1700000000000000000",
    endTimeUnixNano: "1700000000001000000",
    attributes: [{ key: "http.route", value: { stringValue: "/" } }],
    events: [{ timeUnixNano: "1700000000000500000", name: "retry" }],
    status: { code: 2, message: "failed" },
    ...fields,
  };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "hostile" } }] };
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "x" }, spans: [span] }] }] };
}

/** Fields as OTLP's JSON must not, or hardly, have them; most are still taken. */
const hostileFields = fc.dictionary(
  fc.constantFrom(
    "traceId",
    "spanId",
    "parentSpanId",
    "name",
    "kind",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "attributes",
    "events",
    "links",
    "status",
    "flags",
    "traceState",
    "__proto__",
  ),
  fc.oneof(
    hostileText,
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 65n }).map(String),
    fc.integer(),
    fc.double(),
    fc.constantFrom(null, true, [], {}, [[]], [{}], [null]),
    fc.constantFrom("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "0".repeat(32)),
    fc.array(fc.record({ key: hostileText, value: anyValue() }), { maxLength: 4 }),
    fc.jsonValue({ maxDepth: 3 }),
  ),
  { maxKeys: 4 },
);

function anyValue(): fc.Arbitrary<unknown> {
  return fc.oneof(
    hostileText.map((stringValue) => ({ stringValue })),
    fc.bigInt().map((value) => ({ intValue: String(value) })),
    fc.double().map((doubleValue) => ({ doubleValue })),
    fc.constantFrom(
      {},
      { doubleValue: "NaN" },
      { arrayValue: {} },
      { kvlistValue: { values: [{ key: "__proto__", value: { boolValue: true } }] } },
      { stringValue: "a", intValue: "1" },
      deepValue(30),
      deepValue(3_000),
    ),
  );
}

function deepValue(depth: number): unknown {
  let value: unknown = { stringValue: "end" };
  for (let level = 0; level < depth; level++) value = { arrayValue: { values: [value] } };
  return value;
}

const jsonBodies = fc.oneof(
  {
    weight: 6,
    arbitrary: hostileFields.map((fields) => Buffer.from(JSON.stringify(exportOf(fields)))),
  },
  {
    weight: 3,
    arbitrary: hostileBody({
      resourceSpans: JSON.stringify(exportOf({}).resourceSpans),
      resourceMetrics: "[{}]",
    }),
  },
);

const sound = Buffer.from(encodeOtlp(TYPES["/v1/traces"], PROTOBUF, exportOf({})));

const protobufBodies = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .tuple(
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 5 }),
      fc.nat(),
    )
    .map(([changes, cut]) => {
      const bytes = Buffer.from(sound);
      for (const [place, value] of changes) bytes[place % bytes.length] = value;
      return cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
    }),
  // Lengths that point beyond the end, groups without one, and a message within itself.
  fc
    .constantFrom("0affffffffff7f", "0b0b0b0b", "ffffffffffffffffffff01", "0a".repeat(500))
    .map((hex) => Buffer.from(hex, "hex")),
  fc.constant(Buffer.alloc(BODY_BYTES_MAX + 1)),
);

const exports = fc
  .record({
    path: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...(Object.keys(TYPES) as (keyof typeof TYPES)[])) },
      {
        weight: 1,
        arbitrary: fc.constantFrom("/", "/v1/traces/", "/v1/__proto__", "/constructor"),
      },
    ),
    method: fc.oneof(
      { weight: 12, arbitrary: fc.constant("POST") },
      { weight: 1, arbitrary: fc.constantFrom("GET", "PUT", "DELETE", "OPTIONS") },
    ),
    encoded: fc.oneof(
      jsonBodies.map((body) => ({ type: JSON_TYPE, body })),
      protobufBodies.map((body) => ({ type: PROTOBUF, body })),
      fc
        .tuple(jsonBodies, fc.constantFrom(PROTOBUF, "text/plain", "application/json; x=", ""))
        .map(([body, type]) => ({ type, body })),
    ),
    compression: fc.oneof(
      { weight: 8, arbitrary: fc.constant("") },
      { weight: 2, arbitrary: fc.constantFrom("gzip", "gzip, gzip", "deflate", "broken gzip") },
    ),
  })
  .map(({ path, method, encoded, compression }) => {
    const headers: Record<string, string> = { "content-type": encoded.type };
    if (compression) headers["content-encoding"] = compression.replace("broken ", "");
    const body = compression === "gzip" ? gzipSync(encoded.body) : encoded.body;
    return { path, method, headers, body: Uint8Array.from(body) };
  });
