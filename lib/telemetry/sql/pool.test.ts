import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { SQL } from "bun";
import { logger } from "../logs/logger.ts";
import { inSpan } from "../span.ts";
import { tracePool } from "./pool.ts";
import { described, recordSpans, type SpanRecording } from "../testing/record-spans.ts";

let recording: SpanRecording;
beforeEach(() => {
  recording = recordSpans();
});
afterEach(() => recording.stop());

type Run = { connection: number | "pool"; text: string; values: unknown[] };

/** A pool that runs nothing: it notes statements, and fails those it is told to. */
function fakePool(fail: (text: string) => Error | undefined = () => undefined) {
  const runs: Run[] = [];
  const open = { connections: 0 };
  let reserved = 0;
  const runner = (connection: number | "pool") => async (text: string, values: unknown[]) => {
    runs.push({ connection, text, values });
    await Bun.sleep(1);
    const error = fail(text);
    if (error) throw error;
    return [{ text }];
  };
  const pool = {
    unsafe: runner("pool"),
    reserve: async () => {
      open.connections++;
      return { unsafe: runner(++reserved), release: () => void open.connections-- };
    },
  } as unknown as SQL;
  return { runs, open, sql: tracePool(pool, "postgres://ann:hunter2@db.example:6432/shop") };
}

function postgresError(errno: string, message: string, fields: object = {}): Error {
  const options = { errno, code: "ERR_POSTGRES_SERVER_ERROR", ...fields };
  return new SQL.PostgresError(message, options as never);
}

const names = () => recording.spans().map(({ name }) => name);

describe("a statement", () => {
  test("is a CLIENT span with its text and its summary, and values go to the database only", async () => {
    const { sql, runs } = fakePool();
    const rows = await sql.query<{ text: string }>`
      SELECT id FROM orders.orders WHERE id = ${"secret-id"} AND total > ${5}`;
    const text = "SELECT id FROM orders.orders WHERE id = $1 AND total > $2";
    expect(rows).toEqual([{ text }]);
    expect(runs).toEqual([{ connection: "pool", text, values: ["secret-id", 5] }]);
    expect(recording.spans().map(described)).toEqual([
      {
        name: "SELECT orders.orders",
        kind: "CLIENT",
        status: "UNSET",
        message: undefined,
        attributes: {
          "db.system.name": "postgresql",
          "db.namespace": "shop",
          "server.address": "db.example",
          "server.port": 6432,
          "db.query.summary": "SELECT orders.orders",
          "db.query.text": text,
        },
      },
    ]);
  });

  test("put together at run time is traced alike", async () => {
    const { sql, runs } = fakePool();
    await sql.run("DELETE FROM orders.outbox WHERE id = $1", [7]);
    expect(runs[0]?.values).toEqual([7]);
    expect(described(recording.span("DELETE orders.outbox")).attributes["db.query.text"]).toBe(
      "DELETE FROM orders.outbox WHERE id = $1",
    );
  });

  test.each([
    ["SELECT 'leak-me', $1::int", "SELECT ?, $1::int"],
    [
      "SELECT 1 FROM a.b WHERE c = 4711 AND d = -1.5e+3",
      "SELECT ? FROM a.b WHERE c = ? AND d = -?",
    ],
    ["SELECT $$leak $1 'me$$ FROM a.b", "SELECT ? FROM a.b"],
  ])("put together at run time shows no literal: %s", async (text, shown) => {
    const { sql, runs } = fakePool();
    await sql.run(text, []);
    expect(runs[0]?.text).toBe(text);
    const [span] = recording.spans().map(described);
    expect(span?.attributes["db.query.text"]).toBe(shown);
    expect(JSON.stringify(span)).not.toMatch(/leak|4711/);
  });

  test("whose error holds a value shows it nowhere: not in spans around it, nor in a log line", async () => {
    const { sql } = fakePool(() =>
      postgresError("22P02", 'invalid input syntax for type integer: "leak-me"', {
        detail: "leak-me",
        where: "unnamed portal parameter $1 = 'leak-me'",
      }),
    );
    const write = spyOn(process.stdout, "write").mockImplementation(() => true);
    try {
      await inSpan("around", {}, async () => sql.query`SELECT ${"leak-me"}::int`).catch(
        (error: unknown) => logger.error("failed", { error }),
      );
      const lines = write.mock.calls.map(([line]) => String(line)).join("");
      expect(lines).toContain("invalid_text_representation (22P02)");
      expect(lines).not.toContain("leak-me");
    } finally {
      write.mockRestore();
    }
    const spans = recording.spans().map(described);
    expect(spans.map(({ message }) => message)).toEqual([
      "invalid_text_representation (22P02)",
      "invalid_text_representation (22P02)",
    ]);
    expect(JSON.stringify(spans)).not.toContain("leak-me");
  });

  test("that PostgreSQL refuses is an error with its SQLSTATE, and the error is thrown on", async () => {
    const refused = postgresError("23505", "duplicate key", {
      detail: "Key (id)=(secret-id) already exists.",
      schema: "orders",
      table: "orders",
      constraint: "orders_pkey",
    });
    const { sql } = fakePool(() => refused);
    const thrown = await sql.query`INSERT INTO orders.orders (id) VALUES (${1})`.catch(
      (error: unknown) => error,
    );
    expect(thrown).toBe(refused);
    expect(described(recording.span("INSERT orders.orders"))).toMatchObject({
      status: "ERROR",
      message: "unique_violation (23505): orders_pkey of orders.orders",
      attributes: { "error.type": "23505", "db.response.status_code": "23505" },
    });
  });

  test("that never reached the server is an error without a SQLSTATE", async () => {
    const lost = Object.assign(new Error("Connection closed"), {
      code: "ERR_POSTGRES_CONNECTION_CLOSED",
    });
    const { sql } = fakePool(() => lost);
    await sql.query`SELECT 1`.catch(() => undefined);
    const { attributes } = described(recording.span("SELECT"));
    expect(attributes["error.type"]).toBe("ERR_POSTGRES_CONNECTION_CLOSED");
    expect(attributes).not.toContainKey("db.response.status_code");
  });

  test("shows no password that stands in an error's text", async () => {
    const { sql } = fakePool(
      () => new Error("cannot reach postgres://ann:hunter2@db.example/shop"),
    );
    await sql.query`SELECT 1`.catch(() => undefined);
    expect(JSON.stringify(described(recording.span("SELECT")))).not.toContain("hunter2");
  });
});

