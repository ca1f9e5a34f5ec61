/** The layer's own tracer and the SDK's: the same calls arrive as the same spans, whatever the variables say. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  createTraceState,
  diag,
  metrics,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Exception,
  type Link,
  type Span,
  type SpanContext,
  type SpanStatus,
  type TimeInput,
  type TracerProvider,
} from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import * as fc from "fast-check";
import { decodeOtlp } from "#lib/embedded/traces/otlp-codec.ts";
import { speed } from "#lib/telemetry/optional.ts";
import { readEnvironment } from "#lib/telemetry/setup/environment.ts";

const RUNS = 200;
const TEST_TIMEOUT_MS = 120_000;

let received: Uint8Array[] = [];
let collector: Bun.Server<undefined>;
const before = { ...process.env };

beforeAll(() => {
  collector = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      received.push(await request.bytes());
      return new Response();
    },
  });
});
afterAll(() => collector.stop(true));
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});

// Where the folder was deleted there is one path only.
describe.skipIf(!speed)("the same calls on the layer's tracer and on the SDK's", () => {
  test(
    "arrive as the same spans",
    async () => {
      await fc.assert(fc.asyncProperty(program, variables, expectSame), { numRuns: RUNS });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "are sampled alike by the ids of their traces",
    async () => {
      const ratio = fc.double({ min: 0, max: 1, noNaN: true });
      const starts = fc.array(remoteStart, { minLength: 1, maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(starts, ratio, async (calls, share) => {
          await expectSame(calls, {
            OTEL_TRACES_SAMPLER: "traceidratio",
            OTEL_TRACES_SAMPLER_ARG: String(share),
          });
        }),
        { numRuns: 100 },
      );
    },
    TEST_TIMEOUT_MS,
  );
});

// --- Calls -----------------------------------------------------------------------------------------

type Parent =
  | { from: "nobody" }
  | { from: "span"; index: number }
  | { from: "remote"; context: SpanContext }
  | { from: "suppressed" };

type Call =
  | {
      do: "start";
      scope: number;
      name: string;
      kind: SpanKind | undefined;
      attributes: Attributes | undefined;
      links: Link[] | undefined;
      startTime: TimeInput | undefined;
      root: boolean;
      baggage: boolean;
      active: boolean;
      parent: Parent;
    }
  | { do: "call"; index: number; call: (span: Span) => unknown }
  | { do: "end"; index: number; time: TimeInput | undefined };

const T0 = 1_795_000_000_000;

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const spanContext: fc.Arbitrary<SpanContext> = fc
  .record({
    traceId: fc.oneof(hex(32), fc.constantFrom("0".repeat(32), "A".repeat(32))),
    spanId: fc.oneof({ weight: 9, arbitrary: hex(16) }, fc.constant("0".repeat(16))),
    traceFlags: fc.constantFrom(TraceFlags.NONE, TraceFlags.SAMPLED, 2, 3),
    isRemote: fc.boolean(),
    traceState: fc.constantFrom(undefined, "vendor=value", "a=1,b=2"),
  })
  .map(({ traceState, ...rest }) => ({
    ...rest,
    ...(traceState && { traceState: createTraceState(traceState) }),
  }));

/** Any but halves of a pair. fast-check's own unit "binary" is the same, and takes 0.6 s to make. */
const character = fc
  .oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((code) => String.fromCodePoint(code));
const text = fc.string({ unit: character, maxLength: 60 });
const value = fc.oneof(
  text,
  fc.string({ minLength: 100, maxLength: 300 }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 2 ** 63, -0, null, undefined),
  fc.boolean(),
  fc.array(fc.oneof(text, fc.constant(null)), { maxLength: 5 }),
  fc.array(fc.double(), { maxLength: 5 }),
  fc.array(fc.boolean(), { maxLength: 5 }),
  // What no attribute may be.
  fc.constantFrom({ a: 1 }, [1, "1"], [[1]], Symbol("s"), 1n, () => 1),
);
// Few keys, so that they come again; the empty one is not valid.
const key = fc.oneof(
  fc.constantFrom("a", "b", "c", "http.route", "1", "", "ключ"),
  fc.string({ maxLength: 20 }).filter((name) => name !== "__proto__"),
);
/** Those of a route or a statement: made once, for many spans. */
const FIXED: readonly Attributes[] = [
  { a: "x".repeat(50), b: 17, "http.route": "/orders/:id" },
  { c: true, "db.query.text": "SELECT 1" },
  { a: ["a", "b"], b: undefined },
  {},
].map((all) => Object.freeze(all));
const attributes = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.dictionary(key, value, {
      maxKeys: 8,
      noNullPrototype: true,
    }) as fc.Arbitrary<Attributes>,
  },
  { weight: 1, arbitrary: fc.constantFrom(...FIXED) },
);
const link: fc.Arbitrary<Link> = fc
  .record({ context: spanContext, attributes: fc.option(attributes, { nil: undefined }) })
  .map(({ context, attributes: own }) => ({ context, ...(own && { attributes: own }) }));
