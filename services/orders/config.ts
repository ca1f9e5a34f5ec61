/** The orders service's own configuration. */
import { loadKafkaConfig, type KafkaConnection } from "#lib/kafka/config.ts";
import {
  cleanUpInterval,
  databaseConfig,
  integer,
  type DatabaseConfig,
  type Env,
} from "#lib/service/config.ts";

export interface OrdersConfig {
  database: DatabaseConfig;
  kafka: KafkaConnection;
  /** How often the relay looks for events that nobody told it of. */
  relayPollIntervalMs: number;
  /** Events taken in hand at a time. */
  relayBatchRowsMax: number;
  /** For how long an Idempotency-Key is remembered. */
  idempotencyKeysKeepHours: number;
  cleanUpIntervalMs: number;
}

export function loadOrdersConfig(env: Env): Readonly<OrdersConfig> {
  return {
    database: databaseConfig(env),
    kafka: loadKafkaConfig(env),
    relayPollIntervalMs: integer(env, "RELAY_POLL_INTERVAL_MS", 2_000, { min: 50, max: 3_600_000 }),
    relayBatchRowsMax: integer(env, "RELAY_BATCH_ROWS_MAX", 100, { min: 1, max: 1_000 }),
    idempotencyKeysKeepHours: integer(env, "IDEMPOTENCY_KEYS_KEEP_HOURS", 24, {
      min: 1,
      max: 87_600,
    }),
    cleanUpIntervalMs: cleanUpInterval(env),
  };
}
