// The demo: starts everything on this machine, places one order and draws its trace.

import { join, relative } from "node:path";
import { parseArgs } from "node:util";

import { SERVICE_NAMES } from "#lib/service/services.ts";
import { ConfigError } from "#lib/service/config.ts";
import { settledWithin } from "#lib/waiting/waiting.ts";

import { FIRST_ORDER, waitForTrace, type FoundTrace } from "./demo/first-order.ts";
import { placeOrder, readStatus } from "./shared/gateway.ts";
import { aborted, interruption, Interrupted } from "./shared/interruption.ts";
import { checkPorts, PORT_VARIABLES, PortsError, readPorts } from "./demo/ports.ts";
import { openServiceLogs, worryIn } from "./demo/service-logs.ts";
import { startStack, type Stack } from "./demo/stack.ts";
import { formatSeconds, partLine, whereToLook } from "./demo/text.ts";
import { watchFiles } from "./demo/watch.ts";
import { forPeople, terminal } from "./shared/terminal.ts";
import { renderWaterfall } from "./shared/waterfall.ts";

const USAGE = `usage: bun run demo [--once] [--json] [--watch] [--verbose]

Starts PostgreSQL, a Kafka broker, a trace store and the five services, places one
order, draws its trace, says where to look, and stays until Ctrl-C.

  --once     stop after the trace; exit status 0 only where the trace is whole
  --json     the trace as OTLP JSON on standard output, nothing else there; implies --once
  --watch    restart a service when its files change (bun run dev)
  --verbose  show the services' log lines
  --help     show this

Ports (0: any free one; PORTS=free: all of them):
${PORT_VARIABLES.map((variable) => `  ${variable}`).join("\n")}
`;

const ROOT = join(import.meta.dir, "..");
const LOGS_FOLDER = join(ROOT, ".orderflow/logs");
const SAME_CTRL_C_MS = 300;

/** Variables by which a trace may rightly be none, or a part of one. */
const TRACE_SWITCHES = ["OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER"];

interface Options {
  readonly once: boolean;
  readonly json: boolean;
  readonly watch: boolean;
  readonly verbose: boolean;
}

// A reader that went away, as in `… | head`, is no reason to leave processes behind.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
process.exitCode = await main(process.argv.slice(2));

/** @returns the exit status */
async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  if (!options) {
    process.stderr.write(USAGE);
    return 2;
  }
  const interrupted = interruption(() => process.stderr.write("stopping\n"));
  try {
    return await runDemo(options, interrupted);
  } catch (error) {
    // A terminal's Ctrl-C goes to all parts: one may end of it before it was heard here.
    await settledWithin(aborted(interrupted), SAME_CTRL_C_MS);
    const { reason }: { reason?: unknown } = interrupted;
    if (reason instanceof Interrupted) return reason.exitStatus;
    const isForPeople = error instanceof PortsError || error instanceof ConfigError;
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(isForPeople ? `${text}\n` : `\nthe demo failed: ${text}\n`);
    return 1;
  }
}

/** @returns undefined where the arguments make no sense */
function readOptions(args: readonly string[]): Options | "help" | undefined {
  const flag = { type: "boolean", default: false } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { once: flag, json: flag, watch: flag, verbose: flag, help: flag },
    });
    if (values.help) return "help";
    const once = values.once || values.json;
    return once && values.watch ? undefined : { ...values, once };
  } catch {
    return undefined;
  }
}

async function runDemo(options: Options, interrupted: AbortSignal): Promise<number> {
  const startMs = performance.now();
  const say = (text: string) => {
    (options.json ? process.stderr : process.stdout).write(`${text}\n`);
  };
  const ports = readPorts(process.env);
  await checkPorts(ports);

  // A demo that does not stay leaves no files either; where it fails, it shows the last lines.
  const logs = options.once ? undefined : openServiceLogs(LOGS_FOLDER, SERVICE_NAMES, say);
  let isStaying = false;
  const stack = await startStack({
    ports,
    signal: interrupted,
    onReady: (part, where, durationMs) => say(partLine(part, forPeople(where), durationMs)),
    onBrokerFault: (error) => {
      say(`Kafka broker: internal error, connection closed: ${Bun.inspect(error)}`);
    },
    onLine: (service, line) => {
      logs?.write(service, line);
      // Before all is up a service rightly warns that it waits for another.
      const shown = options.verbose ? line : isStaying ? worryIn(line) : undefined;
      if (shown) say(`${service}: ${shown}`);
    },
    onUnexpectedEnd: (service, how) => say(`${service} ${how}`),
  });
  try {
    say(`ready after ${formatSeconds(performance.now() - startMs)}\n`);
    const found = await showFirstOrder(stack, options, say, interrupted);
    if (options.once) return found.missing.length === 0 ? 0 : 1;

    // Before the demo says that it is there: what is changed from then on is seen.
    const unwatch = options.watch ? watchFiles(stack.services, say) : undefined;
    say(
      whereToLook({
        gatewayUrl: stack.services.urls.gateway,
        queryUrl: stack.store.queryUrl,
        traceId: found.traceId,
        postgresUrl: stack.postgres.url,
        kafkaBrokers: stack.kafka.brokers,
        otlpUrl: stack.store.otlpUrl,
        logsFolder: logs && relative(process.cwd(), LOGS_FOLDER),
      }),
    );
    isStaying = true;
    await aborted(interrupted);
    isStaying = false;
    unwatch?.();
    return 0;
  } finally {
    await stack.stop();
    logs?.close();
  }
}

async function showFirstOrder(
  stack: Stack,
  options: Options,
  say: (text: string) => void,
  interrupted: AbortSignal,
): Promise<FoundTrace> {
  const { gateway } = stack.services.urls;
  const order = await placeOrder(gateway, FIRST_ORDER, interrupted);
  const found = await waitForTrace(stack.store, order.id, interrupted);
  const status = await readStatus(gateway, order.id, interrupted);
  say(`POST ${forPeople(gateway)}/orders\norder ${order.id} is ${status}\n`);
  if (options.json) await Bun.write(Bun.stdout, `${JSON.stringify(found.trace)}\n`);
  else say(renderWaterfall(found.trace, terminal()));
  if (found.missing.length > 0) {
    say(["the trace is not whole; missing:", ...found.missing].join("\n  "));
    const given = TRACE_SWITCHES.filter((name) => process.env[name]);
    if (given.length > 0) say(`What the environment says of traces: ${given.join(", ")}`);
  }
  return found;
}
