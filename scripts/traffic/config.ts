/** What `bun run generate-traffic` reads from its environment. */
import { ConfigError, integer, type Env } from "#lib/service/config.ts";
import { GATEWAY_URL } from "../shared/gateway.ts";

export interface TrafficConfig {
  readonly gatewayUrl: string;
  readonly orderCount: number;
  readonly sleepMs: number;
}

/** Its variables, each with its default. */
export const TRAFFIC_DEFAULTS = { GATEWAY_URL, ORDER_COUNT: 10, SLEEP_SECONDS: 1 } as const;

/** @throws ConfigError that names the variable */
export function loadTrafficConfig(env: Env): TrafficConfig {
  const gatewayUrl = env["GATEWAY_URL"] || GATEWAY_URL;
  if (!/^https?:$/.test(URL.parse(gatewayUrl)?.protocol ?? "")) {
    throw new ConfigError("GATEWAY_URL must be an http(s) URL");
  }
  const sleepSeconds = env["SLEEP_SECONDS"] || String(TRAFFIC_DEFAULTS.SLEEP_SECONDS);
  if (!/^(\d{1,5}(\.\d{1,6})?|\.\d{1,6})$/.test(sleepSeconds)) {
    throw new ConfigError("SLEEP_SECONDS must be a number from 0 to 99999, for example 0.5");
  }
  const orders = { min: 1, max: 1_000_000 };
  return {
    gatewayUrl: gatewayUrl.replace(/\/+$/, ""),
    orderCount: integer(env, "ORDER_COUNT", TRAFFIC_DEFAULTS.ORDER_COUNT, orders),
    sleepMs: Number(sleepSeconds) * 1_000,
  };
}
