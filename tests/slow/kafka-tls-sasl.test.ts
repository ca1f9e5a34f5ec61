/**
 * Three real Kafka nodes that want TLS and a name: every mechanism connects, publishes and consumes, what
 * must be refused is, and no secret is told. Runs where APACHE_KAFKA_LIBS has the folder with Kafka's jars.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { Partitioners } from "kafkajs";
import { startServices } from "#lib/embedded/services.ts";
import { createKafka } from "#lib/kafka/client.ts";
import { loadKafkaConfig } from "#lib/kafka/config.ts";
import { describeError } from "#lib/kafka/errors.ts";
import { ensureTopics } from "#lib/kafka/topics.ts";
import { readBacklog, readBooks, readPieces, stockItems } from "../../scripts/chaos/books.ts";
import { startLoad } from "../../scripts/chaos/load.ts";
import { checkOrders } from "../../scripts/chaos/order-checks.ts";
import { stockFor } from "../../scripts/chaos/order-mix.ts";
import { createRandom } from "../../scripts/chaos/random.ts";
import { startDatabase, type TestDatabase } from "../support/database.ts";
import { startKafkaCluster, type KafkaCluster } from "../support/kafka-cluster.ts";
import { allCalledAt, startServiceProcess } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const libsDir = process.env["APACHE_KAFKA_LIBS"];
const USERNAME = "orderflow";
const PASSWORD = "r1ght-s3cret";
const WRONG_PASSWORD = "wr0ng-s3cret";
/** After so long a client must say again who it is, or is cut off. kafkajs does so 10 s before. */
const SESSION_MS = 13_000;
const REAUTHENTICATE_AFTER_MS = SESSION_MS - 10_000;
const RATE = 40;
/** Text of the first connection that fails, and code of those that are not made after it. */
const MISNAMED = /does not match|ERR_TLS_CERT_ALTNAME_INVALID/;
const UNTRUSTED = /self.signed/i;

setDefaultTimeout(120_000);

