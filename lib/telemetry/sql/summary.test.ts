import { expect, test } from "bun:test";
import { summarizeQuery } from "./summary.ts";

test.each([
  ["BEGIN", "BEGIN"],
  ["COMMIT", "COMMIT"],
  ["SELECT 1", "SELECT"],
  ["SELECT id FROM orders.orders WHERE id = $1", "SELECT orders.orders"],
  ["INSERT INTO orders.orders (id) VALUES ($1)", "INSERT orders.orders"],
  ["UPDATE orders.orders SET status = $1", "UPDATE orders.orders"],
  ["DELETE FROM orders.outbox WHERE id = $1", "DELETE orders.outbox"],
  [
    "SELECT 1 FROM inventory.items AS i LEFT JOIN inventory.reservations AS r ON true",
    "SELECT inventory.items inventory.reservations",
  ],
  [
    "WITH moved AS (UPDATE inventory.items SET a = 1 RETURNING 1) SELECT * FROM moved",
    "UPDATE inventory.items",
  ],
  ["SELECT id FROM orders.outbox LIMIT 1 FOR UPDATE SKIP LOCKED", "SELECT orders.outbox"],
  ["INSERT INTO a.b (c) VALUES ($1) ON CONFLICT (c) DO UPDATE SET c = $1", "INSERT a.b"],
  ["SELECT 'DELETE FROM orders.orders' FROM a.b", "SELECT a.b"],
  ["SELECT 1 -- DELETE FROM orders.orders\nFROM a.b", "SELECT a.b"],
  ["VACUUM", "SQL"],
  ["", "SQL"],
])("%s → %s", (text, summary) => expect(summarizeQuery(text)).toBe(summary));

test("is at most 255 characters long and ends with a whole name", () => {
  const tables = Array.from({ length: 60 }, (_, index) => `schema.table_${index}`);
  const summary = summarizeQuery(`SELECT 1 FROM ${tables.join(" JOIN ")}`);
  expect(summary.length).toBeLessThanOrEqual(255);
  expect(`SELECT ${tables.join(" ")} `).toStartWith(`${summary} `);
});
