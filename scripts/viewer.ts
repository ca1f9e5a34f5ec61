// The trace store and its pages alone, for any program that sends OTLP.
import { resolve } from "node:path";
import { ImportError } from "#lib/embedded/traces/import.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { OTLP_PORT, QUERY_PORT } from "#lib/embedded/traces/ports.ts";
import { ConfigError } from "#lib/service/config.ts";
import { parseCommand, runCommand, UsageError } from "./shared/command-line.ts";
import { readPorts } from "./demo/ports.ts";
import { forPeople } from "./shared/terminal.ts";

const USAGE = `Usage:
  bun run viewer [FILE …]     traces, logs and metrics of any program that sends OTLP/HTTP
FILE: OTLP's JSON, one object or one a line, or what Jaeger's page saves; it is shown as well.
Options:
  --keep FILE     holds what comes, an export a line, and shows what it holds already
  --source FOLDER whose files are shown where a span names a line of them (default: this folder)
OTLP_PORT=${OTLP_PORT} and JAEGER_PORT=${QUERY_PORT} move it; 0 is any free port.`;

const OPTIONS = {
  keep: { type: "string" },
  source: { type: "string", default: "." },
} as const;

await runCommand(USAGE, main, describe);

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseCommand(args, OPTIONS);
  const ports = readPorts(process.env);
  const store = await startTraceStore({
    otlpPort: ports.otlp,
    queryPort: ports.jaeger,
    sourceRoot: resolve(values.source),
    ...(values.keep !== undefined && { keepFile: values.keep }),
  });
  try {
    for (const file of positionals) await importFile(store, file);
    console.log(
      [
        `Traces are at ${forPeople(store.queryUrl)}`,
        "Send some, with this in a program's environment:",
        `  OTEL_EXPORTER_OTLP_ENDPOINT=${forPeople(store.otlpUrl)}`,
        ...(values.keep === undefined ? [] : [`What comes is kept in ${values.keep}.`]),
        "Ctrl-C ends it.",
      ].join("\n"),
    );
    await new Promise<void>((end) => {
      process.once("SIGINT", () => end()).once("SIGTERM", () => end());
    });
    const problem = store.keepProblem();
    if (problem) console.error(problem);
  } finally {
    await store.stop();
  }
}

async function importFile(store: TraceStore, file: string): Promise<void> {
  if (!(await Bun.file(file).exists())) throw new UsageError(`there is no file ${file}`);
  try {
    const { spans, logRecords, rejectedSpans, errorMessage } = store.importText(
      await Bun.file(file).text(),
    );
    const logs = logRecords > 0 ? `, ${logRecords} log records` : "";
    console.log(`${file}: ${spans} spans${logs}`);
    if (rejectedSpans > 0) console.error(`${file}: ${rejectedSpans} not taken: ${errorMessage}`);
  } catch (error) {
    if (error instanceof ImportError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

function describe(error: unknown): string {
  if (error instanceof ImportError || error instanceof ConfigError) return error.message;
  if (error instanceof Error && error.cause instanceof Error) {
    return `${error.message}: ${error.cause.message}`;
  }
  return error instanceof Error ? error.message : String(error);
}
