// The orders service: keeps orders in PostgreSQL, and tells Kafka of each new one.
import { SQL } from "bun";
import { Elysia, t } from "elysia";
import { Kafka, logLevel } from "kafkajs";
import { traceRequests } from "./http-server.ts";
import { createRecord } from "./kafka.ts";
import { log } from "./logs.ts";
import { countOrder } from "./metrics.ts";
import { relay } from "./relay.ts";
import { traceSql, transaction } from "./sql.ts";
import { startTelemetry } from "./telemetry.ts";

const { PORT, POSTGRES_URL, KAFKA_BROKERS = "" } = process.env;

startTelemetry("orders");

const sql = new SQL(POSTGRES_URL ?? "");
const query = traceSql(sql);
const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer();
await producer.connect();
void relay(sql, producer);

const Item = t.Object({
  item: t.String({ minLength: 1 }),
  quantity: t.Integer({ minimum: 1 }),
});
const NewOrder = t.Object({
  customer: t.String({ minLength: 1 }),
  items: t.Array(Item, { minItems: 1 }),
});
const OrderId = t.Object({ id: t.String({ format: "uuid" }) });
type NewOrder = typeof NewOrder.static;

new Elysia()
  .use(traceRequests())
  .onError(({ code, status }) => {
    // What went wrong inside stands on the span; whoever called is told whose fault it is.
    if (code === "NOT_FOUND") return status(404, { error: "there is nothing here" });
    if (code === "VALIDATION" || code === "PARSE") {
      return status(400, { error: "this is not as it should be" });
    }
    return status(500, { error: "something went wrong here" });
  })
  .post(
    "/orders",
    async ({ body, set }) => {
      // #region span
      const order = { id: Bun.randomUUIDv7(), ...body, status: "pending" };
      await storeOrder(order);
      countOrder();
      log("info", "stored an order", { "shop.order.id": order.id });
      set.status = 201;
      return order;
      // #endregion span
    },
    { body: NewOrder },
  )
  .get("/orders", async () => await listOrders())
  .get(
    "/orders/:id",
    async ({ params, status }) => {
      const [order] = await query`SELECT id, customer, status FROM orders WHERE id = ${params.id}`;
      return order ?? status(404, { error: "there is no such order" });
    },
    { params: OrderId },
  )
  .patch(
    "/orders/:id",
    async ({ params, body, status }) => {
      const [order] = await query`
        UPDATE orders SET status = ${body.status} WHERE id = ${params.id}
        RETURNING id, customer, status`;
      return order ?? status(404, { error: "there is no such order" });
    },
    { params: OrderId, body: t.Object({ status: t.String() }) },
  )
  .listen({ hostname: "127.0.0.1", port: Number(PORT) });

// #region store
/** Order, items and event are there together, or not at all. */
async function storeOrder(order: NewOrder & { id: string; status: string }) {
  const { id, customer, items, status } = order;
  await transaction(sql, async (query) => {
    await query`INSERT INTO orders (id, customer, status) VALUES (${id}, ${customer}, ${status})`;
    for (const { item, quantity } of items) {
      await query`INSERT INTO order_items (order_id, item, quantity) VALUES (${id}, ${item}, ${quantity})`;
    }
    await createRecord("order.created", id, async (headers) => {
      await query`
        INSERT INTO outbox (key, value, headers)
        VALUES (${id}, ${JSON.stringify(order)}, ${headers})`;
    });
  });
}
// #endregion store

// #region list
/** The newest ten, each with its items: one statement, however many orders there are. */
async function listOrders() {
  return await query`
    SELECT id, customer, status, items
    FROM orders, LATERAL (
      SELECT json_agg(json_build_object('item', item, 'quantity', quantity)) AS items
      FROM order_items WHERE order_id = id
    ) AS of_the_order
    ORDER BY created_at DESC LIMIT 10`;
}
// #endregion list
