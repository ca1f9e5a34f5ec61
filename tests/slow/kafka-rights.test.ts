/**
 * With the ACLs that docs/operations.md names, services and commands do all that they do; and what it names is
 * what Kafka's authorizer was asked for. Runs where APACHE_KAFKA_LIBS has the folder with Kafka's jars.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SQL } from "bun";
import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  ConfigResourceTypes,
  Partitioners,
  ResourcePatternTypes,
  type Admin,
} from "kafkajs";
import { createKafka, withAdmin } from "#lib/kafka/client.ts";
import { ORDER_CREATED_DEAD_LETTER_TOPIC, ORDER_CREATED_TOPIC } from "#lib/orders/order-created.ts";
import { readText, ROOT } from "../../scripts/check-stack/files.ts";
import { placeOrder } from "../../scripts/shared/gateway.ts";
import { startApacheKafka, type ApacheKafka } from "../support/apache-kafka.ts";
import { startDatabase, type TestDatabase } from "../support/database.ts";
import { sectionOf } from "../support/docs/sections.ts";
import { allCalledAt, startServiceProcess, type ServiceName } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const libsDir = process.env["APACHE_KAFKA_LIBS"];
const PASSWORD = "r1ght-s3cret";
const SETTLED_WITHIN_MS = 30_000;

const SMALL_DEAD_LETTERS = {
  validateOnly: false,
  resources: [
    {
      type: ConfigResourceTypes.TOPIC,
      name: ORDER_CREATED_DEAD_LETTER_TOPIC,
      configEntries: [{ name: "max.message.bytes", value: "1000" }],
    },
  ],
};

/** A line of the documented tables. */
interface Right {
  readonly who: string;
  readonly resource: "Topic" | "Group";
  readonly name: string;
  readonly operation: string;
}

const section = sectionOf(await readText("docs/operations.md"), "rights-in-kafka") ?? "";
const RIGHTS = rightsIn(section);

setDefaultTimeout(120_000);

test("the document names rights of four", () => {
  expect(new Set(RIGHTS.map(({ who }) => who))).toEqual(
    new Set(["orders", "worker", "dead-letters", "orders-command"]),
  );
  expect(RIGHTS.length).toBeGreaterThan(20);
});

