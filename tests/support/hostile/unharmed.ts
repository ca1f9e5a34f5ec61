/** After hostile input: the same processes, all of them ready, and an order goes its whole way. */
import { expect } from "bun:test";
import type { Order } from "#lib/orders/order.ts";
import { createItem, stack, stockOf } from "../stack.ts";
import { until } from "../until.ts";

/** @throws where a service is gone, or not ready, or a valid order is not confirmed */
export async function expectUnharmed(): Promise<void> {
  const { services, pids } = await stack();
  for (const [name, url] of Object.entries(services)) {
    // Throws where there is no such process any more: nobody starts a service of the stack again.
    process.kill(pids[name as keyof typeof pids], 0);
    const ready = await fetch(`${url}/readyz`);
    expect({ name, status: ready.status, body: await ready.json() }).toMatchObject({
      status: 200,
      body: { status: "ready" },
    });
  }
  const itemId = await createItem(3);
  const posted = await fetch(`${services.gateway}/orders`, {
    method: "POST",
    body: JSON.stringify({
      customer_id: "after-the-storm",
      items: [{ item_id: itemId, quantity: 2, price: 100 }],
    }),
  });
  expect(posted.status).toBe(201);
  const order = (await posted.json()) as Order;
  expect(order).toMatchObject({ customer_id: "after-the-storm", total: 200, status: "pending" });
  await until(`order ${order.id} is confirmed`, async () => {
    const response = await fetch(`${services.gateway}/orders/${order.id}`);
    return ((await response.json()) as Order).status === "confirmed";
  });
  expect(await stockOf(itemId)).toEqual({ available: 1, reserved: 2 });
}