/** A time given as a reading of the monotonic clock: long ago, when the whole suite runs. */
const MONOTONIC_READING_MS = 1.25;
const CLOCKS_DIFFER_MS = 50;
const time = fc.oneof(
  fc.constant(undefined),
  fc.integer({ min: T0, max: T0 + 100_000 }),
  fc.integer({ min: T0, max: T0 + 100_000 }).map((ms) => new Date(ms)),
  fc.tuple(
    fc.integer({ min: T0 / 1000, max: T0 / 1000 + 100 }),
    fc.integer({ min: 0, max: 999_999_999 }),
  ),
  fc.constant(MONOTONIC_READING_MS),
) as fc.Arbitrary<TimeInput | undefined>;
const status = fc.record({
  code: fc.constantFrom(SpanStatusCode.UNSET, SpanStatusCode.OK, SpanStatusCode.ERROR),
  message: fc.constantFrom(undefined, "", "the database does not answer – später", 5, null),
}) as fc.Arbitrary<SpanStatus>;
const exception = fc.constantFrom<unknown>(
  "text",
  "",
  new TypeError("no number"),
  Object.assign(new Error("refused"), { code: "ECONNREFUSED" }),
  { code: 5 },
  { message: "only" },
  { name: "Only" },
  {},
  null,
  undefined,
);

const act: fc.Arbitrary<(span: Span) => unknown> = fc.oneof(
  fc.tuple(key, value).map(([name, given]) => (span: Span) => {
    span.setAttribute(name, given as string);
  }),
  attributes.map((all) => (span: Span) => void span.setAttributes(all)),
  fc.tuple(text, fc.oneof(attributes, time), time).map(
    ([name, own, at]) =>
      (span: Span) =>
        void span.addEvent(name, own, at),
  ),
  link.map((one) => (span: Span) => void span.addLink(one)),
  fc.array(link, { maxLength: 3 }).map((all) => (span: Span) => void span.addLinks(all)),
  status.map((one) => (span: Span) => void span.setStatus(one)),
  text.map((name) => (span: Span) => void span.updateName(name)),
  fc.tuple(exception, time).map(([one, at]) => (span: Span) => {
    span.recordException(one as Exception, at);
  }),
  fc.constant((span: Span) => span.isRecording()),
);

// Mostly the first ones, so that much is done to each.
const index = fc.oneof(fc.nat({ max: 1 }), fc.nat({ max: 5 }));
const startParts = {
  do: fc.constant("start" as const),
  scope: fc.nat({ max: 2 }),
  name: fc.oneof(text, fc.constantFrom("GET /orders/:id", "reserve items")),
  kind: fc.constantFrom(
    undefined,
    SpanKind.INTERNAL,
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.PRODUCER,
    SpanKind.CONSUMER,
  ),
  attributes: fc.option(attributes, { nil: undefined }),
  links: fc.option(fc.array(link, { maxLength: 5 }), { nil: undefined }),
  startTime: time,
  root: fc.boolean(),
  baggage: fc.boolean(),
  active: fc.boolean(),
};
const remoteParent = spanContext.map((context): Parent => ({ from: "remote", context }));
const start: fc.Arbitrary<Call> = fc.record({
  ...startParts,
  parent: fc.oneof(
    { weight: 2, arbitrary: fc.constant<Parent>({ from: "nobody" }) },
    { weight: 5, arbitrary: index.map((of): Parent => ({ from: "span", index: of })) },
    { weight: 3, arbitrary: remoteParent },
    { weight: 1, arbitrary: fc.constant<Parent>({ from: "suppressed" }) },
  ),
});
const remoteStart: fc.Arbitrary<Call> = fc.record({
  ...startParts,
  root: fc.constant(false),
  parent: fc.record({
    from: fc.constant("remote" as const),
    context: fc
      .record({ traceId: hex(32), spanId: hex(16) })
      .filter(({ traceId, spanId }) => Number(`0x${traceId}`) > 0 && Number(`0x${spanId}`) > 0)
      .map((ids) => ({ ...ids, traceFlags: TraceFlags.NONE, isRemote: true })),
  }),
});
const program = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: start },
    {
      weight: 8,
      arbitrary: fc.record({ do: fc.constant("call" as const), index, call: act }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), index, time }) },
  ),
  { minLength: 1, maxLength: 40, size: "max" },
);

