import { expect, test } from "bun:test";

import { MigrateError } from "./errors.ts";
import { parsePostgresUrl } from "./connection.ts";

test("a connection URL yields the address to name and the decoded database name", () => {
  expect(parsePostgresUrl("postgres://me:pw@db.example:6543/orders%20%C3%BC")).toEqual({
    address: "db.example:6543",
    databaseName: "orders ü",
  });
  expect(parsePostgresUrl("postgresql://me@[::1]/orders?sslmode=disable")).toEqual({
    address: "[::1]:5432",
    databaseName: "orders",
  });
});

test.each([
  ["another scheme", "mysql://me:hush@host/db"],
  ["no URL", "hush"],
  ["no database", "postgres://me:hush@host"],
  ["an empty database", "postgres://me:hush@host/"],
  ["a # in the password", "postgres://me:12#hush@host/db"],
  ["a / in the password", "postgres://me:12/hush@host/db"],
  ["a ? in the password", "postgres://me:12?hush@host/db"],
  ["a stray % in the password", "postgres://me:hush%@host/db"],
  ["a stray % in the database", "postgres://me:hush@host/100%"],
])("a URL with %s is refused without being quoted", (_what, postgresUrl) => {
  let error: unknown;
  try {
    parsePostgresUrl(postgresUrl);
  } catch (thrown) {
    error = thrown;
  }

  expect(error).toBeInstanceOf(MigrateError);
  expect(String(error)).toContain("POSTGRES_URL is not a PostgreSQL URL");
  expect(String(error)).not.toContain("hush");
});
