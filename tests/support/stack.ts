/**
 * The shared stack of a test run: started by the first test that needs it, stopped when the run
 * ends, however it ends (see stack-host.ts).
 *
 *     setDefaultTimeout(TEST_TIMEOUT_MS);
 *     beforeAll(startStack, STACK_START_TIMEOUT_MS);
 *     test("…", async () => { const { services } = await stack(); … });
 *
 * It is shared: other orders exist, and stock moves. Where a test needs exact stock it makes an item
 * of its own with {@link createItem}.
 */
import { join } from "node:path";
import { SQL } from "bun";
import type { ServiceName } from "#lib/service/services.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";

/** Where the parts of the stack listen. */
export interface StackAddresses {
  readonly postgresUrl: string;
  /** As in KAFKA_BROKERS. */
  readonly brokers: string;
  /** Base URLs, without a slash at the end. */
  readonly services: Readonly<Record<ServiceName, string>>;
  readonly pids: Readonly<Record<ServiceName, number>>;
}

export interface Stack extends StackAddresses {
  /** A pool on the stack's database. */
  readonly sql: SQL;
  /** What the five services export to. */
  readonly traces: TraceStore;
}

/** For `beforeAll`: the first start takes some seconds. */
export const STACK_START_TIMEOUT_MS = 90_000;

/** For `setDefaultTimeout`: more than any bounded wait in a test, so that it is the wait which tells. */
export const TEST_TIMEOUT_MS = 30_000;

let started: Promise<Stack> | undefined;

/** The stack; the first call starts it. @throws Error that says why it could not be started */
export function stack(): Promise<Stack> {
  started ??= start();
  return started;
}

/** The same for `beforeAll`, which wants nothing back. */
export async function startStack(): Promise<void> {
  await stack();
}

/** Puts an item of its own into the inventory. @returns its id */
export async function createItem(available: number, id = `TEST-${crypto.randomUUID()}`) {
  const { sql } = await stack();
  await sql`
    INSERT INTO inventory.items (item_id, name, available) VALUES (${id}, 'Test item', ${available})`;
  return id;
}

/** How many of an item are available and reserved, as the database has it. */
export async function stockOf(itemId: string): Promise<{ available: number; reserved: number }> {
  const { sql } = await stack();
  const [row] = await sql`
    SELECT available, reserved FROM inventory.items WHERE item_id = ${itemId}`;
  return { available: row.available, reserved: row.reserved };
}

async function start(): Promise<Stack> {
  const traces = await startTraceStore({
    otlpPort: 0,
    queryPort: 0,
    tracesMax: 20_000,
    tracesBytesMax: 128 * 1024 ** 2,
  });
  const { port, answer, giveUp } = awaitHost();
  // The shell ends at once and leaves the host to itself.
  const shell = Bun.spawn(
    ["/bin/sh", "-c", '"$@" &', "sh", process.execPath, join(import.meta.dir, "stack-host.ts")],
    {
      cwd: join(import.meta.dir, "../.."),
      env: { ...process.env, TEST_OTLP_URL: traces.otlpUrl, TEST_RUN_PORT: String(port) },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  // The host writes nothing there, and holds it open: its end is seen though it never connected.
  void shell.stdout.text().then(giveUp);
  const addresses = JSON.parse((await answer) || '{"error":"it ended without a word"}') as
    StackAddresses | { error: string };
  if ("error" in addresses) throw new Error(`the stack did not start: ${addresses.error}`);
  return { ...addresses, traces, sql: new SQL(addresses.postgresUrl, { max: 4 }) };
}

/** What it said before its end may still be on its way. */
const LAST_WORDS_MS = 500;

/** Listens for the host. The connection stays open until this process ends. */
function awaitHost(): { port: number; answer: Promise<string>; giveUp: () => void } {
  const { promise: answer, resolve } = Promise.withResolvers<string>();
  let text = "";
  const { port } = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(_, bytes) {
        text += bytes.toString();
        if (text.includes("\n")) resolve(text);
      },
      close: () => resolve(""),
    },
  });
  return { port, answer, giveUp: () => void setTimeout(resolve, LAST_WORDS_MS, "") };
}
