/** docs/telemetry.md says what the services emit: all of it, and nothing else. */
import { beforeAll, describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import layerJson from "../lib/telemetry/package.json" with { type: "json" };
import {
  layerFiles,
  PLAIN_PATH,
  plainPath,
  readingOrder,
} from "../scripts/generate/reading-order.ts";
import { spanTypeOf } from "./support/conventions/check.ts";
import {
  recordedFlows,
  RECORDING_TIMEOUT_MS,
  type Recording,
} from "./support/conventions/flows.ts";
import { LOG_FIELDS } from "./support/conventions/log-table.ts";
import { METRIC_TYPES } from "./support/conventions/metric-table.ts";
import { CODE_ATTRIBUTES, SPAN_EVENTS, SPAN_TYPES } from "./support/conventions/span-table.ts";

const DOCS_FILE = join(import.meta.dir, "../docs/telemetry.md");
const docs = await Bun.file(DOCS_FILE).text();
const LAYER = join(import.meta.dir, "../lib/telemetry");

test("every file of lib/telemetry is in the reading order", async () => {
  const sources = layerFiles();
  expect(sources.length).toBeGreaterThan(30);
  const [, readingOrder = ""] = docs.split(/^### /m);
  const links = sources.map((file) => readingOrder.split(`(../lib/telemetry/${file})`).length - 1);
  // Each once: read twice, its minutes would count twice.
  expect(Object.fromEntries(sources.map((file, n) => [file, links[n]]))).toEqual(
    Object.fromEntries(sources.map((file) => [file, 1])),
  );
});

test("the plain path is under 900 lines, and no file of it needs more than three others", async () => {
  const [lines] = plainPath()
    .slice(-1)
    .map(([, count]) => Number(count));
  expect(lines).toBeGreaterThan(500);
  expect(lines).toBeLessThan(900);
  for (const { file, needs } of PLAIN_PATH) {
    expect(needs.length, file).toBeLessThanOrEqual(3);
    const source = await Bun.file(join(LAYER, file)).text();
    const imported = [...source.matchAll(/from "(\..*?)"/g)].map(([, path = ""]) =>
      join(dirname(file), path),
    );
    // What is named as known has to be what the file uses; the provider is handed its resource.
    const isUsed = (name: string) => imported.includes(name) || name === "setup/resource.ts";
    expect(
      needs.filter((name) => !isUsed(name)),
      file,
    ).toEqual([]);
    expect(file).not.toMatch(/^(speed|learning)\//);
  }
});

test("what may be deleted comes last in the reading order", () => {
  const parts = readingOrder().map(([part]) => part);
  expect(parts.slice(-2)).toEqual(["for speed", "for learning"]);
  for (const [part = "", files = ""] of readingOrder()) {
    expect(/telemetry\/(speed|learning)\//.test(files), part).toBe(part.startsWith("for "));
  }
});

test("the package's README names every entry, and nothing that is no export of it", async () => {
  const readme = await Bun.file(join(LAYER, "README.md")).text();
  const known = new Set<string>();
  for (const [entry, target] of Object.entries(layerJson.exports)) {
    if (typeof target === "string") continue;
    expect(readme).toContain(entry === "." ? "`@orderflow/telemetry`" : `\`…${entry.slice(1)}\``);
    for (const name of Object.keys((await import(join(LAYER, target.default))) as object)) {
      known.add(name);
    }
  }
  const [, entries = ""] = /^## Entries$(.*?)^## /ms.exec(readme) ?? [];
  // What is called in the table: `name(`, and the names that stand alone there.
  const called = [...entries.matchAll(/(?<![.\w])([a-z]\w+)\(/g)].map(([, name = ""]) => name);
  const alone = [...entries.matchAll(/`([a-z]\w+)`/g)].map(([, name = ""]) => name);
  const methods = ["shutdown", "scrape", "use", "fetch"];
  const unknown = [...called, ...alone].filter((name) => !known.has(name));
  expect(called.length).toBeGreaterThan(5);
  expect(unknown.filter((name) => !methods.includes(name))).toEqual([]);
});

test("every variable that lib/telemetry reads is described", async () => {
  const read = new Set<string>();
  for (const file of layerFiles()) {
    const text = await Bun.file(join(LAYER, file)).text();
    for (const [, name] of text.matchAll(/env(?:, |\[)"([A-Z]+_[A-Z_]+)"/g)) read.add(name ?? "");
  }
  expect([...read]).toContain("OTEL_SERVICE_NAME");
  expect([...read].filter((name) => !isDescribed(name))).toEqual([]);
});

/** The collector's variables stand there once for all signals, and by the ends of their names. */
function isDescribed(name: string): boolean {
  const end = name.replace(/^OTEL_EXPORTER_OTLP_(?:(?:TRACES|METRICS|LOGS)_)?/, "");
  const written = [name, `_${end}`, `OTEL_EXPORTER_OTLP_${end}`];
  return written.some((text) => docs.includes(`\`${text}\``));
}

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
