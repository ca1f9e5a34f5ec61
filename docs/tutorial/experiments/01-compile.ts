// Programs compiled into one file each, traced by hand and by the layer: their spans arrive as well.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

/** In the checkout, where the compiler finds the packages. */
const SCRATCH = join(import.meta.dir, "../../../.orderflow");
const TRACING = join(import.meta.dir, "../stages/01/tracing.ts");

/** By hand as in stage 01, and by lib/telemetry. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "by hand": `import { trace } from "@opentelemetry/api";
import { startTracing } from ${JSON.stringify(TRACING)};
startTracing("compiled");
trace.getTracer("tutorial").startSpan("one span").end();
setInterval(() => {}, 1_000);
process.kill(process.pid, "SIGTERM");
`,
  "by lib/telemetry": `import { inSpan, startTelemetry } from "#lib/telemetry/index.ts";
const telemetry = startTelemetry({ name: "compiled", version: "1.0.0" });
await inSpan("one span", {}, async () => await Bun.sleep(1));
await telemetry.shutdown();
`,
};

let names: string[] = [];
await using collector = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const body = Buffer.from(await request.bytes());
    if (request.url.endsWith("/v1/traces")) names.push(...(/one span/.exec(`${body}`) ?? []));
    return new Response();
  },
});

await mkdir(SCRATCH, { recursive: true });
const folder = await mkdtemp(join(SCRATCH, "compile-"));
try {
  for (const [how, text] of Object.entries(PROGRAMS)) await compileAndRun(how, text);
} finally {
  await rm(folder, { recursive: true });
}

async function compileAndRun(how: string, text: string): Promise<void> {
  names = [];
  const source = join(folder, "program.ts");
  const program = join(folder, "program");
  await Bun.write(source, text);
  const { success, logs } = await Bun.build({
    entrypoints: [source],
    compile: { outfile: program },
    minify: true,
  });
  if (!success) throw new AggregateError(logs, `${how} could not be compiled`);
  // Somewhere else, and with nothing of the checkout: all that it needs is in it.
  const child = Bun.spawn([program], {
    cwd: "/",
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.origin },
  });
  const exitCode = await child.exited;
  console.log(how.padEnd(18), `exit ${exitCode}; spans: ${names.join(", ") || "none"}`);
}
