/** The gateway's own configuration. */
import { serviceUrl, type Env } from "#lib/service/config.ts";

export interface GatewayConfig {
  ordersUrl: string;
  inventoryUrl: string;
}

export function loadGatewayConfig(env: Env): Readonly<GatewayConfig> {
  return {
    ordersUrl: serviceUrl(env, "ORDERS_SERVICE_URL"),
    inventoryUrl: serviceUrl(env, "INVENTORY_SERVICE_URL"),
  };
}
