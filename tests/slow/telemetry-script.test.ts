/** A short script with telemetry: it ends when its work is done, whatever the collector does. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { spansOf } from "#lib/embedded/traces/otlp.ts";
import { spansIn } from "../support/traces.ts";
import { until } from "../support/until.ts";

const ROOT = join(import.meta.dir, "../..");
const LAYER = join(ROOT, "lib/telemetry/index.ts");
/** What a loaded machine may take to end a process, beyond the time that the script gave. */
const SLACK_MS = 4_000;

setDefaultTimeout(60_000);

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/**
 * Runs a script that uses the layer.
 * @param body sees `layer` and `api`
 * @returns what it wrote, and how long it lived after it wrote "done"
 */
async function run(body: string, env: Record<string, string>) {
  const source = `
    import * as layer from ${JSON.stringify(LAYER)};
    import * as api from "@opentelemetry/api";
    ${body}`;
  const child = Bun.spawn([process.execPath, "-e", source], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  undo.push(() => child.kill("SIGKILL"));
  let stdout = "";
  let doneMs = Number.NaN;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    stdout += text;
    if (Number.isNaN(doneMs) && stdout.includes("done\n")) doneMs = performance.now();
  }
  expect(await child.exited, await new Response(child.stderr).text()).toBe(0);
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return {
    stdout,
    lines: lines.map((line) => JSON.parse(line) as { level: string; message: string }),
    endedAfterMs: performance.now() - doneMs,
  };
}

const script = (shutdownMs: number) => `
  const telemetry = layer.startTelemetry({ name: "script", version: "1" });
  await layer.inSpan("work", {}, async (span) => console.log("trace", span.spanContext().traceId));
  await Bun.sleep(200); // so that an export has begun, and waits
  console.log("done");
  await telemetry.shutdown(${shutdownMs});`;

const traceIdIn = (stdout: string) => /trace ([0-9a-f]{32})/.exec(stdout)?.[1] ?? "";

async function traceStore() {
  const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  undo.push(() => store.stop());
  return store;
}

async function hangingServer(): Promise<string> {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  undo.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  ["the layer's own tracer", "on"],
  ["the SDK's tracer", "off"],
])("with %s and the collector up its spans arrive, and it ends at once", async (_tracer, speed) => {
  const store = await traceStore();
  const { stdout, endedAfterMs, lines } = await run(script(30_000), {
    OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
    ORDERFLOW_TELEMETRY_SPEED: speed,
  });
  expect(spansIn(store, traceIdIn(stdout))).toMatchObject([{ name: "work", service: "script" }]);
  expect(endedAfterMs).toBeLessThan(SLACK_MS);
  expect(lines).toEqual([]);
});

describe.each([
  ["the layer's own tracer", "on"],
  ["the SDK's tracer", "off"],
])("with %s it ends within the time it gave, with a collector that", (_tracer, speed) => {
  test.each<[string, () => Promise<string>]>([
    ["refuses", async () => `http://127.0.0.1:${await freePort()}`],
    ["hangs", hangingServer],
    ["has no address", async () => "http://collector.invalid:4318"],
    [
      "answers 503 and asks to wait",
      async () => {
        const busy = Bun.serve({
          port: 0,
          fetch: () => new Response("", { status: 503, headers: { "retry-after": "8" } }),
        });
        undo.push(() => busy.stop(true));
        return busy.url.origin;
      },
    ],
  ])("%s", async (_, endpoint) => {
    const { endedAfterMs } = await run(script(1_000), {
      OTEL_EXPORTER_OTLP_ENDPOINT: await endpoint(),
      OTEL_BSP_SCHEDULE_DELAY: "20",
      OTEL_LOGS_EXPORTER: "otlp",
      ORDERFLOW_TELEMETRY_SPEED: speed,
    });
    expect(endedAfterMs).toBeLessThan(1_000 + SLACK_MS);
  });
});

