// Migrations against a real PostgreSQL: the one at POSTGRES_URL, in databases of its own, else an
// embedded one.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Glob, SQL } from "bun";

import { startPostgres, type EmbeddedPostgres } from "#lib/embedded/postgres.ts";
import { forceVersion, migrateDown, migrateUp, readVersion } from "#lib/migrate/index.ts";
import { migrationLockId } from "#lib/migrate/migration-lock.ts";
import { startTcpProxy } from "./support/tcp-proxy.ts";

const START_TIMEOUT_MS = 60_000;
const PROJECT = join(import.meta.dir, "..");
/** The highest version that the project has. */
const LATEST = Math.max(
  ...Array.from(new Glob("*.up.sql").scanSync(join(PROJECT, "migrations")), (file) =>
    Number.parseInt(file, 10),
  ),
);

let embedded: EmbeddedPostgres | undefined;
let admin: SQL;
let adminUrl = "";

// A database and a migrations folder of its own for each test.
let databaseName = "";
let postgresUrl = "";
let sql: SQL;
let folder = "";

beforeAll(async () => {
  if (!process.env["POSTGRES_URL"]) embedded = await startPostgres();
  adminUrl = process.env["POSTGRES_URL"] || (embedded?.url ?? "");
  admin = new SQL({ url: adminUrl, max: 1 });
}, START_TIMEOUT_MS);

afterAll(async () => {
  await admin?.close();
  await embedded?.stop();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-migrations-"));
  databaseName = `migrate_test_${crypto.randomUUID().replaceAll("-", "")}`;
  await admin.unsafe(`create database ${databaseName}`);
  postgresUrl = urlWith({ pathname: `/${databaseName}` });
  sql = new SQL({ url: postgresUrl, max: 2 });
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  // At once and by force: a test that failed half-way may still hold a session.
  await sql.close({ timeout: 0 });
  await admin.unsafe(`drop database ${databaseName} with (force)`);
});

