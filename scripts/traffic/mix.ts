/** What a load is made of: orders that can be had and such that cannot, and those who only look. */
import type { NewOrder, OrderItem } from "#lib/orders/order.ts";
import { UsageError } from "../shared/command-line.ts";

/** The seeded items' prices in cents, ITEM-001 to ITEM-010. */
const PRICES = [2999, 8999, 4999, 3999, 7999, 14999, 1999, 1499, 3499, 4499];
const CUSTOMERS = 100;
const QUANTITY_MAX = 10_000;

/** A request, and the status that it is to have. */
export interface Planned {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: NewOrder;
  readonly status: number;
}

/** Makes a request of one kind. @param orderIds of orders that were placed before, newest last */
type Kind = (orderIds: readonly string[]) => Planned;

export type KindName = "order" | "unknown" | "scarce" | "read" | "nplus1";

export const KINDS: Readonly<Record<KindName, Kind>> = {
  order: () => ordering(plentiful()),
  unknown: () => ordering(unknownItem()),
  /** More than anybody has of it: what was reserved of the other item is given back. */
  scarce: () =>
    ordering([randomItem(), { item_id: "ITEM-005", quantity: QUANTITY_MAX, price: 7999 }]),
  read: (orderIds) => looking(orderIds),
  nplus1: () => ({ method: "GET", path: "/orders-nplus1?limit=20", status: 200 }),
};

export const KIND_NAMES = Object.keys(KINDS) as KindName[];

/** In parts of their sum. */
export type Mix = Readonly<Record<KindName, number>>;
export const MIX_DEFAULT = "order=60,unknown=7,scarce=3,read=25,nplus1=5";

/** @param text `order=60,read=40`: what is not named does not come */
export function parseMix(text: string): Mix {
  const mix = Object.fromEntries(KIND_NAMES.map((name) => [name, 0])) as Record<KindName, number>;
  const named = new Set<string>();
  for (const part of text.split(",")) {
    const [name = "", share = ""] = part.split("=").map((word) => word.trim());
    if (!Object.hasOwn(mix, name) || !/^\d{1,6}$/.test(share)) {
      throw new UsageError(
        `--mix must be like ${MIX_DEFAULT}, of the kinds ${KIND_NAMES.join(", ")}`,
      );
    }
    if (named.has(name)) throw new UsageError(`--mix names ${name} twice`);
    named.add(name);
    mix[name as KindName] = Number(share);
  }
  if (KIND_NAMES.every((name) => mix[name] === 0)) throw new UsageError("--mix is of nothing");
  return mix;
}

/** Draws one of the kinds by their shares. */
export function drawKind(mix: Mix): KindName {
  let left = Math.random() * KIND_NAMES.reduce((sum, name) => sum + mix[name], 0);
  for (const name of KIND_NAMES) {
    left -= mix[name];
    if (left < 0) return name;
  }
  return "order";
}

/** One to three items of those that the shop has. */
export function plentiful(): OrderItem[] {
  return Array.from({ length: 1 + randomBelow(3) }, randomItem);
}

/** An item that nobody has. */
export function unknownItem(): OrderItem[] {
  return [{ item_id: "ITEM-404", quantity: 1, price: 999 }];
}

/** An order of one of the customers. */
export function orderOf(items: OrderItem[]): NewOrder {
  const number = 1 + randomBelow(CUSTOMERS);
  return { customer_id: `CUST-${String(number).padStart(3, "0")}`, items };
}

function ordering(items: OrderItem[]): Planned {
  return { method: "POST", path: "/orders", body: orderOf(items), status: 201 };
}

function looking(orderIds: readonly string[]): Planned {
  const orderId = orderIds[randomBelow(orderIds.length)];
  const paths = [
    "/orders?limit=20",
    "/inventory",
    `/inventory/${randomItem().item_id}`,
    ...(orderId === undefined ? [] : [`/orders/${orderId}`, `/orders/${orderId}`]),
  ];
  return { method: "GET", path: paths[randomBelow(paths.length)] ?? "/orders", status: 200 };
}

function randomItem(): OrderItem {
  const index = randomBelow(PRICES.length);
  const item_id = `ITEM-${String(index + 1).padStart(3, "0")}`;
  return { item_id, quantity: 1 + randomBelow(2), price: PRICES[index] ?? 0 };
}

function randomBelow(limit: number): number {
  return Math.floor(Math.random() * limit);
}
