/** Everything the demo runs: database, broker, trace store and services, started side by side. */
import { startKafkaBroker, type KafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres, type EmbeddedPostgres } from "#lib/embedded/postgres.ts";
import {
  startServices,
  type RunningServices,
  type ServicesOptions,
} from "#lib/embedded/services.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import type { Ports } from "./ports.ts";

export interface StackOptions extends Pick<ServicesOptions, "onLine" | "onUnexpectedEnd"> {
  readonly ports: Ports;
  /** Told of each part when it is ready: where it is, and the time since its own start. */
  readonly onReady: (part: string, where: string, durationMs: number) => void;
  /** Told of a fault in the broker itself; it goes on. */
  readonly onBrokerFault: (error: unknown) => void;
  /** Gives the start up; everything is stopped then. */
  readonly signal: AbortSignal;
}

/** All parts, ready. */
export interface Stack {
  readonly store: TraceStore;
  readonly postgres: EmbeddedPostgres;
  readonly kafka: KafkaBroker;
  readonly services: RunningServices;
  /** Stops all, the services first, and removes what was temporary. Safe to call again. */
  stop(): Promise<void>;
}

/** Of all services. */
const ENVIRONMENT = {
  // Spans leave a service soon after they ended, so that the trace is there to be looked at.
  OTEL_BSP_SCHEDULE_DELAY: "100",
  // Log records stand beside their spans in the viewer.
  OTEL_LOGS_EXPORTER: "otlp",
  // Nobody waits a minute for the first point of a chart.
  OTEL_METRIC_EXPORT_INTERVAL: "5000",
  ORDERFLOW_CODE_LOCATION: "on",
  // A request that hangs is seen while it hangs.
  ORDERFLOW_OPEN_SPANS: "on",
};

/**
 * Starts all parts. The services do not wait for the migrations: they do that by themselves.
 * @throws what the first part that failed did; nothing is left running
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { ports } = options;
  const failed = new AbortController();
  const givenUp = AbortSignal.any([options.signal, failed.signal]);
  const timed = timing(options.onReady, givenUp);
  const postgres = timed(
    "PostgreSQL",
    startPostgres({ port: ports.postgres }),
    ({ port }) => `127.0.0.1:${port}`,
  );
  const kafka = timed(
    "Kafka broker",
    startKafkaBroker({ port: ports.kafka, onInternalError: options.onBrokerFault }),
    ({ port }) => `127.0.0.1:${port}`,
  );
  const store = timed(
    "trace store",
    startTraceStore({ otlpPort: ports.otlp, queryPort: ports.jaeger }),
    ({ queryUrl }) => queryUrl,
  );
  // Whatever PGSSLMODE says: it is not of the demo's own server.
  const migrated = postgres.then(({ url }) =>
    timed(
      "migrations",
      migrateUp({ postgresUrl: `${url}?sslmode=disable` }),
      ({ to }) => `version ${to}`,
    ),
  );
  const services = store.then(({ otlpUrl }) =>
    startServices({
      postgresUrl: postgres.then(({ url }) => url),
      kafkaBrokers: kafka.then(({ brokers }) => brokers),
      ports,
      env: { ...ENVIRONMENT, OTEL_EXPORTER_OTLP_ENDPOINT: otlpUrl },
      onReady: options.onReady,
      ...(options.onLine && { onLine: options.onLine }),
      ...(options.onUnexpectedEnd && { onUnexpectedEnd: options.onUnexpectedEnd }),
      signal: givenUp,
    }),
  );

  let stopping: Promise<void> | undefined;
  const stopAll = async () => {
    // What is still on its way up is waited for: it cannot be stopped before it is there.
    await stopStarted([services]);
    await Promise.allSettled([migrated]);
    await stopStarted([postgres, kafka, store]);
  };
  const stop = () => (stopping ??= stopAll());
  try {
    const all = Promise.all([postgres, kafka, store, services, migrated]);
    const [postgresStarted, kafkaStarted, storeStarted, servicesStarted] = await all;
    return {
      postgres: postgresStarted,
      kafka: kafkaStarted,
      store: storeStarted,
      services: servicesStarted,
      stop,
    };
  } catch (error) {
    failed.abort(error);
    await stop();
    throw error;
  }
}

/** Waits for parts, and tells of each when it is ready. */
function timing(onReady: StackOptions["onReady"], givenUp: AbortSignal) {
  return async <T>(part: string, work: Promise<T>, where: (started: T) => string): Promise<T> => {
    const startMs = performance.now();
    const started = await work;
    const durationMs = performance.now() - startMs;
    // What only becomes ready to be stopped again is no progress.
    if (!givenUp.aborted) onReady(part, where(started), durationMs);
    return started;
  };
}

async function stopStarted(parts: readonly Promise<{ stop(): Promise<void> }>[]): Promise<void> {
  const settled = await Promise.allSettled(parts);
  await Promise.all(
    settled.map((part) => (part.status === "fulfilled" ? part.value.stop() : undefined)),
  );
}
