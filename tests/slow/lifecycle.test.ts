// How each service starts, says that it is ready or not, and stops.
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, chmod, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Partitioners } from "kafkajs";
import { freePort } from "#lib/embedded/free-port.ts";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { spansOf } from "#lib/embedded/traces/otlp.ts";
import { startTraceStore } from "#lib/embedded/traces/index.ts";
import { createKafka } from "#lib/kafka/client.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { neededBy, SERVICE_NAMES } from "#lib/service/services.ts";
import { ORDER_CREATED_TOPIC, orderCreatedValue } from "#lib/orders/order-created.ts";
import { call, expectError, newOrder } from "../support/api.ts";
import {
  allCalledAt,
  startAndFail,
  startServiceProcess,
  type ServiceName,
  type ServiceProcess,
} from "../support/service-process.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const STOP_WITHIN_MS = 8_000;

const UNUSED_POSTGRES = "postgres://user:s3cret@127.0.0.1:1/orderflow";
const UNUSED_BROKERS = "127.0.0.1:1";
const UNUSED_URL = "http://127.0.0.1:1";

const QUIET = { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" };

/** Everything each service needs; nothing listens there. */
const NEEDS = Object.fromEntries(
  SERVICE_NAMES.map((name) => [
    name,
    neededBy(name, {
      postgres: () => UNUSED_POSTGRES,
      kafka: () => UNUSED_BROKERS,
      url: () => UNUSED_URL,
    }),
  ]),
) as Record<ServiceName, Record<string, string>>;

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
}, 60_000);

/** Starts a service that is stopped when the test ends, however it does. */
async function start(name: ServiceName, env: Record<string, string>): Promise<ServiceProcess> {
  const service = await startServiceProcess(name, { ...QUIET, ...NEEDS[name], ...env });
  cleanUps.push(() => service.stop());
  return service;
}

/** PostgreSQL that can be stopped and come back on the same port with the same data. */
async function startPostgresThatReturns() {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-lifecycle-test-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755); // as root, the server's own user must get through
  const options = { dataDir: join(folder, "data") };
  let server = await startPostgres(options);
  cleanUps.push(() => server.stop());
  const { url, port } = server;
  await migrateUp({ postgresUrl: url });
  return {
    url,
    stop: () => server.stop(),
    start: async () => void (server = await startPostgres({ ...options, port })),
  };
}

/** A client that begins a request and sends no more of it. */
async function beginRequest(url: string, text: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: { data() {}, open: (own) => void own.write(text) },
  });
  cleanUps.push(() => socket.terminate());
}

const readiness = async (service: ServiceProcess) => {
  const answer = await call("GET", `${service.url}/readyz`);
  return { status: answer.status, body: answer.json as Record<string, string> };
};

describe("a service that is not told what it needs", () => {
  const missing = SERVICE_NAMES.flatMap((name) =>
    Object.keys(NEEDS[name]).map((variable) => [name, variable, undefined] as const),
  );
  // More malformed values: config.test.ts of lib/service and of each service.
  const malformed: [ServiceName, string, string][] = [
    ...SERVICE_NAMES.map((name) => [name, "PORT", "abc"] as [ServiceName, string, string]),
    ["email", "PORT", "70000"],
    ["email", "HOST", "999.1.1.1"],
    // Of a network that is for documents alone (RFC 5737): no machine has it, whatever its resolver knows.
    ["email", "HOST", "192.0.2.1"],
    ["email", "EMAIL_DELAY_MS", "200-50"],
    ["gateway", "ORDERS_SERVICE_URL", "ftp://orders"],
    ["orders", "POSTGRES_URL", "postgres://u:p4ssw0rd@db"],
    ["orders", "POSTGRES_URL", "postgres://u:p4ssw0rd@db/orderflow?sslmode=off"],
    ["orders", "POSTGRES_POOLER", "session"],
    ["orders", "POSTGRES_URL_FILE", "/no/such/file"],
    ["orders", "KAFKA_BROKERS", "kafka"],
    ["worker", "WORKER_RETRY_LIMIT_MS", "1m"],
  ];

  test.each([...missing, ...malformed])(
    "%s with %s=%s: one line that names it, exit status 1",
    async (name, variable, value) => {
      const env: Record<string, string> = { PORT: "0", ...NEEDS[name] };
      if (value === undefined) delete env[variable];
      else env[variable] = value;
      const { exitCode, stdout, stderr } = await startAndFail(name, env);
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      const lines = stderr.trimEnd().split("\n");
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(variable);
      expect(stderr).not.toMatch(/s3cret|p4ssw0rd/);
    },
    TIMEOUT_MS,
  );

  test(
    "a port that is taken: one line that names PORT, exit status 1",
    async () => {
      const first = await start("email", {});
      const { port } = new URL(first.url);
      const { exitCode, stderr } = await startAndFail("email", { PORT: port });
      expect(exitCode).toBe(1);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
      expect(stderr).toMatch(new RegExp(`PORT ${port}\\b.*in use`));
    },
    TIMEOUT_MS,
  );
});

