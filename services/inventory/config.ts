/** The inventory service's own configuration. */
import {
  cleanUpInterval,
  databaseConfig,
  integer,
  type DatabaseConfig,
  type Env,
} from "#lib/service/config.ts";

export interface InventoryConfig {
  database: DatabaseConfig;
  /** For how long a reservation is remembered after its last change. */
  reservationsKeepDays: number;
  cleanUpIntervalMs: number;
}

export function loadInventoryConfig(env: Env): Readonly<InventoryConfig> {
  return {
    database: databaseConfig(env),
    reservationsKeepDays: integer(env, "RESERVATIONS_KEEP_DAYS", 30, { min: 1, max: 36_500 }),
    cleanUpIntervalMs: cleanUpInterval(env),
  };
}
