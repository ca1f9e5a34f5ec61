// bun run bench flow: how many orders the five services take, show and settle, and what tracing them
// costs.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { SQL } from "bun";
import { startServices, type RunningServices } from "#lib/embedded/services.ts";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { droppedIn } from "./dropped-spans.ts";
import { wholeNumber } from "../shared/command-line.ts";
import { mebibytes, percent, showSpread, spreadOf, whole } from "../shared/figures.ts";
import { figuresTable } from "../shared/markdown-table.ts";
import {
  startInfrastructure,
  startSpanSink,
  stopOnSignal,
  type BenchDatabase,
  type Infrastructure,
} from "./infrastructure.ts";
import { sendLoad, type Load, type LoadResult } from "./load.ts";
import { readFlags } from "./options.ts";
import { usageOf, usageOfServer, type ProcessUsage } from "./process-usage.ts";

interface Settings {
  rounds: number;
  seconds: number;
  /** How many orders there are when orders are read. */
  sizes: readonly number[];
  /**
   * Load before anything is measured. A service that has just started runs its code uncompiled, and
   * tracing is much code: it costs some times as much then as after a minute of load.
   */
  warmUpSeconds: number;
  /** Where the services' profiles go, if they are wanted. */
  profileFolder: string | undefined;
}

type Mode = "on" | "off";

/** One figure of one turn: how often a second, and how long each took where that is known. */
type Figure = Pick<LoadResult, "perSecond"> & Partial<Pick<LoadResult, "latencyMs">>;

interface Turn {
  figures: Map<string, Figure>;
  /** For the POSTs and their settling. */
  usage: Map<string, ProcessUsage>;
  orders: number;
  spans: number;
  droppedSpans: number;
}

const CONNECTIONS = { post: [1, 16, 64], read: 16 };
/** Orders that wait for the worker when its speed is measured: some seconds of its work. */
const BACKLOG = { orders: 4_000, secondsMax: 60 };
const SMALL_ORDERS = 1_000;
const LARGE_ORDERS = 1_000_000;
const INSERT_ROWS = 50_000;
const SETTLE_TIMEOUT_MS = 180_000;
const EMAIL_DELAY_MS = "50-200";
/** Above this share of other answers a figure says nothing. */
const OTHER_ANSWERS_SHARE_MAX = 0.01;

/** Runs the turns and prints the tables, those of the turns so far where one fails. @param args see the usage text */
export async function benchFlow(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["rounds", "seconds", "warm-up", "profile"], ["large"]);
  const settings: Settings = {
    rounds: wholeNumber("rounds", flags.rounds, 2, { min: 1, max: 100 }),
    seconds: wholeNumber("seconds", flags.seconds, 4, { min: 1, max: 600 }),
    warmUpSeconds: wholeNumber("warm-up", flags["warm-up"], 30, { min: 1, max: 3_600 }),
    sizes: flags.large ? [SMALL_ORDERS, LARGE_ORDERS] : [SMALL_ORDERS],
    profileFolder: flags.profile && resolve(flags.profile),
  };
  const infrastructure = await startInfrastructure();
  stopOnSignal(infrastructure.stop);
  const turns: Record<Mode, Turn[]> = { on: [], off: [] };
  try {
    const written = await infrastructure.createDatabase("written");
    const read = [];
    for (const size of settings.sizes) {
      const database = await infrastructure.createDatabase(`read_${size}`);
      await insertOrders(database.sql, size);
      read.push({ size, database });
    }
    for (let round = 1; round <= settings.rounds; round++) {
      // Whoever comes first changes from round to round, as the tables grow all the time.
      const order: readonly Mode[] = round % 2 === 1 ? ["on", "off"] : ["off", "on"];
      for (const mode of order) {
        console.error(`round ${round}/${settings.rounds}, telemetry ${mode}`);
        const turn = await measureWriting(mode, infrastructure, written, settings);
        for (const { size, database } of read) {
          await measureReading(turn, size, mode, infrastructure, database, settings);
        }
        turns[mode].push(turn);
      }
    }
  } finally {
    if (turns.on.length > 0 && turns.off.length > 0) print(turns, infrastructure, settings);
    await infrastructure.stop();
  }
}

