// The servers that the benchmarks of the flow run on: those of POSTGRES_URL and KAFKA_BROKERS, else embedded.
import { join } from "node:path";
import { SQL } from "bun";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp } from "#lib/migrate/index.ts";

export interface Infrastructure {
  kafkaBrokers: string;
  /** What they are, for the reader. */
  description: string;
  /**
   * Makes a migrated database of its own; it is gone when the benchmark ends.
   * @param migrationsPath the migrations' folder. @default this project's
   */
  createDatabase(name: string, migrationsPath?: string): Promise<BenchDatabase>;
  /** Safe to call again. */
  stop(): Promise<void>;
}

export interface BenchDatabase {
  url: string;
  sql: SQL;
}

/** A process that counts the spans it is sent; see span-sink.ts. */
export interface SpanSink {
  url: string;
  /** Spans that have arrived since it started. */
  count(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts what is not given. @throws Error where it cannot be started; nothing is left running */
export async function startInfrastructure(): Promise<Infrastructure> {
  await using undo = new AsyncDisposableStack();
  const { POSTGRES_URL: givenPostgres, KAFKA_BROKERS: givenBrokers } = process.env;
  const postgresUrl = givenPostgres || undo.adopt(await startPostgres(), stopped).url;
  const kafkaBrokers = givenBrokers || undo.adopt(await startKafkaBroker(), stopped).brokers;
  const description =
    (givenPostgres ? "the PostgreSQL of POSTGRES_URL" : "the embedded PostgreSQL") +
    (givenBrokers ? ", the brokers of KAFKA_BROKERS" : ", the embedded broker");
  const admin = new SQL(postgresUrl, { max: 1 });
  undo.defer(() => admin.close());
  const owned = undo.move();
  return {
    kafkaBrokers,
    description,
    createDatabase: (name, migrationsPath) =>
      createDatabase(name, { postgresUrl, migrationsPath }, admin, owned),
    stop: () => owned.disposeAsync(),
  };
}

/** Ctrl-C ends a benchmark, and what it has started. */
export function stopOnSignal(stop: () => Promise<void>): void {
  const end = () => void stop().finally(() => process.exit(130));
  process.once("SIGINT", end).once("SIGTERM", end);
}

/** Starts the sink in a process of its own. */
export async function startSpanSink(): Promise<SpanSink> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "span-sink.ts")], {
    // It ends with its input, so that it does not outlive the benchmark.
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await child.stdout.getReader().read();
  const url = Buffer.from(value ?? [])
    .toString()
    .trim();
  if (!url) throw new Error("the span sink did not start");
  return {
    url,
    count: async () => (await (await fetch(`${url}/count`)).json()) as number,
    async stop() {
      child.kill();
      await child.exited;
    },
  };
}

async function stopped(server: { stop(): Promise<void> }): Promise<void> {
  await server.stop();
}

async function createDatabase(
  name: string,
  server: { postgresUrl: string; migrationsPath: string | undefined },
  admin: SQL,
  undo: AsyncDisposableStack,
): Promise<BenchDatabase> {
  const unique = `orderflow_bench_${name}_${crypto.randomUUID().replaceAll("-", "")}`;
  await admin.unsafe(`CREATE DATABASE ${unique}`);
  undo.defer(async () => void (await admin.unsafe(`DROP DATABASE ${unique} WITH (FORCE)`)));
  const url = new URL(server.postgresUrl);
  url.pathname = `/${unique}`;
  await migrateUp({ ...server, postgresUrl: url.href });
  const sql = new SQL(url.href, { max: 2 });
  undo.defer(() => sql.close());
  // Items that never run out.
  await sql`UPDATE inventory.items SET available = 1000000000`;
  return { url: url.href, sql };
}
