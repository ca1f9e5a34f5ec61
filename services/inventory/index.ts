/** The inventory service: stock, and its reservation for orders. */
import { databaseConfig } from "#lib/service/config.ts";
import { openDatabase } from "#lib/service/database.ts";
import { startService } from "#lib/service/lifecycle.ts";
import { addInventoryRoutes } from "./app.ts";
import { createStock } from "./stock.ts";

const service = startService("inventory", 8082, (env) => ({ database: databaseConfig(env) }));

const database = openDatabase(service.config.database, "inventory");
service.afterWork("database", () => database.close());

const ready = { postgres: () => database.probe("inventory.reservations") };
service.listen(addInventoryRoutes(service.baseApp(ready), createStock(database.sql)), ready);