/** Mostly not set, so that what is left is met as well. */
const rarely = (...settings: string[]) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom(...settings) },
  );
const limit = rarely("0", "1", "2", "5", "-1", "many", "1.5");
const variables = fc.record({
  OTEL_TRACES_SAMPLER: rarely(
    "always_on",
    "always_off",
    "parentbased_always_on",
    "parentbased_always_off",
    "traceidratio",
    "parentbased_traceidratio",
    "no-such-sampler",
  ),
  OTEL_TRACES_SAMPLER_ARG: fc.constantFrom(undefined, "0", "1", "2", "many"),
  OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: limit,
  OTEL_ATTRIBUTE_COUNT_LIMIT: limit,
  OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: rarely("0", "1", "64", "-5"),
  OTEL_SPAN_EVENT_COUNT_LIMIT: limit,
  OTEL_SPAN_LINK_COUNT_LIMIT: limit,
  OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: limit,
  OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: limit,
}) as fc.Arbitrary<Record<string, string | undefined>>;

const SCOPES: [name: string, version?: string, options?: { schemaUrl: string }][] = [
  ["orders", "1.0.0"],
  ["plain"],
  ["with a schema", "2", { schemaUrl: "https://opentelemetry.io/schemas/1.45.0" }],
];

// --- Both of them ----------------------------------------------------------------------------------

async function expectSame(calls: Call[], env: Record<string, string | undefined>): Promise<void> {
  for (const [name, setting] of Object.entries(env)) {
    if (setting === undefined) delete process.env[name];
    else process.env[name] = setting;
  }
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = `http://127.0.0.1:${collector.port}`;
  diag.disable();
  const resource = resourceFromAttributes(
    { "service.name": "orders", "process.pid": 17, list: ["a"] },
    { schemaUrl: "https://opentelemetry.io/schemas/1.45.0" },
  );
  const limits = {
    maxQueueSize: 1_000,
    maxExportBatchSize: 7,
    scheduledDelayMillis: 60_000,
    exportTimeoutMillis: 10_000,
    selfObsMeterProvider: metrics.getMeterProvider(),
  };
  const settings = readEnvironment(process.env);
  const tracing = {
    resource,
    sampler: settings.sampler,
    spanLimits: {
      ...settings.spanLimits,
      attributeValueLengthLimit: Number(env["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"] ?? 4_096),
    },
  };
  const never = new AbortController().signal;
  const ours = speed?.createTracerProvider?.(tracing, process.env, limits, never, undefined);
  if (!ours) throw new Error("there is no tracer of the layer's own");
  const theirs = new BasicTracerProvider({
    ...tracing,
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), limits)],
  });
  expect(await outcome(ours, calls)).toEqual(await outcome(theirs, calls));
}

/** What the program sees, and what arrives. */
async function outcome(
  provider: TracerProvider & { shutdown(): Promise<void> },
  calls: readonly Call[],
) {
  received = [];
  const startedMs = Date.now();
  const spans: Span[] = [];
  const seen: unknown[] = [];
  for (const call of calls) {
    if (call.do === "start") spans.push(startSpan(provider, call, spans, seen));
    const span = call.do === "start" ? undefined : spans[call.index];
    if (call.do === "end") span?.end(call.time);
    if (call.do === "call" && span) seen.push(call.call(span));
  }
  for (const span of spans) if (span.isRecording()) span.end();
  await provider.shutdown();
  const labels = new Map<string, string>();
  const normal = (found: unknown) => normalized(found, { startedMs, labels });
  return {
    seen: seen.map(normal),
    arrived: [...spansByScope(received)].map(([scope, all]) => [scope, normal(all)]).sort(),
  };
}

