// What is active in a handler of kafkajs: whatever was when `run` was called, however long ago that is.
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { Kafka, logLevel } from "kafkajs";
import { startKafkaBroker } from "../../../lib/embedded/kafka/broker.ts";

// kafkajs sets timers to times that have passed, and Bun warns of that: no news here.
process.removeAllListeners("warning");

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const tracer = new BasicTracerProvider().getTracer("experiment");
const nameOfActive = () => (trace.getActiveSpan() as { name?: string } | undefined)?.name ?? "none";

const broker = await startKafkaBroker();
const kafka = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING });
const producer = kafka.producer();
await producer.connect();
const consumer = kafka.consumer({ groupId: "experiment", maxWaitTimeInMs: 100 });
await consumer.connect();
await consumer.subscribe({ topic: "experiment", fromBeginning: true });

const handled = Promise.withResolvers<string>();
await tracer.startActiveSpan("start the worker", async (span) => {
  await consumer.run({ eachMessage: async () => handled.resolve(nameOfActive()) });
  span.end();
});

await tracer.startActiveSpan("place an order", async (span) => {
  await producer.send({ topic: "experiment", messages: [{ value: "an order" }] });
  console.log("after producer.send the active span is:", nameOfActive());
  span.end();
});
console.log("in the handler the active span is:     ", await handled.promise);

await consumer.disconnect();
await producer.disconnect();
await broker.stop();
