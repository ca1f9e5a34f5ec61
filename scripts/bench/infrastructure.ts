// The servers that the flow benchmark runs on: those of POSTGRES_URL and KAFKA_BROKERS, else embedded.
import { join } from "node:path";
import { SQL } from "bun";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { migrateUp } from "#lib/migrate/index.ts";

export interface Infrastructure {
  /** A migrated database of its own, whose items never run out. */
  postgresUrl: string;
  kafkaBrokers: string;
  /** What they are, for the reader. */
  description: string;
  sql: SQL;
  stop(): Promise<void>;
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
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const run of undo.toReversed()) await run();
  };
  try {
    const given = process.env["POSTGRES_URL"];
    const postgresUrl = given ? await ownDatabase(given, undo) : await embeddedPostgres(undo);
    const kafkaBrokers = process.env["KAFKA_BROKERS"] || (await embeddedBroker(undo));
    await migrateUp({ postgresUrl });
    const sql = new SQL(postgresUrl, { max: 2 });
    undo.push(() => sql.close());
    await sql`UPDATE inventory.items SET available = 1000000000`;
    const description =
      (given ? "the PostgreSQL of POSTGRES_URL" : "the embedded PostgreSQL") +
      (process.env["KAFKA_BROKERS"] ? ", the brokers of KAFKA_BROKERS" : ", the embedded broker");
    return { postgresUrl, kafkaBrokers, description, sql, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts the sink in a process of its own. */
export async function startSpanSink(): Promise<SpanSink> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "span-sink.ts")], {
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

async function embeddedPostgres(undo: (() => Promise<void>)[]): Promise<string> {
  const server = await startPostgres();
  undo.push(() => server.stop());
  return server.url;
}

async function embeddedBroker(undo: (() => Promise<void>)[]): Promise<string> {
  const broker = await startKafkaBroker();
  undo.push(() => broker.stop());
  return broker.brokers;
}

async function ownDatabase(given: string, undo: (() => Promise<void>)[]): Promise<string> {
  const name = `orderflow_bench_${crypto.randomUUID().replaceAll("-", "")}`;
  const admin = new SQL(given, { max: 1 });
  undo.push(() => admin.close());
  await admin.unsafe(`CREATE DATABASE ${name}`);
  undo.push(async () => {
    await admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
  });
  const url = new URL(given);
  url.pathname = `/${name}`;
  return url.href;
}
