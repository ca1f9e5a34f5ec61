/** The inventory service: stock, and its reservation for orders. */
import { startCleanUp } from "#lib/service/clean-up.ts";
import { openDatabase } from "#lib/service/database.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { addInventoryRoutes } from "./app.ts";
import { reservationsCleanUp } from "./clean-up.ts";
import { loadInventoryConfig } from "./config.ts";
import { createStock } from "./stock.ts";

const service = startService("inventory", loadInventoryConfig);
const { config } = service;

const database = openDatabase(config.database, "inventory");
service.afterWork("database", () => database.close());

const cleanUp = startCleanUp({
  database,
  tables: [reservationsCleanUp(config.reservationsKeepDays)],
  intervalMs: config.cleanUpIntervalMs,
});
service.onStop("clean-up", () => cleanUp.stop());

const ready = { postgres: () => database.probe("inventory.forgotten_reservations") };
service.listen(addInventoryRoutes(service.baseApp(ready), createStock(database.sql)), ready);
