// Which spans Node's auto-instrumentation makes, set up by the book, under Node and under Bun.
import { join } from "node:path";

const KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT"];

interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly { readonly name: string; readonly kind: number }[];
    }[];
  }[];
}

let spans: string[] = [];
const collector = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const { resourceSpans } = (await request.json()) as OtlpRequest;
    const all = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans).flatMap((of) => of.spans);
    spans.push(...all.map(({ name, kind }) => `${KINDS[kind]} ${name}`));
    return Response.json({});
  },
});

show("one request, answered by", "hooked", "spans");
await run("node import", ["node", "--import", "./setup.mjs", "imports.mjs"]);
await run("node require", ["node", "--import", "./setup.mjs", "requires.cjs"]);
await run("bun  import", [process.execPath, "--preload", "./setup.mjs", "imports.mjs"]);
await run("bun  require", [process.execPath, "--preload", "./setup.mjs", "requires.cjs"]);
await run("bun  Bun.serve", [process.execPath, "--preload", "./setup.mjs", "bun-serve.mjs"]);
await collector.stop(true);

async function run(what: string, command: string[]): Promise<void> {
  spans = [];
  const program = Bun.spawn(command, {
    cwd: join(import.meta.dir, "00-auto"),
    env: {
      PATH: process.env["PATH"],
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.origin,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_METRICS_EXPORTER: "none",
      OTEL_LOGS_EXPORTER: "none",
      // Then an instrumentation says of which module its hook got hold.
      OTEL_LOG_LEVEL: "debug",
    },
    stderr: "pipe",
  });
  const [printed, complaints] = await Promise.all([program.stdout.text(), program.stderr.text()]);
  if ((await program.exited) !== 0) throw new Error(complaints);
  const patched = printed.matchAll(/Applying instrumentation patch .*\{ module: ['"](\S+)['"]/g);
  const hooked = new Set([...patched].map(([, module]) => module));
  show(what, [...hooked].join(", "), spans.toSorted().join(", "));
}

function show(what: string, hooked: string, made: string): void {
  console.log(what.padEnd(26), (hooked || "nothing").padEnd(9), made || "none");
}
