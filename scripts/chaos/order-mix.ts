/** The orders of a chaos run: most can be confirmed, some cannot, some are a race for the last pieces. */
import type { OrderItem } from "#lib/orders/order.ts";
import type { Random } from "./random.ts";

/** How an order must end; `either` where that depends on who was first. */
export type Expectation = "confirmed" | "cancelled" | "either";

export interface PlannedOrder {
  /** Unique: it finds the order again where the answer to its POST was lost. */
  readonly customerId: string;
  readonly items: readonly OrderItem[];
  readonly expected: Expectation;
}

/** An item of our own, and its stock at the start. */
export interface StockedItem {
  readonly itemId: string;
  readonly available: number;
}

// The worker reserves in the order of the ids. So the unknown and the scarce come after the plentiful,
// and their orders have something to put back.
const PLENTIFUL = ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"].map((id) => `CHAOS-${id}`);
const SCARCE = ["CHAOS-B1", "CHAOS-B2"];
const UNKNOWN = "CHAOS-C-UNKNOWN";
const LINES_MAX = 3;
const QUANTITY_MAX = 3;
const SHARE_UNKNOWN = 0.1;
const SHARE_SCARCE = 0.15;

/**
 * @param orders how many will be placed at least: the scarce items must run out by then
 * @param ordersMax how many will be placed at most: the plentiful items must not run out
 */
export function stockFor(orders: number, ordersMax: number): StockedItem[] {
  return [
    ...PLENTIFUL.map((itemId) => ({ itemId, available: ordersMax * LINES_MAX * QUANTITY_MAX })),
    // Enough for about half of those who want them.
    ...SCARCE.map((itemId) => ({
      itemId,
      available: Math.ceil((orders * SHARE_SCARCE) / SCARCE.length),
    })),
  ];
}

/** @param number of the order in its run */
export function planOrder(random: Random, seed: number, number: number): PlannedOrder {
  const lines = Array.from({ length: random.integer(1, LINES_MAX) }, () => random.pick(PLENTIFUL));
  const draw = random.next();
  const expected =
    draw < SHARE_UNKNOWN
      ? "cancelled"
      : draw < SHARE_UNKNOWN + SHARE_SCARCE
        ? "either"
        : "confirmed";
  if (expected === "cancelled") lines.push(UNKNOWN);
  if (expected === "either") lines.push(random.pick(SCARCE));
  return {
    customerId: `chaos-${seed}-${number}`,
    items: lines.map((item_id) => ({
      item_id,
      quantity: random.integer(1, QUANTITY_MAX),
      price: random.integer(0, 10_000),
    })),
    expected,
  };
}
