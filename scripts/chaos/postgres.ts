/** PostgreSQL as a victim: killed with all its processes at once, and started again on its data. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { isAlive } from "../shared/is-alive.ts";
import { until } from "../shared/until.ts";

export interface KillablePostgres {
  /** Stays the same over restarts. */
  readonly url: string;
  /** SIGKILL to the server and every back end: a crash; what was committed is in the write-ahead log. */
  kill(): Promise<void>;
  /** Starts it again on its port and data; resolves when it has recovered and answers. */
  restart(): Promise<void>;
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

const ENDED_WITHIN_MS = 10_000;
const RESTARTED_WITHIN_MS = 30_000;
const RETRY_MS = 200;

export async function startKillablePostgres(): Promise<KillablePostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), "orderflow-chaos-postgres-"));
  const removeData = () => rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  let server = await startPostgres({ dataDir }).catch(async (error: unknown) => {
    await removeData();
    throw error;
  });
  const { url, port } = server;
  return {
    url,
    async kill() {
      const pidFile = await readFile(join(dataDir, "data", "postmaster.pid"), "utf8");
      const postmaster = Number(pidFile.split("\n")[0]);
      const all = [postmaster, ...(await childrenOf(postmaster))];
      for (const pid of all) kill(pid);
      await until("PostgreSQL is gone", () => !all.some(isAlive), ENDED_WITHIN_MS);
      await server.stop();
    },
    async restart() {
      // The system may still hold the old one's port or shared memory for a moment.
      await until(
        "PostgreSQL starts again",
        async () => Boolean((server = await startPostgres({ dataDir, port }))),
        RESTARTED_WITHIN_MS,
        RETRY_MS,
      );
    },
    async stop() {
      await server.stop();
      await removeData();
    },
  };
}

async function childrenOf(pid: number): Promise<number[]> {
  const list = await Bun.$`pgrep -P ${pid}`.nothrow().quiet().text();
  return list.split("\n").filter(Boolean).map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // A back end that ended between our look and here.
  }
}