describe("the project's migrations", () => {
  test("build the promised tables from nothing", async () => {
    expect(await migrateUp({ postgresUrl })).toEqual({ from: null, to: LATEST });

    const columns: Array<{ column: string }> = await sql.unsafe(`
      select concat_ws(' ', table_schema || '.' || table_name || '.' || column_name, data_type,
        character_maximum_length, case is_nullable when 'NO' then 'not null' end,
        'default ' || column_default, case is_identity when 'YES' then 'identity' end) as column
      from information_schema.columns where table_schema in ('orders', 'inventory')
      order by table_schema, table_name, ordinal_position`);
    expect(columns.map(({ column }) => column)).toEqual([
      "inventory.forgotten_reservations.id boolean not null default true",
      "inventory.forgotten_reservations.up_to timestamp with time zone not null",
      "inventory.items.item_id character varying not null",
      "inventory.items.name character varying not null",
      "inventory.items.available integer not null default 0",
      "inventory.items.reserved integer not null default 0",
      "inventory.reservations.order_id character varying not null",
      "inventory.reservations.item_id character varying not null",
      "inventory.reservations.quantity integer not null",
      "inventory.reservations.status character varying not null",
      "inventory.reservations.created_at timestamp with time zone not null default now()",
      "inventory.reservations.updated_at timestamp with time zone not null default now()",
      "orders.idempotency_keys.key character varying not null",
      "orders.idempotency_keys.fingerprint character varying not null",
      "orders.idempotency_keys.order_id uuid not null",
      "orders.idempotency_keys.created_at timestamp with time zone not null default now()",
      "orders.order_items.id uuid not null",
      "orders.order_items.order_id uuid not null",
      "orders.order_items.item_id character varying not null",
      "orders.order_items.quantity integer not null",
      "orders.order_items.price bigint not null",
      "orders.orders.id uuid not null",
      "orders.orders.customer_id character varying not null",
      "orders.orders.status character varying not null",
      "orders.orders.total bigint not null",
      "orders.orders.created_at timestamp with time zone not null",
      "orders.orders.updated_at timestamp with time zone not null",
      "orders.outbox.id bigint not null identity",
      "orders.outbox.topic character varying not null",
      "orders.outbox.key character varying not null",
      "orders.outbox.payload text not null",
      "orders.outbox.headers jsonb not null default '{}'::jsonb",
      "orders.outbox.created_at timestamp with time zone not null default now()",
      "orders.outbox.due_at timestamp with time zone not null default '-infinity'::timestamp with time zone",
    ]);

    const indexes: Array<{ index: string }> = await sql.unsafe(`
      select regexp_replace(indexdef, '^.* ON (\\S+) USING btree ', '\\1 ') as index
      from pg_indexes where schemaname in ('orders', 'inventory') order by 1`);
    expect(indexes.map(({ index }) => index).sort()).toEqual([
      "inventory.forgotten_reservations (id)",
      "inventory.items (item_id)",
      "inventory.reservations (order_id, item_id)",
      "inventory.reservations (updated_at)",
      "orders.idempotency_keys (created_at)",
      "orders.idempotency_keys (key)",
      "orders.order_items (id)",
      "orders.order_items (order_id)",
      "orders.orders (created_at DESC, id DESC)",
      "orders.orders (customer_id)",
      "orders.orders (customer_id, created_at DESC, id DESC)",
      "orders.orders (id)",
      "orders.orders (status, created_at DESC, id DESC)",
      "orders.outbox (id)",
      "orders.outbox (key, id)",
    ]);
  });

  test("stock the ten items", async () => {
    await migrateUp({ postgresUrl });

    const items: Array<{ item: string }> = await sql.unsafe(`
      select concat_ws('|', item_id, name, available, reserved) as item
      from inventory.items order by item_id`);
    expect(items.map(({ item }) => item)).toEqual([
      "ITEM-001|Wireless Mouse|100|0",
      "ITEM-002|Mechanical Keyboard|50|0",
      "ITEM-003|USB-C Hub|200|0",
      "ITEM-004|Monitor Stand|75|0",
      "ITEM-005|Webcam HD|30|0",
      "ITEM-006|Headset Pro|150|0",
      "ITEM-007|Mouse Pad XL|300|0",
      "ITEM-008|Cable Management Kit|120|0",
      "ITEM-009|Laptop Stand|80|0",
      "ITEM-010|Desk Lamp LED|60|0",
    ]);
  });

  test.each([
    ["sell more than is available", "update inventory.items set available = available - 101"],
    ["release more than is reserved", "update inventory.items set reserved = reserved - 1"],
    [
      "reserve nothing",
      "insert into inventory.reservations values ('o', 'ITEM-001', 0, 'reserved')",
    ],
    [
      "reserve what is unknown",
      "insert into inventory.reservations values ('o', 'x', 1, 'reserved')",
    ],
    [
      "give a reservation an unknown status",
      "insert into inventory.reservations values ('o', 'ITEM-001', 1, 'lost')",
    ],
    [
      "add a line to no order",
      `insert into orders.order_items
       values (gen_random_uuid(), gen_random_uuid(), 'ITEM-001', 1, 1)`,
    ],
  ])("let nobody %s", async (_what, statement) => {
    await migrateUp({ postgresUrl });

    await expect(sql.unsafe(statement).execute()).rejects.toThrow(
      /violates (check|foreign key) constraint/,
    );
  });

  test("are undone by their downs, each to exactly the schema before it", async () => {
    const files = await Array.fromAsync(new Glob("*.up.sql").scan(join(PROJECT, "migrations")));
    const versions = files.map((file) => Number.parseInt(file, 10)).sort((a, b) => a - b);
    expect(versions.at(-1)).toBe(LATEST);
    const before: unknown[] = [];
    for (const version of versions) {
      before.push(await describeSchema());
      expect(await migrateUp({ postgresUrl, stepsMax: 1 })).toMatchObject({ to: version });
      expect(await describeSchema()).not.toEqual(before.at(-1));
    }
    for (const version of versions.toReversed()) {
      expect(await migrateDown({ postgresUrl, stepsMax: 1 })).toMatchObject({ from: version });
      expect(await describeSchema()).toEqual(before.pop());
    }
  });

  test("do not drop with their schemas what somebody else put there", async () => {
    await migrateUp({ postgresUrl });
    await sql.unsafe("create table orders.theirs (id integer)");

    await expect(migrateDown({ postgresUrl, stepsMax: LATEST })).rejects.toThrow(
      "000001_create_schemas.down.sql: cannot drop schema orders",
    );
    expect(await readVersion(postgresUrl)).toEqual({ version: null, dirty: true });
    expect(await query("select * from orders.theirs")).toEqual([]);
  });

  test("do not depend on search_path", async () => {
    await admin.unsafe(`alter database ${databaseName} set search_path to ''`);

    expect(await migrateUp({ postgresUrl })).toEqual({ from: null, to: LATEST });
    expect(await readVersion(postgresUrl)).toEqual({ version: LATEST, dirty: false });
  });
});

