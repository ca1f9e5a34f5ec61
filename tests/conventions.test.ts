/** Everything that OrderFlow emits, held against the semantic conventions 1.45. */
import { beforeAll, describe, expect, test } from "bun:test";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import {
  checkPoints,
  checkScrape,
  checkSpans,
  mergeResults,
  renderResults,
  spanTypeOf,
  type RuleResult,
} from "./support/conventions/check.ts";
import {
  recordedFlows,
  RECORDING_TIMEOUT_MS,
  type Recording,
} from "./support/conventions/flows.ts";
import type { RecordedPoint, RecordedSpan } from "./support/conventions/recorded.ts";
import { HAS_LEARNING } from "./support/learning.ts";

let recording: Recording;

beforeAll(async () => {
  recording = await recordedFlows();
}, RECORDING_TIMEOUT_MS);

describe("what OrderFlow emits follows the semantic conventions", () => {
  test("every span of every flow keeps every rule, and every rule is exercised", () => {
    const results = checkSpans(recording.spans);
    console.log(renderResults(results));
    expect(failing(results)).toEqual([]);
  });

  test("every metric over OTLP keeps every rule, and every rule is exercised", () => {
    const results = checkPoints(recording.points);
    console.log(renderResults(results));
    expect(failing(results)).toEqual([]);
  });

  test("GET /metrics of every service shows the same metrics in Prometheus's form", () => {
    const scrapes = Object.entries(recording.scrapes);
    const results = mergeResults(...scrapes.map(([name, text]) => checkScrape(name, text)));
    console.log(renderResults(results));
    expect(failing(results)).toEqual([]);
    expect(scrapes).toHaveLength(SERVICE_NAMES.length);
  });

  test("the flows contain every status that the API answers with", () => {
    const statuses = new Set(
      recording.spans
        .filter(({ kind }) => kind === "SERVER")
        .map(({ attributes }) => attributes["http.response.status_code"]?.value),
    );
    expect([...statuses].sort()).toEqual([
      200, 201, 400, 404, 405, 409, 413, 422, 500, 502, 503, 504,
    ]);
  });
});

/** Rules that were broken or never exercised. */
function failing(results: readonly RuleResult[]): RuleResult[] {
  return results.filter(({ checked, breaches }) => checked === 0 || breaches.length > 0);
}

