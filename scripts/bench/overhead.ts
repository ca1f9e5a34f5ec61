// bun run bench overhead: what tracing costs a bare Elysia route, as a share of its throughput.
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { markdownTable, percent, percentile, showSpread, spreadOf, whole } from "./figures.ts";
import { startSpanSink, type SpanSink } from "./infrastructure.ts";
import { hasWrk, sendLoad, sendWithWrk } from "./load.ts";
import { readFlags, wholeNumber } from "./options.ts";
import type { Instrumentation, ServerOrder, ServerReport } from "./overhead-server.ts";

interface Variant {
  /** As in --only. */
  id: string;
  name: string;
  instrumentation: Instrumentation;
  env?: Record<string, string>;
  /** Headers of each request. */
  headers?: Record<string, string>;
}

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED_PARENT = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` };
const UNSAMPLED_PARENT = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-00` };

const VARIANTS: readonly Variant[] = [
  { id: "bare", name: "bare", instrumentation: "none" },
  { id: "layer", name: "our layer", instrumentation: "layer" },
  {
    id: "sampled-parent",
    name: "our layer, sampled parent",
    instrumentation: "layer",
    headers: SAMPLED_PARENT,
  },
  {
    id: "one-percent",
    name: "our layer, 1 % sampled",
    instrumentation: "layer",
    env: { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.01" },
  },
  {
    id: "unsampled-parent",
    name: "our layer, unsampled parent",
    instrumentation: "layer",
    headers: UNSAMPLED_PARENT,
  },
  {
    id: "disabled",
    name: "our layer, OTEL_SDK_DISABLED",
    instrumentation: "layer",
    env: { OTEL_SDK_DISABLED: "true" },
  },
  { id: "stock", name: "stock SDK by hand, no metrics", instrumentation: "stock" },
  {
    id: "plugin",
    name: "@elysiajs/opentelemetry",
    instrumentation: "layer",
    env: { HTTP_INSTRUMENTATION: "elysia" },
  },
];

const CONNECTIONS = 64;
/** Enough for the just-in-time compiler to have seen everything, on a busy machine too. */
const WARM_UP = { requests: 100_000, secondsMax: 20 };
/** Of the tenths of a second, the one that so many percent do better than: what others on the machine do is left out. */
const CPU_PERCENT = 10;
const ANSWER_TIMEOUT_MS = 30_000;

interface Sample {
  perSecond: number;
  cpuMicrosPerRequest: number;
  exportedPerRequest: number;
  droppedShare: number;
}

/** Runs the variants in turns and prints a table. @param args see the usage text */
export async function benchOverhead(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["rounds", "seconds", "only", "profile"]);
  const rounds = wholeNumber("rounds", flags.rounds, 5, { min: 1, max: 1_000 });
  const seconds = wholeNumber("seconds", flags.seconds, 3, { min: 1, max: 600 });
  const variants = variantsOf(flags.only);
  const profileFolder = flags.profile && resolve(flags.profile);

  const sink = await startSpanSink();
  try {
    const samples = new Map<string, Sample[]>(variants.map(({ name }) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      for (const variant of variants) {
        const sample = await measure(variant, sink, seconds, profileFolder);
        samples.get(variant.name)?.push(sample);
        console.error(
          `round ${round}/${rounds}  ${variant.name}: ${whole(sample.perSecond)} requests/s`,
        );
      }
    }
    console.log(
      `\n${CONNECTIONS} connections by ${hasWrk() ? "wrk" : "our own client"}, ${rounds} rounds of ${seconds} s` +
        ` in turns, Bun ${Bun.version}, ${availableParallelism()} processors.`,
    );
    console.log(`Median (lowest to highest of the rounds).\n`);
    console.log(tableOf(samples));
  } finally {
    await sink.stop();
  }
}

/** The bare server always takes part: the others are compared with it. */
function variantsOf(only: string | undefined): readonly Variant[] {
  const ids = only?.split(",");
  for (const id of ids ?? []) {
    if (VARIANTS.some((variant) => variant.id === id)) continue;
    throw new Error(`--only takes ${VARIANTS.map((variant) => variant.id).join(", ")}`);
  }
  return VARIANTS.filter(({ id }) => id === "bare" || (ids ?? [id]).includes(id));
}

async function measure(
  variant: Variant,
  sink: SpanSink,
  seconds: number,
  profileFolder: string | undefined,
): Promise<Sample> {
  const spansBefore = await sink.count();
  const server = startServer(variant, sink.url, profileFolder);
  try {
    const { url } = await server.next("listening");
    let requests = 0;
    for (let spent = 0; requests < WARM_UP.requests && spent < WARM_UP.secondsMax; spent++) {
      requests += (await load(url, variant, 1)).answered;
    }
    await server.ask("start", "started");
    const { perSecond, answered } = await load(url, variant, seconds);
    const { cpuMicrosPerRequest } = await server.ask("stop", "stopped");
    const { droppedSpans } = await server.ask("finish", "finished");
    const exportedSpans = (await sink.count()) - spansBefore;
    const spans = exportedSpans + droppedSpans;
    return {
      perSecond,
      cpuMicrosPerRequest: percentile(
        cpuMicrosPerRequest.toSorted((a, b) => a - b),
        CPU_PERCENT,
      ),
      exportedPerRequest: exportedSpans / (requests + answered),
      droppedShare: spans === 0 ? 0 : droppedSpans / spans,
    };
  } finally {
    await server.stop();
  }
}

async function load(url: string, { headers = {} }: Variant, seconds: number) {
  const bounds = { headers, connections: CONNECTIONS, seconds };
  return hasWrk() ? sendWithWrk(url, bounds) : sendLoad({ url, method: "GET", ...bounds });
}

/** Starts the server of a variant; its messages are read one by one. */
function startServer(variant: Variant, sinkUrl: string, profileFolder: string | undefined) {
  const reports: ServerReport[] = [];
  let arrived = Promise.withResolvers<void>();
  const { PATH = "", HOME = "" } = process.env;
  const child = Bun.spawn(
    [
      process.execPath,
      ...(profileFolder ? ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`] : []),
      join(import.meta.dir, "overhead-server.ts"),
      variant.instrumentation,
    ],
    {
      env: {
        PATH,
        HOME,
        OTEL_EXPORTER_OTLP_ENDPOINT: sinkUrl,
        LOG_LEVEL: "error",
        ...variant.env,
      },
      stdout: "inherit",
      stderr: "inherit",
      ipc(message: ServerReport) {
        reports.push(message);
        arrived.resolve();
      },
    },
  );
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

function tableOf(samples: ReadonlyMap<string, readonly Sample[]>): string {
  const bare = samples.get("bare") ?? [];
  const bareCpu = spreadOf(bare.map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest));
  const rows = [...samples].map(([name, own]) => {
    const of = (pick: (sample: Sample) => number) => spreadOf(own.map(pick));
    // Each round is compared with the bare server's run of the same round.
    const share = spreadOf(
      own.map(({ perSecond }, round) => perSecond / (bare[round]?.perSecond ?? Number.NaN)),
    );
    const cpu = of((sample) => sample.cpuMicrosPerRequest);
    return [
      name,
      showSpread(
        of((sample) => sample.perSecond),
        whole,
      ),
      showSpread(share, percent),
      showSpread(cpu, (value) => value.toFixed(1)),
      percent(bareCpu.median / cpu.median),
      of((sample) => sample.exportedPerRequest).median.toFixed(2),
      percent(of((sample) => sample.droppedShare).median),
    ];
  });
  const header = [
    "",
    "requests/s",
    "share of bare",
    "server CPU µs/request",
    "share by CPU",
    "spans/request exported",
    "dropped",
  ];
  return markdownTable(header, rows);
}