describe("the version table", () => {
  test("is golang-migrate's: one row in public.schema_migrations, none after the last down", async () => {
    await migrateUp({ postgresUrl });

    const columns: Array<{ column: string }> = await sql.unsafe(`
      select concat_ws(' ', column_name, data_type, is_nullable) as column
      from information_schema.columns
      where table_schema = 'public' and table_name = 'schema_migrations' order by ordinal_position`);
    expect(columns.map(({ column }) => column)).toEqual(["version bigint NO", "dirty boolean NO"]);
    expect(await readRows()).toEqual([{ version: String(LATEST), dirty: false }]);

    await migrateDown({ postgresUrl, stepsMax: LATEST });
    expect(await readRows()).toEqual([]);
  });

  test("may have been begun by golang-migrate", async () => {
    await sql.unsafe(
      `create table if not exists "public"."schema_migrations"
       (version bigint not null primary key, dirty boolean not null)`,
    );
    for (const file of [
      "1_create_schemas",
      "2_create_orders_tables",
      "3_create_inventory_tables",
    ]) {
      await sql.unsafe(await Bun.file(join(PROJECT, `migrations/00000${file}.up.sql`)).text());
    }
    await sql.unsafe("insert into public.schema_migrations values (3, false)");

    expect(await migrateUp({ postgresUrl })).toEqual({ from: 3, to: LATEST });
    expect(await migrateUp({ postgresUrl })).toEqual({ from: LATEST, to: LATEST });
  });

  test("is not written by a question for the version", async () => {
    expect(await readVersion(postgresUrl)).toEqual({ version: null, dirty: false });
    expect(await query("select * from pg_tables where schemaname = 'public'")).toEqual([]);
  });

  test("says dirty while a migration runs, so that a kill half-way is seen", async () => {
    await writeMigrations({
      "000001_look.up.sql":
        "create table public.seen as select version, dirty from public.schema_migrations;",
    });

    await migrateUp({ postgresUrl, migrationsPath: folder });

    expect(await query("select version, dirty from public.seen")).toEqual([
      { version: "1", dirty: true },
    ]);
    expect(await readRows()).toEqual([{ version: "1", dirty: false }]);
  });

  test("needs no right to create tables in public where it is there already", async () => {
    const role = `app_${databaseName}`;
    await query(`create role ${role} login password 'pw'`);
    try {
      await query(`create table public.schema_migrations
        (version bigint not null primary key, dirty boolean not null)`);
      await query("revoke create on schema public from public");
      await query(`grant all on public.schema_migrations to ${role}`);
      await query(`create schema app authorization ${role}`);
      await writeMigrations({ "000001_t.up.sql": "create table app.t ();" });
      const url = new URL(postgresUrl);
      [url.username, url.password] = [role, "pw"];
      const options = { postgresUrl: url.href, migrationsPath: folder };

      expect(await migrateUp(options)).toEqual({ from: null, to: 1 });
      expect(await migrateUp(options)).toEqual({ from: 1, to: 1 });
      await forceVersion({ ...options, version: null });
      expect(await readRows()).toEqual([]);
    } finally {
      await query(`drop owned by ${role} cascade`);
      await query(`drop role ${role}`);
    }
  });

  test("that somebody has dropped is not begun again", async () => {
    await migrateUp({ postgresUrl });
    await query("drop table public.schema_migrations");
    const line = "the database has no public.schema_migrations, though";
    await expect(migrateUp({ postgresUrl })).rejects.toThrow(line);
    await query("drop table public.schema_migrations_applied");
    await forceVersion({ postgresUrl, version: LATEST });
    expect(await migrateUp({ postgresUrl })).toEqual({ from: LATEST, to: LATEST });
  });

  test("never says that a file ran whose open transaction was then lost", async () => {
    await writeMigrations({ "000001_open.up.sql": "begin; create table public.t (id integer);" });

    await migrateUp({ postgresUrl, migrationsPath: folder });

    expect(await readRows()).toEqual([{ version: "1", dirty: false }]);
    expect(await query("select * from public.t")).toEqual([]);
  });
});

