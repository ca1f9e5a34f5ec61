/** The worker: settles each created order, with stock, status and mail. */
import { createKafka } from "#lib/kafka/client.ts";
import { startConsumer } from "#lib/kafka/consumer.ts";
import {
  ORDER_CREATED_DEAD_LETTER_TOPIC,
  ORDER_CREATED_TOPIC,
  ORDER_TOPIC_PARTITIONS,
  SETTLING_GROUP,
} from "#lib/orders/order-created.ts";
import { probeHealth } from "#lib/service/client.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { forEachCalled } from "#lib/service/services.ts";
import { loadWorkerConfig } from "./config.ts";
import { createDependency, isDependencyDown } from "#lib/service/dependency.ts";
import { createSettler } from "./settle.ts";

const STOP_TIMEOUT_MS = 5_000;

const service = startService("worker", loadWorkerConfig);
const { config } = service;

const settler = createSettler(
  forEachCalled("worker", (name) => createDependency(name, config.urls[name])),
);

const consumer = startConsumer({
  kafka: createKafka({ connection: config.kafka, clientId: "worker" }),
  groupId: SETTLING_GROUP,
  topic: ORDER_CREATED_TOPIC,
  deadLetterTopic: ORDER_CREATED_DEAD_LETTER_TOPIC,
  partitions: ORDER_TOPIC_PARTITIONS,
  concurrency: config.concurrency,
  retryLimitMs: config.retryLimitMs,
  handle: settler,
  isDown: isDependencyDown,
});
service.onStop("consumer", () => consumer.stop(STOP_TIMEOUT_MS));

const ready = {
  ...forEachCalled("worker", (name) => () => probeHealth(name, config.urls[name])),
  kafka: async () => {
    if (consumer.problem) throw new Error(consumer.problem);
  },
};
service.listen(service.baseApp(ready), ready);
