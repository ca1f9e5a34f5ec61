/** Starts a stage's programs with a database, a broker and a collector of their own. */
import { freePort, isFree } from "#lib/embedded/free-port.ts";
import type { Parts } from "../parts.ts";
import type { Program, Stage } from "../stages.ts";
import { startCollector, type RecordingCollector } from "./collector.ts";
import { createDatabase, type RunDatabase } from "./database.ts";
import { startKafka, type RunKafka } from "./kafka.ts";
import { Programs, type ProgramsOptions } from "./programs.ts";
import { startRecordingProxy, type RecordingProxy } from "./recording-proxy.ts";
import { createRequests } from "./request.ts";
import { tracesOf } from "./seen-span.ts";
import type { System } from "./system.ts";
import { seenWhen } from "./wait.ts";

/** Variables for one program, or for all. */
export type ProgramEnv = Readonly<
  Partial<Record<Program | "all", Readonly<Record<string, string>>>>
>;

/** See {@link startSystem}. */
export interface SystemOptions extends Pick<
  ProgramsOptions,
  "onLine" | "onUnexpectedEnd" | "readyTimeoutMs"
> {
  /** With the programs' files and schema.sql. */
  readonly folder: string;
  readonly stage: Stage;
  readonly parts: Parts;
  /** @default the stage's */
  readonly programs?: readonly Program[];
  /** Added to the programs' environment. */
  readonly env?: ProgramEnv;
  /** Gateway on 4000, orders on 4001, shipping on 4002, where these are free. @default any free ones */
  readonly preferPorts?: boolean;
  /** Whether the viewer gets the spans, too. @default true */
  readonly forward?: boolean;
  /** Gives the start up, and later every wait. */
  readonly signal?: AbortSignal;
}

/** Where they listen, if told to and if it is free. */
export const PROGRAM_PORTS: Readonly<Record<Program, number>> = {
  gateway: 4000,
  orders: 4001,
  shipping: 4002,
  worker: 4003,
};
const PROGRAMS = Object.keys(PROGRAM_PORTS) as Program[];

/** Who may call whom over HTTP, and so has a recording proxy before it. */
const CALLS: readonly (readonly [from: Program, to: Program, variable: string])[] = [
  ["gateway", "orders", "ORDERS_URL"],
  ["worker", "orders", "ORDERS_URL"],
  ["shipping", "orders", "ORDERS_URL"],
  ["gateway", "shipping", "SHIPPING_URL"],
];

const WAIT_TIMEOUT_MS = 4_000;
const SETTLE_MS = 200;
const QUIET_MS = 300;
const QUIET_TIMEOUT_MS = 3_000;

