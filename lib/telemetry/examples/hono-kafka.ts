/** A Hono app that publishes to Kafka, and a consumer that handles the record: one trace. */
import { inSpan, logger, startTelemetry } from "@orderflow/telemetry";
import { honoTelemetry } from "@orderflow/telemetry/hono";
import { traceProcess, tracePublish } from "@orderflow/telemetry/kafka";
import { Hono } from "hono";
import { Kafka, logLevel } from "kafkajs";

const telemetry = startTelemetry({ name: "signups", version: "1.0.0" });
const topic = "user.signed-up";
const kafka = new Kafka({
  brokers: (process.env["KAFKA_BROKERS"] ?? "localhost:19092").split(","),
  logLevel: logLevel.NOTHING,
});
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic }], waitForLeaders: true });
await admin.disconnect();

const consumer = kafka.consumer({ groupId: "welcome-mails" });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ partition, message }) => {
    const record = { ...message, topic, partition };
    await traceProcess(record, { consumerGroup: "welcome-mails" }, async () => {
      await inSpan("write welcome mail", {}, async () => undefined);
    });
  },
});

const producer = kafka.producer();
await producer.connect();
const app = new Hono();
app.use(honoTelemetry());
app.post("/users/:name", async (c) => {
  const key = c.req.param("name");
  await tracePublish(topic, key, async (headers) => {
    await producer.send({ topic, messages: [{ key, value: "{}", headers }] });
  });
  return c.text("welcome", 201);
});

const server = Bun.serve({ port: Number(process.env["PORT"] ?? 3000), fetch: app.fetch });
logger.info("listening", { url: server.url.origin });

process.on("SIGTERM", async () => {
  await server.stop();
  await Promise.all([consumer.disconnect(), producer.disconnect()]);
  await telemetry.shutdown();
});
