/** The gateway's own configuration. */
import { calledUrls, type Env } from "#lib/service/config.ts";
import type { CalledBy } from "#lib/service/services.ts";

export interface GatewayConfig {
  /** Where those are whom it calls. */
  urls: Readonly<Record<CalledBy<"gateway">, string>>;
}

export function loadGatewayConfig(env: Env): Readonly<GatewayConfig> {
  return { urls: calledUrls(env, "gateway") };
}