describe.skipIf(!libsDir)("on three Kafka nodes with TLS and SASL, of APACHE_KAFKA_LIBS", () => {
  let cluster: KafkaCluster;
  let database: TestDatabase;
  const cleanUps: (() => unknown)[] = [];
  const files: string[] = [];

  beforeAll(async () => {
    const starting = await Promise.allSettled([
      startKafkaCluster({
        libsDir: libsDir ?? "",
        secure: { username: USERNAME, password: PASSWORD },
        properties: { "connections.max.reauth.ms": SESSION_MS },
      }).then((started) => (cluster = started)),
      startDatabase().then((started) => (database = started)),
    ]);
    for (const result of starting) if (result.status === "rejected") throw result.reason;
  }, 180_000);
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });
  afterAll(async () => {
    await Promise.all([cluster?.stop(), database?.stop()]);
    await Promise.all(files.map((file) => rm(file)));
  }, 60_000);

  /** The variables of a client, TLS and all, but for what is given. */
  function variables(env: Record<string, string>): Record<string, string> {
    const { secure } = cluster;
    if (!secure) throw new Error("the cluster has no secure listener");
    return {
      KAFKA_BROKERS: secure.brokers.join(","),
      KAFKA_SSL: "true",
      KAFKA_SSL_CA: secure.certificates.caFile,
      ...env,
    };
  }

  function client(env: Record<string, string>) {
    return createKafka({ connection: loadKafkaConfig(variables(env)), clientId: "tls-sasl-test" });
  }

  function producerOf(kafka: ReturnType<typeof client>) {
    return kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { retries: 0 },
    });
  }

  async function fileWith(text: string): Promise<string> {
    const file = join(tmpdir(), `orderflow-secret-${crypto.randomUUID()}`);
    files.push(file);
    await Bun.write(file, text);
    return file;
  }

  /** Why a client does not get in. It must not tell a secret. */
  async function refusal(env: Record<string, string>): Promise<string> {
    const admin = client(env).admin({ retry: { retries: 0 } });
    try {
      await admin.connect();
      await admin.listTopics();
    } catch (error) {
      expect(`${Bun.inspect(error)}${describeError(error)}`).not.toMatch(/s3cret/);
      return describeError(error);
    } finally {
      await admin.disconnect();
    }
    throw new Error("it got in");
  }

  test.each([
    ["plain", () => password("plain")],
    ["scram-sha-256", () => password("scram-sha-256")],
    ["scram-sha-512", () => password("scram-sha-512")],
    ["plain, with a certificate of its own", () => ({ ...password("plain"), ...ownCertificate() })],
    [
      "oauthbearer, with a token in a file",
      async () => ({
        KAFKA_SASL_MECHANISM: "oauthbearer",
        KAFKA_SASL_PASSWORD_FILE: await fileWith(unsignedToken()),
      }),
    ],
    ["oauthbearer, with a token from an endpoint", () => tokenEndpoint()],
  ])("a client publishes and consumes as %s", async (_, env) => {
    const kafka = client(await env());
    const topic = `test-${crypto.randomUUID()}`;
    await ensureTopics(kafka, [{ topic, partitions: 3 }]);
    const producer = producerOf(kafka);
    const consumer = kafka.consumer({
      groupId: topic,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: 200,
    });
    cleanUps.push(() => Promise.all([producer.disconnect(), consumer.disconnect()]));
    await Promise.all([producer.connect(), consumer.connect()]);
    await producer.send({ topic, messages: [{ key: "a", value: "hello" }] });
    await consumer.subscribe({ topic, fromBeginning: true });
    const received = Promise.withResolvers<string>();
    await consumer.run({
      eachMessage: async ({ message }) => received.resolve(String(message.value)),
    });
    expect(await received.promise).toBe("hello");
  });

  test("a client that goes on says again who it is before its session ends: no send fails", async () => {
    const kafka = client(password("scram-sha-512"));
    const topic = `test-${crypto.randomUUID()}`;
    await ensureTopics(kafka, [{ topic, partitions: 1 }]);
    const producer = producerOf(kafka);
    cleanUps.push(() => producer.disconnect());
    const requests: string[] = [];
    producer.on("producer.network.request", ({ payload }) => void requests.push(payload.apiName));
    await producer.connect();
    const send = () => producer.send({ topic, messages: [{ value: "x" }] });
    await send();
    const before = count(requests, "SaslHandshake");
    const startedMs = performance.now();
    // Beyond a whole session: who had not said it again would be cut off by then.
    await until(
      "the session is over",
      async () => {
        await send();
        return performance.now() - startedMs > SESSION_MS + 2_000;
      },
      60_000,
      250,
    );
    const again = count(requests, "SaslHandshake") - before;
    expect(again).toBeGreaterThanOrEqual(Math.floor(SESSION_MS / REAUTHENTICATE_AFTER_MS) - 2);
  });

  test("a wrong password or token is refused, and told by what the broker says", async () => {
    for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"]) {
      const wrong = { ...password(mechanism), KAFKA_SASL_PASSWORD: WRONG_PASSWORD };
      expect(await refusal(wrong)).toMatch(/Authentication failed/);
    }
    const expired = {
      KAFKA_SASL_MECHANISM: "oauthbearer",
      KAFKA_SASL_PASSWORD: unsignedToken(-60),
    };
    expect(await refusal(expired)).toContain("invalid_token");
  });

  test("a broker is refused whose certificate is another's, or of an unknown authority", async () => {
    const { secure } = cluster;
    const byAddress = { KAFKA_BROKERS: secure?.brokersByAddress.join(",") ?? "" };
    expect(await refusal({ ...password("plain"), ...byAddress })).toMatch(MISNAMED);
    const otherCa = { KAFKA_SSL_CA: secure?.certificates.otherCaFile ?? "" };
    expect(await refusal({ ...password("plain"), ...otherCa })).toMatch(UNTRUSTED);
    expect(await refusal({ ...password("plain"), KAFKA_SSL_CA: "" })).toMatch(UNTRUSTED);
  });

  test("with a wrong password services say so and try on; no secret is in log, span or answer", async () => {
    let exported = "";
    const receiver = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        exported += Buffer.from(await request.arrayBuffer()).toString("latin1");
        return new Response();
      },
    });
    cleanUps.push(() => receiver.stop(true));
    const file = await fileWith(`${WRONG_PASSWORD}\n`);
    const env = {
      ...variables({
        KAFKA_SASL_MECHANISM: "scram-sha-512",
        KAFKA_SASL_USERNAME: USERNAME,
        KAFKA_SASL_PASSWORD_FILE: file,
      }),
      POSTGRES_URL: database.url,
      ...allCalledAt("http://127.0.0.1:9", "worker"),
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url.href,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      LOG_LEVEL: "debug",
    };
    const orders = await startServiceProcess("orders", env);
    cleanUps.push(orders.stop);
    const worker = await startServiceProcess("worker", env);
    cleanUps.push(worker.stop);
    const placed = await fetch(`${orders.url}/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        customer_id: "c",
        items: [{ item_id: "ITEM-001", quantity: 1, price: 1 }],
      }),
    });
    expect(placed.status).toBe(201);

    const answers: string[] = [];
    const kafkaOf = async (url: string) => {
      const text = await (await fetch(`${url}/readyz`)).text();
      answers.push(text);
      return /Authentication failed/i.test(text);
    };
    await until("orders tells the reason", () => kafkaOf(orders.url), 30_000);
    await until("the worker tells the reason", () => kafkaOf(worker.url), 30_000);
    await until("spans are exported", () => exported.includes("INSERT"), 30_000);

    // The file is put right under the running processes: nothing has to be started again.
    await Bun.write(file, PASSWORD);
    const isWell = async (url: string) => {
      const text = await (await fetch(`${url}/readyz`)).text();
      answers.push(text);
      return !/Authentication failed|not joined/i.test(text);
    };
    await until("orders reaches Kafka", () => isWell(orders.url), 60_000);
    await until("the worker reaches Kafka", () => isWell(worker.url), 60_000);
    await until("the event is sent", () => exported.includes("send order.created"), 30_000);

    const args = await Bun.$`ps -o args= -p ${orders.pid} -p ${worker.pid}`.text();
    expect(args).toContain("services/worker");
    const told = [args, exported, JSON.stringify([orders.lines, worker.lines]), ...answers].join();
    for (const secret of [WRONG_PASSWORD, PASSWORD]) {
      expect(told.includes(secret)).toBe(false);
      expect(told.includes(Buffer.from(secret).toString("base64").slice(0, -2))).toBe(false);
    }
  });

  test("the five services settle orders over TLS and SCRAM-SHA-512, beyond a session's end", async () => {
    const sql = new SQL({ url: database.url, max: 2 });
    cleanUps.push(() => sql.close());
    await stockItems(sql, stockFor(RATE * 20, RATE * 600));
    const pieces = await readPieces(sql);
    const services = await startServices({
      postgresUrl: database.url,
      kafkaBrokers: cluster.secure?.brokers.join(",") ?? "",
      env: {
        ...variables(password("scram-sha-512")),
        OTEL_SDK_DISABLED: "true",
        LOG_LEVEL: "warn",
        EMAIL_DELAY_MS: "5-20",
      },
    });
    cleanUps.push(services.stop);
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const load = startLoad({
      url: services.urls.gateway,
      seed,
      random: createRandom(seed),
      rate: RATE,
      orders: (RATE * (SESSION_MS + 5_000)) / 1_000,
      ordersMax: RATE * 600,
    });
    cleanUps.push(load.stop);
    await load.planned;
    await load.stop();
    await until(
      "all is settled",
      async () => {
        const { pendingOrders, outboxRows } = await readBacklog(sql);
        return pendingOrders === 0 && outboxRows === 0;
      },
      60_000,
      250,
    );
    // What other tests placed here is not in this load.
    const books = await readBooks(sql, cluster.brokers.join(","));
    const own = new Set(load.posted.map(({ customerId }) => customerId));
    const orders = books.orders.filter(({ customerId }) => own.has(customerId));
    const names = ["every 201 is settled", "confirmed exactly where there is stock"];
    const checks = checkOrders(load.posted, { ...books, orders }, pieces).filter(({ name }) =>
      names.includes(name),
    );
    expect(checks.map(({ name, breaches }) => [name, breaches.slice(0, 3)])).toEqual(
      names.map((name) => [name, []]),
    );
    expect(load.posted.filter(({ status }) => status !== 201)).toEqual([]);
  });

  function ownCertificate(): Record<string, string> {
    const certificates = cluster.secure?.certificates;
    return {
      KAFKA_SSL_CERT: certificates?.clientCertFile ?? "",
      KAFKA_SSL_KEY: certificates?.clientKeyFile ?? "",
    };
  }

  /** An authorization server that knows one client. */
  function tokenEndpoint(): Record<string, string> {
    const pair = Buffer.from(`${USERNAME}:${PASSWORD}`).toString("base64");
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ headers }) =>
        headers.get("authorization") === `Basic ${pair}`
          ? Response.json({ access_token: unsignedToken(), expires_in: 3_600 })
          : Response.json({ error: "invalid_client" }, { status: 401 }),
    });
    cleanUps.push(() => server.stop(true));
    return {
      ...password("oauthbearer"),
      KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: new URL("/token", server.url).href,
    };
  }
});

function password(mechanism: string): Record<string, string> {
  return {
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: USERNAME,
    KAFKA_SASL_PASSWORD: PASSWORD,
  };
}

/** As Kafka's own example validator takes it. @see https://www.rfc-editor.org/rfc/rfc7515#appendix-A.5 */
function unsignedToken(lifeSeconds = 3_600): string {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const claims = { sub: USERNAME, iat: nowSeconds - 120, exp: nowSeconds + lifeSeconds };
  return `${jsonPart({ alg: "none" })}.${jsonPart(claims)}.`;
}

function jsonPart(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function count(names: readonly string[], name: string): number {
  return names.filter((one) => one === name).length;
}
