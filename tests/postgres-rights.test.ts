/** With the rights that docs/operations.md names, services and commands do all that they do. */
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readText, ROOT } from "../scripts/check-stack/files.ts";
import { call, line, newOrder } from "./support/api.ts";
import { createDatabase } from "./support/conventions/flows.ts";
import { startServiceProcess, type ServiceName } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";
import { until } from "./support/until.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of undo.splice(0).toReversed()) await run();
});

const operations = (await readText("docs/operations.md")).replaceAll(/\s+/g, " ");
const RIGHTS = "[A-Z]+(?:(?:, | and )[A-Z]+)*";

test("the services' role is enough for requests, the relay and the clean-up", async () => {
  const [, schemas = "", rights = ""] =
    new RegExp(`USAGE on the schemas (.*?), and (${RIGHTS}) on all tables in them`).exec(
      operations,
    ) ?? [];
  const inSchemas = listed(schemas).join(", ");
  const { as, sql, brokers } = await databaseFor([
    `GRANT USAGE ON SCHEMA ${inSchemas} TO ROLE`,
    `GRANT ${listed(rights).join(", ")} ON ALL TABLES IN SCHEMA ${inSchemas} TO ROLE`,
  ]);
  await sql`
    INSERT INTO orders.idempotency_keys (key, fingerprint, order_id, created_at)
    VALUES ('old', '\\x00', ${Bun.randomUUIDv7()}, now() - interval '2 days')`;
  await sql`
    INSERT INTO inventory.reservations (order_id, item_id, status, quantity, updated_at)
    VALUES (${Bun.randomUUIDv7()}, 'ITEM-001', 'released', 1, now() - interval '2 years')`;
  const start = async (name: ServiceName) => {
    const env = { POSTGRES_URL: as, KAFKA_BROKERS: brokers, CLEANUP_INTERVAL_MS: "200" };
    const service = await startServiceProcess(name, { ...env, OTEL_SDK_DISABLED: "true" });
    undo.push(() => service.stop());
    await service.ready();
    return service.url;
  };
  const [orders, inventory] = await Promise.all([start("orders"), start("inventory")]);

  const headers = { "idempotency-key": crypto.randomUUID() };
  const order = newOrder([line("ITEM-001")]);
  const placed = await call("POST", `${orders}/orders`, order, headers);
  expect(placed.status).toBe(201);
  expect((await call("POST", `${orders}/orders`, order, headers)).status).toBe(201);
  const { id } = placed.json as { id: string };
  const statuses = await Promise.all([
    call("GET", `${orders}/orders/${id}`),
    call("GET", `${orders}/orders-nplus1`),
    call("PATCH", `${orders}/orders/${id}/status`, { status: "confirmed" }),
    call("GET", `${inventory}/stock`),
  ]);
  expect(statuses.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  for (const step of ["reserve", "release"]) {
    const url = `${inventory}/stock/ITEM-001/${step}`;
    expect((await call("POST", url, { quantity: 1, order_id: id })).status).toBe(200);
  }
  await until("the relay has published, and old rows are gone", async () => {
    const [left] = await sql`
      SELECT (SELECT count(*) FROM orders.outbox) AS outbox,
        (SELECT count(*) FROM orders.idempotency_keys WHERE key = 'old') AS keys,
        (SELECT count(*) FROM inventory.reservations WHERE updated_at < now() - interval '1 year')
          AS reservations`;
    return Object.values(left as Record<string, string>).every((count) => Number(count) === 0);
  });
});

describe("bun run orders", () => {
  const [, sentence = ""] = /It needs (.*?`), and reads all that/.exec(operations) ?? [];
  const tables = [...sentence.matchAll(new RegExp(`(${RIGHTS}) on \`(orders\\.\\w+)\``, "g"))].map(
    ([, rights = "", table = ""]) => [table, listed(rights)] as const,
  );
  const schema = "GRANT USAGE ON SCHEMA orders TO ROLE";
  const grants = tables.flatMap(([table, rights]) =>
    rights.map((right) => `GRANT ${right} ON ${table} TO ROLE`),
  );

  test("republishes with the rights that are named", async () => {
    expect(await republish([schema, ...grants])).toMatch(/^status 0.*1 events put/s);
  });

  test.each(grants)("and not without: %s", async (without) => {
    const others = grants.filter((grant) => grant !== without);
    expect(await republish([schema, ...others])).toMatch(/^status 1.*permission denied/s);
  });
});

/** Runs the command over one order whose event is lost. @returns its status, and what it wrote */
async function republish(grants: readonly string[]): Promise<string> {
  const { as, sql, brokers } = await databaseFor(grants);
  const id = Bun.randomUUIDv7();
  await sql`
    INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at)
    VALUES (${id}, 'lost', 'pending', 0, now() - interval '1 hour', now() - interval '1 hour')`;
  await sql`
    INSERT INTO orders.order_items (id, order_id, item_id, quantity, price)
    VALUES (${Bun.randomUUIDv7()}, ${id}, 'ITEM-001', 1, 0)`;
  const child = Bun.spawn([process.execPath, "scripts/orders.ts", "republish"], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", POSTGRES_URL: as, KAFKA_BROKERS: brokers },
    stdout: "pipe",
    stderr: "pipe",
  });
  const texts = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return `status ${await child.exited} ${texts.join("")}`;
}

/** A database of its own, and a role that has these rights in it and no other. */
async function databaseFor(grants: readonly string[]) {
  const main = await stack();
  const { sql, postgresUrl, drop } = await createDatabase(main);
  undo.push(drop);
  const role = `rights_${crypto.randomUUID().replaceAll("-", "")}`;
  await sql.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`);
  undo.push(async () => {
    await sql.unsafe(`DROP OWNED BY ${role}`);
    await sql.unsafe(`DROP ROLE ${role}`);
  });
  for (const grant of grants) await sql.unsafe(grant.replace("ROLE", role));
  const url = new URL(postgresUrl);
  [url.username, url.password] = [role, "pw"];
  return { as: url.href, sql, brokers: main.brokers };
}

/** "A, B and C", with or without backticks. */
function listed(text: string): string[] {
  return text.replaceAll("`", "").split(/, | and /);
}
