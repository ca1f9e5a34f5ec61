import { expect, test } from "bun:test";

import { migrationLockId } from "./migration-lock.ts";

// The numbers come from golang-migrate v4.19.0 itself:
// database.GenerateAdvisoryLockId("/<name>", "public", "schema_migrations").
test.each([
  ["orderflow", 550_698_076],
  ["postgres", 3_280_485_947],
  ["bestellungen-ü", 4_086_544_770],
  ["a b", 519_851_939],
])("the lock of database %s is the one that golang-migrate takes", (databaseName, lockId) => {
  expect(migrationLockId(databaseName)).toBe(lockId);
});
