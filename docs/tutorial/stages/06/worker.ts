// The worker: confirms each order that Kafka tells of.
import { Kafka, logLevel } from "kafkajs";
import { fetchWithRetries } from "./http-client.ts";
import { processRecord } from "./kafka.ts";
import { startTracing } from "./tracing.ts";

const { ORDERS_URL, KAFKA_BROKERS = "" } = process.env;
const GROUP = "worker";

startTracing("worker");

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: GROUP });
await consumer.connect();
await consumer.subscribe({ topic: "order.created", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ topic, partition, message }) => {
    // #region span
    await processRecord({ topic, partition, message }, GROUP, async () => {
      const order: { id: string } = JSON.parse(String(message.value));
      await confirmOrder(order.id);
      console.log("worker: confirmed an order");
    });
    // #endregion span
  },
});

async function confirmOrder(id: string) {
  await fetchWithRetries(`${ORDERS_URL}/orders/${id}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status: "confirmed" }),
  });
}
