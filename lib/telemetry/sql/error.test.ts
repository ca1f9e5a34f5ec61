import { describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { databaseErrorText } from "./error.ts";

const postgres = (errno: string, message: string, fields: object = {}) =>
  databaseErrorText(
    new SQL.PostgresError(message, {
      errno,
      code: "ERR_POSTGRES_SERVER_ERROR",
      ...fields,
    } as never),
  );

describe("a database's error", () => {
  test.each([
    [
      "22P02",
      'invalid input syntax for type integer: "leak"',
      "invalid_text_representation (22P02)",
    ],
    ["P0001", "order leak is wrong", "raise_exception (P0001)"],
    ["42703", 'column "leak" does not exist', "undefined_column (42703)"],
    ["ZZ999", "leak", "database error (ZZ999)"],
  ])("%s is told by its condition, without its text", (errno, message, shown) => {
    expect(postgres(errno, message, { detail: "leak", hint: "leak" })).toBe(shown);
  });

  test.each([
    ["57014", "canceling statement due to statement timeout", "query_canceled"],
    ["53300", "sorry, too many clients already", "too_many_connections"],
    ["40P01", "deadlock detected", "deadlock_detected"],
    ["42501", "permission denied for table users", "insufficient_privilege"],
  ])(
    "%s of the server itself says why, as nothing of a statement is in it",
    (errno, message, name) => {
      expect(postgres(errno, message)).toBe(`${name} (${errno}): ${message}`);
      expect(postgres(errno, "leak", { routine: "exec_stmt_raise" })).toBe(`${name} (${errno})`);
    },
  );

  test("names the column or the table where the server does", () => {
    const place = { schema: "orders", table: "orders", column: "total" };
    expect(postgres("23502", "null value", place)).toBe(
      "not_null_violation (23502): total of orders.orders",
    );
    expect(postgres("23502", "null value", { table: "t" })).toBe("not_null_violation (23502): t");
  });

  test("of MySQL or SQLite is told by its number or code", () => {
    const options = { code: "ERR_MYSQL_SERVER_ERROR", errno: 1062, sqlState: "23000" };
    expect(databaseErrorText(new SQL.MySQLError("Duplicate entry 'leak'", options))).toBe(
      "MySQL error 1062 (23000)",
    );
    // Bun has another code for a syntax error, and the text repeats the statement from there on.
    const syntax = { code: "ERR_MYSQL_SYNTAX_ERROR", errno: 1064, sqlState: "42000" };
    expect(databaseErrorText(new SQL.MySQLError("… near 'leak' at line 1", syntax))).toBe(
      "MySQL error 1064 (42000)",
    );
    const sqlite = Object.assign(new Error('near "leak"'), { code: "SQLITE_ERROR", errno: 1 });
    expect(databaseErrorText(sqlite)).toBe("SQLITE_ERROR");
  });

  test("that no database answered with is none", () => {
    expect(databaseErrorText(new Error("Connection closed"))).toBeUndefined();
    const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED", errno: -111 });
    expect(databaseErrorText(refused)).toBeUndefined();
  });
});