/**
 * Starts everything and waits until all programs are ready.
 * @throws ReaderError where a program does not become ready, or schema.sql is not taken; the signal's
 *   reason; nothing is left running then
 */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { folder, stage, parts, programs: wanted = stage.programs } = options;
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, ...(options.signal ? [options.signal] : [])]);
  await using undo = new AsyncDisposableStack();

  const collector = startCollector(options.forward === false ? undefined : parts.otlpUrl);
  undo.defer(() => collector.stop());
  const database = await createDatabase(parts.postgresUrl, folder);
  undo.defer(() => database.drop());
  const kafka = await startKafka();
  undo.defer(() => kafka.stop());

  const ports = claimPorts(options.preferPorts ?? false);
  undo.defer(() => Object.values(ports).forEach((port) => claimed.delete(port)));
  const urlOf = (program: Program) =>
    program !== "worker" && wanted.includes(program) ? `http://127.0.0.1:${ports[program]}` : "";
  const network = await startNetwork(wanted, stage, ports, undo);

  const programs = new Programs({
    ...options,
    programs: wanted,
    ports,
    envOf: (program) => ({
      ...ownEnvironment(),
      PORT: String(ports[program]),
      ...network.urlsOf(program),
      POSTGRES_URL: database.url,
      KAFKA_BROKERS: kafka.brokers,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      // Soon, so that nobody waits for what a program has to show.
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      // kafkajs sets timers to times that have passed, and Bun says so: three lines that lead nowhere.
      NODE_NO_WARNINGS: "1",
      ...options.env?.all,
      ...options.env?.[program],
    }),
    isGroupStable: () => kafka.isStable("worker"),
    // A program's consumer group has its name.
    evictMembers: (program) => kafka.evictMembers(program),
    signal,
  });
  undo.defer(async () => void (await programs.stop("SIGTERM")));
  undo.defer(() => ended.abort(new Error("the system has been stopped")));
  await programs.startAll();

  const when: System["when"] = (look, condition, timeoutMs = WAIT_TIMEOUT_MS) =>
    seenWhen(look, condition, { timeoutMs, signal });
  const { hops, disturb } = network;
  const { forget: forgetPrograms, ...running } = runningPrograms(programs, wanted);
  const owned = undo.move();
  return {
    urls: Object.fromEntries(PROGRAMS.map((program) => [program, urlOf(program)])) as Record<
      Program,
      string
    >,
    postgresUrl: database.url,
    kafkaBrokers: kafka.brokers,
    ...createRequests(urlOf, signal),
    ...telemetryIn(collector, signal),
    hops,
    disturb,
    ...recordsIn(kafka, when),
    ...rowsIn(database, when),
    statements: () => parts.statements(database.name),
    when,
    ...running,
    get isWhole() {
      return programs.areAllRunning;
    },
    async forget() {
      collector.control.resume();
      network.calm();
      await untilQuiet(() => `${collector.spans().length} ${hops().length}`, signal);
      collector.forget();
      network.forget();
      forgetPrograms();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The recording proxies between the programs. */
async function startNetwork(
  wanted: readonly Program[],
  stage: Stage,
  ports: Readonly<Record<Program, number>>,
  undo: AsyncDisposableStack,
) {
  const proxies = new Map<string, RecordingProxy>();
  const urls = new Map<Program, Record<string, string>>();
  for (const [from, to, variable] of CALLS) {
    if (!wanted.includes(from) || !stage.programs.includes(to)) continue;
    const proxy = await startRecordingProxy(from, to, `http://127.0.0.1:${ports[to]}`);
    undo.defer(() => proxy.stop());
    proxies.set(`${from} ${to}`, proxy);
    urls.set(from, { ...urls.get(from), [variable]: proxy.url });
  }
  const disturb: System["disturb"] = (from, fault, to = "orders") => {
    const proxy = proxies.get(`${from} ${to}`);
    if (!proxy) throw new Error(`there is no proxy between ${from} and ${to}`);
    proxy.disturb(fault);
  };
  return {
    /** The variables that tell a program where the others are. */
    urlsOf: (program: Program) => urls.get(program),
    hops: () =>
      [...proxies.values()]
        .flatMap((proxy) => proxy.hops())
        .toSorted((a, b) => a.startedMs - b.startedMs),
    disturb,
    calm: () => proxies.forEach((proxy) => proxy.calm()),
    forget: () => proxies.forEach((proxy) => proxy.forget()),
  };
}

function telemetryIn(
  collector: RecordingCollector,
  signal: AbortSignal,
): Pick<System, "spans" | "spansWhen" | "traces" | "metrics" | "logs" | "collector"> {
  return {
    spans: () => collector.spans(),
    spansWhen: (condition, timeoutMs = WAIT_TIMEOUT_MS) =>
      seenWhen(() => collector.spans(), condition, { timeoutMs, settleMs: SETTLE_MS, signal }),
    traces: () => tracesOf(collector.otlpSpans()),
    metrics: () => collector.metrics(),
    logs: () => collector.logs(),
    collector: collector.control,
  };
}

function recordsIn(
  kafka: RunKafka,
  when: System["when"],
): Pick<System, "records" | "recordsWhen" | "consumed" | "produce"> {
  return {
    records: (topic) => kafka.records(topic),
    recordsWhen: (topic, condition, timeoutMs) =>
      when(() => kafka.records(topic), condition, timeoutMs),
    consumed: ({ program = "worker", topic = "order.created", timeoutMs } = {}) =>
      when(
        () => kafka.hasConsumed(program, topic),
        (hasConsumed) => hasConsumed,
        timeoutMs,
      ),
    produce: (topic, ...records) => kafka.produce(topic, records),
  };
}

function rowsIn(
  database: RunDatabase,
  when: System["when"],
): Pick<System, "rows" | "rowsWhen" | "confirmed"> {
  return {
    rows: (text, values) => database.rows(text, values),
    rowsWhen: <Row>(
      text: string,
      condition: (rows: readonly Row[]) => boolean,
      timeoutMs?: number,
    ) => when(() => database.rows<Row>(text), condition, timeoutMs),
    async confirmed(id, timeoutMs) {
      const text = "SELECT FROM orders WHERE id::text = $1 AND status = 'confirmed'";
      const look = async () => (await database.rows(text, [id])).length > 0;
      return await when(look, (isConfirmed) => isConfirmed, timeoutMs);
    },
  };
}

function runningPrograms(programs: Programs, wanted: readonly Program[]) {
  let crashesForgotten = 0;
  const start: System["start"] = (program) => programs.start(program);
  const stop: System["stop"] = (program) =>
    programs.stop("SIGTERM", program === undefined ? wanted : [program]);
  return {
    output: (program: Program) => programs.output(program),
    crashes: () => programs.crashes.slice(crashesForgotten),
    kill: async (program: Program) => void (await programs.stop("SIGKILL", [program])),
    stop,
    start,
    async restart(program: Program) {
      await stop(program);
      await start(program);
    },
    forget() {
      programs.clearOutput();
      crashesForgotten = programs.crashes.length;
    },
  };
}

/** Waits until what is seen has been the same for a moment. */
async function untilQuiet(look: () => string, signal: AbortSignal): Promise<void> {
  let last = look();
  let sinceMs = performance.now();
  const isQuiet = (seen: string) => {
    if (seen !== last) sinceMs = performance.now();
    last = seen;
    return performance.now() - sinceMs >= QUIET_MS;
  };
  await seenWhen(look, isQuiet, { timeoutMs: QUIET_TIMEOUT_MS, signal });
}

/**
 * Ports that programs of this process listen on, or are about to. Whoever looks whether a port is free sees the
 * former alone, and Elysia would let two programs share one: each would get some of the other's requests.
 */
const claimed = new Set<number>();

function claimPorts(preferred: boolean): Readonly<Record<Program, number>> {
  const entries = PROGRAMS.map((program) => {
    const own = PROGRAM_PORTS[program];
    const port = preferred && !claimed.has(own) && isFree(own) ? own : freePort();
    claimed.add(port);
    return [program, port] as const;
  });
  return Object.fromEntries(entries) as Record<Program, number>;
}

/** What a program needs of the machine; no more, as a proxy or an OTEL_ variable would change what it does. */
function ownEnvironment(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
