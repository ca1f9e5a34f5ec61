import { expect, test } from "bun:test";

import { migrationLockId, withMigrationLock } from "./migration-lock.ts";

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

test("a lock that was not ours any more when it was given back is an error", async () => {
  const answers = [{ locked: true }, { locked: true }, {}, { was_ours: false }];
  const session = { ask: async () => [answers.shift()] as never[], openFile: notAsked };

  await expect(
    withMigrationLock(session, "orderflow", { waitMs: 0 }, async () => {}),
  ).rejects.toThrow("the migration lock was not ours any more");
});

function notAsked(): never {
  throw new Error("no file is run here");
}