describe("a file", () => {
  test.each([
    ["a role", "create role ROLE; grant create on schema public to ROLE; set role ROLE;"],
    ["a time limit", "set statement_timeout = 1;"],
    ["a session that only reads", "set default_transaction_read_only = on;"],
    ["an isolation level", "set default_transaction_isolation = 'serializable';"],
    ["another schema", "create schema app; set search_path to app;"],
    ["another encoding", "set client_encoding to latin1;"],
    ["a temporary table", "create temporary table u (id integer);"],
    ["a lock", "select pg_advisory_lock(1);"],
  ])("that leaves %s behind leaves it to nobody", async (_what, sets) => {
    const role = `migrate_test_role_${databaseName.slice(-12)}`;
    await writeMigrations({
      "000001_sets.up.sql": sets.replaceAll("ROLE", role),
      "000002_u.up.sql": "create table u (name text default 'café'); insert into u default values;",
    });
    const options = { postgresUrl, migrationsPath: folder };
    try {
      // One by one is the same as all in one go.
      if (sets.includes("search_path")) await migrateUp({ ...options, stepsMax: 1 });
      expect(await migrateUp(options)).toMatchObject({ to: 2 });
      expect(await readRows()).toEqual([{ version: "2", dirty: false }]);
      expect(await query("select name from public.u")).toEqual([{ name: "café" }]);
      expect(
        await query(
          "select tableowner = session_user as ours from pg_tables where tablename = 'u'",
        ),
      ).toEqual([{ ours: true }]);
    } finally {
      await query(`drop table if exists public.u`);
      if (sets.includes("ROLE")) await query(`drop owned by ${role}`);
      if (sets.includes("ROLE")) await query(`drop role ${role}`);
    }
  });

  test("whose open transaction cannot be committed has not run", async () => {
    await writeMigrations({
      "000001_late.up.sql": `create table public.t (id integer unique deferrable initially deferred);
        begin; insert into public.t values (1), (1);`,
    });
    await expect(migrateUp({ postgresUrl, migrationsPath: folder })).rejects.toThrow(
      "000001_late.up.sql: duplicate key value",
    );
    expect(await readRows()).toEqual([{ version: "1", dirty: true }]);
  });

  test.each([
    ["is not UTF-8", Uint8Array.of(0x63, 0x61, 0x66, 0xe9)],
    ["is not UTF-8", new Uint8Array(Buffer.from("\uFEFFselect 1;", "utf16le"))],
    ["holds a NUL byte", new TextEncoder().encode("select 1;\0drop table t;")],
  ])("that %s is refused by name, and so are those before it", async (what, bytes) => {
    await writeMigrations({ "000001_good.up.sql": "create table public.good ();" });
    await writeFile(join(folder, "000002_bad.up.sql"), bytes);

    await expect(migrateUp({ postgresUrl, migrationsPath: folder })).rejects.toThrow(
      `000002_bad.up.sql ${what}; nothing has run`,
    );
    expect(await readRows()).toEqual([]);
    expect(await query("select to_regclass('public.good') as good")).toEqual([{ good: null }]);
  });
});

describe("a migration that comes under a lower number than the database has reached", () => {
  const files = {
    "000001_a.up.sql": "create table public.a ();",
    "000001_a.down.sql": "drop table public.a;",
    "000005_c.up.sql": "create table public.c ();",
    "000005_c.down.sql": "drop table public.c;",
  };
  const late = {
    "000003_b.up.sql": "create table public.b ();",
    "000003_b.down.sql": "drop table public.b;",
  };
  const warning =
    "000003_b.up.sql has not run and never will: the database was past its version when it came " +
    "(it is at 5); give it a higher one";
  const warned: string[] = [];
  const options = () => ({
    postgresUrl,
    migrationsPath: folder,
    onWarning: (line: string) => void warned.push(line),
  });
  beforeEach(() => void warned.splice(0));

  test("is told, by every run, and is not undone either", async () => {
    await writeMigrations(files);
    await migrateUp(options());
    expect(warned).toEqual([]);
    await writeMigrations(late);
    expect(await migrateUp(options())).toEqual({ from: 5, to: 5 });
    expect(await migrateUp(options())).toEqual({ from: 5, to: 5 });
    expect(warned).toEqual([warning, warning]);
    expect(await migrateDown({ ...options(), stepsMax: 1 })).toEqual({ from: 5, to: 1 });
    // From here on it is a step as any other.
    expect(await migrateUp(options())).toEqual({ from: 1, to: 5 });
    expect(warned).toHaveLength(2);
    expect(await query("select to_regclass('public.b')::text as b")).toEqual([{ b: "b" }]);
  });

  test("counts as run after force, as somebody has run it by hand", async () => {
    await writeMigrations(files);
    await migrateUp(options());
    await writeMigrations(late);
    await forceVersion({ ...options(), version: 5 });
    await migrateUp(options());
    expect(warned).toEqual([]);
  });

  test("is told on the command line", async () => {
    await writeMigrations(files);
    await migrateUp(options());
    await writeMigrations(late);
    expect(await runWith({ MIGRATIONS_PATH: folder }, "up")).toEqual({
      status: 0,
      out: "no change\n",
      err: `migrate: ${warning}\n`,
    });
  });

  test("is not suspected of what golang-migrate ran, or undid", async () => {
    await writeMigrations({ ...files, ...late });
    await migrateUp({ ...options(), stepsMax: 1 });
    await query("create table public.b (); create table public.c ()");
    await query("update public.schema_migrations set version = 5");
    expect(await migrateUp(options())).toEqual({ from: 5, to: 5 });
    await query("drop table public.c");
    await query("update public.schema_migrations set version = 3");
    expect(await migrateUp(options())).toEqual({ from: 3, to: 5 });
    expect(warned).toEqual([]);
  });
});

