// bun run bench hanging: what a service does while its collector takes connections and never answers,
// against one whose collector is well, in turns.
import { spawnService, type ServiceProcess } from "#lib/embedded/service-process.ts";
import { droppedByReason } from "./dropped-spans.ts";
import { wholeNumber } from "../shared/command-line.ts";
import { inSeconds, mebibytes, percent, showSpread, spreadOf, whole } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import { startSpanSink } from "./infrastructure.ts";
import { sendLoad } from "./load.ts";
import { readFlags } from "./options.ts";
import { usageOf } from "./process-usage.ts";

const CONNECTIONS = 8;
const WARM_UP_SECONDS = 5;
const MAIL = JSON.stringify({ to: "a@example.com", subject: "Hello", body: "Hello." });

interface Measured {
  process: ServiceProcess;
  url: string;
  perSecond: number[];
  requests: number;
  failed: number;
  rssBytes: number[];
}

/** Runs the turns and prints what happened. @param args see the usage text */
export async function benchHanging(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["rounds", "seconds"]);
  const rounds = wholeNumber("rounds", flags.rounds, 10, { min: 1, max: 1_000 });
  const seconds = wholeNumber("seconds", flags.seconds, 15, { min: 1, max: 600 });
  const sink = await startSpanSink();
  const hole = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: () => new Promise<Response>(() => undefined),
  });
  const started: Measured[] = [];
  try {
    const well = await startMailService(sink.url, started);
    const hanging = await startMailService(hole.url.origin, started);
    for (const service of started) await measure(service, WARM_UP_SECONDS, false);
    for (let round = 1; round <= rounds; round++) {
      for (const service of round % 2 === 1 ? [well, hanging] : [hanging, well]) {
        await measure(service, seconds, true);
      }
      console.error(
        `round ${round}/${rounds}: ${whole(hanging.perSecond.at(-1) ?? 0)} requests/s while it hangs,` +
          ` ${whole(well.perSecond.at(-1) ?? 0)} while it is well`,
      );
    }
    const dropped = droppedByReason(await (await fetch(`${hanging.url}/metrics`)).text());
    const stopMs = await stopped(hanging.process);
    print({ well, hanging }, dropped, stopMs, { rounds, seconds });
  } finally {
    for (const service of started) await service.process.end("SIGTERM");
    await hole.stop(true);
    await sink.stop();
  }
}

async function startMailService(collectorUrl: string, started: Measured[]): Promise<Measured> {
  const { PATH = "", HOME = "" } = process.env;
  const env = {
    PATH,
    HOME,
    PORT: "0",
    LOG_LEVEL: "warn",
    EMAIL_DELAY_MS: "0-0",
    OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl,
  };
  const service = spawnService("email", env, () => undefined);
  const measured: Measured = {
    process: service,
    url: "",
    perSecond: [],
    requests: 0,
    failed: 0,
    rssBytes: [],
  };
  started.push(measured);
  measured.url = `http://127.0.0.1:${await service.listening}`;
  return measured;
}

async function measure(service: Measured, seconds: number, counts: boolean): Promise<void> {
  const { perSecond, answered, statuses, broken } = await sendLoad({
    url: `${service.url}/send`,
    method: "POST",
    bodies: [MAIL],
    connections: CONNECTIONS,
    seconds,
  });
  service.requests += answered;
  service.failed += answered - (statuses["200"] ?? 0) + broken;
  const usage = await usageOf(service.process.pid);
  service.rssBytes.push(usage?.rssBytes ?? Number.NaN);
  if (counts) service.perSecond.push(perSecond);
}

async function stopped(service: ServiceProcess): Promise<string> {
  const startedMs = performance.now();
  await service.end("SIGTERM");
  return `${await service.ended} after ${inSeconds(performance.now() - startedMs)}`;
}

function print(
  { well, hanging }: Record<"well" | "hanging", Measured>,
  dropped: ReadonlyMap<string, number>,
  stop: string,
  { rounds, seconds }: { rounds: number; seconds: number },
): void {
  const row = (name: string, { perSecond, requests, failed, rssBytes }: Measured) => [
    name,
    showSpread(spreadOf(perSecond), whole),
    whole(requests),
    whole(failed),
    mebibytes(rssBytes[0] ?? Number.NaN),
    mebibytes(Math.max(...rssBytes)),
    mebibytes(rssBytes.at(-1) ?? Number.NaN),
  ];
  const header = ["collector", "requests/s", "requests", "failed", "RSS at first", "most", "last"];
  const ratios = hanging.perSecond.map((rate, round) => rate / (well.perSecond[round] ?? 0));
  console.log(
    `\n${rounds} rounds of ${seconds} s each in turns, ${CONNECTIONS} connections to the mail service.\n`,
  );
  console.log(figuresTable(header, [row("is well", well), row("hangs", hanging)]));
  console.log(`\nhanging / well: ${showSpread(spreadOf(ratios), percent)}`);
  const lost = [...dropped].map(([reason, count]) => `${whole(count)} ${reason}`).join(", ");
  console.log(`spans lost and counted: ${lost || "none"}`);
  console.log(`SIGTERM while it hangs: the service ${stop}`);
}
