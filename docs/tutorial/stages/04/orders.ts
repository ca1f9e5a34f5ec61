// The orders service: keeps orders in PostgreSQL, and tells Kafka of each new one.
import { SQL } from "bun";
import { Elysia, t } from "elysia";
import { Kafka, logLevel } from "kafkajs";
import { traceRequests } from "./http-server.ts";
import { inSpan, startTracing } from "./tracing.ts";

const { PORT, POSTGRES_URL, KAFKA_BROKERS = "" } = process.env;

startTracing("orders");

const sql = new SQL(POSTGRES_URL ?? "");
const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer();
await producer.connect();

const Item = t.Object({
  item: t.String({ minLength: 1 }),
  quantity: t.Integer({ minimum: 1 }),
});
const NewOrder = t.Object({
  customer: t.String({ minLength: 1 }),
  items: t.Array(Item, { minItems: 1 }),
});
type NewOrder = typeof NewOrder.static;

new Elysia()
  .use(traceRequests())
  .post(
    "/orders",
    async ({ body, set }) => {
      // #region span
      const order = { id: Bun.randomUUIDv7(), ...body, status: "pending" };
      await inSpan("store the order", () => storeOrder(order));
      await inSpan("publish the event", () => publishOrder(order));
      console.log("orders: stored an order");
      set.status = 201;
      return order;
      // #endregion span
    },
    { body: NewOrder },
  )
  .get("/orders", async () => await listOrders())
  .get("/orders/:id", async ({ params, status }) => {
    const [order] = await sql`SELECT id, customer, status FROM orders WHERE id = ${params.id}`;
    return order ?? status(404, { error: "there is no such order" });
  })
  .patch(
    "/orders/:id",
    async ({ params, body, status }) => {
      const [order] = await sql`
        UPDATE orders SET status = ${body.status} WHERE id = ${params.id}
        RETURNING id, customer, status`;
      return order ?? status(404, { error: "there is no such order" });
    },
    { body: t.Object({ status: t.String() }) },
  )
  .listen({ hostname: "127.0.0.1", port: Number(PORT) });

/** Order and items are there together, or not at all. */
async function storeOrder({
  id,
  customer,
  items,
  status,
}: NewOrder & { id: string; status: string }) {
  await sql.begin(async (tx) => {
    await tx`INSERT INTO orders (id, customer, status) VALUES (${id}, ${customer}, ${status})`;
    for (const { item, quantity } of items) {
      await tx`INSERT INTO order_items (order_id, item, quantity) VALUES (${id}, ${item}, ${quantity})`;
    }
  });
}

async function publishOrder(order: NewOrder & { id: string }) {
  await producer.send({
    topic: "order.created",
    messages: [{ key: order.id, value: JSON.stringify(order) }],
  });
}

// #region list
/** The newest ten, each with its items. */
async function listOrders() {
  const orders = await sql`
    SELECT id, customer, status FROM orders ORDER BY created_at DESC LIMIT 10`;
  for (const order of orders) {
    order.items = await sql`SELECT item, quantity FROM order_items WHERE order_id = ${order.id}`;
  }
  return orders;
}
// #endregion list
