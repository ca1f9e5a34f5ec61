// Makes traffic at the gateway: orders one by one, each with what becomes of it, or a load at a steady rate.

import type { NewOrder, OrderStatus } from "#lib/orders/order.ts";
import { ConfigError } from "#lib/service/config.ts";

import { parseCommand, UsageError } from "./shared/command-line.ts";
import { inSeconds } from "./shared/figures.ts";
import { isGatewayUp, placeOrder, readStatus } from "./shared/gateway.ts";
import { Interrupted, interruption } from "./shared/interruption.ts";
import { loadTrafficConfig, TRAFFIC_DEFAULTS, type TrafficConfig } from "./traffic/config.ts";
import { runLoad, type LoadReport } from "./traffic/load.ts";
import { MIX_DEFAULT, orderOf, parseMix, plentiful, unknownItem } from "./traffic/mix.ts";

const LOAD_DEFAULTS = { duration: "10", inFlight: "256", failedMax: "0" } as const;
const USAGE = `usage: bun run generate-traffic [--rate N] [options]

Without --rate: places orders one by one, and shows what becomes of each.

  GATEWAY_URL    where the gateway is (default ${TRAFFIC_DEFAULTS.GATEWAY_URL})
  ORDER_COUNT    how many orders (default ${TRAFFIC_DEFAULTS.ORDER_COUNT})
  SLEEP_SECONDS  how long to wait between them (default ${TRAFFIC_DEFAULTS.SLEEP_SECONDS})

With --rate: requests come at that rate, whether those before them were answered or not, so that
a latency counts from when its request came (no coordinated omission).

  --rate N           requests a second, up to 10000
  --duration S       for so many seconds (default ${LOAD_DEFAULTS.duration})
  --mix KIND=N,…     shares of the kinds (default ${MIX_DEFAULT})
  --in-flight N      at most so many at a time (default ${LOAD_DEFAULTS.inFlight}); more wait, and that counts
  --p95-max MS  --p99-max MS  --failed-max PERCENT (default ${LOAD_DEFAULTS.failedMax})
                     the exit status is 1 where the load is above one of these
`;
const OPTIONS = {
  rate: { type: "string" },
  duration: { type: "string" },
  mix: { type: "string" },
  "in-flight": { type: "string" },
  "p95-max": { type: "string" },
  "p99-max": { type: "string" },
  "failed-max": { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** An order is looked at for so long; then it counts as pending. */
const SETTLE_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
/** Orders that are placed and followed at a time: without a sleep, all would be. */
const IN_HAND_MAX = 32;
/** One order in ten, the fifth of each, asks for an item that nobody has. */
const UNKNOWN_ITEM_EVERY = 10;
const UNKNOWN_ITEM_AT = 5;

/** What became of an order; a failed one was not even taken. */
type Outcome = OrderStatus | "failed";

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ConfigError || error instanceof UsageError)) throw error;
  console.error(error instanceof UsageError ? `${error.message}\n${USAGE}` : error.message);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

/** @returns the exit status */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseCommand(args, OPTIONS);
  if (positionals.length > 0) throw new UsageError(`unknown: ${positionals.join(" ")}`);
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const config = loadTrafficConfig(process.env);
  const { rate, help: _, ...ofALoad } = values;
  const [needless] = Object.keys(ofALoad);
  if (rate === undefined && needless !== undefined) {
    throw new UsageError(`--${needless} needs --rate`);
  }
  const load = {
    rate: number("rate", rate ?? "1", 0.1, 10_000),
    seconds: number("duration", values.duration ?? LOAD_DEFAULTS.duration, 0.1, 86_400),
    mix: parseMix(values.mix ?? MIX_DEFAULT),
    inFlightMax: Math.round(
      number("in-flight", values["in-flight"] ?? LOAD_DEFAULTS.inFlight, 1, 10_000),
    ),
  };
  const latencyLimit = (name: "p95-max" | "p99-max") =>
    values[name] === undefined ? Number.POSITIVE_INFINITY : number(name, values[name], 0, 1e6);
  const limits: Limits = {
    p95: latencyLimit("p95-max"),
    p99: latencyLimit("p99-max"),
    failedPercent: number("failed-max", values["failed-max"] ?? LOAD_DEFAULTS.failedMax, 0, 100),
  };
  if (!(await isGatewayUp(config.gatewayUrl))) {
    const address = withoutPassword(config.gatewayUrl);
    console.error(`no gateway answers at ${address} (GATEWAY_URL); bun run demo starts one`);
    return 1;
  }
  if (rate === undefined) return await placeOneByOne(config);
  const signal = interruption(() => showProgress("interrupted; waiting for what is under way"));
  const onProgress = (line: string) => {
    if (!signal.aborted) showProgress(line);
  };
  const report = await runLoad({ ...load, gatewayUrl: config.gatewayUrl, signal, onProgress });
  const status = tell(report, limits);
  if (!(signal.reason instanceof Interrupted)) return status;
  console.log("✗ interrupted before its end");
  return signal.reason.exitStatus;
}

