// The worker: confirms each order that Kafka tells of.
import { Kafka, logLevel } from "kafkajs";
import { inSpan, startTracing } from "./tracing.ts";

const { ORDERS_URL, KAFKA_BROKERS = "" } = process.env;

startTracing("worker");

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: "worker" });
await consumer.connect();
await consumer.subscribe({ topic: "order.created", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    // #region span
    await inSpan("handle an event", async () => {
      const order: { id: string } = JSON.parse(String(message.value));
      await inSpan("confirm the order", () => confirmOrder(order.id));
      console.log("worker: confirmed an order");
    });
    // #endregion span
  },
});

async function confirmOrder(id: string) {
  await fetch(`${ORDERS_URL}/orders/${id}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status: "confirmed" }),
  });
}
