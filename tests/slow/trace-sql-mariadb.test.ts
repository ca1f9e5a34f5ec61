/**
 * `traceSql` around Bun's SQL on a real MariaDB: the same calls on the bare client and on the traced one
 * give the same results, also where Bun and the server do not get on; and each statement that runs is one
 * span.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL, type TransactionSQL } from "bun";
import { errorText } from "#lib/telemetry/error-text.ts";
import { traceSql } from "#lib/telemetry/sql/sql.ts";
import { described, recordSpans, type SpanRecording } from "#lib/telemetry/testing/record-spans.ts";
import { findMariaDb, startMariaDb, type MariaDb } from "../support/mariadb.ts";
import { outcome } from "../support/sql-outcome.ts";

// A developer may lack MariaDB; where CI lacks it, these tests fail.
const canRun = findMariaDb() !== null || Boolean(process.env["CI"]);
const START_TIMEOUT_MS = 90_000;
const DATABASES = ["bare", "traced"] as const;
type Database = (typeof DATABASES)[number];

let recording: SpanRecording;
let server: MariaDb;
let admin: SQL;
let folder = "";
const cleanUps: (() => unknown)[] = [];
const opened: SQL[] = [];

const spans = () => recording.spans().map(described);
const names = () => spans().map(({ name }) => name);
const texts = () => spans().map(({ attributes }) => String(attributes["db.query.text"]));

beforeEach(() => {
  recording = recordSpans();
});
afterEach(async () => {
  recording.stop();
  await Promise.all(opened.splice(0).map((sql) => sql.close({ timeout: 0 })));
});

/** @param scheme `mysql` or `mariadb`: Bun speaks with both in the same way */
function urlOf(database: string, scheme = "mariadb"): string {
  const url = new URL(server.url.replace(/^mysql/, scheme));
  url.pathname = `/${database}`;
  return url.href;
}

/** A client of a database with two users in it, closed after the test. */
async function open(database: Database, max = 4): Promise<SQL> {
  const bare = new SQL(urlOf(database), { max });
  opened.push(bare);
  await bare`DROP TABLE IF EXISTS users`;
  await bare`CREATE TABLE users (id int PRIMARY KEY, name varchar(20))`;
  await bare`INSERT INTO users VALUES (1, 'ann'), (2, 'bob')`;
  return database === "traced" ? traceSql(bare) : bare;
}

interface Case {
  readonly call: (sql: SQL) => unknown;
  /** The names of its spans. */
  readonly spans: readonly string[];
  /** Connections; one that has prepared a distributed transaction is the only one that can end it. */
  readonly max?: number;
}

const boom = () => {
  throw new RangeError("boom");
};
const tx = (sql: SQL) => sql as TransactionSQL;
const messageOf = (error: Error) => error.message;
const numberOf = ({ errno }: { errno: number }) => errno;

/** Runs a statement on a connection that the server has ended. */
async function killed(sql: SQL): Promise<unknown> {
  using reserved = await sql.reserve();
  const [{ id }] = await reserved`SELECT connection_id() AS id`;
  await admin.unsafe(`KILL ${id}`);
  return await reserved`SELECT * FROM users`;
}

