/**
 * Jaeger itself beside our store: both get the same spans, and answer the same questions. It runs where Jaeger 2
 * is on PATH as `jaeger`, or named by JAEGER.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { findTool } from "../../scripts/check-stack/tools.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const jaeger = findTool("jaeger");
const NOW_US = Math.floor(Date.now() / 1000 - 60) * 1_000_000;
const ONE = "0af7651916cd43dd8448eb211c80319c";
const SHORT = "00000000000000008448eb211c80319c";
const ERRORS = "0af7651916cd43dd8448eb211c80319d";
const LATE = "0af7651916cd43dd8448eb211c80319e";

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

describe.if(jaeger !== undefined)("Jaeger's query API", () => {
  let theirs = "";
  let ours = "";

  beforeAll(async () => {
    const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
    cleanUps.push(() => store.stop());
    ours = store.queryUrl;
    const started = await startJaeger(jaeger ?? "");
    theirs = started.queryUrl;
    for (const url of [store.otlpUrl, started.otlpUrl]) {
      const body = JSON.stringify({ resourceSpans: RESOURCE_SPANS });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${url}/v1/traces`, { method: "POST", headers, body });
      expect(answer.status).toBe(200);
    }
    const isThere = async (id: string) => (await fetch(`${theirs}/api/traces/${id}`)).ok;
    await until("Jaeger has them", async () => (await isThere(ONE)) && (await isThere(LATE)));
  });

  test.each(QUESTIONS)("GET %s", async (path) => {
    const [left, right] = await Promise.all([theirs, ours].map((url) => answerOf(url + path)));
    expect(right).toEqual(left);
  });

  test.each(DIFFERENT)("GET %s differs, on purpose: %s", async (path, _, meant) => {
    const [left, right] = await Promise.all([theirs, ours].map((url) => answerOf(url + path)));
    expect(right).toMatchObject(meant);
    // Where Jaeger comes to say the same, this row can go.
    expect(left).not.toMatchObject(meant);
  });
});

/** Ours answers more there: a page of all traces needs it. */
const QUESTIONS = [
  "/api/services",
  ...["shop", "nobody", "caf%C3%A9%2Fbar"].map((service) => `/api/services/${service}/operations`),
  "/api/operations",
  ...[
    "",
    "&spanKind=",
    "&spanKind=server",
    "&spanKind=SERVER",
    "&spanKind=no",
    "&spanKind=internal",
  ].map((kind) => `/api/operations?service=shop${kind}`),
  "/api/operations?service=nobody",
  ...[
    ONE,
    ONE.toUpperCase(),
    SHORT,
    SHORT.slice(16),
    SHORT.slice(17),
    "1",
    "0",
    "xyz",
    `${ONE}0`,
    "%20",
  ].flatMap((id) => [`/api/traces/${id}`, `/api/v3/traces/${id}`, `/api/traces?traceID=${id}`]),
  `/api/traces?traceID=${ONE}&traceID=${SHORT}&traceID=1`,
  ...[
    "",
    "&operation=GET%20/",
    "&operation=nothing",
    "&limit=x",
    "&limit=1.5",
    "&lookback=1h",
    "&lookback=custom",
    "&lookback=1",
    `&start=${NOW_US - 1}&end=${NOW_US + 10_000_000}`,
    `&start=${NOW_US + 1}`,
    `&end=${NOW_US - 1}`,
    "&start=x",
    "&start=1.5",
    "&end=",
    ...[
      "0",
      "0s",
      ".5s",
      "1.s",
      "1500us",
      "1500µs",
      "1ms",
      "1m",
      "-1ms",
      "+1ms",
      "1",
      "x",
      "",
      "1h2m3.5s",
      "1d",
    ].flatMap((duration) => [
      `&minDuration=${encodeURIComponent(duration)}`,
      `&maxDuration=${encodeURIComponent(duration)}`,
    ]),
    "&minDuration=2ms&maxDuration=1ms",
    "&minDuration=1ms&maxDuration=1ms",
    "&tag=http.route:/",
    "&tag=http.route:/a:b",
    "&tag=http.route",
    "&tag=:x",
    "&tag=count:3",
    "&tag=flag:true",
    "&tag=ratio:0.5",
    "&tag=host.name:here",
    "&tag=try:2",
    "&tag=http.route:/&tag=count:3",
    `&tags=${encodeURIComponent('{"http.route":"/"}')}`,
    `&tags=${encodeURIComponent('{"count":"3"}')}`,
    `&tags=${encodeURIComponent('{"count":3}')}`,
    `&tags=${encodeURIComponent('["count"]')}`,
    "&tags=x",
    "&tags=",
  ].map((more) => `/api/traces?service=shop${more}`),
  "/api/traces?service=nobody",
] as const;