describe("a transaction", () => {
  test("runs on one connection, with BEGIN and COMMIT as spans beside its statements", async () => {
    const { sql, runs, open } = fakePool();
    const result = await inSpan("around", {}, async () =>
      sql.transaction(async (tx) => {
        await tx.query`INSERT INTO orders.orders (id) VALUES (${1})`;
        return "done";
      }),
    );
    expect(result).toBe("done");
    expect(names()).toEqual(["BEGIN", "INSERT orders.orders", "COMMIT", "around"]);
    expect(new Set(runs.map(({ connection }) => connection))).toEqual(new Set([1]));
    const around = recording.span("around").spanContext().spanId;
    const parents = recording.spans().slice(0, 3);
    expect(parents.map((span) => span.parentSpanContext?.spanId)).toEqual([around, around, around]);
    expect(open.connections).toBe(0);
  });

  test("rolls back what throws, throws it on, and gives its connection back", async () => {
    const { sql, open } = fakePool();
    const error = new RangeError("no");
    const thrown = await sql
      .transaction(async () => Promise.reject(error))
      .catch((caught: unknown) => caught);
    expect(thrown).toBe(error);
    expect(names()).toEqual(["BEGIN", "ROLLBACK"]);
    expect(open.connections).toBe(0);
  });

  test("whose COMMIT fails: that span is the error, once, and the error is thrown on", async () => {
    const refused = postgresError("23503", "a deferred constraint");
    const { sql, open } = fakePool((text) => (text === "COMMIT" ? refused : undefined));
    const thrown = await sql
      .transaction(async (tx) => tx.query`SELECT 1`)
      .catch((caught: unknown) => caught);
    expect(thrown).toBe(refused);
    expect(described(recording.span("COMMIT"))).toMatchObject({
      status: "ERROR",
      attributes: { "error.type": "23503", "db.response.status_code": "23503" },
    });
    expect(names()).toEqual(["BEGIN", "SELECT", "COMMIT", "ROLLBACK"]);
    expect(open.connections).toBe(0);
  });

  test("whose connection is gone tells the first error, not that of the ROLLBACK", async () => {
    const { sql, open } = fakePool((text) =>
      text === "BEGIN" ? undefined : new Error(`${text} failed`),
    );
    const thrown = await sql
      .transaction(async (tx) => tx.query`SELECT 1`)
      .catch((caught: Error) => caught.message);
    expect(thrown).toBe("SELECT 1 failed");
    expect(open.connections).toBe(0);
  });

  test("whose BEGIN fails gives its connection back, and runs no work", async () => {
    const { sql, open } = fakePool(() => new Error("gone"));
    let worked = false;
    const thrown = await sql
      .transaction(async () => (worked = true))
      .catch((caught: Error) => caught.message);
    expect({ thrown, worked, open: open.connections }).toEqual({
      thrown: "gone",
      worked: false,
      open: 0,
    });
  });

  test("two at once keep their own parents and their own connections", async () => {
    const { sql, runs } = fakePool();
    await Promise.all(
      ["a", "b"].map((name) =>
        inSpan(name, {}, async () =>
          sql.transaction(async (tx) => {
            await tx.query`SELECT ${name} FROM orders.orders`;
            await Bun.sleep(1);
          }),
        ),
      ),
    );
    for (const name of ["a", "b"]) {
      const { spanId } = recording.span(name).spanContext();
      const below = recording.spans().filter((span) => span.parentSpanContext?.spanId === spanId);
      expect(below.map((span) => span.name)).toEqual(["BEGIN", "SELECT orders.orders", "COMMIT"]);
      const own = runs.find(({ values }) => values[0] === name)?.connection;
      expect(runs.filter(({ connection }) => connection === own).map(({ text }) => text)).toEqual([
        "BEGIN",
        "SELECT $1 FROM orders.orders",
        "COMMIT",
      ]);
    }
  });
});
