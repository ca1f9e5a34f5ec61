/** The load: orders posted at a steady rate, each once. Nothing is tried again: an answer may get lost. */
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

const TICK_MS = 20;
const IN_FLIGHT_MAX = 256;
const ANSWER_WITHIN_MS = 15_000;

export function startLoad(options: LoadOptions): Load {
  const { rate, orders, ordersMax, seed, random } = options;
  const posted: PostedOrder[] = [];
  const inFlight = new Set<Promise<void>>();
  const planned = Promise.withResolvers<void>();
  const startedMs = performance.now();
  let placed = 0;

  const tick = () => {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * rate);
    while (placed < Math.min(due, ordersMax) && inFlight.size < IN_FLIGHT_MAX) {
      placed += 1;
      const posting = post(options.url, planOrder(random, seed, placed))
        .then((order) => void posted.push(order))
        .finally(() => inFlight.delete(posting));
      inFlight.add(posting);
    }
    if (placed >= orders) planned.resolve();
  };
  const timer = setInterval(tick, TICK_MS);

  return {
    posted,
    planned: planned.promise,
    async stop() {
      clearInterval(timer);
      await Promise.all(inFlight);
    },
  };
}

async function post(url: string, order: PlannedOrder): Promise<PostedOrder> {
  const traceId = hex(16);
  const startMs = Date.now();
  const known = { ...order, traceId, startMs };
  try {
    const response = await fetch(`${url}/orders`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${traceId}-${hex(8)}-01`,
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

function hex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}