/** Path, why, and what of our answer is not Jaeger's. */
const DIFFERENT: readonly (readonly [path: string, why: string, ours: object])[] = [
  ["/api/traces", "a search over all services", { status: 200 }],
  ...["limit=0", "limit=-1"].map(
    (limit) =>
      [
        `/api/traces?service=shop&${limit}`,
        "a wrong question, no fault of ours",
        { status: 400 },
      ] as const,
  ),
  [
    "/api/traces?service=shop&tag=error:true",
    "whose status says so, and not others",
    { body: { data: [{ spans: Array.from({ length: 3 }, () => ({ traceID: ERRORS })) }] } },
  ],
  ...[
    ["error:false", 3],
    ["span.kind:server", 3],
    ["event:tried", 1],
    ["w3c.tracestate:a%3D1", 1],
    ["otel.status_description:it%20broke", 1],
  ].map(
    ([tag, count]) =>
      [
        `/api/traces?service=shop&tag=${tag}`,
        "the tags that are shown are those that are found",
        { body: { data: { length: count } } },
      ] as const,
  ),
];

function value(given: unknown): object {
  if (typeof given === "string") return { stringValue: given };
  if (typeof given === "boolean") return { boolValue: given };
  if (Array.isArray(given)) return { arrayValue: { values: given.map(value) } };
  if (typeof given === "object") return { kvlistValue: { values: attributes(given ?? {}) } };
  return Number.isInteger(given) ? { intValue: String(given) } : { doubleValue: given };
}

function attributes(given: object): object[] {
  return Object.entries(given).map(([key, one]) => ({ key, value: value(one) }));
}

interface Given {
  trace?: string;
  id: string;
  parent?: string;
  name: string;
  kind?: number;
  /** From {@link NOW_US}, in microseconds. */
  at?: [startUs: number, durationUs: number];
  attributes?: object;
  [more: string]: unknown;
}

function span({
  trace = ONE,
  id,
  parent,
  name,
  kind = 1,
  at = [0, 1_500],
  ...more
}: Given): object {
  const [startUs, durationUs] = at;
  return {
    ...more,
    traceId: trace,
    spanId: id.padStart(16, "0"),
    ...(parent && { parentSpanId: parent.padStart(16, "0") }),
    name,
    kind,
    startTimeUnixNano: `${NOW_US + startUs}000`,
    endTimeUnixNano: `${NOW_US + startUs + durationUs}000`,
    attributes: attributes(more.attributes ?? {}),
  };
}

function resource(
  given: object,
  spans: readonly object[],
  scope: object = { name: "hand" },
): object {
  return { resource: { attributes: attributes(given) }, scopeSpans: [{ scope, spans }] };
}

/** Every kind of span, value, status, event and link, in traces of one service and of some. */
const RESOURCE_SPANS = [
  resource({ "service.name": "shop", "host.name": "here", "process.pid": 7 }, [
    span({
      id: "1",
      name: "GET /",
      kind: 2,
      traceState: "a=1",
      attributes: {
        "http.route": "/",
        count: 3,
        flag: true,
        ratio: 0.5,
        list: ["a", 1, true],
        map: { a: 1, b: { c: "d" } },
        empty: "",
        large: 9_007_199_254_740_991,
      },
      status: { code: 1 },
    }),
    span({
      id: "2",
      parent: "1",
      name: "charge",
      kind: 3,
      at: [100, 1_000],
      events: [
        { timeUnixNano: `${NOW_US + 200}000`, name: "tried", attributes: attributes({ try: 2 }) },
        { timeUnixNano: `${NOW_US + 300}000`, name: "", attributes: [] },
      ],
      links: [
        { traceId: ERRORS, spanId: "00000000000000e1", attributes: attributes({ why: "retry" }) },
      ],
    }),
    span({ id: "4", parent: "99", name: "orphan", kind: 5, at: [0, 0] }),
    span({ trace: SHORT, id: "5", name: "GET /", kind: 2, attributes: { "http.route": "/a:b" } }),
    span({ trace: LATE, id: "6", name: "tick", kind: 0, at: [5_000_000, 90_000_000] }),
  ]),
  resource(
    { "service.name": "café/bar" },
    [span({ id: "3", parent: "2", name: "POST", kind: 2, at: [150, 900] })],
    { name: "hand", version: "1.2", attributes: attributes({ "scope.note": "x" }) },
  ),
  resource({ "service.name": "shop", "service.version": "2" }, [
    span({
      trace: ERRORS,
      id: "e1",
      name: "GET /",
      kind: 2,
      at: [1_000_000, 2_000],
      status: { code: 2, message: "it broke" },
      attributes: { "error.type": "500" },
    }),
    span({ trace: ERRORS, id: "e2", parent: "e1", name: "publish", kind: 4, status: { code: 2 } }),
  ]),
  resource({ "host.name": "nameless" }, [
    span({ trace: ERRORS, id: "e3", parent: "e1", name: "x" }),
  ]),
];

