// A batch that is handled as one: its span has no parent, and a link to each record's creation.
import { context, propagation, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { Kafka, logLevel, type EachBatchHandler, type IHeaders } from "kafkajs";
import { startKafkaBroker } from "../../../lib/embedded/kafka/broker.ts";

// kafkajs sets timers to times that have passed, and Bun warns of that: no news here.
process.removeAllListeners("warning");

const TOPIC = "order.created";
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const tracer = provider.getTracer("experiment");

// #region batch
const fromBuffers = {
  get: (headers: IHeaders, name: string) => headers[name]?.toString(),
  keys: (headers: IHeaders) => Object.keys(headers),
};

const eachBatch: EachBatchHandler = async ({ batch: { topic, partition, messages } }) => {
  const links = messages.flatMap(({ headers = {} }) => {
    const creation = propagation.extract(ROOT_CONTEXT, headers, fromBuffers);
    const spanContext = trace.getSpanContext(creation);
    return spanContext ? [{ context: spanContext }] : [];
  });
  const attributes = {
    "messaging.system": "kafka",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": topic,
    "messaging.destination.partition.id": String(partition),
    "messaging.batch.message_count": messages.length,
  };
  const options = { kind: SpanKind.CONSUMER, attributes, links };
  await tracer.startActiveSpan(`process ${topic}`, options, ROOT_CONTEXT, async (span) => {
    try {
      await handleAll(messages.map(({ value }) => String(value)));
    } finally {
      span.end();
    }
  });
};
// #endregion batch

const handled = Promise.withResolvers<void>();
async function handleAll(orders: readonly string[]) {
  await tracer.startActiveSpan(`confirm ${orders.length} orders`, async (span) => span.end());
  handled.resolve();
}

/** A record, with the place of its PRODUCER span in its headers. */
function createRecord(value: string) {
  const headers: Record<string, string> = {};
  const options = { kind: SpanKind.PRODUCER };
  tracer.startActiveSpan(`create ${value}`, options, (span) => {
    propagation.inject(context.active(), headers);
    span.end();
  });
  return { value, headers, partition: 0 };
}

const broker = await startKafkaBroker();
const kafka = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING });
const producer = kafka.producer();
await producer.connect();
const messages = ["order 1", "order 2", "order 3"].map(createRecord);
await producer.send({ topic: TOPIC, messages });

const consumer = kafka.consumer({ groupId: "experiment", maxWaitTimeInMs: 100 });
await consumer.connect();
await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
await consumer.run({ eachBatch });
await handled.promise;
await consumer.disconnect();

const spans = exporter.getFinishedSpans();
const nameOf = (id?: string) => spans.find((span) => span.spanContext().spanId === id)?.name;
for (const { name, parentSpanContext, links } of spans) {
  const parent = nameOf(parentSpanContext?.spanId) ?? "none";
  const linked = links.map(({ context }) => nameOf(context.spanId)).join(", ") || "none";
  console.log(`${name.padEnd(21)} parent: ${parent.padEnd(21)} links: ${linked}`);
}

await producer.disconnect();
await broker.stop();
