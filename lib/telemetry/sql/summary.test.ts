import { describe, expect, test } from "bun:test";
import { summarizeQuery } from "./summary.ts";
import type { SqlSystem } from "./words.ts";

test.each([
  ["BEGIN", "BEGIN"],
  ["COMMIT", "COMMIT"],
  ["BEGIN; SET LOCAL statement_timeout = 5000", "BEGIN"],
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
  ["UPDATE a.b SET c = 1 FROM unnest($1::bigint[], $2) AS x (id) WHERE true", "UPDATE a.b"],
  ["SELECT 'DELETE FROM orders.orders' FROM a.b", "SELECT a.b"],
  ["SELECT 1 -- DELETE FROM orders.orders\nFROM a.b", "SELECT a.b"],
  ["VACUUM", "VACUUM"],
  ["", "SQL"],
  ["sesame, open", "SQL"],
])("%s → %s", (text, summary) => expect(summarizeQuery(text)).toBe(summary));

describe("plain SQL", () => {
  test.each([
    ["SELECT * FROM users", "SELECT users"],
    ["select * from users u where u.id = $1", "SELECT users"],
    ['SELECT * FROM "Users"', 'SELECT "Users"'],
    ['SELECT * FROM public."Order Items"', 'SELECT public."Order Items"'],
    ['SELECT * FROM "a""b" . "c"', 'SELECT "a""b"."c"'],
    ["SELECT * FROM songs, artists WHERE a IN (1, 2)", "SELECT songs artists"],
    ["SELECT a, b FROM x JOIN y USING (id) LEFT JOIN z ON z.id = x.id", "SELECT x y z"],
    ["SELECT * FROM (a JOIN b ON true), c", "SELECT a b c"],
    [
      "SELECT a FROM (SELECT * FROM orders o JOIN customers c ON true) s",
      "SELECT orders customers",
    ],
    ["SELECT * FROM a WHERE id IN (SELECT a_id FROM b)", "SELECT a SELECT b"],
    ["SELECT a FROM x UNION ALL SELECT b FROM y", "SELECT x SELECT y"],
    ["SELECT * FROM users WHERE id = 1; DELETE FROM logs", "SELECT users DELETE logs"],
    ["INSERT INTO users (id, name) VALUES (1, 'x')", "INSERT users"],
    ["INSERT INTO a (x) SELECT x FROM b WHERE y = 1", "INSERT a SELECT b"],
    ["UPDATE ONLY users SET name = 'x' WHERE id = 1", "UPDATE users"],
    ["DELETE FROM users USING teams WHERE true", "DELETE users teams"],
    [
      "MERGE INTO stock s USING sales d ON s.id = d.id WHEN MATCHED THEN UPDATE SET n = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)",
      "MERGE stock sales",
    ],
    ["TRUNCATE TABLE a, b CASCADE", "TRUNCATE a b"],
    ["TRUNCATE users", "TRUNCATE users"],
    ["COPY users (id, name) FROM STDIN", "COPY users"],
    ["COPY (SELECT * FROM users) TO STDOUT", "COPY SELECT users"],
    ["VACUUM (FULL, ANALYZE) users", "VACUUM users"],
    ["VACUUM FULL users", "VACUUM users"],
    ["CREATE TABLE users (id int, name text default 'x')", "CREATE TABLE users"],
    ["CREATE TEMP TABLE IF NOT EXISTS t (id int references users)", "CREATE TABLE t"],
    ["CREATE TABLE kept AS SELECT * FROM users", "CREATE TABLE kept SELECT users"],
    ["CREATE UNIQUE INDEX CONCURRENTLY i ON users (lower(name))", "CREATE INDEX i users"],
    [
      "CREATE MATERIALIZED VIEW v AS SELECT * FROM users",
      "CREATE MATERIALIZED VIEW v SELECT users",
    ],
    [
      "CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 FROM hidden $$ LANGUAGE sql",
      "CREATE FUNCTION f",
    ],
    ["CREATE ROLE ann PASSWORD 'hunter2'", "CREATE ROLE ann"],
    ["DROP TABLE IF EXISTS a, b", "DROP TABLE a b"],
    ["ALTER TABLE users ADD COLUMN age int", "ALTER TABLE users"],
    ["GRANT SELECT ON users TO ann", "GRANT"],
    ["SET search_path TO app", "SET"],
    ["START TRANSACTION READ ONLY", "START TRANSACTION"],
    ["SAVEPOINT s0_audit", "SAVEPOINT"],
    ["RELEASE SAVEPOINT s0", "RELEASE"],
    ["CALL settle(1, 'x')", "CALL settle"],
    ["LISTEN events", "LISTEN events"],
    ["EXPLAIN ANALYZE SELECT * FROM users", "EXPLAIN SELECT users"],
    ["SELECT count(*), extract(year FROM born) FROM users", "SELECT users"],
    ["SELECT trim(both 'x' from name) FROM users", "SELECT users"],
    ["SELECT a IS DISTINCT FROM b FROM users", "SELECT users"],
    ["SELECT now()", "SELECT"],
    ["SELECT * FROM generate_series(1, 3) AS n, users", "SELECT users"],
    ["SELECT * FROM a CROSS JOIN LATERAL f(a.id) x", "SELECT a"],
    [
      "WITH a AS (SELECT * FROM x), b (c) AS MATERIALIZED (SELECT * FROM a) DELETE FROM y USING b",
      "SELECT x DELETE y",
    ],
    [
      "WITH RECURSIVE t AS (SELECT 1 UNION SELECT n FROM t) SELECT * FROM t JOIN users ON true",
      "SELECT users",
    ],
    ["EXPLAIN WITH x AS (SELECT * FROM a) SELECT * FROM x", "EXPLAIN SELECT a"],
    ["CREATE VIEW v AS WITH x AS (SELECT * FROM a) SELECT * FROM x", "CREATE VIEW v SELECT a"],
    ["INSERT INTO b (y) WITH x AS (SELECT * FROM a) SELECT * FROM x", "INSERT b SELECT a"],
    ["SELECT * FROM unnest($1) WITH ORDINALITY, users", "SELECT users"],
    ["CREATE TABLE t (a timestamp(3) WITH TIME ZONE, b int)", "CREATE TABLE t"],
    ["DROP DATABASE shop WITH (FORCE)", "DROP DATABASE shop"],
    ["DELETE a FROM a JOIN b ON true WHERE x = 1", "DELETE a b"],
    ["UPDATE a, b SET x = 1", "UPDATE a b"],
    ["SELECT * FROM a ORDER BY x, y", "SELECT a"],
    ["SELECT * FROM a JOIN b ON a.x = b.x, c", "SELECT a b c"],
    ["INSERT INTO a DEFAULT VALUES", "INSERT a"],
    ["DROP INDEX CONCURRENTLY i", "DROP INDEX i"],
    ["REFRESH MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW v"],
    ["COMMENT ON TABLE users IS 'hunter2'", "COMMENT"],
    ["SELECT /* FROM hidden /* nested */ FROM hidden */ 1 FROM users", "SELECT users"],
    ["SELECT E'it\\'s FROM hidden' FROM users", "SELECT users"],
    ["SELECT 'it''s FROM hidden' FROM users", "SELECT users"],
    ["SELECT $q$ FROM hidden $$ $q$ FROM users WHERE a = $1", "SELECT users"],
    ["SELECT 'never closed FROM hidden", "SELECT"],
    ["SELECT tags[1], x::text FROM users", "SELECT users"],
  ])("%s → %s", (text, summary) => expect(summarizeQuery(text)).toBe(summary));

  test.each<[SqlSystem, string, string]>([
    ["mysql", 'SELECT * FROM `Order Items` WHERE a = "FROM hidden"', "SELECT `Order Items`"],
    ["mysql", "SELECT 'it\\'s FROM hidden' # FROM hidden'\nFROM users", "SELECT users"],
    ["mariadb", "INSERT INTO a (x) VALUES (?) ON DUPLICATE KEY UPDATE x = 1", "INSERT a"],
    ["mysql", "REPLACE INTO a VALUES (1)", "REPLACE a"],
    ["mysql", "SELECT 5--1 FROM a", "SELECT a"],
    ["mysql", "XA START 'hidden' JOIN", "XA START"],
    ["mysql", "XA END ?; XA PREPARE ?", "XA END XA PREPARE"],
    ["mysql", "XA COMMIT 'hidden' ONE PHASE", "XA COMMIT"],
    ["sqlite", 'SELECT * FROM [Order Items], `b`, "c"', 'SELECT [Order Items] `b` "c"'],
    ["sqlite", "INSERT OR REPLACE INTO a VALUES (?1, :b, @c, $d)", "INSERT a"],
    ["sqlite", "PRAGMA journal_mode = WAL", "PRAGMA"],
  ])("of %s: %s → %s", (system, text, summary) =>
    expect(summarizeQuery(text, system)).toBe(summary),
  );
});

