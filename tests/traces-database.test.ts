// What telemetry says about the database: its own texts, its failures, and none of its secrets.
// A small stack of its own, since these tests break things.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { startServices, type RunningServices } from "#lib/embedded/services.ts";
import { spansOf } from "#lib/embedded/traces/otlp.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { tracePool, type Queryable } from "#lib/telemetry/sql/sql.ts";
import { described, recordSpans, type SpanRecording } from "#lib/telemetry/testing/record-spans.ts";
import { call, expectError, line, newOrder } from "./support/api.ts";
import {
  newTraceparent,
  only,
  settledTraceOf,
  spansIn,
  topmost,
  type TestSpan,
} from "./support/traces.ts";
import { until } from "./support/until.ts";

const START_TIMEOUT_MS = 90_000;
const TIMEOUT_MS = 30_000;

let postgresUrl = "";
let sql: SQL;
let traces: TraceStore;
let services: RunningServices;
let postgresLog = "";
const logLines: string[] = [];
const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
  const postgres = await startPostgres({
    settings: { log_statement: "all", log_line_prefix: "%a|" },
    onLog: (text) => (postgresLog += text),
  });
  cleanUps.push(() => postgres.stop());
  postgresUrl = postgres.url;
  await migrateUp({ postgresUrl });
  sql = new SQL(postgresUrl, { max: 2 });
  cleanUps.push(() => sql.close());
  const broker = await startKafkaBroker();
  cleanUps.push(() => broker.stop());
  traces = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  cleanUps.push(() => traces.stop());
  services = await startServices({
    postgresUrl,
    kafkaBrokers: broker.brokers,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: traces.otlpUrl,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20exporter-secret",
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      OTEL_METRIC_EXPORT_TIMEOUT: "500",
      EMAIL_DELAY_MS: "1-2",
      LOG_LEVEL: "debug",
    },
    onLine: (_, text) => logLines.push(text),
  });
  cleanUps.push(() => services.stop());
}, START_TIMEOUT_MS);

afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
}, 60_000);

/** Makes a call and returns its answer and its trace, the span of that name included. */
async function traced(method: string, url: string, body?: unknown, lastName?: string) {
  const { traceId, spanId, traceparent } = newTraceparent();
  const answer = await call(method, url, body, { traceparent });
  const spans = await settledTraceOf(
    traceId,
    (found) => {
      const [first, ...others] = topmost(found);
      const isLastThere = !lastName || found.some(({ name }) => name === lastName);
      return first?.parentId === spanId && others.length === 0 && isLastThere;
    },
    traces,
  );
  return { answer, spans };
}

function isMailed(spans: TestSpan[]): boolean {
  return spans.some(({ name }) => name === "POST /send");
}

/** Statements of the services as PostgreSQL itself has logged them, in their order. */
function loggedStatements(): string[] {
  const logged = new RegExp(
    `^(?:${SERVICE_NAMES.join("|")})\\|LOG: +(?:statement|execute [^:]*): (.*)$`,
    "s",
  );
  // A line that goes on starts with a tab.
  return postgresLog
    .split(/\n(?!\t)/)
    .flatMap((entry) => logged.exec(entry)?.[1] ?? [])
    .map((text) => text.replaceAll("\n\t", "\n"));
}

