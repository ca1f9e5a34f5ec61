/** The gateway: the public API, in front of orders and inventory. */
import { createServiceClient, probeHealth } from "#lib/service/client.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { addGatewayRoutes } from "./app.ts";
import { loadGatewayConfig } from "./config.ts";

const service = startService("gateway", loadGatewayConfig);
const { ordersUrl, inventoryUrl } = service.config;

const backends = {
  orders: createServiceClient("orders", ordersUrl),
  inventory: createServiceClient("inventory", inventoryUrl),
};
const ready = {
  orders: () => probeHealth("orders", ordersUrl),
  inventory: () => probeHealth("inventory", inventoryUrl),
};
service.listen(addGatewayRoutes(service.baseApp(ready, { isEdge: true }), backends), ready);
