// The shipping service: makes a parcel of each order that Kafka tells of, and tells Kafka of the parcel.
import { SQL } from "bun";
import { Elysia, t } from "elysia";
import { Kafka, logLevel } from "kafkajs";
import { tracedFetch } from "./http-client.ts";
import { traceRequests } from "./http-server.ts";
import { processRecord, publishRecord } from "./kafka.ts";
import { log } from "./logs.ts";
import { traceSql } from "./sql.ts";
import { startTelemetry } from "./telemetry.ts";

const { PORT, ORDERS_URL, POSTGRES_URL, KAFKA_BROKERS = "" } = process.env;
const GROUP = "shipping";
const PARCEL_TOPIC = "parcel.packed";

startTelemetry("shipping");

const sql = new SQL(POSTGRES_URL ?? "");
const query = traceSql(sql);
await sql`CREATE TABLE IF NOT EXISTS parcels (order_id uuid PRIMARY KEY, address text NOT NULL)`;

const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer();
await producer.connect();
const consumer = kafka.consumer({ groupId: GROUP });
await consumer.connect();
await consumer.subscribe({ topic: "order.created", fromBeginning: true });
await consumer.run({
  eachMessage: async (record) => {
    await processRecord(record, GROUP, async () => {
      const { id }: { id: string } = JSON.parse(String(record.message.value));
      await pack(id);
      log("info", "packed a parcel");
    });
  },
});

new Elysia()
  .use(traceRequests())
  .get(
    "/parcels/:id",
    async ({ params, status }) => {
      const [parcel] =
        await query`SELECT order_id, address FROM parcels WHERE order_id = ${params.id}`;
      return parcel ?? status(404, { error: "there is no such parcel" });
    },
    { params: t.Object({ id: t.String({ format: "uuid" }) }) },
  )
  .listen({ hostname: "127.0.0.1", port: Number(PORT) });

async function pack(id: string) {
  const answer = await tracedFetch(`${ORDERS_URL}/orders/${encodeURIComponent(id)}`);
  if (!answer.ok) throw new Error(`the orders service answered ${answer.status}`);
  const { customer } = (await answer.json()) as { customer: string };
  // A record may come twice: the second time there is nothing left to do but to tell of it again.
  await query`
    INSERT INTO parcels (order_id, address) VALUES (${id}, ${`the house of ${customer}`})
    ON CONFLICT (order_id) DO NOTHING`;
  await publishRecord(PARCEL_TOPIC, id, (headers) =>
    producer.send({
      topic: PARCEL_TOPIC,
      messages: [{ key: id, value: JSON.stringify({ order_id: id }), headers }],
    }),
  );
}