describe("the statements on spans", () => {
  test(
    "are, word for word, what PostgreSQL has logged, and as many as it has run",
    async () => {
      const before = loggedStatements().length;
      const { spans } = await traced(
        "POST",
        `${services.urls.gateway}/orders`,
        newOrder(),
        "process order.created",
      );
      const texts = spans
        .filter(({ attributes }) => "db.query.text" in attributes)
        .map(({ attributes }) => String(attributes["db.query.text"]));
      expect(texts.length).toBeGreaterThan(6);
      const logged = loggedStatements().slice(before);
      for (const text of new Set(texts)) {
        const runs = logged.filter((other) => other === text).length;
        const recorded = texts.filter((other) => other === text).length;
        // The relay's BEGIN and COMMIT are its own, in another trace.
        if (["BEGIN", "COMMIT"].includes(text)) expect(runs).toBeGreaterThanOrEqual(recorded);
        else expect({ text, runs }).toEqual({ text, runs: recorded });
      }
    },
    TIMEOUT_MS,
  );

  test("hold placeholders and no value, of any trace", async () => {
    await traced("POST", `${services.urls.gateway}/orders`, newOrder(), "process order.created");
    await traced("GET", `${services.urls.orders}/orders?limit=3&status=pending&customer_id=x`);
    const texts = traces
      .traces()
      .flatMap(spansOf)
      .flatMap(({ span }) => span.attributes ?? [])
      .filter(({ key }) => key === "db.query.text")
      .map(({ value }) => value?.stringValue ?? "");
    expect(texts.length).toBeGreaterThan(10);
    const literals = texts.map((text) => text.match(/'[^']*'|(?<![$\w])\d+(?!\w)/g) ?? []).flat();
    // These stand in the source, they are nobody's input.
    const ours = ["'released'", "'reserved'", "'epoch'", "'1 microsecond'", "1", "1000000"];
    expect(new Set(literals).difference(new Set(ours))).toEqual(new Set());
  });
});

describe("an error that PostgreSQL puts a value into", () => {
  let recording: SpanRecording;
  beforeAll(async () => {
    await sql.unsafe(`
      CREATE TABLE public.leaks (name text NOT NULL CONSTRAINT leaks_key UNIQUE CHECK (name <> 'no'));
      INSERT INTO public.leaks VALUES ('leakme');
      CREATE FUNCTION public.leak(text) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'it is %', $1 USING ERRCODE = '57014', DETAIL = $1; END $$`);
    recording = recordSpans();
  });
  afterAll(() => recording?.stop());

  const value = "leakme";
  test.each<[string, (db: Queryable) => Promise<unknown>]>([
    ["invalid_text_representation (22P02)", (db) => db.query`SELECT ${value}::text::int`],
    ["invalid_text_representation (22P02)", (db) => db.query`SELECT ${value}::text::jsonb`],
    ["invalid_text_representation (22P02)", (db) => db.run(`SELECT '${value}'::uuid`, [])],
    ["invalid_datetime_format (22007)", (db) => db.query`SELECT ${value}::text::timestamptz`],
    [
      "unique_violation (23505): leaks_key of public.leaks",
      (db) => db.query`INSERT INTO public.leaks (name) VALUES (${value})`,
    ],
    ["undefined_column (42703)", (db) => db.run(`SELECT "${value}"`, [])],
    ["syntax_error (42601)", (db) => db.run(`SELECT 'a' '${value}'`, [])],
    ["query_canceled (57014)", (db) => db.query`SELECT public.leak(${value})`],
  ])("is %s on its span, and the value is nowhere", async (message, run) => {
    const before = recording.spans().length;
    const error: unknown = await run(tracePool(sql, postgresUrl)).catch(
      (thrown: unknown) => thrown,
    );
    const { message: words, detail } = error as SQL.PostgresError;
    expect(`${words} ${detail}`).toContain(value);
    const [span] = recording.spans().slice(before).map(described);
    expect(span).toMatchObject({ status: "ERROR", message });
    // A name in quotes is a name; who puts a value there has put it into the statement's own words.
    const { "db.query.text": text, ...others } = span?.attributes ?? {};
    expect(JSON.stringify([message, others])).not.toContain(value);
    if (!message.startsWith("undefined_column")) expect(text).not.toContain(value);
  });
});

describe("nothing secret", () => {
  test(
    "is in a span, a metric or a log line",
    async () => {
      const secrets = {
        customer: `customer-${crypto.randomUUID()}`,
        bearer: `bearer-${crypto.randomUUID()}`,
        cookie: `cookie-${crypto.randomUUID()}`,
        token: `token-${crypto.randomUUID()}`,
      };
      const { traceId, traceparent } = newTraceparent();
      const headers = {
        traceparent,
        authorization: `Bearer ${secrets.bearer}`,
        cookie: `session=${secrets.cookie}`,
        "x-api-key": secrets.token,
      };
      const { gateway, orders } = services.urls;
      const order = newOrder([line("ITEM-001"), line("ZZZ-NO-SUCH-ITEM")], secrets.customer);
      expect((await call("POST", `${gateway}/orders`, order, headers)).status).toBe(201);
      for (const url of [gateway, orders]) {
        await call(
          "GET",
          `${url}/orders?limit=1&access_token=${secrets.token}`,
          undefined,
          headers,
        );
        await call("GET", `${url}/orders/x?password=${secrets.token}`, undefined, headers);
      }
      await call("POST", `${gateway}/orders`, { customer_id: secrets.customer }, headers);
      const spans = await until("the traces are there", () => {
        const found = spansIn(traces, traceId);
        return (
          found.filter(({ name }) => name === "GET /orders").length === 3 &&
          isMailed(found) &&
          found
        );
      });
      const queries = spans.map(({ attributes }) => attributes["url.query"]).filter(Boolean);
      expect(new Set(queries)).toEqual(
        new Set(["limit=1&access_token=REDACTED", "password=REDACTED"]),
      );
      await until("a metric export after it", () => traces.metrics().length > 12);

      const hidden = [...Object.values(secrets), new URL(postgresUrl).password, "exporter-secret"];
      const scraped = await Promise.all(
        Object.values(services.urls).map(async (url) => (await call("GET", `${url}/metrics`)).text),
      );
      const places = {
        spans: JSON.stringify(traces.traces()),
        metrics: JSON.stringify(traces.metrics()) + scraped.join(),
        logs: logLines.join("\n"),
      };
      for (const [place, text] of Object.entries(places)) {
        expect(text.length, place).toBeGreaterThan(1_000);
        for (const secret of hidden)
          expect(text.includes(secret), `${secret} in ${place}`).toBe(false);
      }
    },
    TIMEOUT_MS,
  );
});

describe("a statement that fails", () => {
  test(
    "makes its span and the request's an error, with SQLSTATE and words; the caller learns neither",
    async () => {
      await sql`ALTER TABLE orders.order_items RENAME COLUMN price TO price_away`;
      try {
        const { answer, spans } = await traced(
          "POST",
          `${services.urls.gateway}/orders`,
          newOrder(),
        );
        expectError(answer, 500);
        const insert = only(spans, "orders", "INSERT orders.order_items");
        expect(insert).toMatchObject({
          status: "error",
          statusText: "undefined_column (42703)",
          attributes: { "error.type": "42703", "db.response.status_code": "42703" },
        });
        expect(only(spans, "orders", "ROLLBACK").status).toBe("unset");
        expect(spans.filter(({ name }) => name === "COMMIT")).toEqual([]);
        for (const [service, name] of [
          ["orders", "POST /orders"],
          ["gateway", "POST"],
          ["gateway", "POST /orders"],
        ] as const) {
          expect(only(spans, service, name)).toMatchObject({
            status: "error",
            attributes: { "http.response.status_code": 500, "error.type": "500" },
          });
        }
        expect(only(spans, "orders", "POST /orders").statusText).not.toBe("");
      } finally {
        await sql`ALTER TABLE orders.order_items RENAME COLUMN price_away TO price`;
      }
      const { answer } = await traced("POST", `${services.urls.orders}/orders`, newOrder());
      expect(answer.status).toBe(201);
    },
    TIMEOUT_MS,
  );

  test(
    "on an item's stock is answered 500 and marks each hop",
    async () => {
      await sql`ALTER TABLE inventory.items RENAME COLUMN name TO name_away`;
      try {
        const { answer, spans } = await traced(
          "GET",
          `${services.urls.gateway}/inventory/ITEM-001`,
        );
        expectError(answer, 500);
        const errors = spans.map(({ status, attributes }) => [status, attributes["error.type"]]);
        expect(new Set(errors.map(([status]) => status))).toEqual(new Set(["error"]));
        expect(new Set(errors.map(([, type]) => type))).toEqual(new Set(["500", "42703"]));
      } finally {
        await sql`ALTER TABLE inventory.items RENAME COLUMN name_away TO name`;
      }
    },
    TIMEOUT_MS,
  );

  test(
    "only at COMMIT makes that span the error, and neither order nor event is there",
    async () => {
      await sql.unsafe(`
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE EXCEPTION 'refused at commit' USING ERRCODE = '23514'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON orders.orders
          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse()`);
      const customer = crypto.randomUUID();
      try {
        const { answer, spans } = await traced(
          "POST",
          `${services.urls.orders}/orders`,
          newOrder([line("ITEM-001")], customer),
        );
        expectError(answer, 500);
        expect(only(spans, "orders", "COMMIT")).toMatchObject({
          status: "error",
          statusText: "check_violation (23514)",
          attributes: { "error.type": "23514", "db.response.status_code": "23514" },
        });
        const failed = spans.filter(({ status }) => status === "error").map(({ name }) => name);
        expect(failed.sort()).toEqual(["COMMIT", "POST /orders"]);
      } finally {
        await sql`DROP FUNCTION public.refuse() CASCADE`;
      }
      const [row] = await sql`
        SELECT (SELECT count(*)::int FROM orders.orders WHERE customer_id = ${customer}) AS orders,
          (SELECT count(*)::int FROM orders.outbox WHERE payload LIKE ${`%${customer}%`}) AS events`;
      expect(row).toEqual({ orders: 0, events: 0 });
    },
    TIMEOUT_MS,
  );
});

describe("a backend that is down", () => {
  test("makes the gateway's call an error with its cause, and the request one with 502", async () => {
    await services.kill("inventory", "SIGTERM");
    try {
      const { answer, spans } = await traced("GET", `${services.urls.gateway}/inventory`);
      expectError(answer, 502);
      expect(spans).toHaveLength(2);
      expect(only(spans, "gateway", "GET")).toMatchObject({
        kind: "client",
        status: "error",
        statusText: expect.stringMatching(/\w/),
      });
      expect(only(spans, "gateway", "GET").attributes["error.type"]).not.toBe("502");
      expect(only(spans, "gateway", "GET /inventory")).toMatchObject({
        status: "error",
        attributes: { "http.response.status_code": 502, "error.type": "502" },
      });
    } finally {
      await services.restart("inventory");
    }
  }, 60_000);
});