describe("the check catches", () => {
  const spanBreaks: [what: string, type: string, change: (span: RecordedSpan) => void][] = [
    ["a wrong kind", "db.client", (span) => (span.kind = "INTERNAL")],
    ["a span name with an id in it", "http.server", (span) => (span.name += "/0190a-7")],
    ["a missing required attribute", "db.client", (span) => drop(span, "db.system.name")],
    ["a missing conditional attribute", "http.server", (span) => drop(span, "server.port")],
    ["a wrong type", "http.client", (span) => set(span, "server.port", "string", "8080")],
    ["an unknown key", "internal", (span) => set(span, "order.id", "string", "7")],
    ["a deprecated key", "http.server", (span) => set(span, "http.method", "string", "GET")],
    ["a key of another kind of span", "internal", (span) => set(span, "url.full", "string", "x")],
    ["an empty value", "internal", (span) => set(span, "orderflow.order.id", "empty", null)],
    ["an error without error.type", "http.client", (span) => (span.status.code = "ERROR")],
    ["error.type without an error", "db.client", (span) => set(span, "error.type", "string", "X")],
    ["a status OK", "internal", (span) => (span.status.code = "OK")],
    [
      "a 4xx that is an error on the server",
      "http.server",
      (span) => {
        set(span, "http.response.status_code", "int", 404);
        set(span, "error.type", "string", "404");
        span.status = { code: "ERROR", message: "not found" };
      },
    ],
    [
      "a text value in db.query.text",
      "db.client",
      (span) => set(span, "db.query.text", "string", "SELECT 1 WHERE customer_id = 'alice'"),
    ],
    [
      "a number in db.query.text",
      "db.client",
      (span) => set(span, "db.query.text", "string", "SELECT total WHERE price > 4200"),
    ],
    [
      "a password in a URL",
      "http.client",
      (span) => set(span, "url.full", "string", "http://me:geheim@127.0.0.1/"),
    ],
    ["a path in place of a route", "http.server", (span) => set(span, "http.route", "string", "x")],
    ["a processed record without its link", "messaging.process", (span) => (span.links = [])],
    ["a batch that misses a link", "messaging.send", (span) => span.links.pop()],
    ["a negative duration", "internal", (span) => (span.durationNs = -1n)],
    [
      "an unknown event",
      "internal",
      (span) => span.events.push({ name: "surprise", attributes: {} }),
    ],
    [
      "a resource without instance",
      "internal",
      ({ resource }) => delete resource["service.instance.id"],
    ],
  ];
  const lineBreaks: typeof spanBreaks = [
    ["a span that leads to no line", "db.client", (span) => drop(span, "code.line.number")],
    [
      "a line that is not in the source",
      "db.client",
      (span) => set(span, "code.line.number", "int", 100_000),
    ],
  ];
  test.each(spanBreaks)("%s", (_, type, change) => checkBreak(type, change));
  test.skipIf(!HAS_LEARNING).each(lineBreaks)(
    "%s, where lib/telemetry/learning is there",
    (_, type, change) => checkBreak(type, change),
  );

  const pointBreaks: [what: string, metric: string, change: (point: RecordedPoint) => void][] = [
    ["a wrong unit", "http.server.request.duration", (point) => (point.unit = "ms")],
    ["a wrong instrument", "orderflow.orders.created", (point) => (point.instrument = "Gauge")],
    ["wrong boundaries", "db.client.operation.duration", (point) => (point.boundaries = [1, 2])],
    ["a made-up metric", "process.uptime", (point) => (point.metric = "process.up")],
    [
      "a path that becomes a series",
      "http.server.request.duration",
      (point) => (point.attributes["url.path"] = { type: "string", value: "/orders/7" }),
    ],
    [
      "a value out of bounds",
      "orderflow.orders.settled",
      (point) => (point.attributes["orderflow.order.status"] = { type: "string", value: "7" }),
    ],
  ];
  test.each(pointBreaks)("%s of a metric", (_, metric, change) => {
    const original = recording.points.find((point) => point.metric === metric);
    if (!original) throw new Error(`no point of ${metric} was recorded`);
    expect(broken(checkPoints([original]))).toEqual([]);
    const changed = structuredClone(original);
    change(changed);
    expect(broken(checkPoints([changed]))).not.toEqual([]);
  });
});

// From Prometheus itself: `apt-get install prometheus`. Where it is missing, only CI insists.
const promtool = Bun.which("promtool");
test.skipIf(promtool === null && !process.env["CI"])(
  "promtool accepts GET /metrics of every service",
  async () => {
    for (const [service, text] of Object.entries(recording.scrapes)) {
      const check = Bun.spawn([promtool ?? "promtool", "check", "metrics"], {
        stdin: new Blob([text]),
        stdout: "pipe",
        stderr: "pipe",
      });
      const [exitCode, out, complaint] = await Promise.all([
        check.exited,
        check.stdout.text(),
        check.stderr.text(),
      ]);
      expect({ service, exitCode, says: out + complaint }).toEqual({
        service,
        exitCode: 0,
        says: "",
      });
    }
  },
);

/** A span of that type keeps every rule, and breaks one after the change. */
function checkBreak(type: string, change: (span: RecordedSpan) => void): void {
  const original = recording.spans.find(
    (span) =>
      spanTypeOf(span)?.id === type &&
      span.status.code === "UNSET" &&
      (type !== "messaging.process" || span.parentSpanId !== ""),
  );
  if (!original) throw new Error(`no span of type ${type} was recorded`);
  expect(broken(checkSpans([original]))).toEqual([]);
  const changed = structuredClone(original);
  change(changed);
  expect(broken(checkSpans([changed]))).not.toEqual([]);
}

function broken(results: readonly RuleResult[]): RuleResult[] {
  return results.filter(({ breaches }) => breaches.length > 0);
}

function drop(span: RecordedSpan, key: string): void {
  delete span.attributes[key];
}

function set(
  span: RecordedSpan,
  key: string,
  type: RecordedSpan["attributes"][string]["type"],
  value: unknown,
): void {
  span.attributes[key] = { type, value };
}
