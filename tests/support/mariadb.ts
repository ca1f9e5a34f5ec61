// MariaDB for tests: Debian's, with its defaults.
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { unprivilegedAccount, type Account } from "./account.ts";
import { sqlAnswers } from "./sql-answers.ts";
import { until } from "./until.ts";

/** A running MariaDB with an empty database `orderflow`. */
export interface MariaDb {
  /** URL of the database, password included, for a user who may do everything. */
  readonly url: string;
  /** The Unix socket where the same server answers. */
  readonly socket: string;
  /** Ends it and removes its folder. Safe to call again. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const ROLE = "orderflow";
const DATABASE = "orderflow";
const START_TIMEOUT_MS = 60_000;
const OUTPUT_CHARACTERS_MAX = 4_000;

/** @returns where MariaDB's server is installed, or null. Debian puts it where only root's PATH leads. */
export function findMariaDb(): string | null {
  return Bun.which("mariadbd", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` });
}

/**
 * Starts MariaDB on a free port and on a socket of its own, not as root.
 * @param settings more of its options, such as `{ "max-connections": 5 }`
 * @throws Error with its last words where it does not come up; nothing is left running
 */
export async function startMariaDb(
  settings: Readonly<Record<string, string | number>> = {},
): Promise<MariaDb> {
  const program = findMariaDb();
  const installer = Bun.which("mariadb-install-db");
  if (!program || !installer) {
    throw new Error("MariaDB is not installed (Debian: apt-get install mariadb-server)");
  }
  const account = await unprivilegedAccount();
  const folder = await mkdtemp(join(tmpdir(), "orderflow-mariadb-"));
  const socket = join(folder, "socket");
  const init = join(folder, "init.sql");
  const port = freePort();
  const password = crypto.randomUUID();
  const url = `mysql://${ROLE}:${password}@${HOST}:${port}/${DATABASE}`;
  // Without the machine's own configuration, so that it is the same server everywhere.
  const common = ["--no-defaults", `--datadir=${join(folder, "data")}`];
  const programs: Program[] = [];
  const run = (command: string[]) => {
    const one = new Program(command, folder, account);
    programs.push(one);
    return one;
  };
  const stop = async () => {
    await Promise.all(programs.map((one) => one.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Bun.write(
      init,
      [
        `CREATE DATABASE ${DATABASE};\n`,
        `CREATE USER ${ROLE}@'%' IDENTIFIED BY '${password}';\n`,
        `GRANT ALL ON *.* TO ${ROLE}@'%';\n`,
      ].join(""),
    );
    if (account) {
      for (const path of [folder, init]) await chown(path, account.uid, account.gid);
    }
    await run([installer, ...common, "--skip-test-db"]).succeeds();
    await run([
      program,
      ...common,
      `--socket=${socket}`,
      `--port=${port}`,
      `--bind-address=${HOST}`,
      `--init-file=${init}`,
      ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
    ]).answers(url);
    return { url, socket, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A program of MariaDB's. */
class Program {
  readonly #name: string;
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #drained: Promise<void>;
  #words = "";

  constructor(command: string[], folder: string, account: Account | undefined) {
    this.#name = basename(String(command[0]));
    const child = Bun.spawn(command, {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      ...account,
    });
    this.#process = child;
    this.#drained = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stderr) {
        const text = decoder.decode(chunk, { stream: true });
        this.#words = (this.#words + text).slice(-OUTPUT_CHARACTERS_MAX);
      }
    })();
  }

  /** Resolves when it has ended well. */
  async succeeds(): Promise<void> {
    if ((await this.#process.exited) === 0) return;
    await this.#drained;
    throw new Error(`${this.#name} failed:\n${this.#words}`);
  }

  /** Resolves when a client gets in: its user and database are made after the start. */
  async answers(url: string): Promise<void> {
    const answer = async () => {
      if (this.#process.exitCode !== null) await this.succeeds();
      return await sqlAnswers(url);
    };
    await until("MariaDB answers", answer, START_TIMEOUT_MS, 100);
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGKILL"); // its data goes away with its folder
    await this.#process.exited;
  }
}