describe("a migration whose files are gone", () => {
  test("cannot be undone, and is not passed over", async () => {
    await writeMigrations({
      "000001_a.up.sql": "create table public.a ();",
      "000001_a.down.sql": "drop table public.a;",
      "000002_b.up.sql": "create table public.b ();",
      "000003_c.up.sql": "create table public.c ();",
      "000003_c.down.sql": "drop table public.c;",
    });
    const options = { postgresUrl, migrationsPath: folder };
    await migrateUp(options);
    await rm(join(folder, "000002_b.up.sql"));

    await expect(migrateDown({ ...options, stepsMax: 2 })).rejects.toThrow(
      `version 2 has run, and no migration in ${folder} has it: it cannot be undone`,
    );
    expect(await readRows()).toEqual([{ version: "3", dirty: false }]);
  });
});

describe("a migration that fails", () => {
  test("is undone, leaves the database dirty, and goes through after force", async () => {
    await writeMigrations({
      "000001_good.up.sql": "create table public.good (id integer);",
      "000002_bad.up.sql":
        "-- ä 😀\ncreate table public.half ();\nselect nope\nfrom public.good;\n",
    });
    const options = { postgresUrl, migrationsPath: folder };

    await expect(migrateUp(options)).rejects.toThrow(
      '000002_bad.up.sql, line 3: column "nope" does not exist (42703). ' +
        "The database is now dirty at version 2; if nothing of the file stayed, " +
        '"bun run migrate force 1" repairs it',
    );
    expect(await readRows()).toEqual([{ version: "2", dirty: true }]);
    expect(await query("select to_regclass('public.half') as half")).toEqual([{ half: null }]);

    const dirtyLine = "the database is dirty at version 2: 000002_bad.up.sql was begun";
    await expect(migrateUp(options)).rejects.toThrow(dirtyLine);
    await expect(migrateDown({ ...options, stepsMax: 1 })).rejects.toThrow(dirtyLine);

    await forceVersion({ ...options, version: 1 });
    await writeMigrations({ "000002_bad.up.sql": "create table public.whole ();" });
    expect(await migrateUp(options)).toEqual({ from: 1, to: 2 });
  });

  test("on the way back to nothing is seen as dirty too", async () => {
    await writeMigrations({
      "000001_a.up.sql": "select 1;",
      "000001_a.down.sql": "select 1 / 0;",
    });
    const options = { postgresUrl, migrationsPath: folder };
    await migrateUp(options);

    await expect(migrateDown({ ...options, stepsMax: 1 })).rejects.toThrow(
      "000001_a.down.sql: division by zero (22012). The database is now dirty at version -1",
    );
    expect(await readRows()).toEqual([{ version: "-1", dirty: true }]);
    await expect(migrateUp(options)).rejects.toThrow(
      "dirty at version -1: 000001_a.down.sql was begun",
    );
  });

  test("for want of its connection leaves nothing locked", async () => {
    await writeMigrations({
      "000001_die.up.sql": "select pg_terminate_backend(pg_backend_pid());",
    });
    const options = { postgresUrl, migrationsPath: folder };

    await expect(migrateUp(options)).rejects.toThrow("000001_die.up.sql: terminating connection");
    await expect(migrateUp(options)).rejects.toThrow("the database is dirty at version 1");
  });

  test("cannot happen at a version that no file has: nothing runs then", async () => {
    await migrateUp({ postgresUrl });
    await sql.unsafe("update public.schema_migrations set version = 99");
    const line = "the database is at version 99, which no migration in";

    await expect(migrateUp({ postgresUrl })).rejects.toThrow(line);
    await expect(migrateDown({ postgresUrl, stepsMax: 1 })).rejects.toThrow(line);
    await expect(forceVersion({ postgresUrl, version: 98 })).rejects.toThrow("has version 98");
    expect(await readRows()).toEqual([{ version: "99", dirty: false }]);
  });
});