/** Runs work with the five services on a database, and a sink for what they tell. */
async function withServices<T>(
  mode: Mode,
  { kafkaBrokers }: Infrastructure,
  database: BenchDatabase,
  { profileFolder }: Settings,
  work: (services: RunningServices, spans: () => Promise<number>) => Promise<T>,
): Promise<T> {
  const sink = await startSpanSink();
  let services: RunningServices | undefined;
  try {
    services = await startServices({
      postgresUrl: database.url,
      kafkaBrokers,
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
        OTEL_SDK_DISABLED: mode === "off" ? "true" : "false",
        EMAIL_DELAY_MS,
        // Each service writes a profile when it ends.
        ...(profileFolder && { BUN_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileFolder}` }),
      },
    });
    return await work(services, () => sink.count());
  } finally {
    await services?.stop();
    await sink.stop();
  }
}

function measureWriting(
  mode: Mode,
  infrastructure: Infrastructure,
  database: BenchDatabase,
  settings: Settings,
): Promise<Turn> {
  const { sql } = database;
  return withServices(mode, infrastructure, database, settings, async (services, spanCount) => {
    const figures = new Map<string, Figure>();
    const post = (connections: number, seconds = settings.seconds): Load => ({
      url: `${services.urls.gateway}/orders`,
      method: "POST",
      bodies: ORDER_BODIES,
      connections,
      seconds,
    });
    await sendLoad(post(64, settings.warmUpSeconds));
    await allSettled(sql);
    const before = await usageOfAll(services, database.url);
    const spansBefore = await spanCount();
    let orders = 0;
    for (const connections of CONNECTIONS.post) {
      const name = `POST /orders, ${connections} ${connections === 1 ? "connection" : "connections"}`;
      orders += await measure(figures, name, post(connections), "201");
      await allSettled(sql);
    }
    const usage = usageSince(before, await usageOfAll(services, database.url));
    const spans = (await spanCount()) - spansBefore;
    const settled = await measureSettling(services, sql, (name, seconds) =>
      measure(figures, name, post(64, seconds), "201"),
    );
    figures.set("orders settled", settled);
    const droppedSpans = mode === "on" ? await droppedByAll(services) : 0;
    return { figures, usage, orders, spans, droppedSpans };
  });
}

/** Reads from a database of so many orders, and adds the figures to a turn. */
async function measureReading(
  turn: Turn,
  size: number,
  mode: Mode,
  infrastructure: Infrastructure,
  database: BenchDatabase,
  settings: Settings,
): Promise<void> {
  await withServices(mode, infrastructure, database, settings, async ({ urls }) => {
    const ids: { id: string }[] = await database.sql`
      SELECT id FROM orders.orders ORDER BY id LIMIT 500`;
    const url = `${urls.gateway}/orders`;
    const list: Load = { url, method: "GET", connections: CONNECTIONS.read, seconds: 0 };
    const byId: Load = { ...list, paths: ids.map(({ id }) => `/orders/${id}`) };
    const { seconds, warmUpSeconds } = settings;
    for (const load of [byId, list]) {
      await sendLoad({ ...load, seconds: Math.ceil(warmUpSeconds / 4) });
    }
    const of = `of ${whole(size)}, ${CONNECTIONS.read} connections`;
    await measure(turn.figures, `GET /orders/{id} ${of}`, { ...byId, seconds }, "200");
    await measure(turn.figures, `GET /orders ${of}`, { ...list, seconds }, "200");
  });
}

/** Sends a load and notes its figure. @returns how many requests were answered as expected */
async function measure(
  figures: Map<string, Figure>,
  name: string,
  load: Load,
  status: string,
): Promise<number> {
  const { perSecond, latencyMs, answered, statuses, broken } = await sendLoad(load);
  const expected = statuses[status] ?? 0;
  const share = (answered - expected + broken) / answered;
  if (share > OTHER_ANSWERS_SHARE_MAX) {
    throw new Error(`${name}: ${JSON.stringify(statuses)}, ${broken} connections broke`);
  }
  if (share > 0) console.error(`  ${name}: ${answered - expected} other answers, ${broken} broken`);
  figures.set(name, { perSecond: (perSecond * expected) / answered, latencyMs });
  console.error(`  ${name}: ${whole(perSecond)} a second`);
  return expected;
}

/**
 * Lets orders pile up while the worker is stopped, and sees how fast it then settles them.
 * @param post places orders, for so many seconds or as long as others do. @returns how many
 * @param ordersMin so many pile up at least, unless that takes a minute
 */
export async function measureSettling(
  services: RunningServices,
  sql: SQL,
  post: (name: string, seconds?: number) => Promise<number>,
  ordersMin = BACKLOG.orders,
): Promise<{ perSecond: number }> {
  // Stopped and not ended: a new process would run its code uncompiled again.
  const worker = services.pid("worker");
  process.kill(worker, "SIGSTOP");
  let waiting = 0;
  try {
    waiting = await post("POST /orders, 64 connections, worker stopped");
    for (let spent = 0; waiting < ordersMin && spent < BACKLOG.secondsMax; spent += 2) {
      waiting += await post("more of them", 2);
    }
  } finally {
    process.kill(worker, "SIGCONT");
  }
  const since = await newestSettled(sql);
  await allSettled(sql);
  const [found] = await sql`
    SELECT count(*)::float8 AS orders,
           extract(epoch FROM max(updated_at) - min(updated_at))::float8 AS seconds
    FROM orders.orders WHERE updated_at > ${since}::timestamptz AND status <> 'pending'`;
  const perSecond = found.orders / found.seconds;
  console.error(`  orders settled: ${whole(perSecond)} a second (of ${found.orders})`);
  return { perSecond };
}

async function newestSettled(sql: SQL): Promise<string> {
  const [found] = await sql`
    SELECT max(updated_at)::text AS newest FROM orders.orders WHERE status <> 'pending'`;
  return found.newest;
}

/** Waits until no order is pending. @throws Error where that takes too long */
export async function allSettled(sql: SQL): Promise<void> {
  const giveUpAtMs = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const [found] = await sql`
      SELECT count(*)::float8 AS pending FROM orders.orders WHERE status = 'pending'`;
    if (found.pending === 0) return;
    if (performance.now() > giveUpAtMs) throw new Error(`${found.pending} orders stay pending`);
    await Bun.sleep(100);
  }
}

/** Fills up with orders that are settled already, straight into the tables. */
async function insertOrders(sql: SQL, orders: number): Promise<void> {
  const [found] = await sql`SELECT count(*)::float8 AS orders FROM orders.orders`;
  for (let left = orders - found.orders; left > 0; left -= INSERT_ROWS) {
    await sql`
      WITH new_orders AS (
        INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
        SELECT gen_random_uuid(), 'customer-' || n % 1000, 'confirmed', 4200, at, at
        FROM generate_series(1, ${Math.min(left, INSERT_ROWS)}::integer) AS n,
             LATERAL (SELECT now() - n * interval '1 second') AS created (at)
        RETURNING id
      )
      INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
      SELECT gen_random_uuid(), id, 'ITEM-00' || 1 + line, line, 1400
      FROM new_orders, generate_series(1, 2) AS line`;
  }
  await sql`VACUUM ANALYZE orders.orders, orders.order_items`;
}

/** Orders of one to three lines over all ten items. */
export const ORDER_BODIES = Array.from({ length: 30 }, (_, index) =>
  JSON.stringify({
    customer_id: `customer-${index}`,
    items: Array.from({ length: 1 + (index % 3) }, (_line, line) => ({
      item_id: `ITEM-0${String(1 + ((index + 3 * line) % 10)).padStart(2, "0")}`,
      quantity: 1 + line,
      price: 1_999,
    })),
  }),
);

/** What the services, PostgreSQL and this process have used so far, by name. */
export async function usageOfAll(
  services: RunningServices,
  postgresUrl: string,
): Promise<Map<string, ProcessUsage>> {
  const usages = new Map<string, ProcessUsage>();
  for (const name of SERVICE_NAMES) {
    const usage = await usageOf(services.pid(name));
    if (usage) usages.set(name, usage);
  }
  // Another's server may be on another machine; ours is the one with this port on its command line.
  const { port } = new URL(postgresUrl);
  const postgres = port ? await usageOfServer("postgres", port) : undefined;
  if (postgres) usages.set("PostgreSQL", postgres);
  const own = await usageOf(process.pid);
  if (own) usages.set("broker and benchmark", own);
  return usages;
}

async function droppedByAll({ urls }: RunningServices): Promise<number> {
  let dropped = 0;
  for (const url of Object.values(urls)) {
    dropped += droppedIn(await (await fetch(`${url}/metrics`)).text());
  }
  return dropped;
}

/** CPU time since the first look, memory as of the second. */
export function usageSince(before: Map<string, ProcessUsage>, after: Map<string, ProcessUsage>) {
  return new Map(
    [...after].map(([name, { cpuSeconds, rssBytes }]) => [
      name,
      { cpuSeconds: cpuSeconds - (before.get(name)?.cpuSeconds ?? 0), rssBytes },
    ]),
  );
}

function print(turns: Record<Mode, Turn[]>, { description }: Infrastructure, settings: Settings) {
  console.log(
    `\n${settings.rounds} rounds with telemetry on and off in turns, ${settings.seconds} s a figure` +
      ` after ${settings.warmUpSeconds} s of load,` +
      ` EMAIL_DELAY_MS=${EMAIL_DELAY_MS}, ${description}, Bun ${Bun.version},` +
      ` ${availableParallelism()} processors.`,
  );
  console.log(
    "Median of the rounds (lowest to highest), on / off round by round; latencies in ms.\n",
  );
  console.log(figureTable(turns));
  const spans = spreadOf(turns.on.map((turn) => turn.spans / turn.orders)).median;
  const dropped = turns.on.reduce((sum, turn) => sum + turn.droppedSpans, 0);
  console.log(
    `\nFor the POSTs and their settling, CPU milliseconds an order (${spans.toFixed(1)} spans;` +
      ` ${whole(dropped)} dropped in all), and memory after:\n`,
  );
  console.log(usageTable(turns));
}

function figureTable(turns: Record<Mode, Turn[]>): string {
  const names = new Set([...turns.on, ...turns.off].flatMap(({ figures }) => [...figures.keys()]));
  names.delete("more of them");
  const rows = [...names].map((name) => {
    const of = (mode: Mode) =>
      turns[mode].flatMap(({ figures }) => figures.get(name) ?? ([] as Figure[]));
    const rates = (mode: Mode) => spreadOf(of(mode).map(({ perSecond }) => perSecond));
    const off = of("off");
    const ratios = of("on").flatMap(({ perSecond }, round) => {
      const other = off[round];
      return other ? [perSecond / other.perSecond] : [];
    });
    const latency = (mode: Mode) => {
      const known = of(mode).flatMap(({ latencyMs }) => latencyMs ?? []);
      const middle = (pick: (one: (typeof known)[number]) => number) =>
        spreadOf(known.map(pick)).median.toFixed(1);
      if (known.length === 0) return "";
      return `${middle(({ p50 }) => p50)} / ${middle(({ p95 }) => p95)} / ${middle(({ p99 }) => p99)}`;
    };
    return [
      name,
      showSpread(rates("on"), whole),
      latency("on"),
      showSpread(rates("off"), whole),
      latency("off"),
      showSpread(spreadOf(ratios), percent),
    ];
  });
  return figuresTable(
    ["a second", "telemetry on", "p50 / p95 / p99", "off", "p50 / p95 / p99", "on / off"],
    rows,
  );
}

function usageTable(turns: Record<Mode, Turn[]>): string {
  const names = [...(turns.on[0]?.usage.keys() ?? [])];
  const rows = names.map((name) => {
    const cell = (mode: Mode, pick: (usage: ProcessUsage, turn: Turn) => number) => {
      const values = turns[mode].flatMap((turn) => {
        const usage = turn.usage.get(name);
        return usage ? [pick(usage, turn)] : [];
      });
      return spreadOf(values).median;
    };
    const cpu = (mode: Mode) =>
      cell(mode, ({ cpuSeconds }, { orders }) => (cpuSeconds * 1000) / orders).toFixed(2);
    const memory = (mode: Mode) => mebibytes(cell(mode, ({ rssBytes }) => rssBytes));
    // PostgreSQL's processes share most of theirs, so that a sum would say nothing.
    const memories = name === "PostgreSQL" ? ["", ""] : [memory("on"), memory("off")];
    return [name, cpu("on"), cpu("off"), ...memories];
  });
  const sum = (column: 1 | 2) =>
    rows.reduce((total, row) => total + Number(row[column]), 0).toFixed(2);
  rows.push(["sum", sum(1), sum(2), "", ""]);
  return figuresTable(["", "CPU on", "CPU off", "memory on", "memory off"], rows);
}
