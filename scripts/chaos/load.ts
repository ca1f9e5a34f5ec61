/** The load: orders posted at a steady rate, each once. Nothing is tried again: an answer may get lost. */
import { randomHex } from "../shared/random-hex.ts";
import { startArrivals } from "../traffic/arrivals.ts";
import { planOrder, type PlannedOrder } from "./order-mix.ts";
import type { Random } from "./random.ts";

export interface PostedOrder extends PlannedOrder {
  /** 32 hex digits; we start its trace, so it is known even where the answer is lost. */
  readonly traceId: string;
  /** Milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  /** The answer's status; undefined where the connection broke or nothing came in time. */
  readonly status: number | undefined;
  /** Why there is no answer, or what it says if it is no 201. */
  readonly problem?: string;
  /** The order's id, where the answer was 201. */
  readonly orderId?: string;
}

export interface LoadOptions {
  readonly url: string;
  readonly seed: number;
  readonly random: Random;
  /** Orders a second. */
  readonly rate: number;
  /** Orders to place at least. */
  readonly orders: number;
  /** Orders to place at most, where the rest of the run takes longer. */
  readonly ordersMax: number;
}

export interface Load {
  /** What has been answered or has failed so far. */
  readonly posted: readonly PostedOrder[];
  /** Resolves when the last order of `orders` is placed; the load goes on. */
  readonly planned: Promise<void>;
  /** Places no more, and waits for the answers. */
  stop(): Promise<void>;
}

const IN_FLIGHT_MAX = 256;
const ANSWER_WITHIN_MS = 15_000;

export function startLoad(options: LoadOptions): Load {
  const { rate, orders, ordersMax, seed, random } = options;
  const posted: PostedOrder[] = [];
  const planned = Promise.withResolvers<void>();
  const arrivals = startArrivals({
    rate,
    countMax: ordersMax,
    inFlightMax: IN_FLIGHT_MAX,
    async arrive(number) {
      if (number >= orders) planned.resolve();
      posted.push(await post(options.url, planOrder(random, seed, number)));
    },
  });
  return { posted, planned: planned.promise, stop: () => arrivals.stop() };
}

async function post(url: string, order: PlannedOrder): Promise<PostedOrder> {
  const traceId = randomHex(16);
  const startMs = Date.now();
  const known = { ...order, traceId, startMs };
  try {
    const response = await fetch(`${url}/orders`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${traceId}-${randomHex(8)}-01`,
      },
      body: JSON.stringify({ customer_id: order.customerId, items: order.items }),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const { status } = response;
    if (status !== 201) {
      return { ...known, endMs: Date.now(), status, problem: await response.text() };
    }
    const { id } = (await response.json()) as { id: string };
    return { ...known, endMs: Date.now(), status, orderId: id };
  } catch (error) {
    return { ...known, endMs: Date.now(), status: undefined, problem: String(error) };
  }
}
