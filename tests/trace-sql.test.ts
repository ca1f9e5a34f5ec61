/**
 * `traceSql` around Bun's SQL: the same calls on the bare client and on the traced one give the same
 * results, on SQLite and on PostgreSQL; and each statement that runs is one span.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL, type TransactionSQL } from "bun";
import { context, trace } from "@opentelemetry/api";
import { freePort } from "#lib/embedded/free-port.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { inSpan } from "#lib/telemetry/span.ts";
import { traceSql } from "#lib/telemetry/sql/sql.ts";
import { described, recordSpans, type SpanRecording } from "#lib/telemetry/testing/record-spans.ts";
import { codeLocations, HAS_LEARNING } from "./support/learning.ts";
import { outcome } from "./support/sql-outcome.ts";
import { until } from "./support/until.ts";

const START_TIMEOUT_MS = 90_000;

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

const spans = () => recording.spans().map(described);
const names = () => spans().map(({ name }) => name);
const texts = () => spans().map(({ attributes }) => attributes["db.query.text"]);

let folder = "";
const cleanUps: (() => unknown)[] = [];
let postgresUrl = "";
let postgresLog = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trace-sql-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "all.sql"), "SELECT id, name FROM users ORDER BY id");
  await writeFile(join(folder, "one.sql"), "SELECT name FROM users WHERE id = $1");
  const postgres = await startPostgres({
    settings: { log_statement: "all", log_line_prefix: "%a|", max_prepared_transactions: "5" },
    onLog: (text) => (postgresLog += text),
  });
  cleanUps.push(() => postgres.stop());
  postgresUrl = postgres.url;
  const admin = new SQL(postgresUrl, { max: 1 });
  for (const name of DATABASES) await admin.unsafe(`CREATE DATABASE ${name}`);
  await admin.close();
}, START_TIMEOUT_MS);

afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
}, START_TIMEOUT_MS);

function milliseconds([seconds, nanoseconds]: readonly [number, number]): number {
  return seconds * 1e3 + nanoseconds / 1e6;
}

function startMsOf(name: string): number {
  return milliseconds(recording.span(name).startTime);
}

/** What PostgreSQL has logged from that statement on. */
function loggedSince(first: string): (string | undefined)[] {
  const all = postgresLog.matchAll(/LOG: +(?:statement|execute [^:]*): (.*)$/gm);
  const lines = Array.from(all, ([, text]) => text?.trim());
  return lines.slice(lines.indexOf(first));
}

type System = "sqlite" | "postgresql";

/** A client of a database with two users in it, closed after the test. */
async function open(system: System, database: Database): Promise<SQL> {
  const url = system === "sqlite" ? "sqlite://:memory:" : postgresUrlOf(database);
  const bare = new SQL(url, { max: 4 });
  opened.push(bare);
  await bare`DROP TABLE IF EXISTS users`;
  await bare`CREATE TABLE users (id int PRIMARY KEY, name text)`;
  await bare`INSERT INTO users VALUES (1, 'ann'), (2, 'bob')`;
  return database === "traced" ? traceSql(bare) : bare;
}

const opened: SQL[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((sql) => sql.close({ timeout: 0 })));
});

const DATABASES = ["bare", "traced"] as const;
type Database = (typeof DATABASES)[number];

function postgresUrlOf(database: Database): string {
  const url = new URL(postgresUrl);
  url.pathname = `/${database}`;
  return url.href;
}

interface Case {
  readonly call: (sql: SQL) => unknown;
  /** The names of its spans. */
  readonly spans: readonly string[];
  /** Of one database alone. */
  readonly only?: System;
}

const boom = () => {
  throw new RangeError("boom");
};
const tx = (sql: SQL) => sql as TransactionSQL;
const messageOf = (error: Error) => error.message;

