// bun run bench overhead: what tracing costs a bare Elysia route, as a share of its throughput. All servers
// are up at once and are given load in turns so short that the machine is much the same for each; what
// counts is how each does beside its bare one in the same round.
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { wholeNumber } from "../shared/command-line.ts";
import { percent, percentile, spreadOf, whole } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import { startSpanSink, type SpanSink } from "./infrastructure.ts";
import { hasWrk, sendLoad, sendWithWrk } from "./load.ts";
import { peerCommand, prepareNodePeers } from "./node-peers.ts";
import { readFlags } from "./options.ts";
import type { ServerOrder, ServerReport } from "./overhead-server.ts";
import { baseOf, chooseVariants, isPeer, type Variant } from "./overhead-variants.ts";

const CONNECTIONS = 64;
/** Enough for the just-in-time compiler to have seen everything, on a busy machine too. */
const WARM_UP = { requests: 50_000, turnMs: 1_000, turnsMax: 20 };
const ANSWER_TIMEOUT_MS = 30_000;

/** One turn of one server. */
interface Sample {
  perSecond: number;
  cpuMicrosPerRequest: number;
  exportedPerRequest: number;
  dropped: number;
}

type Server = ReturnType<typeof startServer> & { url: string; samples: Sample[] };

/** Gives the variants load in turns and prints a table. @param args see the usage text */
export async function benchOverhead(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["rounds", "ms", "only", "profile"], ["peers", "steps"]);
  const rounds = wholeNumber("rounds", flags.rounds, 25, { min: 1, max: 10_000 });
  const ms = wholeNumber("ms", flags.ms, 400, { min: 100, max: 60_000 });
  const variants = chooseVariants(flags.only, flags);
  const profileFolder = flags.profile && resolve(flags.profile);
  const nodeVersion = variants.some(isPeer) ? await prepareNodePeers() : undefined;

  const sink = await startSpanSink();
  const servers: Server[] = [];
  try {
    for (const variant of variants) {
      const server = startServer(variant, sink.url, profileFolder);
      servers.push({ ...server, url: "", samples: [] });
    }
    for (const server of servers) {
      server.url = (await server.next("listening")).url;
      await warmUp(server);
    }
    for (let round = 1; round <= rounds; round++) {
      // Back and forth, so that none of them is always the one after another.
      for (const server of round % 2 === 0 ? servers.toReversed() : servers) {
        server.samples.push(await measure(server, sink, ms));
      }
      console.error(`round ${round} of ${rounds}`);
    }
    console.log(
      `\n${CONNECTIONS} connections by ${hasWrk() ? "wrk" : "our own client"}, ${rounds} rounds of ${ms} ms` +
        ` in turns, Bun ${Bun.version},${nodeVersion ? ` Node ${nodeVersion},` : ""}` +
        ` ${availableParallelism()} processors.`,
    );
    console.log(
      `Median (quartiles) of the rounds; shares and added time against bare in the same round` +
        `${nodeVersion ? ", on Node that of the same framework" : ""}.\n`,
    );
    console.log(tableOf(servers));
  } finally {
    for (const server of servers) await server.stop();
    await sink.stop();
  }
}

async function warmUp(server: Server): Promise<void> {
  let requests = 0;
  for (let turn = 0; requests < WARM_UP.requests && turn < WARM_UP.turnsMax; turn++) {
    requests += (await load(server, WARM_UP.turnMs)).answered;
  }
  await server.ask("finish", "finished");
}

async function measure(server: Server, sink: SpanSink, ms: number): Promise<Sample> {
  const spansBefore = await sink.count();
  await server.ask("start", "started");
  const { perSecond } = await load(server, ms);
  const { cpuMicros, handled } = await server.ask("stop", "stopped");
  // Nothing is left to be sent while another one is measured.
  const { droppedSpans } = await server.ask("finish", "finished");
  return {
    perSecond,
    cpuMicrosPerRequest: cpuMicros / handled,
    exportedPerRequest: ((await sink.count()) - spansBefore) / handled,
    dropped: droppedSpans,
  };
}