describe("a service that is told to stop", () => {
  test.each([
    ...SERVICE_NAMES.map((name) => [name, "SIGTERM"] as const),
    ["worker", "SIGINT"] as const,
  ])(
    "%s exits 0 within 8 s of %s, also while nothing it needs is there",
    async (name, signal) => {
      const service = await start(name, {});
      service.kill(signal);
      const ended = await Promise.race([service.exited, Bun.sleep(STOP_WITHIN_MS)]);
      expect(ended).toBe(0);
      expect(service.lines.map(({ message }) => message)).toContain("stopped");
    },
    TIMEOUT_MS,
  );

  test(
    "finishes what is in hand, then sends the spans it still has",
    async () => {
      const traces = await startTraceStore({ otlpPort: 0, queryPort: 0 });
      cleanUps.push(() => traces.stop());
      const email = await startServiceProcess("email", {
        EMAIL_DELAY_MS: "1000-1000",
        OTEL_EXPORTER_OTLP_ENDPOINT: traces.otlpUrl,
        // Not before the end by itself.
        OTEL_BSP_SCHEDULE_DELAY: "600000",
        OTEL_METRIC_EXPORT_INTERVAL: "600000",
      });
      cleanUps.push(() => email.stop());
      const mail = call("POST", `${email.url}/send`, { to: "a@b", subject: "s", body: "b" });
      await until("the mail is being sent", async () => {
        const { text } = await call("GET", `${email.url}/metrics`);
        return /^http_server_active_requests\{.*"POST".*\} 1/m.test(text);
      });
      expect(traces.traces()).toEqual([]);
      email.kill("SIGTERM");
      expect((await mail).status).toBe(200);
      expect(await email.exited).toBe(0);
      expect(
        traces
          .traces()
          .flatMap(spansOf)
          .map(({ span }) => span.name),
      ).toEqual(["POST /send"]);
      expect(JSON.stringify(traces.metrics())).toContain("orderflow.emails.sent");
    },
    TIMEOUT_MS,
  );

  test(
    "finishes a request that takes the 5 s that a call may take",
    async () => {
      const email = await start("email", { EMAIL_DELAY_MS: "5000-5000" });
      const mail = call("POST", `${email.url}/send`, { to: "a@b", subject: "s", body: "b" });
      await until("the mail is being sent", async () => {
        const { text } = await call("GET", `${email.url}/metrics`);
        return /^http_server_active_requests\{.*"POST".*\} 1/m.test(text);
      });
      email.kill("SIGTERM");
      const signalledMs = performance.now();
      expect((await mail).status).toBe(200);
      expect(await email.exited).toBe(0);
      expect(performance.now() - signalledMs).toBeLessThan(STOP_WITHIN_MS);
    },
    TIMEOUT_MS,
  );

  test("does not wait for a client that has sent half a request line", async () => {
    const email = await start("email", {});
    await beginRequest(email.url, "GET /heal");
    email.kill("SIGTERM");
    const ended = await Promise.race([email.exited, Bun.sleep(4_000)]);
    expect(ended).toBe(0);
  });

  test(
    "exits 0 within 8 s, its spans sent, though a client withholds a body and what it needs hangs",
    async () => {
      const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
      cleanUps.push(() => silent.stop(true));
      const traces = await startTraceStore({ otlpPort: 0, queryPort: 0 });
      cleanUps.push(() => traces.stop());
      const orders = await startServiceProcess("orders", {
        POSTGRES_URL: `postgres://u:p@127.0.0.1:${silent.port}/orderflow`,
        KAFKA_BROKERS: `127.0.0.1:${silent.port}`,
        OTEL_EXPORTER_OTLP_ENDPOINT: traces.otlpUrl,
        OTEL_BSP_SCHEDULE_DELAY: "600000",
      });
      cleanUps.push(() => orders.stop());
      expect((await call("GET", `${orders.url}/nothing`)).status).toBe(404);
      const head = "POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
      await beginRequest(orders.url, `${head}{"customer_id":`);
      await until("its request is in hand", async () => {
        const { text } = await call("GET", `${orders.url}/metrics`);
        return /^http_server_active_requests\{.*"POST".*\} 1/m.test(text);
      });
      orders.kill("SIGTERM");
      const ended = await Promise.race([orders.exited, Bun.sleep(STOP_WITHIN_MS)]);
      expect(ended).toBe(0);
      const spans = traces.traces().flatMap(spansOf);
      expect(spans.map(({ span }) => span.name)).toContain("GET");
    },
    TIMEOUT_MS,
  );

  test(
    "takes no record from then on, whatever its HTTP clients do",
    async () => {
      const broker = await startKafkaBroker();
      cleanUps.push(() => broker.stop());
      const handled = new Set<string>();
      const others = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        async fetch(request) {
          if (request.url.endsWith("/reserve")) {
            handled.add(((await request.json()) as { order_id: string }).order_id);
          }
          return Response.json({});
        },
      });
      cleanUps.push(() => others.stop(true));
      const url = `http://127.0.0.1:${others.port}`;
      const worker = await start("worker", {
        KAFKA_BROKERS: broker.brokers,
        ...allCalledAt(url, "worker"),
      });
      await worker.ready();

      const kafka = createKafka({
        connection: { brokers: [broker.brokers] },
        clientId: "lifecycle-test",
      });
      const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
      await producer.connect();
      cleanUps.push(() => producer.disconnect());
      const place = async () => {
        const order = {
          ...newOrder(),
          id: crypto.randomUUID(),
          total: 250,
          status: "pending" as const,
          created_at: new Date().toISOString(),
        };
        const messages = [{ key: order.id, value: orderCreatedValue(order) }];
        await producer.send({ topic: ORDER_CREATED_TOPIC, messages });
        return order.id;
      };

      const before = await place();
      await until("a record is taken", () => handled.has(before));
      await beginRequest(worker.url, "GET /heal");
      worker.kill("SIGTERM");
      await until("it stops", () => worker.lines.some(({ message }) => message === "stopping"));
      const after = await place();
      expect(await worker.exited).toBe(0);
      expect(worker.lines.map(({ message }) => message)).toContain("stopped");
      expect([...handled]).toEqual([before]);
      expect([...handled]).not.toContain(after);
    },
    TIMEOUT_MS,
  );

  test(
    "stops once however often it is told",
    async () => {
      const email = await start("email", {});
      for (let n = 0; n < 3; n++) email.kill("SIGTERM");
      expect(await email.exited).toBe(0);
      expect(email.lines.filter(({ message }) => message === "stopping")).toHaveLength(1);
    },
    TIMEOUT_MS,
  );
});

