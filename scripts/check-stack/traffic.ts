/** Traffic of every kind that a dashboard shows. */
import { placeOrder, readStatus } from "../shared/gateway.ts";
import { until } from "../shared/until.ts";
import type { Live } from "./live.ts";

const SETTLED_TIMEOUT_MS = 20_000;

/** @returns the ids of the orders that were placed; all of them are settled */
export async function makeTraffic(live: Live, orders: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < orders; index++) {
    const itemId = index % 10 === 9 ? "ITEM-UNKNOWN" : "ITEM-007";
    const items = [{ item_id: itemId, quantity: 1, price: 1_999 }];
    ids.push((await placeOrder(live.gatewayUrl, { customer_id: "check-stack", items })).id);
  }
  for (const path of ["/orders", "/orders-nplus1", `/orders/${ids[0]}`, "/inventory", "/nowhere"]) {
    await (await fetch(live.gatewayUrl + path)).text();
  }
  await live.sendUnreadable();
  for (const id of ids) await settled(live, id);
  return ids;
}

async function settled({ gatewayUrl }: Live, id: string): Promise<void> {
  const isSettled = async () => (await readStatus(gatewayUrl, id)) !== "pending";
  await until(`order ${id} is settled`, isSettled, SETTLED_TIMEOUT_MS);
}