const CASES: Readonly<Record<string, Case>> = {
  "a template": {
    call: (sql) => sql`SELECT * FROM users WHERE id = ${2} AND name = ${"bob"}`,
    spans: ["SELECT users"],
  },
  "values of several kinds": {
    call: (sql) =>
      sql`SELECT ${null} AS a, ${true} AS b, ${1.5} AS c, ${9_007_199_254_740_993n} AS d, ${new Date(0)} AS e, ${{ f: 1 }} AS f`,
    spans: ["SELECT"],
  },
  "values()": { call: (sql) => sql`SELECT id, name FROM users`.values(), spans: ["SELECT users"] },
  "raw()": { call: (sql) => sql`SELECT id, name FROM users`.raw(), spans: ["SELECT users"] },
  "simple()": { call: (sql) => sql`SELECT name FROM users`.simple(), spans: ["SELECT users"] },
  "an insert helper for one row": {
    call: (sql) => sql`INSERT INTO users ${sql({ id: 3, name: "cyd" })} RETURNING *`,
    spans: ["INSERT users"],
  },
  "an insert helper for rows and columns": {
    call: async (sql) => {
      const rows = [
        { id: 3, name: "c", x: 1 },
        { id: 4, name: "d", x: 2 },
      ];
      const { affectedRows } = await sql`INSERT INTO users ${sql(rows, "id", "name")}`;
      return [affectedRows, await sql`SELECT * FROM users ORDER BY id`];
    },
    spans: ["INSERT users", "SELECT users"],
  },
  "an update helper and a list helper": {
    call: async (sql) => {
      await sql`UPDATE users SET ${sql({ name: "zoe" })} WHERE id IN ${sql([1, 9])}`;
      return await sql`SELECT * FROM users WHERE id IN ${sql([{ id: 1 }, { id: 2 }], "id")}`;
    },
    spans: ["UPDATE users", "SELECT users"],
  },
  "a name helper": { call: (sql) => sql`SELECT * FROM ${sql("users")}`, spans: ["SELECT `users`"] },
  "fragments, nested": {
    call: (sql) => {
      const inner = sql`name = ${"ann"}`;
      return sql`SELECT id FROM users ${sql`WHERE id > ${0} AND ${inner}`} ${sql``}`;
    },
    spans: ["SELECT users"],
  },
  "unsafe with values": {
    call: (sql) => sql.unsafe("SELECT name FROM users WHERE id = ?", [2]),
    spans: ["SELECT users"],
  },
  "unsafe with several statements": {
    call: (sql) => sql.unsafe("DELETE FROM users WHERE id = 1; SELECT 2 AS a"),
    spans: ["DELETE users"],
  },
  "a procedure with several results": {
    call: async (sql) => {
      await sql.unsafe("DROP PROCEDURE IF EXISTS twice");
      await sql.unsafe("CREATE PROCEDURE twice(a int) BEGIN SELECT a; SELECT a + a; END");
      return await sql`CALL twice(${3})`;
    },
    spans: ["DROP PROCEDURE twice", "CREATE PROCEDURE twice", "CALL twice"],
  },
  "a file with values": {
    call: (sql) => sql.file(join(folder, "one.sql"), [2]),
    spans: ["SELECT users"],
  },
  "a statement that fails": {
    call: (sql) => sql`SELECT nothing FROM users`,
    spans: ["SELECT users"],
  },
  "a key that is there already": {
    call: (sql) => sql`INSERT INTO users VALUES (${1}, ${"eve"})`,
    spans: ["INSERT users"],
  },
  "a query that is cancelled while it runs": {
    call: async (sql) => {
      const query = sql`SELECT sleep(1)`.execute();
      query.cancel();
      return await query;
    },
    spans: ["SELECT"],
  },
  "a transaction that commits": {
    call: async (sql) => {
      const made = await sql.begin(async (sql) => {
        await sql`INSERT INTO users VALUES (3, 'cyd')`;
        return "made";
      });
      return [made, (await sql`SELECT * FROM users`).length];
    },
    spans: ["START TRANSACTION", "INSERT users", "COMMIT", "SELECT users"],
  },
  "a transaction whose work throws": {
    call: async (sql) => {
      const error = await sql
        .begin(async (sql) => {
          await sql`DELETE FROM users`;
          boom();
        })
        .catch((error: Error) => error);
      return [String(error), (await sql`SELECT * FROM users`).length];
    },
    spans: ["START TRANSACTION", "DELETE users", "ROLLBACK", "SELECT users"],
  },
  "a transaction with a statement that fails": {
    call: (sql) => sql.begin(async (sql) => await sql`SELECT nothing FROM users`),
    spans: ["START TRANSACTION", "SELECT users", "ROLLBACK"],
  },
  "a transaction that returns an array of queries": {
    call: (sql) => sql.begin((sql) => [sql`SELECT 1 AS a`, sql`SELECT 2 AS a`]),
    spans: ["START TRANSACTION", "SELECT", "SELECT", "COMMIT"],
  },
  "a transaction with options": {
    call: (sql) => sql.begin("read only", async (sql) => await sql`DELETE FROM users`),
    spans: ["START TRANSACTION", "DELETE users", "ROLLBACK"],
  },
  "a transaction with options that the server refuses": {
    call: (sql) => sql.begin("isolation level serializable", async () => "never"),
    spans: ["START TRANSACTION"],
  },
  "a transaction that is closed by itself": {
    call: async (sql) => {
      const error = await sql
        .begin(async (sql) => {
          await sql`DELETE FROM users`;
          await sql.close();
        })
        .catch((error: { code: string }) => error.code);
      return [error, (await sql`SELECT * FROM users`).length];
    },
    spans: ["START TRANSACTION", "DELETE users", "ROLLBACK", "SELECT users"],
  },
  savepoints: {
    call: async (sql) => {
      await sql.begin(async (sql) => {
        await sql.savepoint("keep it", async (sql) => {
          await sql`INSERT INTO users VALUES (3, 'cyd')`;
          await tx(sql).savepoint(async (sql) => await sql`INSERT INTO users VALUES (4, 'dan')`);
        });
        await sql
          .savepoint(async (sql) => {
            await sql`DELETE FROM users`;
            boom();
          })
          .catch(() => undefined);
      });
      return await sql`SELECT * FROM users ORDER BY id`;
    },
    spans: [
      "START TRANSACTION",
      "SAVEPOINT",
      "INSERT users",
      "SAVEPOINT",
      "INSERT users",
      "RELEASE",
      "RELEASE",
      "SAVEPOINT",
      "DELETE users",
      "ROLLBACK",
      "COMMIT",
      "SELECT users",
    ],
  },
  "a reserved connection, and after its release": {
    call: async (sql) => {
      const reserved = await sql.reserve();
      const { length } = await reserved`SELECT * FROM users`;
      const one = await reserved.begin(async (sql) => (await sql`SELECT 1 AS a`)[0]);
      await reserved.release();
      return [length, one, await reserved`SELECT 1 AS a`.catch(messageOf)];
    },
    spans: ["SELECT users", "START TRANSACTION", "SELECT", "COMMIT", "SELECT"],
  },
  "distributed transactions, one committed and one rolled back": {
    call: async (sql) => {
      const made = await sql.beginDistributed("one", async (sql) => {
        await sql`INSERT INTO users VALUES (3, 'cyd')`;
        return "prepared";
      });
      await sql.commitDistributed("one");
      await sql.distributed("two", async (sql) => void (await sql`DELETE FROM users`));
      await sql.rollbackDistributed("two");
      return [made, (await sql`SELECT * FROM users`).length];
    },
    spans: [
      "XA START",
      "INSERT users",
      "XA END XA PREPARE",
      "XA COMMIT",
      "XA START",
      "DELETE users",
      "XA END XA PREPARE",
      "XA ROLLBACK",
      "SELECT users",
    ],
    max: 1,
  },
  "a distributed transaction whose work throws": {
    call: async (sql) => {
      const error = await sql
        .beginDistributed("three", async (sql) => {
          await sql`DELETE FROM users`;
          boom();
        })
        .catch((error: Error) => error);
      return [String(error), (await sql`SELECT * FROM users`).length];
    },
    spans: ["XA START", "DELETE users", "XA END XA ROLLBACK", "SELECT users"],
  },
  "a distributed transaction that is closed by itself": {
    call: (sql) => sql.beginDistributed("four", async (sql) => await sql.close()),
    spans: ["XA START", "XA END XA ROLLBACK"],
  },
  "no savepoint in a distributed transaction": {
    call: (sql) =>
      sql.beginDistributed("five", async (sql) => await sql.savepoint(async () => "never")),
    spans: ["XA START", "XA END XA ROLLBACK"],
  },
  "a distributed transaction that is not there": {
    call: (sql) => sql.commitDistributed("nobody"),
    spans: ["XA COMMIT"],
  },
  "a distributed transaction with a name that Bun refuses": {
    call: async (sql) => [
      await sql.beginDistributed("it's", async () => "never").catch(messageOf),
      await sql.rollbackDistributed("it's").catch(messageOf),
    ],
    spans: [],
  },
  // MariaDB binds it to its connection while that lives, and lets nothing be written there meanwhile. So
  // with Bun's pool only a client of one connection can go on; MySQL lets go of it at XA PREPARE.
  "a prepared transaction that no other connection can end, nor its own write beside it": {
    call: async (sql) => {
      const other = new SQL(urlOf("bare"), { max: 1 });
      opened.push(other);
      await sql.beginDistributed("six", async (sql) => await sql`DELETE FROM users`);
      const elsewhere = await other.commitDistributed("six").catch(numberOf);
      const beside = await sql`DELETE FROM users`.catch(numberOf);
      return [elsewhere, beside, await sql.rollbackDistributed("six")];
    },
    spans: ["XA START", "DELETE users", "XA END XA PREPARE", "DELETE users", "XA ROLLBACK"],
    max: 1,
  },
  "what MariaDB has not": {
    call: (sql) =>
      Promise.all(
        [
          async () => await sql`SELECT ${sql.array([1, 2], "INT")} AS a`,
          async () => await sql.listen("events", () => {}),
          async () => await sql.notify("events", "hello"),
          async () => sql`SELECT 1 AS a`.readable(),
        ].map(async (ask) => await ask().catch(messageOf)),
      ),
    spans: [],
  },
  "a client that is closed": {
    call: async (sql) => {
      await sql.end();
      return await sql`SELECT 1 AS a`;
    },
    spans: ["SELECT"],
  },
};