/** What was said, without what has no meaning: the order of sets, and what Jaeger thinks of a trace. */
async function answerOf(url: string): Promise<unknown> {
  const answer = await fetch(url);
  return { status: answer.status, body: comparable((await answer.json()) as Json) };
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function comparable(part: Json, key = ""): Json {
  if (Array.isArray(part)) {
    const all = part.filter(isSaidByTheSpan).map((one) => comparable(one));
    // A list of an attribute's values is in order; spans, traces, tags and names are sets.
    return key === "values" ? all : all.toSorted((a, b) => (textOf(a) < textOf(b) ? -1 : 1));
  }
  if (typeof part !== "object" || part === null) {
    // The text of an error is a program's own; that there is one, and where, is the API.
    if ((key === "msg" || key === "message") && part !== "trace not found") return "an error";
    // Jaeger lets a span that takes no time take a nanosecond.
    return key === "endTimeUnixNano" ? String(part).slice(0, -3) : part;
  }
  const { warnings: _, processes, ...fields } = part;
  const said = Object.entries(fields)
    .map(([name, one]) => [name, comparable(one, name)] as const)
    // What says nothing is what is not set.
    .filter(
      ([name, one]) => !["status", "attributes", "name"].includes(name) || textOf(one).length > 2,
    );
  const result = Object.fromEntries(said.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  // Which number a process has is nobody's business: each span gets its own.
  return processes ? inlined(result, processes as Record<string, Json>) : result;
}

function inlined(trace: Record<string, Json>, processes: Record<string, Json>): Json {
  const spans = (trace["spans"] as Record<string, Json>[]).map(({ processID, ...span }) => ({
    ...span,
    process: comparable(processes[String(processID)] ?? null),
  }));
  return { ...trace, spans: spans.toSorted((a, b) => (textOf(a) < textOf(b) ? -1 : 1)) };
}

function isSaidByTheSpan(one: Json): boolean {
  return typeof one !== "object" || (one as { key?: Json } | null)?.key !== "@jaeger@warnings";
}

function textOf(part: unknown): string {
  return JSON.stringify(part);
}

async function startJaeger(program: string): Promise<{ otlpUrl: string; queryUrl: string }> {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-jaeger-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  const [otlp, query, grpc] = [1, 2, 3].map(() => `127.0.0.1:${freePort()}`);
  const config = {
    service: {
      extensions: ["jaeger_storage", "jaeger_query"],
      pipelines: { traces: { receivers: ["otlp"], exporters: ["jaeger_storage_exporter"] } },
      telemetry: { metrics: { level: "none" }, logs: { level: "warn" } },
    },
    extensions: {
      jaeger_storage: { backends: { traces: { memory: { max_traces: 1_000 } } } },
      jaeger_query: {
        storage: { traces: "traces" },
        http: { endpoint: query },
        grpc: { endpoint: grpc },
      },
    },
    receivers: { otlp: { protocols: { http: { endpoint: otlp } } } },
    exporters: { jaeger_storage_exporter: { trace_storage: "traces" } },
  };
  const file = join(folder, "config.json");
  await Bun.write(file, JSON.stringify(config));
  const log = join(folder, "log");
  const child = Bun.spawn([program, `--config=${file}`], {
    cwd: folder,
    stdout: "ignore",
    stderr: Bun.file(log),
  });
  cleanUps.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  await until("Jaeger answers", async () => {
    if (child.exitCode !== null) throw new Error(`Jaeger ended:\n${await Bun.file(log).text()}`);
    const answers = await Promise.all(
      [`http://${query}/api/services`, `http://${otlp}/`].map((url) =>
        fetch(url).catch(() => undefined),
      ),
    );
    return answers.every((answer) => answer !== undefined);
  });
  return { otlpUrl: `http://${otlp}`, queryUrl: `http://${query}` };
}
