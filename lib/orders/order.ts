/**
 * The words that the services share about orders.
 *
 * - **order**: what a customer asked for; it is `pending` until it is **settled**.
 * - **settled**: `confirmed` (every item is reserved) or `cancelled` (some item was unknown or short).
 * - **reserve / release**: take items out of the available stock for an order, and put them back.
 * - **compensate**: release what was reserved for an order that will not be confirmed.
 */

/** Money is an integer number of cents. */
export interface OrderItem {
  item_id: string;
  quantity: number;
  price: number;
}

/** What `POST /orders` takes. */
export interface NewOrder {
  customer_id: string;
  items: OrderItem[];
}

/** An order as the API shows it. */
export interface Order extends NewOrder {
  id: string;
  /** Sum of quantity × price over the items. */
  total: number;
  status: OrderStatus;
  /** RFC 3339, UTC. */
  created_at: string;
}

export const ORDER_STATUSES = ["pending", "confirmed", "cancelled", "shipped"] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

const TRANSITIONS: Record<OrderStatus, readonly OrderStatus[]> = {
  pending: ["confirmed", "cancelled"],
  confirmed: ["shipped"],
  cancelled: [],
  shipped: [],
};

/** Whether a text names a status. */
export function isOrderStatus(text: string): text is OrderStatus {
  return ORDER_STATUSES.some((status) => status === text);
}

/** Whether an order may go from one status to another. Staying where it is needs no transition. */
export function canTransition(from: OrderStatus, to: OrderStatus): boolean {
  return TRANSITIONS[from].includes(to);
}

/** Sum of quantity × price, in cents. The bounds on input keep it below 2^53. */
export function orderTotal(items: readonly OrderItem[]): number {
  return items.reduce((sum, item) => sum + item.quantity * item.price, 0);
}

/**
 * What to reserve: the quantity of each item, summed over its lines, in a fixed order so that two
 * workers never wait for each other crosswise.
 */
export function quantitiesByItem(
  items: readonly Pick<OrderItem, "item_id" | "quantity">[],
): [itemId: string, quantity: number][] {
  const sums = new Map<string, number>();
  for (const { item_id, quantity } of items) sums.set(item_id, (sums.get(item_id) ?? 0) + quantity);
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
}