const CASES: Readonly<Record<string, Case>> = {
  "a template": {
    call: (sql) => sql`SELECT * FROM users WHERE id = ${2} AND name = ${"bob"}`,
    spans: ["SELECT users"],
  },
  "values()": { call: (sql) => sql`SELECT id, name FROM users`.values(), spans: ["SELECT users"] },
  "raw()": { call: (sql) => sql`SELECT name FROM users`.raw(), spans: ["SELECT users"] },
  "simple()": { call: (sql) => sql`SELECT name FROM users`.simple(), spans: ["SELECT users"] },
  "execute()": {
    call: async (sql) => {
      const query = sql`SELECT name FROM users`.execute();
      return await query;
    },
    spans: ["SELECT users"],
  },
  "then, catch and finally": {
    call: async (sql) => {
      const first = await sql`SELECT 1 AS a`.then((rows) => rows[0]);
      const second = await sql`SELECT nothing FROM users`.catch((error: Error) => error.name);
      let isDone = false;
      await sql`SELECT 2 AS b`.finally(() => (isDone = true));
      return { first, second, isDone };
    },
    spans: ["SELECT", "SELECT users", "SELECT"],
  },
  "an insert helper for one row": {
    call: (sql) => sql`INSERT INTO users ${sql({ id: 3, name: "cyd" })} RETURNING *`,
    spans: ["INSERT users"],
  },
  "an insert helper for rows and columns": {
    call: (sql) =>
      sql`INSERT INTO users ${sql(
        [
          { id: 3, name: "c", x: 1 },
          { id: 4, name: "d", x: 2 },
        ],
        "id",
        "name",
      )}`,
    spans: ["INSERT users"],
  },
  "an update helper": {
    call: async (sql) => {
      await sql`UPDATE users SET ${sql({ name: "zoe" })} WHERE id = ${1}`;
      return await sql`SELECT * FROM users WHERE id IN ${sql([1, 2])} ORDER BY id`;
    },
    spans: ["UPDATE users", "SELECT users"],
  },
  "a list helper of objects": {
    call: (sql) => sql`SELECT name FROM users WHERE id IN ${sql([{ id: 1 }, { id: 9 }], "id")}`,
    spans: ["SELECT users"],
  },
  "a name helper": { call: (sql) => sql`SELECT * FROM ${sql("users")}`, spans: ['SELECT "users"'] },
  "fragments, nested": {
    call: (sql) => {
      const inner = sql`name = ${"ann"}`;
      const condition = sql`WHERE id > ${0} AND ${inner}`;
      return sql`SELECT id FROM users ${condition} ${sql``}`;
    },
    spans: ["SELECT users"],
  },
  "a fragment that is never run": {
    call: (sql) => void sql`SELECT * FROM users`,
    spans: [],
  },
  "a helper that is used wrongly": {
    call: (sql) => sql`SELECT ${sql({ id: 1 })}`,
    spans: [],
  },
  "a name that is run": { call: (sql) => sql("users"), spans: [] },
  "a query that is cancelled before it starts": {
    call: async (sql) => {
      const query = sql`SELECT * FROM users`;
      query.cancel();
      return await query;
    },
    spans: [],
  },
  "a query that is awaited twice": {
    call: async (sql) => {
      const query = sql`SELECT * FROM users`;
      return [(await query).length, (await query).length];
    },
    spans: ["SELECT users"],
  },
  "all at once": {
    call: async (sql) => {
      const all = await Promise.all([sql`SELECT 1 AS a`, sql`SELECT 2 AS a`]);
      return all.map((rows) => rows[0]);
    },
    spans: ["SELECT", "SELECT"],
  },
  "unsafe with values": {
    call: (sql) => sql.unsafe("SELECT name FROM users WHERE id = $1", [2]),
    spans: ["SELECT users"],
  },
  "unsafe with several statements": {
    call: async (sql) => (await sql.unsafe("DELETE FROM users WHERE id = 1; SELECT 2 AS a")).length,
    spans: ["DELETE users"],
  },
  "unsafe inside a template": {
    call: (sql) => sql`SELECT * FROM users ${sql.unsafe("WHERE name = 'ann'")}`,
    spans: ["SELECT users"],
  },
  "a file": { call: (sql) => sql.file(join(folder, "all.sql")), spans: ["SELECT users"] },
  "a file with values": {
    call: (sql) => sql.file(join(folder, "one.sql"), [2]),
    spans: ["SELECT users"],
  },
  "a file that is not there": {
    call: (sql) => sql.file(join(folder, "none.sql")),
    spans: ["SQL"],
  },
  "an error": { call: (sql) => sql`SELECT nothing FROM users`, spans: ["SELECT users"] },
  "a key that is there already": {
    call: (sql) => sql`INSERT INTO users VALUES (${1}, ${"eve"})`,
    spans: ["INSERT users"],
  },
  "a transaction that commits": {
    call: async (sql) => {
      const made = await sql.begin(async (sql) => {
        await sql`INSERT INTO users VALUES (3, 'cyd')`;
        return "made";
      });
      return [made, (await sql`SELECT * FROM users`).length];
    },
    spans: ["BEGIN", "INSERT users", "COMMIT", "SELECT users"],
  },
  "a transaction that returns an array of queries": {
    call: (sql) => sql.transaction((sql) => [sql`SELECT 1 AS a`, sql`SELECT 2 AS a`]),
    spans: ["BEGIN", "SELECT", "SELECT", "COMMIT"],
  },
  "a transaction that returns a query's result": {
    call: (sql) => sql.begin(async (sql) => await sql`SELECT * FROM users`),
    spans: ["BEGIN", "SELECT users", "COMMIT"],
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
    spans: ["BEGIN", "DELETE users", "ROLLBACK", "SELECT users"],
  },
  "a transaction whose work throws before it waits": {
    call: (sql) => sql.begin(boom),
    spans: ["BEGIN", "ROLLBACK"],
  },
  "a transaction with a statement that fails": {
    call: (sql) => sql.begin(async (sql) => await sql`SELECT nothing FROM users`),
    spans: ["BEGIN", "SELECT users", "ROLLBACK"],
  },
  "a transaction with options": {
    call: (sql) => sql.begin("read only", async (sql) => await sql`DELETE FROM users`),
    spans: ["BEGIN", "DELETE users", "ROLLBACK"],
    only: "postgresql",
  },
  "a transaction with an option of SQLite's": {
    call: (sql) => sql.begin("immediate", async (sql) => await sql`SELECT 1 AS a`),
    spans: ["BEGIN", "SELECT", "COMMIT"],
    only: "sqlite",
  },
  "a transaction with options that Bun refuses": {
    call: (sql) => sql.begin("x'; --", async () => "never"),
    spans: [],
  },
  "a transaction with options that are no text": {
    call: (sql) => sql.begin(undefined as never, async () => "never"),
    spans: [],
  },
  "a transaction without work": { call: (sql) => sql.begin(undefined as never), spans: [] },
  "a transaction that is used after its end": {
    call: async (sql) => {
      const late = await sql.begin((sql) => ({ sql }));
      return await late.sql`SELECT 1 AS a`;
    },
    spans: ["BEGIN", "COMMIT", "SELECT"],
  },
  "a transaction inside another": {
    call: (sql) => sql.begin((sql) => sql.begin(async () => "never")),
    spans: ["BEGIN", "ROLLBACK"],
  },
  "a transaction that was aborted, and goes on": {
    call: (sql) =>
      sql.begin(async (sql) => {
        await sql`SELECT nothing`.catch(() => undefined);
        return "lost";
      }),
    spans: ["BEGIN", "SELECT", "COMMIT"],
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
    spans: ["BEGIN", "DELETE users", "ROLLBACK", "SELECT users"],
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
      "BEGIN",
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
  "a reserved connection": {
    call: async (sql) => {
      using reserved = await sql.reserve();
      const result = await reserved`SELECT * FROM users`;
      return [result.length, await reserved.begin(async (sql) => (await sql`SELECT 1 AS a`)[0])];
    },
    spans: ["SELECT users", "BEGIN", "SELECT", "COMMIT"],
    only: "postgresql",
  },
  "a reserved connection after its release": {
    call: async (sql) => {
      const reserved = await sql.reserve();
      await reserved.release();
      return await reserved`SELECT 1 AS a`;
    },
    spans: ["SELECT"],
    only: "postgresql",
  },
  "no reserved connection where there is no pool": {
    call: (sql) => sql.reserve(),
    spans: [],
    only: "sqlite",
  },
  "an array, JSON and a date": {
    call: (sql) =>
      sql`SELECT ${sql.array([1, 2], "INT")} AS a, ${sql.json({ b: 1 })}::jsonb AS j, ${new Date(0)}::timestamptz AS d`,
    spans: ["SELECT"],
    only: "postgresql",
  },
  "COPY out": {
    call: (sql) => new Response(sql`COPY users TO STDOUT`.readable()).text(),
    spans: ["COPY users"],
    only: "postgresql",
  },
  "COPY in": {
    call: async (sql) => {
      const writer = sql`COPY users FROM STDIN`.writable().getWriter();
      await writer.write("3\tcyd\n");
      await writer.close();
      return await sql`SELECT * FROM users ORDER BY id`;
    },
    spans: ["COPY users", "SELECT users"],
    only: "postgresql",
  },
  "listen and notify": {
    call: async (sql) => {
      const heard = Promise.withResolvers<string>();
      await using _ = await sql.listen("events", heard.resolve);
      await sql.notify("events", "hello");
      return await heard.promise;
    },
    spans: ["SELECT"],
    only: "postgresql",
  },
  "no notifications where there are none": {
    call: (sql) => sql.notify("events", "hello"),
    spans: [],
    only: "sqlite",
  },
  "a distributed transaction": {
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
      "BEGIN",
      "INSERT users",
      "PREPARE TRANSACTION",
      "COMMIT",
      "BEGIN",
      "DELETE users",
      "PREPARE TRANSACTION",
      "ROLLBACK",
      "SELECT users",
    ],
    only: "postgresql",
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
    spans: ["BEGIN", "DELETE users", "ROLLBACK", "SELECT users"],
    only: "postgresql",
  },
  "a distributed transaction that is closed by itself": {
    call: (sql) => sql.beginDistributed("four", async (sql) => await sql.close()),
    spans: ["BEGIN", "ROLLBACK"],
    only: "postgresql",
  },
  "a distributed transaction that is not there": {
    call: (sql) => sql.commitDistributed("nobody"),
    spans: ["COMMIT"],
    only: "postgresql",
  },
  "no savepoint in a distributed transaction": {
    call: (sql) =>
      sql.beginDistributed("five", async (sql) => await sql.savepoint(async () => "never")),
    spans: ["BEGIN", "ROLLBACK"],
    only: "postgresql",
  },
  "a distributed transaction with a name that Bun refuses": {
    call: async (sql) => [
      await sql.beginDistributed("it's", async () => "never").catch(messageOf),
      await sql.beginDistributed(undefined as never, async () => "never").catch(messageOf),
      await sql.commitDistributed("it's").catch(messageOf),
      await sql.rollbackDistributed(7 as never).catch(messageOf),
    ],
    spans: [],
  },
  "what has no distributed transactions": {
    call: async (sql) => {
      const error = await sql
        .beginDistributed("one", async () => "never")
        .catch((error: Error) => error.message);
      return [error, await sql.commitDistributed("one")];
    },
    spans: [],
    only: "sqlite",
  },
  "connect, flush and options": {
    call: async (sql) => {
      sql.flush();
      const { adapter, max } = sql.options;
      return [adapter, max, (await sql.connect()) === sql, sql instanceof SQL, typeof sql];
    },
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

describe.each<System>(["sqlite", "postgresql"])(
  "on %s, traced and bare give the same",
  (system) => {
    const cases = Object.entries(CASES).filter(([, { only }]) => !only || only === system);
    test.each(cases)("%s", async (_, { call, spans: expected }) => {
      const wanted = await outcome(call, await open(system, "bare"));
      expect(names()).toEqual([]);
      expect(await outcome(call, await open(system, "traced"))).toEqual(wanted);
      expect(names()).toEqual([...expected]);
    });
  },
);

describe.each<System>(["sqlite", "postgresql"])("on %s", (system) => {
  test("a span says which database, what, and nothing of its values", async () => {
    const sql = await open(system, "traced");
    await sql`SELECT name FROM users WHERE id = ${4711} AND name IN ${sql(["leak-a", "leak-b"])}`;
    await sql`INSERT INTO users ${sql([{ id: 4711, name: "leak-c" }])}`;
    await sql.unsafe("SELECT 'leak-d', 4711 FROM users");
    await sql`SELECT 1 FROM users ${sql.unsafe("WHERE name = 'leak-e'")}`;
    await sql
      .begin(async (sql) => await sql`INSERT INTO users VALUES (${4711}, 'x')`)
      .catch(() => 0);
    expect(JSON.stringify(spans())).not.toMatch(/leak|4711/);
    const mark = system === "sqlite" ? "?" : "$";
    expect(texts()[0]).toContain(`id = ${mark}`);
    const url = new URL(postgresUrl);
    const target =
      system === "sqlite"
        ? { "db.system.name": "sqlite", "db.namespace": ":memory:" }
        : {
            "db.system.name": "postgresql",
            "db.namespace": "traced",
            "server.address": url.hostname,
            "server.port": Number(url.port),
          };
    for (const span of spans()) {
      expect(span.kind).toBe("CLIENT");
      expect(span.attributes).toMatchObject(target);
      expect(span.attributes["db.query.summary"]).toBe(span.name);
    }
  });

  test("a statement that fails is an error with the database's own code", async () => {
    const sql = await open(system, "traced");
    await sql`INSERT INTO users VALUES (${1}, ${"leak"})`.catch(() => undefined);
    const status = system === "sqlite" ? "SQLITE_CONSTRAINT_PRIMARYKEY" : "23505";
    expect(spans()).toMatchObject([
      {
        status: "ERROR",
        message: expect.stringContaining(status),
        attributes: { "error.type": status, "db.response.status_code": status },
      },
    ]);
    expect(JSON.stringify(spans())).not.toContain("leak");
  });

  test("a COMMIT that fails is the error of that span", async () => {
    const sql = await open(system, "traced");
    const child = "id int REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED";
    if (system === "sqlite") await sql`PRAGMA foreign_keys = ON`;
    await sql.unsafe("DROP TABLE IF EXISTS children");
    await sql.unsafe(`CREATE TABLE children (${child})`);
    const before = spans().length;
    const error: unknown = await sql
      .begin(async (sql) => await sql`INSERT INTO children VALUES (9)`)
      .catch((thrown: unknown) => thrown);
    await sql.unsafe("DROP TABLE children");
    expect(error).toBeInstanceOf(SQL.SQLError);
    const edges = spans().slice(before, -1);
    expect(edges.map(({ name, status }) => [name, status])).toEqual([
      ["BEGIN", "UNSET"],
      ["INSERT children", "UNSET"],
      ["COMMIT", "ERROR"],
    ]);
  });

  test("a ROLLBACK after what the work threw is no error", async () => {
    const sql = await open(system, "traced");
    await sql.begin(async (sql) => await sql.savepoint(boom)).catch(() => undefined);
    expect(spans().map(({ name, status }) => [name, status])).toEqual(
      ["BEGIN", "SAVEPOINT", "ROLLBACK", "ROLLBACK"].map((name) => [name, "UNSET"]),
    );
  });

  test("a span starts when its statement does, below what is active then", async () => {
    const sql = await open(system, "traced");
    const query = sql`SELECT * FROM users`;
    const made = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await inSpan("around", {}, async () => {
      await query;
      await sql.begin(async (sql) => {
        await sql`SELECT 1 AS a`;
        await sql.savepoint(async (sql) => await sql`SELECT 2 AS a`);
      });
      expect(trace.getSpan(context.active())?.spanContext()).toBeDefined();
    });
    const around = recording.span("around").spanContext();
    const children = recording.spans().filter(({ name }) => name !== "around");
    expect(children).toHaveLength(7);
    expect(children.map((span) => span.parentSpanContext?.spanId)).toEqual(
      children.map(() => around.spanId),
    );
    expect(startMsOf("SELECT users")).toBeGreaterThan(made + 10);
  });

  test("its time is that of the statement, whatever has started it", async () => {
    const sql = await open(system, "traced");
    const numbers =
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)";
    const slow = () => sql`${sql.unsafe(numbers)} SELECT count(*) FROM n`;
    await slow().then(() => undefined);
    await slow().catch(() => undefined);
    await slow().finally(() => undefined);
    await slow().execute();
    const took = recording.spans().map(({ duration }) => milliseconds(duration));
    expect(took).toHaveLength(4);
    // One that was noticed after its end would take no time at all.
    expect(Math.min(...took)).toBeGreaterThan(3);
  });

  test("flows that run at once keep their own parents", async () => {
    const sql = await open(system, "traced");
    await Promise.all(
      ["a", "b", "c", "d", "e", "f"].map((name) =>
        inSpan(name, {}, async () => {
          // More of them than connections: each transaction waits for one that another has freed.
          await sql.begin(async (sql) => await sql`SELECT ${name} AS name FROM users`);
        }),
      ),
    );
    for (const name of ["a", "b", "c", "d", "e", "f"]) {
      const { spanId } = recording.span(name).spanContext();
      const below = recording.spans().filter((span) => span.parentSpanContext?.spanId === spanId);
      expect(below.map((span) => span.name)).toEqual(["BEGIN", "SELECT users", "COMMIT"]);
    }
  });
});

describe("on postgresql", () => {
  test("the COMMIT's time begins when the queries of a returned array have ended", async () => {
    const sql = await open("postgresql", "traced");
    await sql.begin((sql) => [sql`SELECT pg_sleep(0.2)`, sql`SELECT 1`]);
    expect(startMsOf("COMMIT") - startMsOf("BEGIN")).toBeGreaterThan(190);
  });

  test("the texts on the spans are, word for word and in their order, what the server has logged", async () => {
    const sql = await open("postgresql", "traced");
    const first = 'SELECT "now" FROM now()';
    await sql.unsafe(first);
    await sql`SELECT * FROM users WHERE id = ${1} ${sql`AND name = ${"ann"}`}`;
    await sql`INSERT INTO users ${sql([
      { id: 3, name: "c" },
      { id: 4, name: "d" },
    ])}`;
    await sql`UPDATE users SET ${sql({ name: "e" })} WHERE id IN ${sql([3, 4])}`;
    await sql`SELECT ${sql.array([1], "INT")} AS a, ${{ b: 1 }}::jsonb AS j FROM ${sql("users")}`;
    await sql.begin("read write", async (sql) => {
      await sql.savepoint("a b", async (sql) => await sql`SELECT 1`);
      await sql.savepoint(async () => boom()).catch(() => undefined);
    });
    await sql.begin(boom).catch(() => undefined);
    await sql.notify("events", "hello");
    await sql.file(join(folder, "all.sql"));
    await sql`SELECT 'the last one'`;
    await until("the log is there", () => loggedSince(first).at(-1)?.includes("the last one"));
    expect(texts().map((text) => String(text).trim())).toEqual(loggedSince(first) as string[]);
  });
});

test("of a MySQL or MariaDB server the options tell, also where it cannot be reached", async () => {
  const port = await freePort();
  for (const adapter of ["mysql", "mariadb"] as const) {
    const bare = new SQL({ adapter, hostname: "127.0.0.1", port, username: "u", database: "shop" });
    opened.push(bare);
    const sql = traceSql(bare);
    await sql`SELECT * FROM \`order items\` WHERE id = ${1}`.catch(() => undefined);
    await sql.begin(async () => "never").catch(() => undefined);
    const [select, begin] = spans().slice(-2);
    expect(select).toMatchObject({
      name: "SELECT `order items`",
      status: "ERROR",
      attributes: {
        "db.system.name": adapter,
        "db.namespace": "shop",
        "server.address": "127.0.0.1",
        "server.port": port,
        "db.query.text": "SELECT * FROM `order items` WHERE id = ?",
      },
    });
    expect(begin).toMatchObject({ name: "START TRANSACTION", status: "ERROR" });
    await sql.unsafe(`SELECT "leak", 'a\\' leak' # leak`).catch(() => undefined);
    expect(texts().at(-1)).toBe("SELECT ?, ?");
  }
});

test.skipIf(!HAS_LEARNING)("a span leads to the line that made its statement", async () => {
  const sql = await open("sqlite", "traced");
  const learning = await codeLocations();
  learning.setCodeLocationEnabled(true);
  try {
    await sql`SELECT 1 FROM users`;
    await sql`SELECT 2 FROM users WHERE id IN ${sql([1, 2])} ${sql`AND id > ${0}`}`;
    await sql.unsafe("SELECT 3 FROM users");
    await sql.file(join(folder, "all.sql"));
    await sql.begin(async (sql) => {
      await sql.savepoint(async (sql) => {
        await sql`SELECT 4 FROM users`;
      });
    });
  } finally {
    learning.setCodeLocationEnabled(false);
  }
  const source = (await Bun.file(import.meta.path).text()).split("\n");
  const lines = spans().map(({ attributes }) => {
    // Relative to the project of the file that this process began with, which may be the layer's own.
    expect(attributes["code.file.path"]).toEndWith("tests/trace-sql.test.ts");
    return source[Number(attributes["code.line.number"]) - 1]?.trim();
  });
  const [begin, savepoint] = [
    "await sql.begin(async (sql) => {",
    "await sql.savepoint(async (sql) => {",
  ];
  expect(lines).toEqual([
    "await sql`SELECT 1 FROM users`;",
    "await sql`SELECT 2 FROM users WHERE id IN ${sql([1, 2])} ${sql`AND id > ${0}`}`;",
    'await sql.unsafe("SELECT 3 FROM users");',
    'await sql.file(join(folder, "all.sql"));',
    begin,
    savepoint,
    "await sql`SELECT 4 FROM users`;",
    savepoint,
    begin,
  ]);
});