async function load({ url, variant: { headers = {} } }: Server, ms: number) {
  return hasWrk()
    ? sendWithWrk(url, { headers, connections: CONNECTIONS, ms })
    : sendLoad({ url, method: "GET", headers, connections: CONNECTIONS, seconds: ms / 1000 });
}

/** @param profileFolder where the server is to write a profile, if it is */
function commandOf({ server }: Variant, profileFolder: string | undefined): string[] {
  // Bun and Node call it the same.
  const flags = profileFolder ? ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`] : [];
  return typeof server === "string"
    ? [process.execPath, ...flags, join(import.meta.dir, "overhead-server.ts"), server]
    : peerCommand(server, flags);
}

/** Starts the server of a variant; its messages are read one by one. */
function startServer(variant: Variant, sinkUrl: string, profileFolder: string | undefined) {
  const reports: ServerReport[] = [];
  let arrived = Promise.withResolvers<void>();
  const { PATH = "", HOME = "" } = process.env;
  const child = Bun.spawn(commandOf(variant, profileFolder), {
    env: {
      PATH,
      HOME,
      OTEL_EXPORTER_OTLP_ENDPOINT: sinkUrl,
      LOG_LEVEL: "error",
      ...variant.env,
    },
    // The one format that Node speaks as well.
    serialization: "json",
    stdout: "inherit",
    stderr: "inherit",
    ipc(message: ServerReport) {
      reports.push(message);
      arrived.resolve();
    },
  });
  async function next<Type extends ServerReport["type"]>(type: Type) {
    const giveUp = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    while (!reports.some((report) => report.type === type)) {
      if (child.exitCode !== null) throw new Error(`the server of "${variant.name}" ended`);
      giveUp.throwIfAborted();
      await Promise.race([arrived.promise, Bun.sleep(100)]);
      arrived = Promise.withResolvers();
    }
    const index = reports.findIndex((report) => report.type === type);
    return reports.splice(index, 1)[0] as Extract<ServerReport, { type: Type }>;
  }
  return {
    variant,
    next,
    ask<Type extends ServerReport["type"]>(order: ServerOrder, answer: Type) {
      child.send(order);
      return next(answer);
    },
    async stop() {
      child.kill();
      await child.exited;
    },
  };
}

function tableOf(servers: readonly Server[]): string {
  const rows = servers.map(({ variant, samples }) => {
    const bare = servers.find(({ variant: { id } }) => id === baseOf(variant))?.samples ?? [];
    const paired = (compare: (own: Sample, bare: Sample) => number) =>
      samples.flatMap((own, round) => (bare[round] ? [compare(own, bare[round])] : []));
    // Microseconds of a machine whose bare request always costs what it costs here in the middle.
    const bareMicros = spreadOf(bare.map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest)).median;
    const added = paired(
      (own, { cpuMicrosPerRequest }) =>
        (own.cpuMicrosPerRequest / cpuMicrosPerRequest - 1) * bareMicros,
    );
    return [
      variant.name,
      showQuartiles(
        samples.map(({ perSecond }) => perSecond),
        whole,
      ),
      showQuartiles(
        paired((own, { perSecond }) => own.perSecond / perSecond),
        percent,
      ),
      showQuartiles(added, (micros) => micros.toFixed(1)),
      spreadOf(samples.map(({ exportedPerRequest }) => exportedPerRequest)).median.toFixed(2),
      // It counts from the server's start.
      whole(samples.at(-1)?.dropped ?? 0),
    ];
  });
  const header = [
    "",
    "requests/s",
    "share of bare",
    "added server CPU, µs/request",
    "spans/request exported",
    "spans dropped",
  ];
  return figuresTable(header, rows);
}

function showQuartiles(values: readonly number[], show: (value: number) => string): string {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, mid, high] = [25, 50, 75].map((part) => show(percentile(sorted, part)));
  return `${mid} (${low} to ${high})`;
}
