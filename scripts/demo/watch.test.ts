import { expect, test } from "bun:test";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { affectedServices } from "./watch.ts";

test("a service's own file restarts that service only", () => {
  expect(affectedServices("services/orders/relay.ts")).toEqual(["orders"]);
});

test("a file that all share restarts all", () => {
  expect(affectedServices("lib/telemetry/sql/sql.ts")).toEqual(SERVICE_NAMES);
});

test.each([
  "services/orders/list-page.test.ts",
  "services/README.md",
  "services/orders/relay.ts~",
  "services/other/index.ts",
  "lib/embedded/postgres.ts",
  "lib/embedded/viewer/style.css",
])("%s restarts nothing, as no service runs it", (path) => {
  expect(affectedServices(path)).toEqual([]);
});
