/** docs/telemetry.md says what the services emit: all of it, and nothing else. */
import { beforeAll, describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { DOCS_FILE, withReference } from "../scripts/telemetry-docs.ts";
import { spanTypeOf } from "./support/conventions/check.ts";
import {
  recordedFlows,
  RECORDING_TIMEOUT_MS,
  type Recording,
} from "./support/conventions/flows.ts";
import { LOG_FIELDS } from "./support/conventions/log-table.ts";
import { METRIC_TYPES } from "./support/conventions/metric-table.ts";
import { CODE_ATTRIBUTES, SPAN_EVENTS, SPAN_TYPES } from "./support/conventions/span-table.ts";

const docs = await Bun.file(DOCS_FILE).text();
const LAYER = join(import.meta.dir, "../lib/telemetry");

test("its tables are those that the checks use (else: bun scripts/telemetry-docs.ts)", () => {
  expect(withReference(docs)).toBe(docs);
});

test("every file of lib/telemetry is in the reading order", async () => {
  const files = await Array.fromAsync(new Glob("*.ts").scan(LAYER));
  const sources = files.filter((file) => !file.endsWith(".test.ts"));
  expect(sources.length).toBeGreaterThan(10);
  const [, readingOrder = ""] = docs.split(/^### /m);
  expect(sources.filter((file) => !readingOrder.includes(`(../lib/telemetry/${file})`))).toEqual(
    [],
  );
});

test("every variable that lib/telemetry reads is described", async () => {
  const files = await Array.fromAsync(new Glob("*.ts").scan(LAYER));
  const read = new Set<string>();
  for (const file of files.filter((name) => !name.endsWith(".test.ts"))) {
    const text = await Bun.file(join(LAYER, file)).text();
    for (const [, name] of text.matchAll(/env(?:, |\[)"([A-Z]+_[A-Z_]+)"/g)) read.add(name ?? "");
  }
  expect([...read]).toContain("OTEL_SERVICE_NAME");
  expect([...read].filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});

test("every link leads to a file", async () => {
  const links = [...docs.matchAll(/\]\(((?!http)[^)#]+)/g)].map(([, link]) => link ?? "");
  const missing = [];
  for (const link of new Set(links)) {
    if (!(await Bun.file(join(DOCS_FILE, "..", link)).exists())) missing.push(link);
  }
  expect(missing).toEqual([]);
});

describe("what is documented is what was seen", () => {
  let recording: Recording;
  beforeAll(async () => {
    recording = await recordedFlows();
  }, RECORDING_TIMEOUT_MS);

  test.each(SPAN_TYPES.map((type) => [type.title, type] as const))("%s", (_, type) => {
    const seen = new Set(
      recording.spans
        .filter((span) => spanTypeOf(span) === type)
        .flatMap(({ attributes }) => Object.keys(attributes)),
    );
    const documented = [...Object.keys(type.attributes), ...Object.keys(CODE_ATTRIBUTES)];
    expect([...seen].sort()).toEqual(documented.sort());
  });

  test("events on spans", () => {
    const seen = new Set(recording.spans.flatMap(({ events }) => events.map(({ name }) => name)));
    expect([...seen].sort()).toEqual(Object.keys(SPAN_EVENTS).sort());
  });

  test("metrics and their attributes", () => {
    const seen: Record<string, Set<string>> = {};
    for (const { metric, attributes } of recording.points) {
      for (const key of Object.keys(attributes)) (seen[metric] ??= new Set()).add(key);
      seen[metric] ??= new Set();
    }
    // Lost spans are seen in collector-outage.test.ts.
    seen["otel.sdk.processor.span.processed"]?.add("error.type");
    seen["otel.sdk.processor.log.processed"]?.add("error.type");
    expect(
      Object.fromEntries(Object.entries(seen).map(([name, keys]) => [name, sorted(keys)])),
    ).toEqual(
      Object.fromEntries(
        Object.entries(METRIC_TYPES).map(([name, { attributes }]) => [
          name,
          sorted(Object.keys(attributes)),
        ]),
      ),
    );
  });

  test("log lines: each has the standard fields, and no other than the documented ones", () => {
    const always = Object.entries(LOG_FIELDS).filter(([, { always }]) => always);
    expect(recording.lines.length).toBeGreaterThan(20);
    for (const line of recording.lines) {
      for (const [name] of always) expect(Object.keys(line)).toContain(name);
      expect(Object.keys(line).filter((name) => !(name in LOG_FIELDS))).toEqual([]);
    }
    const inSpan = recording.lines.find(({ message }) => message === "request failed");
    expect(inSpan).toMatchObject({ trace_flags: "01", level: "error" });
    expect(recording.spans.map(({ spanId }) => spanId)).toContain(String(inSpan?.["span_id"]));
  });
});

function sorted(keys: Iterable<string>): string[] {
  return [...keys].sort();
}
