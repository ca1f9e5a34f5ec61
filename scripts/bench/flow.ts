// bun run bench flow: how many orders the five services take, show and settle, and what tracing them
// costs.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { SQL } from "bun";
import { SERVICE_NAMES, startServices, type RunningServices } from "#lib/embedded/services.ts";
import { markdownTable, percent, spreadOf, whole, type Spread } from "./figures.ts";
import { startInfrastructure, startSpanSink, type Infrastructure } from "./infrastructure.ts";
import { sendLoad, type Load, type LoadResult } from "./load.ts";
import { readFlags, wholeNumber } from "./options.ts";
import { usageOf, usageOfServer, type ProcessUsage } from "./process-usage.ts";

interface Settings {
  rounds: number;
  seconds: number;
  /** Also with a million orders. */
  large: boolean;
  /** Where the services' profiles go, if they are wanted. */
  profileFolder: string | undefined;
}

type Mode = "on" | "off";

/** One figure of one turn: how often a second, and how long each took where that is known. */
type Figure = Pick<LoadResult, "perSecond"> & Partial<Pick<LoadResult, "latencyMs">>;

interface Turn {
  figures: Map<string, Figure>;
  usage: Map<string, ProcessUsage>;
  orders: number;
  spans: number;
}

const CONNECTIONS = { post: [1, 16, 64], read: 16 };
/** Enough for the just-in-time compiler to have seen everything. */
const WARM_UP = { orders: 2_000, secondsMax: 40 };
/** Orders that wait for the worker when its speed is measured: some seconds of its work. */
const BACKLOG = { orders: 4_000, secondsMax: 60 };
const SMALL_ORDERS = 1_000;
const LARGE_ORDERS = 1_000_000;
const INSERT_ROWS = 50_000;
const SETTLE_TIMEOUT_MS = 180_000;
const EMAIL_DELAY_MS = "50-200";

/** Runs the turns and prints the tables. @param args see the usage text */
export async function benchFlow(args: readonly string[]): Promise<void> {
  const flags = readFlags(args, ["rounds", "seconds", "profile"], ["large"]);
  const settings: Settings = {
    rounds: wholeNumber("rounds", flags.rounds, 2, { min: 1, max: 100 }),
    seconds: wholeNumber("seconds", flags.seconds, 4, { min: 1, max: 600 }),
    large: flags.large === true,
    profileFolder: flags.profile && resolve(flags.profile),
  };
  const infrastructure = await startInfrastructure();
  try {
    const turns: Record<Mode, Turn[]> = { on: [], off: [] };
    await insertOrders(infrastructure.sql, SMALL_ORDERS);
    for (let round = 1; round <= settings.rounds; round++) {
      // Whoever comes first changes from round to round, as the tables grow all the time.
      const order: readonly Mode[] = round % 2 === 1 ? ["on", "off"] : ["off", "on"];
      for (const mode of order) {
        console.error(`round ${round}/${settings.rounds}, telemetry ${mode}`);
        const isLast = settings.large && round === settings.rounds;
        if (isLast) await insertOrders(infrastructure.sql, LARGE_ORDERS);
        turns[mode].push(await measureTurn(mode, infrastructure, settings, isLast));
      }
    }
    print(turns, infrastructure, settings);
  } finally {
    await infrastructure.stop();
  }
}

