// Traces in the terminal: listed, searched, followed, and drawn; of the demo's store, or of `bun run viewer`.
import type { OtlpTrace } from "#lib/embedded/traces/otlp.ts";
import { QUERY_PORT } from "#lib/embedded/traces/ports.ts";
import { criticalPath, modelOf } from "#lib/embedded/viewer/model.ts";
import type { WireFound, WireSummary, WireTrace } from "#lib/embedded/viewer/wire.ts";
import { parseCommand, runCommand, UsageError } from "./shared/command-line.ts";
import { terminal } from "./shared/terminal.ts";
import { renderWaterfall } from "./shared/waterfall.ts";

const USAGE = `Usage:
  bun run traces [list]          the newest traces, newest last
  bun run traces follow          the same, and those that come, until Ctrl-C
  bun run traces --trace ID      draws a trace: repeats in one line, the critical path marked
Options for list and follow:
  --text T  --service S  --operation O  --attribute KEY[=VALUE]  --status error|ok  --min 100ms  --max 2s
  --limit N (default 20)
--url says where the store is (default http://localhost:${QUERY_PORT}, or JAEGER_PORT).`;

const OPTIONS = {
  trace: { type: "string" },
  text: { type: "string" },
  service: { type: "string" },
  operation: { type: "string" },
  attribute: { type: "string" },
  status: { type: "string" },
  min: { type: "string" },
  max: { type: "string" },
  limit: { type: "string", default: "20" },
  url: { type: "string", default: `http://localhost:${process.env["JAEGER_PORT"] || QUERY_PORT}` },
} as const;
const LOOK_AGAIN_MS = 500;

/** The store does not answer, or not as one should. */
class StoreProblem extends Error {
  override readonly name = "StoreProblem";
}

// A reader that went away, as in `… | head`, ends this quietly.
process.stdout.on("error", () => process.exit(0));
await runCommand(USAGE, main, (error) =>
  error instanceof StoreProblem
    ? error.message
    : String(error instanceof Error ? error.stack : error),
);

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseCommand(args, OPTIONS);
  const { url, trace, ...query } = values;
  const [command = trace ?? "list", ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`unknown: ${rest.join(" ")}`);
  if (command === "list") return void (await list(url, query));
  if (command === "follow") return await follow(url, query);
  if (/^[0-9a-f]{1,32}$/i.test(command)) return await draw(url, command);
  throw new UsageError(`unknown: ${command}`);
}

type Query = Readonly<Record<string, string | undefined>>;

/** @returns the ids of the traces that it has listed */
async function list(
  url: string,
  query: Query,
  known: ReadonlySet<string> = new Set(),
): Promise<Set<string>> {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) parameters.set(key, value);
  const found = await ask<WireFound>(`${url}/api/view/traces?${parameters}`);
  const fresh = found.traces.filter(({ traceId }) => !known.has(traceId));
  for (const trace of fresh.toReversed()) console.log(lineOf(trace));
  return new Set([...known, ...fresh.map(({ traceId }) => traceId)]);
}

async function follow(url: string, query: Query): Promise<void> {
  let known = await list(url, query);
  for (;;) {
    await Bun.sleep(LOOK_AGAIN_MS);
    known = await list(url, query, known);
  }
}

function lineOf({
  traceId,
  startUs,
  durationUs,
  service,
  name,
  spans,
  errors,
  services,
}: WireSummary): string {
  const time = new Date(startUs / 1_000).toTimeString().slice(0, 8);
  const took = durationUs < 1_000 ? `${durationUs} µs` : `${(durationUs / 1_000).toFixed(1)} ms`;
  const failed = errors > 0 ? `  ✗ ${errors}` : "";
  // What stands in a name must not reach the terminal as more than text.
  const what = `${service} ${name}`.replaceAll(/[\p{Cc}\p{Cf}]/gu, "�");
  return `${traceId}  ${time}  ${took.padStart(10)}  ${count(spans, "span").padStart(9)}, ${count(services.length, "service")}  ${what}${failed}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

async function draw(url: string, id: string): Promise<void> {
  const wire = await ask<WireTrace>(`${url}/api/view/trace/${id}`);
  const otlp = await ask<{ result: OtlpTrace }>(`${url}/api/v3/traces/${wire.traceId}`);
  const critical = new Set([...criticalPath(modelOf(wire)).keys()].map((span) => span.id));
  const text = renderWaterfall(otlp.result, {
    ...terminal(),
    fold: true,
    critical,
  });
  process.stdout.write(text);
}

/** @throws StoreProblem */
async function ask<T>(url: string): Promise<T> {
  const response = await fetch(url, { proxy: "" }).catch(() => undefined);
  if (!response) {
    throw new StoreProblem(
      `nothing answers at ${new URL(url).origin}: does the demo run, or bun run viewer?`,
    );
  }
  const body = (await response.json().catch(() => ({}))) as T & {
    error?: string | { message: string };
  };
  if (response.ok) return body;
  const { error } = body;
  const text = typeof error === "string" ? error : error?.message;
  throw new StoreProblem(text ?? `the store answered ${response.status}`);
}
