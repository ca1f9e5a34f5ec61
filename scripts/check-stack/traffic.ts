/** Traffic of every kind that a dashboard shows. */
import type { Live } from "./live.ts";

const SETTLED_TIMEOUT_MS = 20_000;

/** @returns the ids of the orders that were placed; all of them are settled */
export async function makeTraffic(live: Live, orders: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < orders; index++) {
    const itemId = index % 10 === 9 ? "ITEM-UNKNOWN" : "ITEM-007";
    const order = await post(live, [{ item_id: itemId, quantity: 1, price: 1_999 }]);
    ids.push(order.id);
  }
  for (const path of ["/orders", "/orders-nplus1", `/orders/${ids[0]}`, "/inventory", "/nowhere"]) {
    await (await fetch(live.gatewayUrl + path)).text();
  }
  await live.sendUnreadable();
  for (const id of ids) await settled(live, id);
  return ids;
}

async function post(live: Live, items: object[]): Promise<{ id: string }> {
  const response = await fetch(`${live.gatewayUrl}/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ customer_id: "check-stack", items }),
  });
  if (response.status !== 201) throw new Error(`POST /orders: ${response.status}`);
  return (await response.json()) as { id: string };
}

async function settled(live: Live, id: string): Promise<void> {
  const untilMs = performance.now() + SETTLED_TIMEOUT_MS;
  while (performance.now() < untilMs) {
    const order = (await (await fetch(`${live.gatewayUrl}/orders/${id}`)).json()) as {
      status: string;
    };
    if (order.status !== "pending") return;
    await Bun.sleep(100);
  }
  throw new Error(`order ${id} is still pending after ${SETTLED_TIMEOUT_MS / 1_000} s`);
}