test("is at most 255 characters long and ends with a whole name", () => {
  const tables = Array.from({ length: 60 }, (_, index) => `schema.table_${index}`);
  const summary = summarizeQuery(`SELECT 1 FROM ${tables.join(" JOIN ")}`);
  expect(summary.length).toBeLessThanOrEqual(255);
  expect(summary.length).toBeGreaterThan(230);
  expect(`SELECT ${tables.join(" ")} `).toStartWith(`${summary} `);
});

/** Random numbers that a seed repeats. @see https://en.wikipedia.org/wiki/Linear_congruential_generator */
function randomOf(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

test("holds no literal, whatever the statement around it", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const random = randomOf(seed);
  const pick = <T>(all: readonly T[]) => all[random(all.length)] as T;
  const inside = [
    "leak",
    " FROM leak",
    "/*leak",
    "--leak\n",
    '"leak"',
    "leak.leak",
    "(leak",
    ";DELETE FROM leak",
    "\\\\leak",
    "''leak",
    "`leak`",
    "[leak]",
  ];
  const around =
    'SELECT,FROM,(,),;,INSERT INTO,UPDATE,DELETE FROM,a,b.c,JOIN,",",WITH x AS (,WHERE a =,VALUES (,SET a =,MERGE INTO,USING,CREATE TABLE,TRUNCATE,COPY,CALL,.,VACUUM,/* c */,-- c\n,ON,AS,$1,LISTEN,ANALYZE'
      .split(/,(?!")/)
      .concat('"q"', "`q`");
  const quotes: Record<SqlSystem, ((text: string) => string)[]> = {
    postgresql: [
      (text) => `'${text}'`,
      (text) => `E'${text}\\''`,
      (text) => `$t$${text}'$t$`,
      (text) => ` $$${text}$$`,
    ],
    mysql: [(text) => `'${text}\\''`, (text) => `"${text.replaceAll('"', '""')}\\""`],
    mariadb: [(text) => `'${text}'`],
    sqlite: [(text) => `'${text}'`, (text) => `x'${text}'`],
  };
  for (let round = 0; round < 5_000; round++) {
    const system = pick(Object.keys(quotes) as SqlSystem[]);
    const pieces: string[] = [
      pick(["SELECT", "INSERT INTO", "UPDATE", "CREATE TABLE", "COPY", "DELETE FROM"]),
    ];
    for (let count = random(14); count >= 0; count--) {
      const isLiteral = random(3) === 0;
      pieces.push(isLiteral ? pick(quotes[system])(pick(inside)) : pick(around));
      if (random(9) === 0) pieces.push("424242");
    }
    const text = pieces.join(" ");
    const summary = summarizeQuery(text, system);
    expect(summary, `seed ${seed}, ${system}: ${text}`).not.toMatch(/leak|424242/);
    expect(summary.length).toBeLessThanOrEqual(255);
  }
});

test("reads the beginning of a text of megabytes, and cuts no name in two", () => {
  const rows = "(1, 'FROM leak'), ".repeat(100_000);
  const startedMs = performance.now();
  expect(summarizeQuery(`INSERT INTO users VALUES ${rows}`)).toBe("INSERT users");
  expect(performance.now() - startedMs).toBeLessThan(500);
  for (let length = 9_950; length < 10_050; length++) {
    const filler = " ".repeat(length - "SELECT 1 FROM".length);
    expect(summarizeQuery(`SELECT 1 FROM${filler}users`)).toMatch(/^SELECT( users)?$/);
    expect(summarizeQuery(`SELECT 1 FROM${filler}"my users"`)).toMatch(/^SELECT( "my users")?$/);
  }
});
