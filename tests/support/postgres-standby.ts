// A primary and a streaming, synchronous standby on the loopback interface, from Debian's PostgreSQL.
import { existsSync } from "node:fs";
import { chown, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { endProcess } from "#lib/embedded/bun-process.ts";
import { freePort } from "#lib/embedded/free-port.ts";
import { unprivilegedAccount, type Account } from "./account.ts";
import { sqlAnswers } from "./sql-answers.ts";
import { until } from "./until.ts";

/** One server of the two. */
export interface PostgresServer {
  readonly port: number;
  /** URL of its database `orderflow`. */
  readonly url: string;
}

/** Two servers, the second in step with the first: what was committed is on both. */
export interface PostgresPair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  /** Stops all processes of the primary where they stand (SIGSTOP): it is there, and says nothing. */
  freezePrimary(): Promise<void>;
  /** Makes the standby a primary; resolves when it takes writes. */
  promoteStandby(): Promise<void>;
  /** Ends both and removes their folder. Safe to call again. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const ROLE = "orderflow";
const DATABASE = "orderflow";
const SETTINGS = [`listen_addresses=${HOST}`, "unix_socket_directories=", "shared_buffers=32MB"];
const START_TIMEOUT_MS = 60_000;
const DEBIAN = "/usr/lib/postgresql";

/** @returns the folder with the newest server's programs, or null. Debian keeps them off the PATH. */
export async function findPostgres(): Promise<string | null> {
  const versions = existsSync(DEBIAN) ? await readdir(DEBIAN) : [];
  const newest = versions.map(Number).toSorted((a, b) => b - a);
  const folders = newest.map((version) => join(DEBIAN, String(version), "bin"));
  return folders.find((folder) => existsSync(join(folder, "initdb"))) ?? null;
}

/**
 * Starts both and waits until the standby is in step.
 * @throws Error with the last words of what did not work; nothing is left running
 */
export async function startPostgresPair(): Promise<PostgresPair> {
  const programs = await findPostgres();
  if (!programs) throw new Error("no PostgreSQL server (Debian: apt-get install postgresql)");
  const account = await unprivilegedAccount();
  const folder = await mkdtemp(join(tmpdir(), "orderflow-standby-"));
  if (account) await chown(folder, account.uid, account.gid);
  const password = crypto.randomUUID();
  const servers: Server[] = [];
  const run = (program: string, args: readonly string[]) =>
    runToEnd([join(programs, program), ...args], folder, account, password);
  const start = async (name: string, port: number) => {
    const server = new Server(join(programs, "postgres"), join(folder, name), port, account);
    servers.push(server);
    await server.answers(urlOf(port, password, "postgres"));
    return server;
  };
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Bun.write(join(folder, "password"), password);
    if (account) await chown(join(folder, "password"), account.uid, account.gid);
    await run("initdb", [
      `--pgdata=${join(folder, "primary")}`,
      `--username=${ROLE}`,
      `--pwfile=${join(folder, "password")}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync",
    ]);
    const [primaryPort, standbyPort] = [freePort(), freePort()];
    const primary = await start("primary", primaryPort);
    const admin = new SQL(urlOf(primaryPort, password, "postgres"), { max: 1 });
    try {
      await admin.unsafe(`CREATE DATABASE ${DATABASE}`);
      await run("pg_basebackup", [
        `--pgdata=${join(folder, "standby")}`,
        `--dbname=host=${HOST} port=${primaryPort} user=${ROLE} password=${password}`,
        "--write-recovery-conf",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-sync",
      ]);
      await start("standby", standbyPort);
      // Only now, and on the primary only: before, and after a promotion, nobody would confirm.
      await admin.unsafe("ALTER SYSTEM SET synchronous_standby_names = '*'");
      await admin.unsafe("SELECT pg_reload_conf()");
      await until("the standby is in step", async () => {
        const [state] = await admin.unsafe("SELECT sync_state FROM pg_stat_replication");
        return state?.sync_state === "sync";
      });
    } finally {
      await admin.close({ timeout: 0 });
    }
    return {
      primary: { port: primaryPort, url: urlOf(primaryPort, password, DATABASE) },
      standby: { port: standbyPort, url: urlOf(standbyPort, password, DATABASE) },
      freezePrimary: () => primary.signal("SIGSTOP"),
      async promoteStandby() {
        const sql = new SQL(urlOf(standbyPort, password, DATABASE), { max: 1 });
        try {
          const [promoted] = await sql`SELECT pg_promote(true, 60) AS done`;
          if (!promoted?.done) throw new Error("the standby could not be promoted");
        } finally {
          await sql.close({ timeout: 0 });
        }
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One server's processes. */
class Server {
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">;
  #words = "";

  constructor(program: string, folder: string, port: number, account: Account | undefined) {
    const child = Bun.spawn(
      [program, "-D", folder, "-p", String(port), ...SETTINGS.flatMap((one) => ["-c", one])],
      {
        cwd: folder,
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
        detached: true,
        ...account,
      },
    );
    this.#process = child;
    void (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stderr) {
        this.#words = (this.#words + decoder.decode(chunk, { stream: true })).slice(-4_000);
      }
    })();
  }

  async answers(url: string): Promise<void> {
    const answer = async () => {
      if (this.#process.exitCode !== null) throw new Error(`it ended:\n${this.#words}`);
      return await sqlAnswers(url);
    };
    await until("PostgreSQL answers", answer, START_TIMEOUT_MS, 100);
  }

  /** To the postmaster first: then it makes no new process. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const { pid } = this.#process;
    process.kill(pid, signal);
    for (const child of await childrenOf(pid)) {
      try {
        process.kill(child, signal);
      } catch {
        // It ended meanwhile.
      }
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    await this.signal("SIGCONT").catch(() => {});
    await endProcess(this.#process, "SIGQUIT", 10_000); // at once, without a checkpoint
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const parents = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")),
  );
  // "pid (name) state ppid …"; the name may hold anything.
  const isChild = (stat: string) => Number(/\) \S+ (\d+) [^)]*$/.exec(stat)?.[1]) === parent;
  return pids.filter((_, index) => isChild(parents[index] ?? ""));
}

async function runToEnd(
  command: string[],
  cwd: string,
  account: Account | undefined,
  password: string,
): Promise<void> {
  const child = Bun.spawn(command, {
    cwd,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: START_TIMEOUT_MS,
    killSignal: "SIGKILL",
    ...account,
  });
  const words = await child.stderr.text();
  if ((await child.exited) === 0) return;
  throw new Error(`${command[0]} failed: ${words.trim().replaceAll(password, "…")}`);
}

function urlOf(port: number, password: string, database: string): string {
  return `postgres://${ROLE}:${password}@${HOST}:${port}/${database}`;
}