describe.skipIf(!libsDir)("on Apache Kafka with an authorizer, of APACHE_KAFKA_LIBS", () => {
  let kafka: ApacheKafka;
  let database: TestDatabase;
  let sql: SQL;
  const running: { stop(): Promise<void> }[] = [];

  beforeAll(async () => {
    const names = [...new Set(RIGHTS.map(({ who }) => who)), "nobody"];
    const starting = await Promise.allSettled([
      startApacheKafka({ libsDir: libsDir ?? "", users: { names, password: PASSWORD } }).then(
        (started) => (kafka = started),
      ),
      startDatabase().then((started) => (database = started)),
    ]);
    for (const result of starting) if (result.status === "rejected") throw result.reason;
    sql = new SQL({ url: database.url, max: 2 });
    await allow(RIGHTS);
  }, 120_000);
  afterAll(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()));
    await sql?.close();
    await Promise.all([kafka?.stop(), database?.stop()]);
  }, 60_000);

  test("everything goes, by the rights that are named and no other", async () => {
    // Whoever of them comes first makes the topics.
    await makesTopics("orders", [ORDER_CREATED_TOPIC]);
    await makesTopics("worker", [ORDER_CREATED_TOPIC, ORDER_CREATED_DEAD_LETTER_TOPIC]);
    const inventory = await service("inventory");
    const email = await service("email");
    const orders = await service("orders", "orders");
    const urls = {
      ...allCalledAt("http://127.0.0.1:9", "worker"),
      ORDERS_SERVICE_URL: orders.url,
      INVENTORY_SERVICE_URL: inventory.url,
      EMAIL_SERVICE_URL: email.url,
    };
    const worker = await service("worker", "worker", urls);
    await settled(await place(orders.url));

    // A record that nobody can read and that the other topic does not take, and another try of it.
    await asSuperUser((admin) => admin.alterConfigs(SMALL_DEAD_LETTERS));
    await sendUnreadable();
    await until(
      "there is a dead letter",
      async () => (await command("dead-letters", "list")).includes("not JSON"),
      SETTLED_WITHIN_MS,
    );
    expect(await command("dead-letters", "replay", "--all")).toMatch(/\b1\b/);

    // Behind the lag, and nowhere.
    await worker.stop();
    const behind = await place(orders.url);
    await until(
      "its event is published",
      async () => (await sql`SELECT 1 FROM orders.outbox`).length === 0,
      SETTLED_WITHIN_MS,
    );
    const lost = Bun.randomUUIDv7();
    await sql`
      INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
      VALUES (${lost}, 'lost', 'pending', 0, now(), now())`;
    await sql`
      INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
      VALUES (${Bun.randomUUIDv7()}, ${lost}, 'ITEM-001', 1, 0)`;
    const listed = await command("orders-command", "list", "--older-than", "0");
    expect(listed).toMatch(new RegExp(`^${behind} .* waits for the worker`, "m"));
    expect(listed).toMatch(new RegExp(`^${lost} .* nowhere`, "m"));
    expect(await command("orders-command", "republish", "--older-than", "0")).toContain("1 events");
    await service("worker", "worker", urls);
    await settled(behind);
    await settled(lost);

    const asked = await kafka.accesses();
    expect(asked.filter(({ isAllowed }) => !isAllowed)).toEqual([]);
    const used = new Set(
      asked.flatMap(({ user, operation, resource, name }) =>
        user !== "ANONYMOUS" && (resource === "Topic" || resource === "Group")
          ? [`${user}: ${operation} ${resource} ${documented(user, resource, name)}`]
          : [],
      ),
    );
    const named = RIGHTS.map(
      ({ who, operation, resource, name }) => `${who}: ${operation} ${resource} ${name}`,
    );
    expect([...used].sort()).toEqual(named.sort());
  });

  test("who has no right gets nowhere: the authorizer is at work", async () => {
    const { exitCode, text } = await run("nobody", "dead-letters", ["list"]);
    expect({ exitCode, text }).toEqual({ exitCode: 1, text: expect.stringMatching(/authoriz/i) });
  });

  /** A user's variables. */
  function as(user: string): Record<string, string> {
    return {
      KAFKA_BROKERS: kafka.brokersForUsers.join(","),
      KAFKA_SASL_MECHANISM: "scram-sha-256",
      KAFKA_SASL_USERNAME: user,
      KAFKA_SASL_PASSWORD: PASSWORD,
      POSTGRES_URL: database.url,
    };
  }

  async function service(name: ServiceName, user = "nobody", env: Record<string, string> = {}) {
    const settings = { OTEL_SDK_DISABLED: "true", EMAIL_DELAY_MS: "1-2" };
    const started = await startServiceProcess(name, { ...as(user), ...settings, ...env });
    running.push(started);
    await started.ready();
    return started;
  }

  async function settled(id: string): Promise<void> {
    await until(
      `order ${id} is confirmed`,
      async () => {
        const [row] = await sql`SELECT status FROM orders.orders WHERE id = ${id}`;
        return row?.status === "confirmed";
      },
      SETTLED_WITHIN_MS,
    );
  }

  /** @returns what it wrote. @throws where it fails */
  async function command(user: "dead-letters" | "orders-command", ...args: string[]) {
    const { exitCode, text } = await run(user, user.replace("-command", ""), args);
    expect({ exitCode, text }).toEqual({ exitCode: 0, text });
    return text;
  }

  async function run(user: string, script: string, args: string[]) {
    const child = Bun.spawn([process.execPath, `scripts/${script}.ts`, ...args], {
      cwd: ROOT,
      env: { PATH: process.env["PATH"] ?? "", ...as(user) },
      stdout: "pipe",
      stderr: "pipe",
    });
    const texts = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { exitCode: await child.exited, text: texts.join("") };
  }

  async function sendUnreadable(): Promise<void> {
    const producer = superUser().producer({
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    await producer.send({
      topic: ORDER_CREATED_TOPIC,
      messages: [
        { value: `not JSON ${crypto.getRandomValues(Buffer.alloc(4_000)).toString("base64")}` },
      ],
    });
    await producer.disconnect();
  }

  function superUser() {
    return createKafka({ connection: { brokers: kafka.brokers }, clientId: "kafka-rights-test" });
  }

  /** Starts a service where there is no topic; in the end there is none again. */
  async function makesTopics(name: "orders" | "worker", topics: string[]): Promise<void> {
    const nobody = allCalledAt("http://127.0.0.1:9", name);
    const maker = await startServiceProcess(name, { ...as(name), ...nobody });
    running.push(maker);
    await until(`${name} makes its topics`, async () => {
      const made = await asSuperUser((admin) => admin.listTopics());
      return topics.every((topic) => made.includes(topic));
    });
    await maker.stop();
    await asSuperUser((admin) => admin.deleteTopics({ topics }));
  }

  async function allow(rights: readonly Right[]): Promise<void> {
    await asSuperUser((admin) =>
      admin.createAcls({
        acl: rights.map(({ who, resource, name, operation }) => ({
          resourceType: AclResourceTypes[resource === "Topic" ? "TOPIC" : "GROUP"],
          resourceName: name.replace(/\*$/, ""),
          resourcePatternType: name.endsWith("*")
            ? ResourcePatternTypes.PREFIXED
            : ResourcePatternTypes.LITERAL,
          principal: `User:${who}`,
          host: "*",
          operation: AclOperationTypes[operationKey(operation)],
          permissionType: AclPermissionTypes.ALLOW,
        })),
      }),
    );
  }

  async function asSuperUser<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    return await withAdmin(superUser(), work);
  }
});

async function place(url: string): Promise<string> {
  const items = [{ item_id: "ITEM-001", quantity: 1, price: 1 }];
  return (await placeOrder(url, { customer_id: "c", items })).id;
}

/** The name under which the document has a group: itself, or its prefix. */
function documented(user: string, resource: string, name: string): string {
  const own = RIGHTS.filter((right) => right.who === user && right.resource === resource);
  const found = own.find((right) =>
    right.name.endsWith("*") ? name.startsWith(right.name.slice(0, -1)) : right.name === name,
  );
  return found?.name ?? name;
}

function operationKey(operation: string): keyof typeof AclOperationTypes {
  const key = operation.replaceAll(/(?<!^)([A-Z])/g, "_$1").toUpperCase();
  return key as keyof typeof AclOperationTypes;
}

function rightsIn(text: string): Right[] {
  let resource: Right["resource"] = "Topic";
  return text.split("\n").flatMap((line) => {
    const [, who = "", name = "", rights = ""] = line.split("|").map((cell) => cell.trim());
    if (who === "who") resource = name === "group" ? "Group" : "Topic";
    if (!name.startsWith("`")) return [];
    const user = who.startsWith("`bun run orders")
      ? "orders-command"
      : who.replaceAll(/`|bun run /g, "");
    return rights
      .split(", ")
      .map((operation) => ({ who: user, resource, name: name.replaceAll("`", ""), operation }));
  });
}