describe("a run", () => {
  test("whose file gives all locks back keeps its own", async () => {
    await writeMigrations({ "000001_unlock.up.sql": "select pg_advisory_unlock_all();" });

    expect(await migrateUp({ postgresUrl, migrationsPath: folder })).toEqual({ from: null, to: 1 });
  });

  test("whose lock went with its session is an error, whatever else went well", async () => {
    await writeMigrations({
      "000001_end_others.up.sql": `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'orderflow-migrate'
          and pid <> pg_backend_pid();`,
    });

    await expect(migrateUp({ postgresUrl, migrationsPath: folder })).rejects.toThrow(
      /^000001_end_others.up.sql has run, but public.schema_migrations could not be written: .* force 1" says so$/,
    );
    expect(await readRows()).toEqual([{ version: "1", dirty: true }]);
  });

  test("does not wait for ever for its own table", async () => {
    await migrateUp({ postgresUrl });
    using other = await sql.reserve();
    await other.unsafe("begin; lock table public.schema_migrations");

    const limits = { answerMs: 300, watchMs: 60_000 };
    await expect(migrateUp({ postgresUrl, limits })).rejects.toThrow(
      "PostgreSQL did not answer within 0.3 s",
    );
    await other.unsafe("rollback");
    expect(await migrateUp({ postgresUrl })).toEqual({ from: LATEST, to: LATEST });
  });

  test("whose session ended unheard is an error; one whose file takes long is not", async () => {
    const { hostname, port } = new URL(postgresUrl);
    const proxy = await startTcpProxy({ host: hostname, port: Number(port) || 5432 });
    try {
      const url = new URL(postgresUrl);
      [url.hostname, url.port] = ["127.0.0.1", String(proxy.port)];
      const options = { postgresUrl: url.href, migrationsPath: folder };
      const limits = { answerMs: 10_000, watchMs: 50 };
      await writeMigrations({ "000001_long.up.sql": "select pg_sleep(1);" });
      expect(await migrateUp({ ...options, limits })).toEqual({ from: null, to: 1 });

      await writeMigrations({ "000002_endless.up.sql": "select pg_sleep(600);" });
      const endless = migrateUp({ ...options, limits });
      endless.catch(() => {});
      const findIt = "from pg_stat_activity where query = 'select pg_sleep(600);'";
      await until(async () => (await query(`select 1 ${findIt}`)).length > 0);
      // The first one holds the lock; the second is the file's own.
      proxy.connections.at(1)?.silence();
      await query(`select pg_terminate_backend(pid) ${findIt}`);
      await expect(endless).rejects.toThrow("the server has ended the session that ran it");
      expect(await readRows()).toEqual([{ version: "2", dirty: true }]);
    } finally {
      await proxy.stop();
    }
  });
});

describe("a run that is ended while its file is at work", () => {
  const files = {
    "000001_a.up.sql": "create table public.counted as select 0 as n;",
    "000002_slow.up.sql": "select pg_sleep(2); update public.counted set n = n + 1;",
    "000003_b.up.sql": "create table public.b ();",
  };

  test("by kill -9: the next one waits until the server has done with it", async () => {
    await writeMigrations(files);
    const killed = spawnMigrate({ MIGRATIONS_PATH: folder }, "up");
    await until(slowFileIsAtWork);
    killed.kill("SIGKILL");
    await killed.exited;

    const options = { postgresUrl, migrationsPath: folder };
    const refused = () =>
      migrateUp({ ...options, lockWaitMs: 0 }).catch((error: Error) => error.message);
    // The server hears of the end a moment later; until then it is a run like any other.
    await until(async () => !/locked by another migration run/.test(String(await refused())));
    expect(await refused()).toMatch(
      /^the server is still at work on the file of a run that has ended \(its session is \d+\)/,
    );
    await expect(migrateUp(options)).rejects.toThrow("000002_slow.up.sql was begun");
    expect(await query("select n from public.counted")).toEqual([{ n: 1 }]);
  });

  test("by Ctrl-C: the file is cancelled, none follows, and it says so", async () => {
    await writeMigrations(files);
    const interrupted = spawnMigrate({ MIGRATIONS_PATH: folder }, "up");
    await until(slowFileIsAtWork);
    interrupted.kill("SIGINT");

    expect(await interrupted.exited).toBe(130);
    expect(await interrupted.stderr.text()).toContain(
      "000002_slow.up.sql: canceling statement due to user request (57014). The database is now dirty",
    );
    expect(await query("select n from public.counted")).toEqual([{ n: 0 }]);
    await forceVersion({ postgresUrl, migrationsPath: folder, version: 1 });
    expect(await migrateUp({ postgresUrl, migrationsPath: folder })).toEqual({ from: 1, to: 3 });
    expect(await query("select n from public.counted")).toEqual([{ n: 1 }]);
  });
});