describe("while PostgreSQL is away", () => {
  test("inventory lives, says that it is not ready and why, answers 503, and recovers", async () => {
    const postgres = await startPostgresThatReturns();
    const inventory = await start("inventory", { POSTGRES_URL: postgres.url });
    await inventory.ready();
    expect((await readiness(inventory)).body).toEqual({ status: "ready", postgres: "ok" });

    await postgres.stop();
    const away = await readiness(inventory);
    expect(away.status).toBe(503);
    expect(away.body["status"]).toBe("not ready");
    expect(away.body["postgres"]).toMatch(/\w{3}/);
    expect(away.body["postgres"]).not.toBe("ok");
    expect(JSON.stringify(away.body)).not.toContain(new URL(postgres.url).password);
    expect((await call("GET", `${inventory.url}/healthz`)).status).toBe(200);
    const answer = await call("GET", `${inventory.url}/stock`);
    expectError(answer, 503, /database/);
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);

    // What stands in front of it stays ready: it would answer 503 for this route only.
    const gateway = await start("gateway", allCalledAt(inventory.url, "gateway"));
    await gateway.ready();
    expectError(await call("GET", `${gateway.url}/inventory`), 503, /database/);

    await postgres.start();
    await inventory.ready();
    expect((await call("GET", `${gateway.url}/inventory`)).status).toBe(200);
  }, 90_000);

  test("orders lives, says why it is not ready, answers 503, and recovers", async () => {
    const postgres = await startPostgresThatReturns();
    const orders = await start("orders", { POSTGRES_URL: postgres.url });
    await orders.ready();
    await postgres.stop();
    const away = await readiness(orders);
    expect(away.status).toBe(503);
    expect(away.body["postgres"]).not.toBe("ok");
    expect((await call("GET", `${orders.url}/healthz`)).status).toBe(200);
    expectError(await call("POST", `${orders.url}/orders`, newOrder()), 503, /database/);
    expectError(await call("GET", `${orders.url}/orders`), 503, /database/);
    await postgres.start();
    await orders.ready();
    expect((await call("POST", `${orders.url}/orders`, newOrder())).status).toBe(201);
  }, 90_000);

  test("a service may start before it, and before the migrations", async () => {
    const inventory = await start("inventory", {});
    expect((await readiness(inventory)).status).toBe(503);

    const postgres = await startPostgres();
    cleanUps.push(() => postgres.stop());
    const early = await start("inventory", { POSTGRES_URL: postgres.url });
    expect((await readiness(early)).body["postgres"]).toContain("migrations");
    expectError(await call("GET", `${early.url}/stock`), 503, /database/);
    const elsewhere = await start("inventory", {
      POSTGRES_URL: `${postgres.url.slice(0, postgres.url.lastIndexOf("/"))}/not_made_yet`,
    });
    expectError(await call("GET", `${elsewhere.url}/stock`), 503, /database/);
    await migrateUp({ postgresUrl: postgres.url });
    await early.ready();
    await until("its log says so", () => early.lines.some(({ message }) => message === "ready"));
  }, 90_000);
});