function startSpan(
  provider: TracerProvider,
  call: Extract<Call, { do: "start" }>,
  spans: readonly Span[],
  seen: unknown[],
): Span {
  const { name, kind, attributes: own, links, startTime, root, parent } = call;
  let from: Context = call.baggage
    ? propagation.setBaggage(ROOT_CONTEXT, propagation.createBaggage({ user: { value: "17" } }))
    : ROOT_CONTEXT;
  if (parent.from === "remote") from = trace.setSpanContext(from, parent.context);
  if (parent.from === "suppressed") from = suppressTracing(from);
  const above = parent.from === "span" ? spans[parent.index] : undefined;
  if (above) from = trace.setSpan(from, above);
  const options = {
    ...(kind !== undefined && { kind }),
    ...(own && { attributes: own }),
    ...(links && { links }),
    ...(startTime !== undefined && { startTime }),
    root,
  };
  const tracer = provider.getTracer(...SCOPES[call.scope]!);
  const span = call.active
    ? tracer.startActiveSpan(name, options, from, (active) => active)
    : tracer.startSpan(name, options, from);
  const { traceId, spanId, traceFlags, traceState, isRemote } = span.spanContext();
  seen.push(span.isRecording(), { traceId, spanId, traceFlags, isRemote: isRemote === true });
  seen.push(traceState?.serialize() ?? "");
  return span;
}

/** The spans of some requests by what stands around them. */
function spansByScope(requests: readonly Uint8Array[]): Map<string, unknown[]> {
  const scopes = new Map<string, unknown[]>();
  for (const body of requests) {
    const request = decodeOtlp("ExportTraceServiceRequest", "application/x-protobuf", body);
    const { resourceSpans = [] } = request as { resourceSpans?: ResourceSpans[] };
    for (const { resource, schemaUrl, scopeSpans = [] } of resourceSpans) {
      for (const { scope, schemaUrl: own, spans = [] } of scopeSpans) {
        const around = JSON.stringify([resource, schemaUrl, scope, own], withoutDefaults);
        scopes.set(around, [...(scopes.get(around) ?? []), ...spans]);
      }
    }
  }
  return scopes;
}

interface ResourceSpans {
  resource?: unknown;
  schemaUrl?: string;
  scopeSpans?: { scope?: unknown; schemaUrl?: string; spans?: unknown[] }[];
}

const withoutDefaults = (_: string, found: unknown) => (isDefault(found) ? undefined : found);

/** What a field holds that was not sent: the protocol knows no difference. */
function isDefault(found: unknown): boolean {
  return (
    found === 0 || found === "0" || found === "" || (Array.isArray(found) && found.length === 0)
  );
}

/** Ids by the order in which they come, attributes by their keys, times of now as such. */
function normalized(
  found: unknown,
  known: { startedMs: number; labels: Map<string, string> },
  field = "",
): unknown {
  if (/^(trace|span|parentSpan)Id$/.test(field)) {
    const { labels } = known;
    if (!labels.has(String(found))) labels.set(String(found), `id ${labels.size}`);
    return labels.get(String(found));
  }
  if (field.endsWith("UnixNano")) {
    const ms = Number(found) / 1e6;
    if (ms >= known.startedMs - 20_000 && ms < Date.now() + 20_000) return "now";
    // The two clocks are set to the wall clock at different moments, to a millisecond.
    const sinceOriginMs = ms - performance.timeOrigin - MONOTONIC_READING_MS;
    return Math.abs(sinceOriginMs) < CLOCKS_DIFFER_MS ? "as the process began" : found;
  }
  if (Array.isArray(found)) {
    const all = found.map((item) => normalized(item, known, field === "values" ? "value" : ""));
    return field === "attributes" ? all.sort(byKey) : all;
  }
  if (typeof found !== "object" || found === null) return found;
  // An attribute's value may well be 0 or empty, and then says so.
  const own = Object.entries(found)
    .filter(([, item]) => field === "value" || !isDefault(item))
    .map(([name, item]) => [name, normalized(item, known, name)])
    .filter(([, item]) => item !== undefined);
  return own.length === 0 ? undefined : Object.fromEntries(own);
}

function byKey(one: unknown, other: unknown): number {
  const [a, b] = [one, other].map((item) => String((item as { key?: string })?.key));
  return a! < b! ? -1 : a! > b! ? 1 : 0;
}
