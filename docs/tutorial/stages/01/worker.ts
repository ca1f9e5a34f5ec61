// The worker: confirms each order that Kafka tells of.
import { trace } from "@opentelemetry/api";
import { Kafka, logLevel } from "kafkajs";
import { startTracing } from "./tracing.ts";

const { ORDERS_URL, KAFKA_BROKERS = "" } = process.env;

startTracing("worker");
const tracer = trace.getTracer("tutorial");

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: "worker" });
await consumer.connect();
await consumer.subscribe({ topic: "order.created", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    // #region span
    const span = tracer.startSpan("handle an event");
    const order: { id: string } = JSON.parse(String(message.value));
    await confirmOrder(order.id);
    span.end();
    // #endregion span
    console.log("worker: confirmed an order");
  },
});

async function confirmOrder(id: string) {
  await fetch(`${ORDERS_URL}/orders/${id}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status: "confirmed" }),
  });
}