describe("who traces", () => {
  const FIRST = `
    import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
    const first = new InMemorySpanExporter();
    api.trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(first)] }),
    );`;
  const USE = `
    const telemetry = layer.startTelemetry({ name: "script", version: "1" });
    await layer.inSpan("work", {}, async (span) => console.log("trace", span.spanContext().traceId));
    await telemetry.shutdown();`;

  test("another provider that was first, which is said once; the layer's spans are its own then", async () => {
    const store = await traceStore();
    const { stdout, lines } = await run(
      `${FIRST}${USE}
      console.log("first has", first.getFinishedSpans().map(({ name }) => name).join());`,
      { OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl },
    );
    expect(lines).toMatchObject([
      { level: "warn", message: expect.stringContaining("another tracer provider") },
    ]);
    expect(stdout).toContain("first has work\n");
    expect(spansIn(store, traceIdIn(stdout))).toEqual([]);
  });

  test("Bun itself, where it was switched on, is named", async () => {
    const { lines } = await run(`Object.assign(Bun, { otel: {} });${FIRST}${USE}`, {
      OTEL_TRACES_EXPORTER: "none",
      OTEL_METRICS_EXPORTER: "none",
    });
    expect(lines).toMatchObject([
      { level: "warn", message: expect.stringContaining("Bun's own tracer (BUN_OTEL)") },
    ]);
  });

  test("the first of two set-ups, which is said once; each span is sent once", async () => {
    const store = await traceStore();
    const { stdout, lines } = await run(
      `const first = layer.startTelemetry({ name: "first", version: "1" });
      ${USE}
      console.log("same", first === telemetry);`,
      { OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl },
    );
    expect(lines).toMatchObject([
      { level: "warn", message: expect.stringContaining("set up before") },
    ]);
    expect(stdout).toContain("same true\n");
    expect(spansIn(store, traceIdIn(stdout))).toMatchObject([{ name: "work", service: "first" }]);
  });
});

test("telemetry that was shut down may be set up anew, as by the next file of a test run", async () => {
  const store = await traceStore();
  const { stdout, lines } = await run(`${script(30_000)}\n{ ${script(30_000)} }`, {
    OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
  });
  const traceIds = [...stdout.matchAll(/trace ([0-9a-f]{32})/g)].map(([, id = ""]) => id);
  expect(traceIds).toHaveLength(2);
  for (const traceId of traceIds) {
    expect(spansIn(store, traceId)).toMatchObject([{ name: "work", service: "script" }]);
  }
  expect(lines).toEqual([]);
});

const hotProgram = (spanName: string) => `
  import { inSpan, startTelemetry } from ${JSON.stringify(LAYER)};
  startTelemetry({ name: "hot", version: "1" });
  await inSpan(${JSON.stringify(spanName)}, {}, async () => undefined);
  setInterval(() => undefined, 1_000);`;

test("a program that bun --hot loads anew goes on sending its spans, and says nothing", async () => {
  const store = await traceStore();
  const folder = mkdtempSync(join(tmpdir(), "orderflow-hot-"));
  undo.push(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "main.ts");
  writeFileSync(file, hotProgram("first"));
  const child = Bun.spawn([process.execPath, "--hot", file], {
    cwd: ROOT,
    env: {
      PATH: process.env["PATH"] ?? "",
      OTEL_EXPORTER_OTLP_ENDPOINT: store.otlpUrl,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  undo.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const hasArrived = (name: string) =>
    store.traces().some((trace) => spansOf(trace).some(({ span }) => span.name === name));
  await until("the first span", () => hasArrived("first"));
  writeFileSync(file, hotProgram("second"));
  await until("the second span", () => hasArrived("second"));
  child.kill();
  await child.exited;
  expect(await new Response(child.stdout).text()).toBe("");
  expect(await new Response(child.stderr).text()).not.toMatch(/overwritten|registered/);
});

test("an address without its scheme is left out for all signals alike, and told", async () => {
  const { lines } = await run(script(500), { OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" });
  const messages = lines.map(({ message }) => message);
  expect(messages.filter((text) => text.includes("is no HTTP URL"))).toEqual([
    expect.stringContaining("OTEL_EXPORTER_OTLP_ENDPOINT"),
  ]);
  expect(messages.join()).not.toContain("Protocol");
});

test("what a collector that refuses did is said at the end, not that it was slow", async () => {
  const { lines } = await run(script(1_000), {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
  });
  expect(lines.map(({ message }) => message).join()).toContain("ECONNREFUSED");
});

test("set up anew, it leaves another's tracer provider in its place", async () => {
  const { stdout } = await run(
    `
    const seen = [];
    const span = { ...api.trace.wrapSpanContext(api.INVALID_SPAN_CONTEXT), end() {} };
    const theirs = { getTracer: () => ({ startSpan: (name) => (seen.push(name), span) }) };
    api.trace.setGlobalTracerProvider(theirs);
    for (const name of ["one", "two"]) {
      const telemetry = layer.startTelemetry({ name: "guest", version: "1" });
      api.trace.getTracer("any").startSpan(name);
      await telemetry.shutdown(100);
    }
    console.log("seen " + seen.join());
    console.log("done");`,
    { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" },
  );
  expect(stdout).toContain("seen one,two\n");
});
