/**
 * The system running, outside of Docker: the embedded PostgreSQL and broker, the five services, and the
 * real Collector, Jaeger and Prometheus with the configuration that compose mounts.
 */
import { Partitioners } from "kafkajs";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { startServices } from "#lib/embedded/services.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { createKafka } from "#lib/kafka/client.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import { ORDER_CREATED_TOPIC } from "#lib/orders/order-created.ts";
import { startPrograms, type ProgramPaths } from "./programs.ts";

export interface Live {
  readonly gatewayUrl: string;
  readonly jaegerUrl: string;
  readonly prometheusUrl: string | undefined;
  /** Gets what Jaeger gets, from the same Collector: the two can be compared. */
  readonly traceStore: TraceStore;
  /** A record that no worker can read, for a dead letter. */
  sendUnreadable(): Promise<void>;
  stop(): Promise<void>;
}

/** @throws Error where a part does not start; nothing is left running */
export async function startLive(paths: ProgramPaths): Promise<Live> {
  await using undo = new AsyncDisposableStack();
  const keep = <Part extends { stop(): Promise<void> }>(part: Part): Part =>
    undo.adopt(part, () => part.stop());
  const postgres = keep(await startPostgres());
  const broker = keep(await startKafkaBroker());
  const traceStore = keep(await startTraceStore());
  const programs = keep(await startPrograms(paths, traceStore.otlpUrl));
  await migrateUp({ postgresUrl: postgres.url });
  const services = keep(
    await startServices({
      postgresUrl: postgres.url,
      kafkaBrokers: broker.brokers,
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: programs.otlpUrl,
        OTEL_METRICS_EXPORTER: "none",
        OTEL_LOGS_EXPORTER: "otlp",
        OTEL_BSP_SCHEDULE_DELAY: "100",
        ORDERFLOW_CODE_LOCATION: "on",
      },
    }),
  );
  const targets = Object.entries(services.urls).map(([name, url]) => [name, new URL(url).host]);
  await programs.scrape(Object.fromEntries(targets));
  const owned = undo.move();
  return {
    gatewayUrl: services.urls.gateway,
    jaegerUrl: programs.jaegerUrl,
    prometheusUrl: programs.prometheusUrl,
    traceStore,
    async sendUnreadable() {
      const kafka = createKafka({
        connection: { brokers: broker.brokers.split(",") },
        clientId: "check-stack",
      });
      const producer = kafka.producer({
        allowAutoTopicCreation: false,
        createPartitioner: Partitioners.DefaultPartitioner,
      });
      await producer.connect();
      try {
        await producer.send({ topic: ORDER_CREATED_TOPIC, messages: [{ value: "not JSON" }] });
      } finally {
        await producer.disconnect();
      }
    },
    stop: () => owned.disposeAsync(),
  };
}
