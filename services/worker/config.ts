/** The worker's own configuration. */
import { loadKafkaConfig, type KafkaConnection } from "#lib/kafka/config.ts";
import { calledUrls, integer, type Env } from "#lib/service/config.ts";
import type { CalledBy } from "#lib/service/services.ts";

export interface WorkerConfig {
  kafka: KafkaConnection;
  /** Where those are whom it calls. */
  urls: Readonly<Record<CalledBy<"worker">, string>>;
  /** Orders worked on at a time. */
  concurrency: number;
  /** For how long an order's failing step is tried again before the order becomes a dead letter. */
  retryLimitMs: number;
}

export function loadWorkerConfig(env: Env): Readonly<WorkerConfig> {
  return {
    kafka: loadKafkaConfig(env),
    urls: calledUrls(env, "worker"),
    concurrency: integer(env, "WORKER_CONCURRENCY", 128, { min: 1, max: 1_000 }),
    retryLimitMs: integer(env, "WORKER_RETRY_LIMIT_MS", 60_000, { min: 0, max: 86_400_000 }),
  };
}
