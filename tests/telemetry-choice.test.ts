/** Which path spans take: the layer's own, or the SDK's wherever something asks for that. */
import { afterEach, expect, test } from "bun:test";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { speed, SPEED_PARTS } from "#lib/telemetry/optional.ts";
import { startFakeCollector } from "./support/conventions/fake-collector.ts";
import { recordedSpans } from "./support/conventions/recorded.ts";

const TEST_TIMEOUT_MS = 60_000;
const ROOT = join(import.meta.dir, "..");

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

/** The layer in a folder of its own, with or without what is only for speed. */
async function copyLayer(withSpeed: boolean): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-layer-"));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  await cp(join(ROOT, "lib/telemetry"), join(folder, "telemetry"), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  if (!withSpeed) await rm(join(folder, "telemetry/speed"), { recursive: true, force: true });
  return folder;
}

/** Runs a script that makes one span. @param own what it gives startTelemetry of its own, as source text */
async function runScript(
  collectorUrl: string,
  { own = "{}", env = {} as Record<string, string>, withSpeed = speed !== undefined } = {},
) {
  const folder = await copyLayer(withSpeed);
  await Bun.write(
    join(folder, "script.ts"),
    `import { ProxyTracerProvider, trace } from "@opentelemetry/api";
    import { AlwaysOffSampler, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
    import { startTelemetry } from "./telemetry/setup/start-telemetry.ts";
    const memory = new InMemorySpanExporter();
    void [AlwaysOffSampler, SimpleSpanProcessor];
    const telemetry = startTelemetry({ name: "script", version: "1" }, process.env, ${own});
    trace.getTracer("script").startSpan("step").end();
    const provider = trace.getTracerProvider() as ProxyTracerProvider;
    const seen = () => memory.getFinishedSpans().length;
    const before = seen();
    if (!process.env.ENDS_AT_ONCE) await provider.getDelegate().forceFlush?.();
    console.log(JSON.stringify({ provider: provider.getDelegate().constructor.name, seen: Math.max(before, seen()) }));
    await telemetry.shutdown(1_000);`,
  );
  const { PATH = "", HOME = "" } = process.env;
  const script = Bun.spawn([process.execPath, "script.ts"], {
    cwd: folder,
    env: {
      PATH,
      HOME,
      LOG_LEVEL: "error",
      OTEL_METRICS_EXPORTER: "none",
      OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl,
      OTEL_EXPORTER_OTLP_TIMEOUT: "2000",
      ...env,
    },
    stdout: "pipe",
    stderr: "inherit",
    timeout: TEST_TIMEOUT_MS,
  });
  const [text, exitCode] = await Promise.all([script.stdout.text(), script.exited]);
  expect(exitCode).toBe(0);
  return JSON.parse(text) as { provider: string; seen: number };
}

const SDK = "BasicTracerProvider";

test.each([
  // Where the folder was deleted there is the SDK's alone.
  ["by itself", {}, speed ? "SpeedyTracerProvider" : SDK, 1, 0],
  ...Object.keys(SPEED_PARTS).map(
    (part) =>
      [
        `ORDERFLOW_TELEMETRY_SPEED=${part}`,
        { env: { ORDERFLOW_TELEMETRY_SPEED: part } },
        part === "tracer" && speed ? "SpeedyTracerProvider" : SDK,
        1,
        0,
      ] as const,
  ),
  ["ORDERFLOW_TELEMETRY_SPEED=off", { env: { ORDERFLOW_TELEMETRY_SPEED: "off" } }, SDK, 1, 0],
  ["without the folder", { withSpeed: false }, SDK, 1, 0],
  [
    "with a span processor of one's own",
    { own: "{ spanProcessors: [new SimpleSpanProcessor(memory)] }" },
    SDK,
    1,
    1,
  ],
  ["with a sampler of one's own", { own: "{ sampler: new AlwaysOffSampler() }" }, SDK, 0, 0],
  ["with an exporter of one's own", { own: "{ spanExporter: memory }" }, SDK, 0, 1],
] as const)(
  "%s",
  async (_, script, provider, arrived, seen) => {
    const store = await startTraceStore({ otlpPort: 0, queryPort: 0 });
    undo.push(() => store.stop());
    expect(await runScript(store.otlpUrl, script)).toEqual({ provider, seen });
    const spans = store.traces().flatMap((trace) => recordedSpans(trace));
    expect(spans.map(({ name }) => name)).toEqual(Array(arrived).fill("step"));
  },
  TEST_TIMEOUT_MS,
);

test.skipIf(!speed)(
  "a script that shuts down within a second ends then, whatever the collector does and may take",
  async () => {
    const collector = startFakeCollector("hanging");
    undo.push(() => collector.stop());
    const startedMs = performance.now();
    const env = { ENDS_AT_ONCE: "true", OTEL_EXPORTER_OTLP_TIMEOUT: "50000" };
    await runScript(collector.url, { env });
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  },
  TEST_TIMEOUT_MS,
);
