/** The gateway: the public API, in front of orders and inventory. */
import { createServiceClient, probeHealth } from "#lib/service/client.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { forEachCalled } from "#lib/service/services.ts";
import { addGatewayRoutes } from "./app.ts";
import { loadGatewayConfig } from "./config.ts";

const service = startService("gateway", loadGatewayConfig);
const { urls } = service.config;

const backends = forEachCalled("gateway", (name) => createServiceClient(name, urls[name]));
const ready = forEachCalled("gateway", (name) => () => probeHealth(name, urls[name]));
service.listen(addGatewayRoutes(service.baseApp(ready, { isEdge: true }), backends), ready);
