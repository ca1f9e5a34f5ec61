// Places orders at the gateway, and shows what becomes of each: bun run generate-traffic

import type { NewOrder, OrderItem, OrderStatus } from "#lib/orders/order.ts";
import { ConfigError, integer, type Env } from "#lib/service/config.ts";

import { isGatewayUp, placeOrder, readStatus } from "./demo/gateway.ts";

/** An order is looked at for so long; then it counts as pending. */
const SETTLE_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
/** Orders that are placed and followed at a time: without a sleep, all would be. */
const IN_HAND_MAX = 32;
/** One order in ten, the fifth of each, asks for an item that nobody has. */
const UNKNOWN_ITEM_EVERY = 10;
const UNKNOWN_ITEM_AT = 5;
const UNKNOWN_ITEM = "ITEM-404";
/** The seeded items' prices in cents, ITEM-001 to ITEM-010. */
const PRICES = [2999, 8999, 4999, 3999, 7999, 14999, 1999, 1499, 3499, 4499];

interface TrafficConfig {
  readonly gatewayUrl: string;
  readonly orderCount: number;
  readonly sleepMs: number;
}

/** What became of an order; a failed one was not even taken. */
type Outcome = OrderStatus | "failed";

try {
  process.exitCode = await run(loadConfig(process.env));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

/** @throws ConfigError that names the variable */
function loadConfig(env: Env): TrafficConfig {
  const gatewayUrl = env["GATEWAY_URL"] || "http://localhost:8080";
  if (!/^https?:$/.test(URL.parse(gatewayUrl)?.protocol ?? "")) {
    throw new ConfigError("GATEWAY_URL must be an http(s) URL");
  }
  const sleepSeconds = env["SLEEP_SECONDS"] || "1";
  if (!/^(\d{1,5}(\.\d{1,6})?|\.\d{1,6})$/.test(sleepSeconds)) {
    throw new ConfigError("SLEEP_SECONDS must be a number from 0 to 99999, for example 0.5");
  }
  return {
    gatewayUrl: gatewayUrl.replace(/\/+$/, ""),
    orderCount: integer(env, "ORDER_COUNT", 10, { min: 1, max: 1_000_000 }),
    sleepMs: Number(sleepSeconds) * 1_000,
  };
}

/** @returns the exit status: 0 only where every order was settled */
async function run({ gatewayUrl, orderCount, sleepMs }: TrafficConfig): Promise<number> {
  if (!(await isGatewayUp(gatewayUrl))) {
    console.error(`no gateway answers at ${gatewayUrl} (GATEWAY_URL); bun run demo starts one`);
    return 1;
  }
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

  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const parts = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  const orders = orderCount === 1 ? "1 order" : `${orderCount} orders`;
  console.log(`\n${orders} in ${seconds} s: ${parts.join(", ")}`);
  return counts.has("failed") || counts.has("pending") ? 1 : 0;
}

function makeOrder(number: number): NewOrder {
  const customer_id = `CUST-${String(1 + randomBelow(100)).padStart(3, "0")}`;
  if (number % UNKNOWN_ITEM_EVERY === UNKNOWN_ITEM_AT) {
    return { customer_id, items: [{ item_id: UNKNOWN_ITEM, quantity: 1, price: 999 }] };
  }
  return { customer_id, items: Array.from({ length: 1 + randomBelow(3) }, randomItem) };
}

function randomItem(): OrderItem {
  const index = randomBelow(PRICES.length);
  const item_id = `ITEM-${String(index + 1).padStart(3, "0")}`;
  return { item_id, quantity: 1 + randomBelow(2), price: PRICES[index] ?? 0 };
}

function randomBelow(limit: number): number {
  return Math.floor(Math.random() * limit);
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
