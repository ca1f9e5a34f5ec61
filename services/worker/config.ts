/** The worker's own configuration. */
import { loadKafkaConfig, type KafkaConnection } from "#lib/kafka/config.ts";
import { integer, serviceUrl, type Env } from "#lib/service/config.ts";

export interface WorkerConfig {
  kafka: KafkaConnection;
  ordersUrl: string;
  inventoryUrl: string;
  emailUrl: string;
  /** Orders worked on at a time. */
  concurrency: number;
  /** For how long an order's failing step is tried again before the order becomes a dead letter. */
  retryLimitMs: number;
}

export function loadWorkerConfig(env: Env): Readonly<WorkerConfig> {
  return {
    kafka: loadKafkaConfig(env),
    ordersUrl: serviceUrl(env, "ORDERS_SERVICE_URL"),
    inventoryUrl: serviceUrl(env, "INVENTORY_SERVICE_URL"),
    emailUrl: serviceUrl(env, "EMAIL_SERVICE_URL"),
    concurrency: integer(env, "WORKER_CONCURRENCY", 128, { min: 1, max: 1_000 }),
    retryLimitMs: integer(env, "WORKER_RETRY_LIMIT_MS", 60_000, { min: 0, max: 86_400_000 }),
  };
}
