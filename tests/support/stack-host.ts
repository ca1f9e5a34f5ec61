/**
 * The program that holds the shared stack: PostgreSQL, the broker and the five services.
 *
 * A process of its own, and not a child that `bun test` knows of: bun ends a test file's children
 * when a test of it runs into its time limit, and runs no exit hooks at the end of a run. This one
 * holds a connection to the test run, and ends when that ends, however it did.
 *
 * Over the connection it sends one line: the stack's addresses as JSON, or `{"error": "…"}`.
 */
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startServices, type RunningServices } from "#lib/embedded/services.ts";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { createDatabase } from "./database.ts";
import type { StackAddresses } from "./stack.ts";

/** What to stop at the end: the services, then what they need. */
let services: RunningServices | undefined;
const infrastructure: (() => Promise<void>)[] = [];

const testRun = await connectToTestRun(Number(process.env["TEST_RUN_PORT"]));
try {
  const addresses = await startAll(process.env["TEST_OTLP_URL"] ?? "");
  testRun.socket.write(`${JSON.stringify(addresses)}\n`);
  await testRun.ended;
} catch (error) {
  testRun.socket.write(`${JSON.stringify({ error: (error as Error).message })}\n`);
}
await services?.stop();
await Promise.all(infrastructure.map((stop) => stop().catch(console.error)));
process.exit();

async function startAll(otlpUrl: string): Promise<StackAddresses> {
  const [postgresUrl, brokers] = await Promise.all([database(), broker()]);
  await migrateUp({ postgresUrl });
  services = await startServices({
    postgresUrl,
    kafkaBrokers: brokers,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpUrl,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_METRIC_EXPORT_INTERVAL: "3000",
      OTEL_METRIC_EXPORT_TIMEOUT: "1000",
      ORDERFLOW_CODE_LOCATION: "on",
      ORDERFLOW_OPEN_SPANS: "on",
      LOG_LEVEL: "info",
      EMAIL_DELAY_MS: "5-20",
      CLEANUP_INTERVAL_MS: "500",
    },
  });
  const { urls, pid } = services;
  const pids = Object.fromEntries(SERVICE_NAMES.map((name) => [name, pid(name)]));
  return { postgresUrl, brokers, services: urls, pids: pids as StackAddresses["pids"] };
}

async function database(): Promise<string> {
  const { url, stop } = await createDatabase();
  infrastructure.push(async () => {
    try {
      await stop();
    } catch (error) {
      // The run's own server may have gone first, and the database with it.
      const { code } = error as { code?: unknown };
      if (!String(code).startsWith("ERR_POSTGRES_CONNECTION_")) throw error;
    }
  });
  return url;
}

async function broker(): Promise<string> {
  const given = process.env["KAFKA_BROKERS"];
  if (given) return given;
  const embedded = await startKafkaBroker();
  infrastructure.push(() => embedded.stop());
  return embedded.brokers;
}

async function connectToTestRun(port: number) {
  const { promise: ended, resolve: close } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data() {}, close: () => close() },
  });
  return { socket, ended };
}