describe("while Kafka is away", () => {
  test("orders is ready and takes orders, its body tells, and their events wait until Kafka is there", async () => {
    const postgres = await startPostgres();
    cleanUps.push(() => postgres.stop());
    await migrateUp({ postgresUrl: postgres.url });
    const port = freePort();
    const orders = await start("orders", {
      POSTGRES_URL: postgres.url,
      KAFKA_BROKERS: `127.0.0.1:${port}`,
      RELAY_POLL_INTERVAL_MS: "100",
    });
    await orders.ready();
    const { status, body } = await readiness(orders);
    expect({ status, postgres: body["postgres"] }).toEqual({ status: 200, postgres: "ok" });
    expect(body["kafka"]).not.toBe("ok");
    const answer = await call("POST", `${orders.url}/orders`, newOrder());
    expect(answer.status).toBe(201);
    const waiting = async () => {
      const { text } = await call("GET", `${orders.url}/metrics`);
      return /^orderflow_outbox_pending\b[^\n]* (\d+)$/m.exec(text)?.[1];
    };
    await until("the event waits", async () => (await waiting()) === "1");

    const broker = await startKafkaBroker({ port });
    cleanUps.push(() => broker.stop());
    await until("the event is published", async () => (await waiting()) === "0");
    await until("its body says so", async () => (await readiness(orders)).body["kafka"] === "ok");
  }, 90_000);

  test("orders says so without a break, also while it has no event to publish, and recovers", async () => {
    const postgres = await startPostgres();
    cleanUps.push(() => postgres.stop());
    await migrateUp({ postgresUrl: postgres.url });
    const port = freePort();
    const broker = await startKafkaBroker({ port });
    cleanUps.push(() => broker.stop());
    const orders = await start("orders", {
      POSTGRES_URL: postgres.url,
      KAFKA_BROKERS: broker.brokers,
      RELAY_POLL_INTERVAL_MS: "100",
    });
    const kafka = async () => (await readiness(orders)).body["kafka"];
    await until("Kafka is there", async () => (await kafka()) === "ok");

    await broker.stop();
    await until("its body tells", async () => (await kafka()) !== "ok");
    expect((await call("POST", `${orders.url}/orders`, newOrder())).status).toBe(201);
    for (const endMs = performance.now() + 6_000; performance.now() < endMs;) {
      expect(await kafka()).not.toBe("ok");
      await Bun.sleep(10);
    }

    const again = await startKafkaBroker({ port });
    cleanUps.push(() => again.stop());
    await until("its body tells that, too", async () => (await kafka()) === "ok");
    const log = () => orders.lines.map(({ message }) => message);
    // Its log comes by another way than the answer.
    await until("its log tells it", () => log().includes("the outbox relay works again"));
    expect(log().filter((message) => /events wait|works again/.test(message))).toEqual([
      "events wait in the outbox",
      "the outbox relay works again",
    ]);
  }, 90_000);

  test(
    "the worker lives and says that it is not ready and why",
    async () => {
      const email = await start("email", {});
      const worker = await start("worker", allCalledAt(email.url, "worker"));
      const { status, body } = await readiness(worker);
      expect(status).toBe(503);
      expect(body).toMatchObject({
        status: "not ready",
        orders: "ok",
        inventory: "ok",
        email: "ok",
        kafka: expect.stringMatching(/\w{3}/),
      });
      expect(body["kafka"]).not.toBe("ok");
      expect((await call("GET", `${worker.url}/healthz`)).status).toBe(200);
    },
    TIMEOUT_MS,
  );
});

test(
  "the worker is not ready while a service that it calls is down, and says which",
  async () => {
    const broker = await startKafkaBroker();
    cleanUps.push(() => broker.stop());
    const email = await start("email", {});
    const broken = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end() },
    });
    cleanUps.push(() => broken.stop(true));
    const worker = await start("worker", {
      KAFKA_BROKERS: broker.brokers,
      ...allCalledAt(email.url, "worker"),
      EMAIL_SERVICE_URL: `http://127.0.0.1:${broken.port}`,
    });
    await until("all but the mail is there", async () => {
      const { status, body } = await readiness(worker);

      return status === 503 && body["kafka"] === "ok" && body["orders"] === "ok";
    });
    expect((await readiness(worker)).body["email"]).toMatch(/email/);
  },
  TIMEOUT_MS,
);