describe.skipIf(!canRun)("on MariaDB (Debian's mariadb-server)", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "trace-sql-"));
    cleanUps.push(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, "one.sql"), "SELECT name FROM users WHERE id = ?");
    server = await startMariaDb({
      "general-log": 1,
      "log-output": "TABLE",
      "lock-wait-timeout": 10, // what a prepared transaction was left with holds its tables
    });
    cleanUps.push(() => server.stop());
    admin = new SQL(server.url, { max: 1 });
    cleanUps.push(() => admin.close({ timeout: 0 }));
    for (const name of DATABASES) await admin.unsafe(`CREATE DATABASE ${name}`);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  }, START_TIMEOUT_MS);

  describe("traced and bare give the same", () => {
    test.each(Object.entries(CASES))("%s", async (_, { call, spans: expected, max }) => {
      const wanted = await outcome(call, await open("bare", max));
      expect(names()).toEqual([]);
      expect(await outcome(call, await open("traced", max))).toEqual(wanted);
      expect(names()).toEqual([...expected]);
    });
  });

  test("a connection that the server ends is an error of Bun's own, without a number of the server's", async () => {
    const wanted = await outcome(killed, await open("bare"));
    expect(await outcome(killed, await open("traced"))).toEqual(wanted);
    const { status, attributes } = described(recording.span("SELECT users"));
    expect([status, attributes["error.type"]]).toEqual(["ERROR", "ERR_MYSQL_CONNECTION_CLOSED"]);
    expect(attributes["db.response.status_code"]).toBeUndefined();
  });

  test.each(["mysql", "mariadb"])(
    "the system is what the client was told (%s), and the place is the connection's",
    async (scheme) => {
      const { hostname, port, username, password } = new URL(server.url);
      const options = { adapter: scheme as "mysql", username, password, database: "traced" };
      const byUrl = new SQL(urlOf("traced", scheme), { max: 1 });
      const bySocket = new SQL({ ...options, path: server.socket, max: 1 });
      opened.push(byUrl, bySocket);
      await traceSql(byUrl)`SELECT 1`;
      await traceSql(bySocket)`SELECT 1`;
      const known = { "db.system.name": scheme, "db.namespace": "traced" };
      const select = { "db.query.text": "SELECT 1", "db.query.summary": "SELECT" };
      expect(spans().map(({ attributes }) => attributes)).toEqual([
        { ...known, "server.address": hostname, "server.port": Number(port), ...select },
        { ...known, "server.address": server.socket, ...select },
      ]);
    },
  );

  test("the texts on the spans are, word for word and in their order, what the server was sent", async () => {
    const sql = await open("traced", 1);
    const [{ id }] = await sql`SELECT connection_id() AS id`;
    await admin`TRUNCATE mysql.general_log`;
    const before = spans().length;
    await sql`SELECT * FROM users WHERE id = ${1} ${sql`AND name = ${"ann"}`}`;
    await sql`INSERT INTO users ${sql([
      { id: 3, name: "c" },
      { id: 4, name: "d" },
    ])}`;
    await sql`UPDATE ${sql("users")} SET ${sql({ name: "e" })} WHERE id IN ${sql([3, 4])}`;
    await sql`SELECT ${new Date(0)} AS d, ${{ b: 1 }} AS j`;
    await sql.unsafe("SELECT name FROM users");
    await sql.begin("read write", async (sql) => {
      await sql.savepoint("a b", async (sql) => await sql`SELECT name AS a FROM users`);
      await sql.savepoint(async () => boom()).catch(() => undefined);
    });
    await sql.begin(boom).catch(() => undefined);
    await sql.beginDistributed("one", async (sql) => await sql`SELECT name AS b FROM users`);
    await sql.commitDistributed("one");
    await sql.beginDistributed("two", async () => "prepared");
    await sql.rollbackDistributed("two");
    await sql.beginDistributed("three", boom).catch(() => undefined);
    // A statement with values is logged when it is prepared, and with its values when it runs.
    const logged: { text: string }[] = await admin`
      SELECT CONVERT(argument USING utf8mb4) AS text FROM mysql.general_log
      WHERE thread_id = ${id} AND command_type IN ('Query', 'Prepare')`;
    const sent = logged.map(({ text }) => text.trim().replace(/^(XA \w+) '\w+'$/, "$1 ?"));
    const shown = texts().slice(before);
    expect(shown.flatMap((text) => text.split("; "))).toEqual(sent);
  });

  test.each<[string, string, (sql: SQL) => unknown]>([
    ["1062", "23000", (sql) => sql`INSERT INTO users VALUES (${1}, ${"leak"})`],
    ["1062", "23000", (sql) => sql`INSERT INTO tokens VALUES (${"leak"}), (${"leak"})`],
    ["1366", "22007", (sql) => sql`INSERT INTO users (id) VALUES (${"leak"})`],
    ["1406", "22001", (sql) => sql`INSERT INTO users VALUES (${9}, ${"leak".repeat(9)})`],
    ["1064", "42000", (sql) => sql.unsafe("SELECT 1 FROM FROM 'leak'")],
    ["1064", "42000", (sql) => sql`SELECT 1 FROM ${sql.unsafe("users users 'leak'")}`],
    ["1644", "45000", (sql) => sql.unsafe("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'leak'")],
    ["1146", "42S02", (sql) => sql`SELECT * FROM nothing`],
    ["1397", "XAE04", (sql) => sql.commitDistributed("leak")],
  ])(
    "error %s (%s) is told by its number; what its message quotes stays out of spans and logs",
    async (number, sqlState, call) => {
      const sql = await open("traced");
      await sql.unsafe("CREATE OR REPLACE TABLE tokens (token varchar(20) PRIMARY KEY)");
      const before = spans().length;
      const error: unknown = await Promise.resolve(call(sql)).catch((thrown: unknown) => thrown);
      const text = `MySQL error ${number} (${sqlState})`;
      expect(spans().slice(before)).toMatchObject([
        {
          status: "ERROR",
          message: text,
          attributes: { "error.type": number, "db.response.status_code": number },
        },
      ]);
      expect(errorText(error)).toBe(text);
      expect(JSON.stringify(spans())).not.toContain("leak");
    },
  );

  test("a log-in that the server refuses is told by its number, without the user's name", async () => {
    const url = new URL(urlOf("traced"));
    url.username = "leak";
    const sql = new SQL(url.href, { max: 1 });
    opened.push(sql);
    await traceSql(sql)`SELECT 1`.catch(() => undefined);
    expect(spans()).toMatchObject([
      {
        status: "ERROR",
        message: "MySQL error 1045 (28000)",
        attributes: { "error.type": "1045" },
      },
    ]);
    expect(JSON.stringify(spans())).not.toContain("leak");
  });

  test("a span holds no value, wherever the value stood", async () => {
    const sql = await open("traced", 1);
    await sql`SELECT name FROM users WHERE id = ${4711} AND name IN ${sql(["leak-a", "leak-b"])}`;
    await sql`INSERT INTO users ${sql([{ id: 4711, name: "leak-c" }])}`;
    await sql.unsafe(`SELECT 'leak-d', "leak-e", 'a\\' leak', 4711 FROM users # leak`);
    await sql.unsafe("SELECT 5--'1\n4711' AS a FROM users -- leak");
    await sql`SELECT 1 FROM users ${sql.unsafe("WHERE name = 'leak-f'")}`;
    await sql.beginDistributed("leak", async (sql) => await sql`SELECT ${"leak"} AS a`);
    await sql.rollbackDistributed("leak");
    expect(JSON.stringify(spans())).not.toMatch(/leak|4711/);
    expect(texts()[0]).toBe("SELECT name FROM users WHERE id = ?  AND name IN (?, ?)");
    expect(spans().map(({ status }) => status)).toEqual(spans().map(() => "UNSET"));
  });
});