describe("two runs at once", () => {
  test("apply each migration once, and both succeed", async () => {
    const runs = await Promise.all([migrateUp({ postgresUrl }), migrateUp({ postgresUrl })]);

    expect(runs.sort((a, b) => (a.from ?? 0) - (b.from ?? 0))).toEqual([
      { from: null, to: LATEST },
      { from: LATEST, to: LATEST },
    ]);
  });

  test("the second gives up with a clear line where the first holds golang-migrate's lock for long", async () => {
    using other = await sql.reserve();
    await other.unsafe(`select pg_advisory_lock(${migrationLockId(databaseName)})`);

    await expect(migrateUp({ postgresUrl, lockWaitMs: 0 })).rejects.toThrow(
      "the database is locked by another migration run; gave up after 0 s",
    );
    expect(await readVersion(postgresUrl)).toEqual({ version: null, dirty: false });
  });

  test("the second goes on when the first ends", async () => {
    using other = await sql.reserve();
    const lockId = migrationLockId(databaseName);
    await other.unsafe(`select pg_advisory_lock(${lockId})`);

    const second = migrateUp({ postgresUrl });
    await until(async () => (await countOtherSessions(other)) > 0);
    expect(await query("select to_regclass('public.schema_migrations') as found")).toEqual([
      { found: null },
    ]);
    await other.unsafe(`select pg_advisory_unlock(${lockId})`);

    expect(await second).toEqual({ from: null, to: LATEST });
  });
});

describe("bun run migrate", () => {
  test("goes up and down by N, down by one where N is not said", async () => {
    expect(await run("version")).toEqual({ status: 0, out: "no migration\n", err: "" });
    expect((await run("up", "2")).out).toMatch(
      /^000001_create_schemas\.up\.sql \(.* ms\)\n000002_create_orders_tables\.up\.sql \(.* ms\)\nversion 2\n$/,
    );
    expect((await run("up")).out).toEndWith(`version ${LATEST}\n`);
    expect(await run("up")).toEqual({ status: 0, out: "no change\n", err: "" });
    expect((await run("down")).out).toEndWith(`version ${LATEST - 1}\n`);
    expect((await run("down", "99")).out).toEndWith("no migration\n");
    expect(await run("down")).toEqual({ status: 0, out: "no change\n", err: "" });
  });

  test("takes the URL from the file of POSTGRES_URL_FILE, too", async () => {
    const path = join(folder, "url");
    await writeFile(path, `${postgresUrl}\n`);
    const env = { POSTGRES_URL: undefined, POSTGRES_URL_FILE: path };

    expect(await runWith(env, "version")).toEqual({ status: 0, out: "no migration\n", err: "" });
    const { status, err } = await runWith({ POSTGRES_URL_FILE: path }, "version");
    expect(status).toBe(1);
    expectOneLine(err, "POSTGRES_URL and POSTGRES_URL_FILE are both set");
  });

  test("works in the database that the URL names, whatever PGDATABASE says", async () => {
    const { status, out } = await runWith({ PGDATABASE: "postgres" }, "up");
    expect([status, out.split("\n").at(-2)]).toEqual([0, `version ${LATEST}`]);
    expect(await readRows()).toEqual([{ version: String(LATEST), dirty: false }]);
  });

  test("force writes a version and runs nothing", async () => {
    expect(await run("force", "3")).toEqual({ status: 0, out: "version 3\n", err: "" });
    expect(await run("version")).toEqual({ status: 0, out: "3\n", err: "" });
    expect(await run("force", "-1")).toEqual({ status: 0, out: "no migration\n", err: "" });
    expect(await query("select to_regnamespace('orders') as schema")).toEqual([{ schema: null }]);
  });

  test("version tells a dirty database", async () => {
    await run("force", "3");
    await sql.unsafe("update public.schema_migrations set dirty = true");

    expect(await run("version")).toEqual({ status: 0, out: "3 (dirty)\n", err: "" });
  });

  test("answers --help with its usage", async () => {
    const { status, out, err } = await runWith({}, "--help");
    expect([status, err]).toEqual([0, ""]);
    expect(out).toStartWith("usage: bun run migrate up [N]");
  });

  test("create needs no database", async () => {
    const { status } = await runWith(
      { POSTGRES_URL: undefined, MIGRATIONS_PATH: `file://${folder}` },
      "create",
      "add_new_table",
    );

    expect(status).toBe(0);
    expect(await Bun.file(join(folder, "000001_add_new_table.up.sql")).exists()).toBe(true);
    expect(await Bun.file(join(folder, "000001_add_new_table.down.sql")).exists()).toBe(true);
  });

  test.each([
    [[]],
    [["sideways"]],
    [["up", "0"]],
    [["up", "-1"]],
    [["down", "all"]],
    [["down", "1", "2"]],
    [["version", "1"]],
    [["force"]],
    [["force", "-2"]],
    [["create"]],
    [["create", "Add Table"]],
  ])("answers %j with its usage and status 2", async (args) => {
    const { status, out, err } = await run(...args);

    expect({ status, out }).toEqual({ status: 2, out: "" });
    expect(err).toMatch(/^usage: bun run migrate up \[N\] .*\n$/);
  });

  test.each([
    ["POSTGRES_URL is not set", { POSTGRES_URL: undefined }],
    ["POSTGRES_URL is not a PostgreSQL URL", { POSTGRES_URL: "mysql://me:hush@host/db" }],
    ["cannot read the migrations folder", { MIGRATIONS_PATH: "file://no/such/folder" }],
    ["MIGRATIONS_PATH must be a path", { MIGRATIONS_PATH: "s3://bucket" }],
  ])("says in one line: %s", async (line, env) => {
    const { status, out, err } = await runWith(env, "up");

    expect({ status, out }).toEqual({ status: 1, out: "" });
    expectOneLine(err, line);
    expect(err).not.toContain("hush");
  });

  test("says in one line which SQL was bad, and where", async () => {
    await writeMigrations({ "000001_bad.up.sql": "select 1;\nselekt 2;\n" });

    const { status, err } = await runWith({ MIGRATIONS_PATH: folder }, "up");

    expect(status).toBe(1);
    expectOneLine(err, '000001_bad.up.sql, line 2: syntax error at or near "selekt" (42601)');
  });

  test("says in one line that the folder holds no migrations", async () => {
    const { status, err } = await runWith({ MIGRATIONS_PATH: folder }, "up");

    expect(status).toBe(1);
    expectOneLine(err, `there are no migrations in ${folder}`);
  });

  test("names an unreachable database by its address, never with its password", async () => {
    const closed = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = closed;
    closed.stop(true);

    const { status, err } = await runWith(
      { POSTGRES_URL: `postgres://me:hush@127.0.0.1:${port}/db` },
      "up",
    );

    expect(status).toBe(1);
    expectOneLine(err, `cannot connect to PostgreSQL at 127.0.0.1:${port}: `);
    expect(err).not.toContain("hush");
  });

  test("passes on why PostgreSQL refuses the connection, never with the password", async () => {
    const { status, err } = await runWith(
      { POSTGRES_URL: urlWith({ pathname: "/no_such_database" }) },
      "up",
    );

    expect(status).toBe(1);
    expectOneLine(err, 'database "no_such_database" does not exist (3D000)');
    const { password } = new URL(adminUrl);
    if (password !== "") expect(err).not.toContain(password);
  });
});