/** @throws UsageError that names the option */
function number(name: string, text: string, min: number, max: number): number {
  const value = /^(\d{1,9}(\.\d{1,6})?|\.\d{1,6})$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${name} must be a number from ${min} to ${max}`);
  }
  return value;
}

/** One line that is written over; where nobody looks at it, lines. */
function showProgress(line: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[2K${line}` : `${line}\n`);
}

/** Above which a load has failed; latencies in milliseconds. */
interface Limits {
  readonly p95: number;
  readonly p99: number;
  readonly failedPercent: number;
}

/** @returns the exit status */
function tell(report: LoadReport, limits: Limits): number {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[2K");
  console.log(report.table);
  for (const [what, times] of report.problems) console.log(`${times} × ${what}`);
  const failedPercent = (100 * (report.failed + report.unsent)) / (report.answered + report.unsent);
  const { p95, p99 } = report.latencyMs;
  const above = [
    ...(report.unsent > 0 ? [`${report.unsent} requests were not sent: it was too slow`] : []),
    ...(failedPercent > limits.failedPercent
      ? [`${failedPercent.toFixed(2)} % failed, above ${limits.failedPercent} %`]
      : []),
    ...(p95 > limits.p95 ? [`p95 is ${p95.toFixed(1)} ms, above ${limits.p95} ms`] : []),
    ...(p99 > limits.p99 ? [`p99 is ${p99.toFixed(1)} ms, above ${limits.p99} ms`] : []),
  ];
  for (const line of above) console.log(`✗ ${line}`);
  return above.length > 0 ? 1 : 0;
}

function withoutPassword(url: string): string {
  const { username, password, host, protocol, pathname } = new URL(url);
  if (username === "" && password === "") return url;
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

/** @returns the exit status: 0 only where every order was settled */
async function placeOneByOne(config: TrafficConfig): Promise<number> {
  const { gatewayUrl, orderCount, sleepMs } = config;
  const startMs = performance.now();
  const counts = new Map<Outcome, number>();
  const inHand = new Set<Promise<void>>();
  for (let number = 1; number <= orderCount; number++) {
    if (number > 1) await Bun.sleep(sleepMs);
    if (inHand.size >= IN_HAND_MAX) await Promise.race(inHand);
    const order = makeOrder(number);
    const handling = placeAndFollow(gatewayUrl, order).then((result) => {
      counts.set(result.outcome, (counts.get(result.outcome) ?? 0) + 1);
      console.log(resultLine(`${number}/${orderCount}`, order, result));
      return void inHand.delete(handling);
    });
    inHand.add(handling);
  }
  await Promise.all(inHand);

  const took = inSeconds(performance.now() - startMs);
  const parts = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  const orders = orderCount === 1 ? "1 order" : `${orderCount} orders`;
  console.log(`\n${orders} in ${took}: ${parts.join(", ")}`);
  return counts.has("failed") || counts.has("pending") ? 1 : 0;
}

function makeOrder(number: number): NewOrder {
  return orderOf(number % UNKNOWN_ITEM_EVERY === UNKNOWN_ITEM_AT ? unknownItem() : plentiful());
}

interface Result {
  readonly outcome: Outcome;
  /** From placing to settling. */
  readonly durationMs: number;
  /** The order's id; where it failed, why. */
  readonly about: string;
}

async function placeAndFollow(gatewayUrl: string, order: NewOrder): Promise<Result> {
  const startMs = performance.now();
  const result = (outcome: Outcome, about: string): Result => {
    return { outcome, about, durationMs: performance.now() - startMs };
  };
  try {
    const { id } = await placeOrder(gatewayUrl, order);
    return result(await settledStatus(gatewayUrl, id), id);
  } catch (error) {
    return result("failed", error instanceof Error ? error.message : String(error));
  }
}

/** @returns `pending` where the order is not settled in time, or where nobody can tell */
async function settledStatus(gatewayUrl: string, orderId: string): Promise<OrderStatus> {
  const endMs = performance.now() + SETTLE_TIMEOUT_MS;
  while (performance.now() < endMs) {
    // The order stands, whatever happens to one look at it.
    const status = await readStatus(gatewayUrl, orderId).catch(() => "pending" as const);
    if (status !== "pending") return status;
    await Bun.sleep(POLL_MS);
  }
  return "pending";
}

function resultLine(place: string, order: NewOrder, result: Result): string {
  const time = `${Math.round(result.durationMs)} ms`;
  const items = order.items.map(({ quantity, item_id }) => `${quantity} ${item_id}`).join(", ");
  const cells = [
    place.padStart(5),
    result.outcome.padEnd(9),
    time.padStart(8),
    result.about,
    items,
  ];
  return cells.join("  ");
}
