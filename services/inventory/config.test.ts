import { expect, test } from "bun:test";
import { loadInventoryConfig } from "./config.ts";

const needed = { POSTGRES_URL: "postgres://u:p@db/orders" };

test("inventory knows its database, and keeps reservations for 30 days unless told otherwise", () => {
  expect(loadInventoryConfig(needed)).toEqual({
    database: { url: "postgres://u:p@db/orders", pooler: "none" },
    reservationsKeepDays: 30,
    cleanUpIntervalMs: 300_000,
  });
  expect(loadInventoryConfig({ ...needed, RESERVATIONS_KEEP_DAYS: "7" }).reservationsKeepDays).toBe(
    7,
  );
});

test.each([
  ["POSTGRES_URL", undefined],
  ["RESERVATIONS_KEEP_DAYS", "0"],
  ["RESERVATIONS_KEEP_DAYS", "36501"],
  ["RESERVATIONS_KEEP_DAYS", "1.5"],
  ["CLEANUP_INTERVAL_MS", "99"],
  ["CLEANUP_INTERVAL_MS", "86400001"],
])("%s=%s is refused by name", (name, value) => {
  expect(() => loadInventoryConfig({ ...needed, [name]: value })).toThrow(name);
});
