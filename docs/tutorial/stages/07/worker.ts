// The worker: confirms each order that Kafka tells of; what it cannot handle it puts aside.
// #region imports
import type { Span } from "@opentelemetry/api";
import { Kafka, logLevel, type KafkaMessage } from "kafkajs";
import { describe, failSpan } from "./errors.ts";
import { tracedFetch } from "./http-client.ts";
import { processRecord, sendRecords } from "./kafka.ts";
import { PermanentError, withRetries } from "./retries.ts";
import { startTracing } from "./tracing.ts";
// #endregion imports

const { ORDERS_URL, KAFKA_BROKERS = "" } = process.env;
const GROUP = "worker";
const DEAD_LETTERS = "order.created.dlq";

startTracing("worker");

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer();
await producer.connect();
const consumer = kafka.consumer({ groupId: GROUP });
await consumer.connect();
await consumer.subscribe({ topic: "order.created", fromBeginning: true });
await consumer.run({
  // #region span
  eachMessage: async (record) => {
    await processRecord(record, GROUP, async (span) => {
      try {
        await handle(record.message, span);
        console.log("worker: confirmed an order");
      } catch (error) {
        // Given up: now it is an error. The record goes aside, so that those behind it have their turn.
        failSpan(span, describe(error));
        await putAside(record, error);
      }
    });
  },
  // #endregion span
});

// #region handle
async function handle(message: KafkaMessage, span: Span) {
  const id = orderIdIn(message);
  await withRetries(span, (before) => confirmOrder(id, before));
}

function orderIdIn({ value }: KafkaMessage): string {
  try {
    return (JSON.parse(String(value)) as { id: string }).id;
  } catch {
    // The parser's own words quote the value.
    throw new PermanentError("the record's value is no JSON");
  }
}

async function confirmOrder(id: string, before: number) {
  const url = `${ORDERS_URL}/orders/${encodeURIComponent(id)}`;
  const init = {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ status: "confirmed" }),
  };
  const { status } = await tracedFetch(url, init, before);
  if (status >= 500) throw new Error(`the orders service answered ${status}`);
  if (status >= 400) throw new PermanentError(`the orders service answered ${status}`);
}
// #endregion handle

// #region dead-letter
/** Key, value and headers as they came, and beside them why and whence. */
async function putAside(
  { topic, partition, message }: { topic: string; partition: number; message: KafkaMessage },
  error: unknown,
) {
  const letter = {
    key: message.key,
    value: message.value,
    headers: {
      ...message.headers,
      "dlq-error": describe(error).text,
      "dlq-topic": topic,
      "dlq-partition": String(partition),
      "dlq-offset": message.offset,
    },
  };
  await sendRecords(DEAD_LETTERS, [letter], () =>
    producer.send({ topic: DEAD_LETTERS, messages: [letter] }),
  );
}
// #endregion dead-letter