async function measureTurn(
  mode: Mode,
  { postgresUrl, kafkaBrokers, sql }: Infrastructure,
  { seconds, profileFolder }: Settings,
  isLarge: boolean,
): Promise<Turn> {
  const sink = await startSpanSink();
  let services: RunningServices | undefined;
  try {
    services = await startServices({
      postgresUrl,
      kafkaBrokers,
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
        OTEL_SDK_DISABLED: mode === "off" ? "true" : "false",
        EMAIL_DELAY_MS,
        // Each service writes a profile when it ends.
        ...(profileFolder && { BUN_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileFolder}` }),
      },
    });
    const gateway = services.urls.gateway;
    const figures = new Map<string, Figure>();
    const measure = async (name: string, load: Load) => {
      const result = await sendLoad(load);
      expectOnly(name, result, load.method === "POST" ? "201" : "200");
      figures.set(name, result);
      console.error(`  ${name}: ${whole(result.perSecond)} a second`);
      return result.answered;
    };
    const url = `${gateway}/orders`;
    const read: Load = { url, method: "GET", connections: CONNECTIONS.read, seconds };
    const post = (connections: number): Load => ({
      url,
      method: "POST",
      bodies: BODIES,
      connections,
      seconds,
    });

    let warmed = 0;
    for (let spent = 0; warmed < WARM_UP.orders && spent < WARM_UP.secondsMax; spent += 2) {
      warmed += (await sendLoad({ ...post(64), seconds: 2 })).answered;
    }
    await allSettled(sql);
    const before = await usageOfAll(services, postgresUrl);
    const spansBefore = await sink.count();
    let orders = 0;
    for (const connections of CONNECTIONS.post) {
      const name = `POST /orders, ${connections} ${connections === 1 ? "connection" : "connections"}`;
      orders += await measure(name, post(connections));
      await allSettled(sql);
    }
    const usage = usageSince(before, await usageOfAll(services, postgresUrl));
    const spans = (await sink.count()) - spansBefore;
    const ids: { id: string }[] = await sql`SELECT id FROM orders.orders LIMIT 500`;
    await measure(`GET /orders/{id}, ${CONNECTIONS.read} connections`, {
      ...read,
      paths: ids.map(({ id }) => `/orders/${id}`),
    });
    const size = isLarge ? "a million orders" : "some thousand orders";
    await measure(`GET /orders, ${size}, ${CONNECTIONS.read} connections`, read);
    figures.set("orders settled", await measureSettling(services, sql, measure, post(64)));
    return { figures, usage, orders, spans };
  } finally {
    await services?.stop();
    await sink.stop();
  }
}

/** Lets orders pile up while the worker is away, and sees how fast it then settles them. */
async function measureSettling(
  services: RunningServices,
  sql: SQL,
  measure: (name: string, load: Load) => Promise<number>,
  load: Load,
): Promise<Figure> {
  await services.kill("worker", "SIGTERM");
  let waiting = await measure("POST /orders, 64 connections, no worker", load);
  for (let spent = 0; waiting < BACKLOG.orders && spent < BACKLOG.secondsMax; spent += 2) {
    waiting += (await sendLoad({ ...load, seconds: 2 })).answered;
  }
  const since = await newestSettled(sql);
  await services.restart("worker");
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
async function allSettled(sql: SQL): Promise<void> {
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
const BODIES = Array.from({ length: 30 }, (_, index) =>
  JSON.stringify({
    customer_id: `customer-${index}`,
    items: Array.from({ length: 1 + (index % 3) }, (_line, line) => ({
      item_id: `ITEM-0${String(1 + ((index + 3 * line) % 10)).padStart(2, "0")}`,
      quantity: 1 + line,
      price: 1_999,
    })),
  }),
);

function expectOnly(name: string, { statuses, broken }: LoadResult, status: string): void {
  if (broken > 0) throw new Error(`${name}: ${broken} connections broke`);
  const others = Object.entries(statuses).filter(([other]) => other !== status);
  if (others.length > 0) throw new Error(`${name}: answers other than ${status}: ${others.join()}`);
}

async function usageOfAll(
  services: RunningServices,
  postgresUrl: string,
): Promise<Map<string, ProcessUsage>> {
  const usages = new Map<string, ProcessUsage>();
  for (const name of SERVICE_NAMES) {
    const usage = await usageOf(services.pid(name));
    if (usage) usages.set(name, usage);
  }
  const postgres = await usageOfServer("postgres", new URL(postgresUrl).port);
  if (postgres) usages.set("PostgreSQL", postgres);
  const own = await usageOf(process.pid);
  if (own) usages.set("broker and benchmark", own);
  return usages;
}

/** CPU time since the first look, memory as of the second. */
function usageSince(before: Map<string, ProcessUsage>, after: Map<string, ProcessUsage>) {
  return new Map(
    [...after].map(([name, { cpuSeconds, rssBytes }]) => [
      name,
      { cpuSeconds: cpuSeconds - (before.get(name)?.cpuSeconds ?? 0), rssBytes },
    ]),
  );
}

function print(turns: Record<Mode, Turn[]>, { description }: Infrastructure, settings: Settings) {
  console.log(
    `\n${settings.rounds} rounds with telemetry on and off in turns, ${settings.seconds} s a figure,` +
      ` EMAIL_DELAY_MS=${EMAIL_DELAY_MS}, ${description}, Bun ${Bun.version},` +
      ` ${availableParallelism()} processors.`,
  );
  console.log("Median of the rounds (lowest to highest); latencies of the median's side in ms.\n");
  console.log(figureTable(turns));
  const spans = spreadOf(turns.on.map((turn) => turn.spans / turn.orders)).median;
  console.log(
    `\nFor the POSTs and their settling, CPU milliseconds an order (${spans.toFixed(1)} spans), and memory after:\n`,
  );
  console.log(usageTable(turns));
}

function figureTable(turns: Record<Mode, Turn[]>): string {
  const names = new Set([...turns.on, ...turns.off].flatMap(({ figures }) => [...figures.keys()]));
  const rows = [...names].map((name) => {
    const of = (mode: Mode) =>
      turns[mode].flatMap(({ figures }) => figures.get(name) ?? ([] as Figure[]));
    const rates = (mode: Mode) => spreadOf(of(mode).map(({ perSecond }) => perSecond));
    const latency = (mode: Mode) => {
      const known = of(mode).flatMap(({ latencyMs }) => latencyMs ?? []);
      const middle = (pick: (one: (typeof known)[number]) => number) =>
        spreadOf(known.map(pick)).median.toFixed(1);
      if (known.length === 0) return "";
      return `${middle(({ p50 }) => p50)} / ${middle(({ p95 }) => p95)} / ${middle(({ p99 }) => p99)}`;
    };
    return [
      name,
      rate(rates("on")),
      latency("on"),
      rate(rates("off")),
      latency("off"),
      percent(rates("on").median / rates("off").median),
    ];
  });
  return markdownTable(
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
    const memory = (mode: Mode) => `${whole(cell(mode, ({ rssBytes }) => rssBytes) / 2 ** 20)} MiB`;
    // PostgreSQL's processes share most of theirs, so that a sum would say nothing.
    const memories = name === "PostgreSQL" ? ["", ""] : [memory("on"), memory("off")];
    return [name, cpu("on"), cpu("off"), ...memories];
  });
  const sum = (column: 1 | 2) =>
    rows.reduce((total, row) => total + Number(row[column]), 0).toFixed(2);
  rows.push(["sum", sum(1), sum(2), "", ""]);
  return markdownTable(["", "CPU on", "CPU off", "memory on", "memory off"], rows);
}

function rate({ min, median, max }: Spread): string {
  return `${whole(median)} (${whole(min)} to ${whole(max)})`;
}
