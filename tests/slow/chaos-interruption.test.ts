/** A chaos test that is broken off: whenever that is, nothing of it stays. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/until.ts";

const TEST_TIMEOUT_MS = 90_000;
const WITHIN_MS = 40_000;

let folder: string;
let child: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "orderflow-chaos-test-"));
  // For root PostgreSQL runs as another user.
  await chmod(folder, 0o1777);
});
afterEach(async () => {
  child?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

test.each([
  [
    "SIGINT",
    130,
    "as soon as it makes its folders",
    async () => (await readdir(folder)).length > 1,
  ],
  [
    "SIGTERM",
    143,
    "while the services start",
    async () => (await logs()).includes("gateway-1.log"),
  ],
  [
    "SIGHUP",
    129,
    "while orders are placed and something is down",
    async () => said.includes("kill -9"),
  ],
] as const)(
  "%s, exit status %d, %s",
  async (signal, exitStatus, _, isTime) => {
    await breakOff(signal, exitStatus, isTime, ["--seed", "1", "--seconds", "2", "--kills", "8"]);
  },
  TEST_TIMEOUT_MS,
);

const libsDir = process.env["APACHE_KAFKA_LIBS"];

test.skipIf(!libsDir)(
  "SIGINT, exit status 130, while the nodes of a cluster are restarted in turn (APACHE_KAFKA_LIBS)",
  async () => {
    // Of this seed the first fault is a rolling restart.
    const options = [
      "--cluster",
      "--seed",
      "5",
      "--seconds",
      "4",
      "--orders",
      "40",
      "--kills",
      "1",
    ];
    await breakOff("SIGINT", 130, async () => said.includes("nodes in turn"), options, libsDir);
  },
  TEST_TIMEOUT_MS,
);

/** Starts a chaos test, and sends a signal when it is time: it must end as told, and nothing of it stay. */
async function breakOff(
  signal: NodeJS.Signals,
  exitStatus: number,
  isTime: () => Promise<boolean>,
  options: readonly string[],
  kafkaLibs = "",
): Promise<void> {
  said = "";
  child = Bun.spawn([process.execPath, "scripts/chaos.ts", ...options], {
    cwd: join(import.meta.dir, "../.."),
    env: { ...process.env, TMPDIR: folder, APACHE_KAFKA_LIBS: kafkaLibs },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  void hear(child.stdout);
  const errors = child.stderr.text();
  await until(`it is time for ${signal}`, isTime, WITHIN_MS, 5);
  child.kill(signal);
  expect(await child.exited).toBe(exitStatus);
  expect(await errors).toBe("stopping\n");
  expect(await readdir(folder)).toEqual([]);
  await until("no process is left", async () => (await processesOf(folder)).length === 0);
}

let said = "";

async function hear(stream: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) said += decoder.decode(chunk, { stream: true });
}

async function logs(): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).map((path) => path.split("/").at(-1) ?? "");
}

/** Processes that name the folder: PostgreSQL, and the trace receiver with its file. */
async function processesOf(place: string): Promise<string[]> {
  const lines = (await Bun.$`ps -A -o args=`.quiet().text()).split("\n");
  return lines.filter((line) => line.includes(place));
}
