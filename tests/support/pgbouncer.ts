// PgBouncer for tests: Debian's, in transaction mode, with its defaults for all else.
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "#lib/embedded/free-port.ts";
import { unprivilegedAccount } from "./account.ts";
import { until } from "./until.ts";

/** A running PgBouncer. */
export interface PgBouncer {
  /** As the server's own URL, but through it. */
  readonly url: string;
  /** Ends it and removes its folder. Safe to call again. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const START_TIMEOUT_MS = 20_000;
const OUTPUT_CHARACTERS_MAX = 4_000;

/** @returns where PgBouncer is installed, or null. Debian puts it where only root's PATH leads. */
export function findPgBouncer(): string | null {
  return Bun.which("pgbouncer", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` });
}

/**
 * Starts PgBouncer on a free port, not as root.
 * @param postgresUrl the server's own URL, with user and password
 * @param settings more of pgbouncer.ini, such as `default_pool_size`
 * @throws Error with its last words where it does not come up
 */
export async function startPgBouncer(
  postgresUrl: string,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<PgBouncer> {
  const program = findPgBouncer();
  if (!program) throw new Error("pgbouncer is not installed (Debian: apt-get install pgbouncer)");
  const server = new URL(postgresUrl);
  const account = await unprivilegedAccount();
  const folder = await mkdtemp(join(tmpdir(), "orderflow-pgbouncer-"));
  const port = freePort();
  const file = async (name: string, text: string) => {
    await Bun.write(join(folder, name), text);
    if (account) await chown(join(folder, name), account.uid, account.gid);
    return join(folder, name);
  };
  const users = await file("users", `"${server.username}" "${server.password}"\n`);
  const lines = Object.entries({
    listen_addr: HOST,
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "scram-sha-256",
    auth_file: users,
    pool_mode: "transaction",
    ...settings,
  }).map(([name, value]) => `${name} = ${value}\n`);
  const ini = await file(
    "pgbouncer.ini",
    `[databases]\n* = host=${HOST} port=${server.port}\n[pgbouncer]\n${lines.join("")}`,
  );
  if (account) await chown(folder, account.uid, account.gid);
  const child = Bun.spawn([program, ini], {
    cwd: folder,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    ...account,
  });
  let output = "";
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      output = (output + decoder.decode(chunk, { stream: true })).slice(-OUTPUT_CHARACTERS_MAX);
    }
  })();
  const stop = async () => {
    child.kill("SIGKILL");
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until(
      "pgbouncer listens",
      () => {
        if (child.exitCode !== null) throw new Error("it has ended");
        return isListening(port);
      },
      START_TIMEOUT_MS,
    );
  } catch (cause) {
    await stop();
    throw new Error(`pgbouncer did not start:\n${output}`, { cause });
  }
  server.port = String(port);
  return { url: server.href, stop };
}

async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: HOST, port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}