async function writeMigrations(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

async function readRows(): Promise<unknown[]> {
  return await query("select version, dirty from public.schema_migrations");
}

// Plain rows: Bun's result is an array with more on it, which no literal equals.
async function query(text: string): Promise<unknown[]> {
  const rows: unknown[] = await sql.unsafe(text);
  return [...rows];
}

// Everything a migration of ours can make: schemas, columns, constraints and indexes.
async function describeSchema(): Promise<unknown> {
  const [schemas, columns, constraints, indexes] = await sql.unsafe(`
    select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$|^public$' order by 1;
    select table_schema, table_name, column_name, data_type, is_nullable, column_default
      from information_schema.columns where table_schema !~ '^pg_|^information_schema$|^public$' order by 1, 2, 3;
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
      where connamespace in (select oid from pg_namespace where nspname !~ '^pg_|^information_schema$|^public$')
      order by 1, 2;
    select indexdef from pg_indexes where schemaname !~ '^pg_|^information_schema$|^public$' order by 1`);
  return { schemas, columns, constraints, indexes };
}

function urlWith(change: { pathname: string }): string {
  return Object.assign(new URL(adminUrl), change).href;
}

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  return await runWith({}, ...args);
}

async function slowFileIsAtWork(): Promise<boolean> {
  const found = await query(
    "select 1 from pg_stat_activity where state = 'active' and query like 'select pg_sleep(2)%'",
  );
  return found.length > 0;
}

function spawnMigrate(env: Record<string, string | undefined>, ...args: string[]) {
  return Bun.spawn([process.execPath, "scripts/migrate.ts", ...args], {
    cwd: PROJECT,
    env: { ...process.env, POSTGRES_URL: postgresUrl, MIGRATIONS_PATH: undefined, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function runWith(
  env: Record<string, string | undefined>,
  ...args: string[]
): Promise<{ status: number; out: string; err: string }> {
  const child = spawnMigrate(env, ...args);
  const [out, err, status] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { status, out, err };
}

function expectOneLine(err: string, part: string): void {
  expect(err).toMatch(/^migrate: [^\n]*\n$/);
  expect(err).toContain(part);
}

async function countOtherSessions(connection: SQL): Promise<number> {
  const rows: Array<{ sessions: number }> = await connection.unsafe(
    `select count(*)::int as sessions from pg_stat_activity
     where datname = current_database() and query like 'select pg_try_advisory_lock(%'`,
  );
  return rows[0]?.sessions ?? 0;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  // Below the test runner's own limit, so that the failure says what was waited for.
  const deadlineMs = performance.now() + 4_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error("the condition was not met in 4 s");
    await Bun.sleep(20);
  }
}
