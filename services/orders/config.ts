/** The orders service's own configuration. */
import {
  brokerList,
  cleanUpInterval,
  integer,
  postgresUrl,
  type Env,
} from "#lib/service/config.ts";

export interface OrdersConfig {
  postgresUrl: string;
  kafkaBrokers: string[];
  /** How often the relay looks for events that no notification told it of. */
  relayPollIntervalMs: number;
  /** Events published at a time. */
  relayBatchRowsMax: number;
  /** For how long an Idempotency-Key is remembered. */
  idempotencyKeysKeepHours: number;
  cleanUpIntervalMs: number;
}

export function loadOrdersConfig(env: Env): Readonly<OrdersConfig> {
  return {
    postgresUrl: postgresUrl(env),
    kafkaBrokers: brokerList(env),
    relayPollIntervalMs: integer(env, "RELAY_POLL_INTERVAL_MS", 2_000, { min: 50, max: 3_600_000 }),
    relayBatchRowsMax: integer(env, "RELAY_BATCH_ROWS_MAX", 100, { min: 1, max: 1_000 }),
    idempotencyKeysKeepHours: integer(env, "IDEMPOTENCY_KEYS_KEEP_HOURS", 24, {
      min: 1,
      max: 87_600,
    }),
    cleanUpIntervalMs: cleanUpInterval(env),
  };
}
