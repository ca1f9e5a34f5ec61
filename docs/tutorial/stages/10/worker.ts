// The worker: confirms each order that Kafka tells of; what it cannot handle it puts aside.
import { context, type Span } from "@opentelemetry/api";
import { Kafka, logLevel, type KafkaMessage } from "kafkajs";
import { errorText, errorTypeOf } from "#lib/telemetry/error-text.ts";
import { traceRequestOut } from "#lib/telemetry/http/client.ts";
import { failSpan, logger, startTelemetry } from "#lib/telemetry/index.ts";
import { traceProcess, traceSend } from "#lib/telemetry/kafka/index.ts";
import { PermanentError, withRetries } from "./retries.ts";

const { ORDERS_URL, KAFKA_BROKERS = "" } = process.env;
const GROUP = "worker";
const DEAD_LETTERS = "order.created.dlq";

const telemetry = startTelemetry({ name: "worker", version: "1.0.0" });

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer();
await producer.connect();
const consumer = kafka.consumer({ groupId: GROUP });
await consumer.connect();
await consumer.subscribe({ topic: "order.created", fromBeginning: true });
await consumer.run({
  // #region span
  eachMessage: async (record) => {
    const { topic, partition, message } = record;
    await traceProcess({ ...message, topic, partition }, { consumerGroup: GROUP }, async (span) => {
      try {
        await handle(message, span);
        logger.info("confirmed an order");
      } catch (error) {
        // Given up: now it is an error. The record goes aside, so that those behind it have their turn.
        failSpan(span, errorTypeOf(error), error);
        logger.error("put an order aside", { error });
        await putAside(record, error);
      }
    });
  },
  // #endregion span
});

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
  // The longer form of `tracedFetch`, for whoever tries again: which try it is belongs on the span.
  const { status } = await traceRequestOut(url, init, (answer) => answer, { resendCount: before });
  if (status >= 500) throw new Error(`the orders service answered ${status}`);
  if (status >= 400) throw new PermanentError(`the orders service answered ${status}`);
}

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
      "dlq-error": errorText(error),
      "dlq-topic": topic,
      "dlq-partition": String(partition),
      "dlq-offset": message.offset,
    },
  };
  const send = () => producer.send({ topic: DEAD_LETTERS, messages: [letter] });
  // Below the record's handling, and linked to its creation.
  await traceSend(DEAD_LETTERS, [letter], send, { parent: context.active() });
}
// #endregion dead-letter

process.once("SIGTERM", end).once("SIGINT", end);
async function end() {
  await telemetry.shutdown();
  process.exit(0);
}
