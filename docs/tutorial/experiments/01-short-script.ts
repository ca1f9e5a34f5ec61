// What comes of a span in a script that is over sooner than the batch: how it ends decides.
import { trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const WAYS = ["it just ends", "process.exit", "it throws", "shutdown", "shutdown, then it throws"];
const [, , way] = process.argv;
await (way === undefined ? collect() : makeSpan(way));

/** The script: one span, and then its end. */
async function makeSpan(end: string): Promise<void> {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "script" }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  trace.setGlobalTracerProvider(provider);
  trace.getTracer("tutorial").startSpan("clean up").end();

  if (end.startsWith("shutdown")) await provider.shutdown();
  if (end === "process.exit") process.exit(0);
  if (end.endsWith("throws")) throw new Error("an order could not be read");
}

/** The collector: runs the script once for each way, and says what came. */
async function collect(): Promise<void> {
  let bytes = 0;
  await using collector = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      bytes += (await request.bytes()).length;
      return new Response();
    },
  });
  for (const each of WAYS) {
    bytes = 0;
    const script = Bun.spawn([process.execPath, import.meta.path, each], {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.origin },
      stderr: "ignore",
    });
    await script.exited;
    console.log(each.padEnd(26), String(bytes).padStart(4), "bytes at the collector");
  }
}
